/** Dialling: whom, where, and who waits for it. The native side tries the addresses by a plan. */
import { aborted, type DrainHost, onceGivenUp } from '../base/abort.ts'
import { aDuration, aFlag, anArray, aSignal, type OptionChecks, someOf } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionTable } from '../connection/table.ts'
import { Connection } from '../connection.ts'
import { DIAL_ADDRESSES_MAX, DIAL_PARALLEL, DIAL_TIMEOUT_MS, type Limits } from '../constants.ts'
import { type DialTarget, logDial } from '../diagnostics/connections.ts'
import type { Log } from '../diagnostics/log.ts'
import {
  type AddressAttempt,
  ERROR_CODES,
  InvalidParametersError,
  ResourceLimitExceededError,
  SelfDialError,
  StateError
} from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import type { Identity } from '../identity/keys.ts'
import { dialRefusal, type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { NativeAttempt } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import type { RequestId } from '../native/handles.ts'
import type { AddressBook } from './address-book.ts'
import { attemptOf, refusedAttempt, unfinishedAttempt } from './attempt.ts'
import { abandoned, allFailed, late, notAllowed, nowhere } from './failure.ts'
import type { DialOptions } from './options.ts'
import { dialPlan } from './plan.ts'

/** Learns of one dial of the native side. */
export interface DialSink {
  onConnection(connection: Connection): void
  /** Attempts have failed, and the dial goes on. */
  onAttemptsFailed(): void
}

/** What dialling needs of the swarm that it dials for. */
export interface DialHost extends Commands<'dial' | 'cancel' | 'takeAttempts'> {
  readonly engine: DrainHost
  readonly clock: Clock
  readonly limits: Pick<Limits, 'connectionsMax'>
  readonly options: { readonly identity: Pick<Identity, 'peer'>; readonly log: Log }
  /** `sink` learns of a dial, until that is abandoned. */
  expectDialled(request: RequestId, sink: DialSink): void
  /** Nobody wants the connection of a dial any more. */
  forgetDialled(request: RequestId): void
}

/** Whom a call dials, and where. */
interface Target extends DialTarget {
  /** Calls of the same key share a dial. */
  readonly key: string
}

/** How a dial ended for one caller: with a connection, or with what makes his error. */
type Ending = Connection | ((target: Target) => Error)

/** The options of a dial. */
export const DIAL_CHECKS: OptionChecks<DialOptions> = {
  signal: aSignal,
  timeout: aDuration,
  addresses: (value, name) => {
    anArray(value, name)
    // Each is checked as it is parsed.
    for (const addr of value as AddrLike[]) parseAddress(addr)
  },
  noDial: aFlag,
  force: aFlag,
  security: someOf('tls', 'noise')
}

/** What is being dialled for the callers that wait for it. The first connection ends all of it. */
interface SharedDial {
  readonly key: string
  readonly peer: string | undefined
  /** Every address that it has tried or is trying. */
  readonly addresses: Set<string>
  /** Dials of the native side that are under way, with the addresses of each. */
  readonly requests: Map<RequestId, readonly string[]>
  /** What failed so far. */
  readonly attempts: AddressAttempt[]
  /** Callers that wait for its end. */
  readonly waiters: Set<(ending: Ending) => void>
}

/** Dials, joined by peer. */
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

  /** Give up every dial under way. */
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
    const shared = this.#dials.get(target.key) ?? shareOf(target)
    this.#try(shared, target, options)
    const ending = await this.#join(shared, options)
    if (ending instanceof Connection) return ending
    // Made here, behind the wait: V8 knows who awaits this, so the stack is that of the caller, at no cost to a dial
    // that succeeds.
    throw ending(target)
  }

  /** Dial the addresses of a target that nobody who waits has brought along yet. */
  #try(shared: SharedDial, target: Target, { security }: DialOptions): void {
    const fresh = target.addresses.filter((address) => !shared.addresses.has(address))
    if (fresh.length === 0) {
      if (shared.requests.size === 0) throw nowhere(target)
      return
    }
    // Each address has its own time, and each caller keeps his own here: a more patient one may join.
    const { request, result } = this.#host.command((node, number) =>
      node.dial(number, dialPlan(fresh), {
        peer: target.peer,
        security: security && [...security],
        // The bound is that of the peer.
        parallel: Math.max(DIAL_PARALLEL - shared.addresses.size, 1)
      })
    )
    for (const address of fresh) shared.addresses.add(address)
    shared.requests.set(request, fresh)
    this.#dials.set(shared.key, shared)
    this.#host.expectDialled(request, {
      onConnection: (connection) => this.#succeed(shared, request, connection),
      onAttemptsFailed: () => {
        note(shared, request, this.#host.node.takeAttempts(request).failed)
      }
    })
    result.catch((err: unknown) => this.#fail(shared, request, err))
  }

  /** The connection is up: whoever waits has it, before anybody else hears of it. */
  #succeed(shared: SharedDial, request: RequestId, connection: Connection): void {
    // It is over: there is nothing of it to cancel.
    shared.requests.delete(request)
    this.#host.forgetDialled(request)
    this.#forget(shared)
    const core = connectionFacade.coreOf(connection)
    this.#addressBook.worked(core.peer, core.remoteAddressText)
    for (const end of shared.waiters) end(connection)
  }

  #fail(shared: SharedDial, request: RequestId, err: unknown): void {
    // One that was abandoned has no end that anybody waits for.
    if (!shared.requests.has(request)) return
    const isCommand = err instanceof CommandError
    if (isCommand) note(shared, request, err.result.attempts ?? [])
    shared.requests.delete(request)
    this.#host.forgetDialled(request)
    if (shared.requests.size > 0) return
    this.#forget(shared)
    // A command rejects with nothing but errors.
    const failure = (target: Target): Error =>
      isCommand ? this.#dialError(err, shared.attempts, target) : (err as Error)
    for (const end of shared.waiters) end(failure)
  }

  /** From here on nobody joins it, and a connection that it still makes is nobody's. */
  #forget(shared: SharedDial): void {
    if (this.#dials.get(shared.key) === shared) this.#dials.delete(shared.key)
    for (const request of shared.requests.keys()) {
      this.#host.forgetDialled(request)
      this.#host.node.cancel(request)
    }
    shared.requests.clear()
  }

  /** Wait for a shared dial; the last one to leave cancels it. */
  #join(shared: SharedDial, { signal, timeout = DIAL_TIMEOUT_MS }: DialOptions): Promise<Ending> {
    const { clock, engine } = this.#host
    return new Promise((resolve) => {
      const end = (ending: Ending): void => {
        shared.waiters.delete(end)
        release()
        resolve(ending)
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
        if (shared.waiters.size === 0) this.#forget(shared)
      })
      shared.waiters.add(end)
    })
  }

  /** The attempts that failed, then those under way, whose causes get `code`. */
  #attemptsSoFar(shared: SharedDial, code: 'ERR_TIMEOUT' | 'ERR_ABORTED'): AddressAttempt[] {
    const unfinished: AddressAttempt[] = []
    for (const [request, addresses] of shared.requests) {
      const { failed, underWay } = this.#host.node.takeAttempts(request)
      note(shared, request, failed)
      for (const attempt of underWay) {
        unfinished.push(unfinishedAttempt(addresses[attempt.index] ?? '', attempt, code))
      }
    }
    return [...shared.attempts, ...unfinished]
  }

  /** The public error of a dial that the native side gave up: all of its attempts, and what `target` was refused. */
  #dialError(err: CommandError, attempts: readonly AddressAttempt[], target: Target): Error {
    const { code, detail } = err.result
    const isOver = this.#isClosed || code === ERROR_CODES.ERR_NODE_CLOSED
    // One that failed by itself says so, although the swarm is closed by now.
    if (isOver && code !== ERROR_CODES.ERR_DIAL_ALL_FAILED) {
      return new StateError('the swarm is closed')
    }
    if (attempts.length > 0) return allFailed(target.peer, [...attempts, ...target.refused])
    if (code !== ERROR_CODES.ERR_RESOURCE_LIMIT_EXCEEDED) return err.plain()
    // It is refused exactly when there are as many as there may be.
    const limit = this.#host.limits.connectionsMax
    const figures = { scope: 'node', resource: 'connections', limit, current: limit }
    return new ResourceLimitExceededError(detail, figures)
  }
}

/** Attempts of one request have failed. */
function note(shared: SharedDial, request: RequestId, failed: readonly NativeAttempt[]): void {
  const addresses = shared.requests.get(request) ?? []
  for (const attempt of failed) {
    shared.attempts.push(attemptOf(addresses[attempt.index] ?? '', attempt))
  }
}

function shareOf({ key, peer }: Target): SharedDial {
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

/** Where a call dials: what nothing here can dial takes nobody's place. */
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
    // What another security would be is another dial.
    key: security === undefined ? target : `${target} ${security.join()}`,
    peer,
    addresses: [...dialable],
    refused: refused === undefined ? NONE_REFUSED : [...refused.values()]
  }
}

/** A caller's address: of `peer`, if given. */
function addressOf(addr: AddrLike, peer: string | undefined): ParsedAddress {
  const address = parseAddress(addr)
  if (address.text === '') {
    throw new InvalidParametersError(
      `expected an address with a place, received /p2p/${address.peer} alone; dialPeer takes a peer`
    )
  }
  if (address.peer !== undefined && peer !== undefined && address.peer !== peer) {
    throw new InvalidParametersError(
      `expected an address of ${peer}, received one of ${address.peer}`
    )
  }
  return address
}

/** Whether `force` or `noDial` is on: true, or text with the reason. */
export function isSet(flag: boolean | string | undefined): boolean {
  return flag !== undefined && flag !== false
}
