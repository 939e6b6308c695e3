/** Dialling: selects addresses and shares dials between callers. The native side tries the addresses by a plan. */
import { aborted, type DrainHost, onceGivenUp } from '../base/abort.ts'
import { aDuration, aFlag, anArray, aSignal, type OptionChecks, someOf } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionTable } from '../connection/table.ts'
import { Connection } from '../connection.ts'
import { DIAL_ADDRESSES_MAX, DIAL_PARALLEL, DIAL_TIMEOUT_MS } from '../constants.ts'
import { type DialTarget, logDial } from '../diagnostics/connections.ts'
import type { Log } from '../diagnostics/log.ts'
import {
  type AddressAttempt,
  ERROR_CODES,
  InvalidParametersError,
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  SelfDialError,
  StateError
} from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import type { Identity } from '../identity/keys.ts'
import { dialRefusal, type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { NativeAttempt, NativeRefusal } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import type { RequestId } from '../native/handles.ts'
import type { AddressBook } from './address-book.ts'
import {
  abandoned,
  allFailed,
  attemptOf,
  late,
  noAddress,
  notAllowed,
  refusedAttempt,
  unfinishedAttempt
} from './failure.ts'
import type { DialOptions } from './options.ts'
import { dialPlan } from './plan.ts'

/** Receives the events of one native dial. */
export interface DialSink {
  onConnection(connection: Connection): void
  /** Called if the application's resource manager has refused the connection, in place of `onConnection`. */
  onRefused(refusal: Error): void
  /** Called when attempts have failed and the dial continues. */
  onAttemptsFailed(): void
}

/** The swarm's interface to its dialer. */
export interface DialHost extends Commands<'dial' | 'cancel' | 'takeAttempts'> {
  readonly engine: DrainHost
  readonly clock: Clock
  /** Reports that a limit has refused a connection to an address. */
  dialRefused(refusal: ResourceLimitExceededError, address: string | undefined): void
  /** Returns the error of a refusal by a limit, or by a closed manager. */
  refusalError(refusal: NativeRefusal): ResourceLimitExceededError | ResourceScopeClosedError
  readonly options: { readonly identity: Pick<Identity, 'peer'>; readonly log: Log }
  /** Registers `sink` for the events of a dial. */
  expectDialled(request: RequestId, sink: DialSink): void
  /** Unregisters a dial; a connection that it still makes is closed. */
  forgetDialled(request: RequestId): void
}

/** The peer and addresses of a dial. */
interface Target extends DialTarget {
  /** Calls with the same key share a dial. */
  readonly key: string
}

/** Outcome of a dial for one caller: a connection, or a factory of the caller's error. */
type Outcome = Connection | ((target: Target) => Error)

/** Checks for the options of a dial. */
export const DIAL_CHECKS: OptionChecks<DialOptions> = {
  signal: aSignal,
  timeout: aDuration,
  addresses: (value, name) => {
    anArray(value, name)
    // Parsing checks each address.
    for (const addr of value as AddrLike[]) parseAddress(addr)
  },
  noDial: aFlag,
  force: aFlag,
  security: someOf('tls', 'noise')
}

/** A dial shared by the callers that wait for it. The first connection ends it. */
interface SharedDial {
  readonly key: string
  readonly peer: string | undefined
  /** Every address tried so far or being tried. */
  readonly addresses: Set<string>
  /** Native dials in flight, with the addresses of each. */
  readonly requests: Map<RequestId, readonly string[]>
  /** Attempts that have failed so far. */
  readonly attempts: AddressAttempt[]
  /** Callers that wait for its end. */
  readonly waiters: Set<(outcome: Outcome) => void>
}

/** Dials peers and addresses; concurrent dials of the same target are shared. */
export class Dialer {
  readonly #host: DialHost
  readonly #connections: ConnectionTable
  readonly #addressBook: AddressBook
  readonly #dials = new Map<string, SharedDial>()
  #isClosed = false

  constructor(host: DialHost, connections: ConnectionTable, addressBook: AddressBook) {
    this.#host = host
    this.#connections = connections
    this.#addressBook = addressBook
  }

  dialPeer(peer: PeerLike, options: DialOptions = {}): Promise<Connection> {
    const id = peerText(peer)
    const given = (options.addresses ?? []).map((addr) => addressOf(addr, id))
    if (id === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    const [existing] = this.#connections.ranked(id, options.security)
    if (existing !== undefined && !isSet(options.force)) return Promise.resolve(existing)
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    const known = this.#addressBook.get(id).map(parseAddress)
    return this.#begin(targetOf(id, id, [...given, ...known], options), options)
  }

  dialAddr(addr: AddrLike, peer?: PeerLike, options: DialOptions = {}): Promise<Connection> {
    const address = addressOf(addr, peer === undefined ? undefined : peerText(peer))
    const target = peer === undefined ? address.peer : peerText(peer)
    if (target === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    return this.#begin(
      targetOf(`${address.text} ${target ?? ''}`, target, [address], options),
      options
    )
  }

  /** Cancels every dial in flight. */
  close(): void {
    this.#isClosed = true
    for (const { requests } of this.#dials.values()) {
      for (const request of requests.keys()) this.#host.node.cancel(request)
    }
  }

  #begin(target: Target, options: DialOptions): Promise<Connection> {
    const { log } = this.#host.options
    if (!log.hears('debug')) return this.#dial(target, options)
    return logDial(log, this.#host.clock, target, () => this.#dial(target, options))
  }

  async #dial(target: Target, options: DialOptions): Promise<Connection> {
    if (options.signal?.aborted === true) throw aborted(options.signal)
    const shared = this.#dials.get(target.key) ?? newSharedDial(target)
    this.#dialNew(shared, target, options)
    const outcome = await this.#join(shared, options)
    if (outcome instanceof Connection) return outcome
    // Created after the await: V8's async stack trace includes the caller, at no cost to a successful dial.
    throw outcome(target)
  }

  /** Dials the addresses of a target that the shared dial has not tried yet. */
  #dialNew(shared: SharedDial, target: Target, { security }: DialOptions): void {
    const fresh = target.addresses.filter((address) => !shared.addresses.has(address))
    if (fresh.length === 0) {
      if (shared.requests.size === 0) throw noAddress(target)
      return
    }
    // Timeouts are per address here and per caller in `#join`: a more patient caller may join.
    const { request, result } = this.#host.command((node, number) =>
      node.dial(number, dialPlan(fresh), {
        peer: target.peer,
        security: security && [...security],
        // The limit applies to the peer, not to each native dial.
        parallel: Math.max(DIAL_PARALLEL - shared.addresses.size, 1)
      })
    )
    for (const address of fresh) shared.addresses.add(address)
    shared.requests.set(request, fresh)
    this.#dials.set(shared.key, shared)
    this.#host.expectDialled(request, {
      onConnection: (connection) => this.#succeed(shared, request, connection),
      onRefused: (refusal) => this.#end(shared, request, () => refusal),
      onAttemptsFailed: () => {
        this.#addFailed(shared, request, this.#host.node.takeAttempts(request).failed)
      }
    })
    result.catch((err: unknown) => this.#fail(shared, request, err))
  }

  #succeed(shared: SharedDial, request: RequestId, connection: Connection): void {
    const core = connectionFacade.coreOf(connection)
    this.#addressBook.worked(core.peer, core.remoteAddressText)
    this.#end(shared, request, connection)
  }

  /** Ends a dial for its callers by the outcome of one request, before a connection is announced to anyone else. */
  #end(shared: SharedDial, request: RequestId, outcome: Outcome): void {
    // This request has ended: `#detach` must not cancel it.
    shared.requests.delete(request)
    this.#host.forgetDialled(request)
    this.#detach(shared)
    for (const end of shared.waiters) end(outcome)
  }

  #fail(shared: SharedDial, request: RequestId, err: unknown): void {
    // The dial was abandoned: no caller is waiting.
    if (!shared.requests.has(request)) return
    const isCommand = err instanceof CommandError
    if (isCommand) this.#addFailed(shared, request, err.result.attempts ?? [])
    shared.requests.delete(request)
    this.#host.forgetDialled(request)
    if (shared.requests.size > 0) return
    this.#detach(shared)
    // A command rejects only with an `Error`.
    const failure = (target: Target): Error =>
      isCommand ? this.#dialError(err, shared.attempts, target) : (err as Error)
    for (const end of shared.waiters) end(failure)
  }

  /** Closes a shared dial to further callers and cancels its native dials. */
  #detach(shared: SharedDial): void {
    if (this.#dials.get(shared.key) === shared) this.#dials.delete(shared.key)
    for (const request of shared.requests.keys()) {
      this.#host.forgetDialled(request)
      this.#host.node.cancel(request)
    }
    shared.requests.clear()
  }

  /** Waits for a shared dial; the last caller to give up cancels it. */
  #join(shared: SharedDial, { signal, timeout = DIAL_TIMEOUT_MS }: DialOptions): Promise<Outcome> {
    const { clock, engine } = this.#host
    return new Promise((resolve) => {
      const end = (outcome: Outcome): void => {
        shared.waiters.delete(end)
        release()
        resolve(outcome)
      }
      const ms = Math.min(timeout, TIMER_MS_MAX)
      const release = onceGivenUp(engine, clock, signal, ms, (why) => {
        if (!shared.waiters.has(end)) return
        const isLate = why === 'late'
        const attempts = this.#attemptsSoFar(shared, isLate ? 'ERR_TIMEOUT' : 'ERR_ABORTED')
        end(({ refused }) => {
          const all = [...attempts, ...refused]
          return isLate ? late(ms, all) : abandoned(signal, all)
        })
        if (shared.waiters.size === 0) this.#detach(shared)
      })
      shared.waiters.add(end)
    })
  }

  /** Records the failed attempts of one request. */
  #addFailed(shared: SharedDial, request: RequestId, failed: readonly NativeAttempt[]): void {
    const addresses = shared.requests.get(request) ?? []
    for (const attempt of failed) {
      const { refusal } = attempt
      const address = addresses[attempt.index] ?? ''
      const cause = refusal === undefined ? undefined : this.#host.refusalError(refusal)
      if (cause instanceof ResourceLimitExceededError) this.#host.dialRefused(cause, address)
      shared.attempts.push(attemptOf(address, attempt, cause))
    }
  }

  /** Returns the failed attempts, then those in flight, whose causes get `code`. */
  #attemptsSoFar(shared: SharedDial, code: 'ERR_TIMEOUT' | 'ERR_ABORTED'): AddressAttempt[] {
    const unfinished: AddressAttempt[] = []
    for (const [request, addresses] of shared.requests) {
      const { failed, underWay } = this.#host.node.takeAttempts(request)
      this.#addFailed(shared, request, failed)
      for (const attempt of underWay) {
        unfinished.push(unfinishedAttempt(addresses[attempt.index] ?? '', attempt, code))
      }
    }
    return [...shared.attempts, ...unfinished]
  }

  /** Returns the public error of a failed native dial: all of its attempts, and the refused addresses of `target`. */
  #dialError(err: CommandError, attempts: readonly AddressAttempt[], target: Target): Error {
    const { code } = err.result
    const isOver = this.#isClosed || code === ERROR_CODES.ERR_NODE_CLOSED
    // A dial whose attempts all failed reports that, even if the swarm has since been closed.
    if (isOver && code !== ERROR_CODES.ERR_DIAL_ALL_FAILED) {
      return new StateError('the swarm is closed')
    }
    const refused = attempts.find(isRefused)
    // Another address, or another attempt, would be refused as well.
    if (refused !== undefined && attempts.every(isRefused)) return refused.cause
    if (attempts.length > 0) return allFailed(target.peer, [...attempts, ...target.refused])
    return err.plain()
  }
}

function isRefused({ cause }: AddressAttempt): boolean {
  return cause instanceof ResourceLimitExceededError || cause instanceof ResourceScopeClosedError
}

function newSharedDial({ key, peer }: Target): SharedDial {
  return {
    key,
    peer,
    addresses: new Set(),
    requests: new Map(),
    attempts: [],
    waiters: new Set()
  }
}

const NONE_REFUSED: readonly AddressAttempt[] = Object.freeze([])

/** Builds the target of a call: addresses without a transport do not count towards the limit. */
function targetOf(
  target: string,
  peer: string | undefined,
  addresses: readonly ParsedAddress[],
  { security }: DialOptions
): Target {
  const dialable = new Set<string>()
  let refused: Map<string, AddressAttempt> | undefined
  for (const address of addresses) {
    const refusal = dialRefusal(address)
    if (refusal === undefined) {
      if (dialable.size < DIAL_ADDRESSES_MAX) dialable.add(address.text)
    } else {
      refused ??= new Map()
      refused.set(address.text, refusedAttempt(address, refusal, 'dial'))
    }
  }
  return {
    // Dials that require different security protocols are not shared.
    key: security === undefined ? target : `${target} ${security.join()}`,
    peer,
    addresses: [...dialable],
    refused: refused === undefined ? NONE_REFUSED : [...refused.values()]
  }
}

/** Parses a caller's address, which must be of `peer` if given. */
function addressOf(addr: AddrLike, peer: string | undefined): ParsedAddress {
  const address = parseAddress(addr)
  if (address.text === '') {
    throw new InvalidParametersError(
      `expected an address with a host and port, received /p2p/${address.peer} alone; dialPeer takes a peer`
    )
  }
  if (address.peer !== undefined && peer !== undefined && address.peer !== peer) {
    throw new InvalidParametersError(
      `expected an address of ${peer}, received one of ${address.peer}`
    )
  }
  return address
}

/** Returns whether `force` or `noDial` is set: true, or a string with the reason. */
export function isSet(flag: boolean | string | undefined): boolean {
  return flag !== undefined && flag !== false
}
