/** Dialling: selects addresses and shares dials between callers. The native side tries the addresses by a plan. */
import { aborted } from '../base/abort.ts'
import {
  aDuration,
  aFlag,
  anArray,
  aSignal,
  integer,
  type OptionChecks,
  someOf
} from '../base/arguments.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionTable } from '../connection/table.ts'
import { Connection } from '../connection.ts'
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
import { type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { NativeDialEntry } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { AddressBook } from './address-book.ts'
import type { AddressManagerLike } from './address-manager.ts'
import { BackOff } from './back-off.ts'
import { allFailed, backedOff, filteredAttempt, leftOut, noAddress, notAllowed } from './failure.ts'
import type { DialOptions } from './options.ts'
import { dialPlan } from './plan.ts'
import { DialQueue, type Place } from './queue.ts'
import { type Failure, SharedDial, type SharedDialHost } from './shared-dial.ts'

/** The swarm's interface to its dialer. */
export interface DialHost extends SharedDialHost {
  readonly options: SharedDialHost['options'] & {
    readonly identity: Pick<Identity, 'peer'>
    readonly log: Log
    readonly addressManager: AddressManagerLike
  }
}

/** The peer and addresses of a dial. */
interface Target extends DialTarget {
  /** Calls with the same key share a dial. */
  readonly key: string
  readonly plan: readonly NativeDialEntry[]
}

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
  security: someOf('tls', 'noise'),
  priority: integer(0, 100)
}

/** Dials peers and addresses; concurrent dials of the same target are shared. */
export class Dialer {
  /** Dials under way, and those that wait for their turn. */
  readonly queue = new DialQueue()
  /** Addresses that are not dialled for now. */
  readonly backOff: BackOff
  readonly #host: DialHost
  readonly #connections: ConnectionTable
  readonly #addressBook: AddressBook
  readonly #dials = new Map<string, SharedDial>()
  #isClosed = false

  constructor(host: DialHost, connections: ConnectionTable, addressBook: AddressBook) {
    this.#host = host
    this.#connections = connections
    this.#addressBook = addressBook
    this.backOff = new BackOff(host.clock)
  }

  dialPeer(peer: PeerLike, options: DialOptions = {}): Promise<Connection> {
    const id = peerText(peer)
    const given = (options.addresses ?? []).map((addr) => addressOf(addr, id))
    if (id === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    const [existing] = this.#connections.ranked(id, options.security)
    if (existing !== undefined && !isSet(options.force)) return Promise.resolve(existing)
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    const known = this.#addressBook.get(id)
    return this.#begin(() => this.#target(id, id, given, known, options), options)
  }

  dialAddr(addr: AddrLike, peer?: PeerLike, options: DialOptions = {}): Promise<Connection> {
    const address = addressOf(addr, peer === undefined ? undefined : peerText(peer))
    const target = peer === undefined ? address.peer : peerText(peer)
    if (target === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    const key = `${address.text} ${target ?? ''}`
    return this.#begin(() => this.#target(key, target, [address], [], options), options)
  }

  /** Records a connection of any origin: it is an answer to dials of its peer. */
  connected(peer: string, connection: Connection): void {
    this.backOff.clear(peer)
    for (const dial of this.#dials.values()) {
      if (dial.peer === peer) dial.answer(connection)
    }
  }

  /** Ends every dial, under way or not. */
  close(): void {
    this.#isClosed = true
    for (const dial of [...this.#dials.values()]) dial.cancel(() => closed())
  }

  async #begin(prepare: () => Target, options: DialOptions): Promise<Connection> {
    // What an address manager of the application throws rejects the call.
    const target = prepare()
    const { log } = this.#host.options
    if (!log.hears('debug')) return this.#dial(target, options)
    return logDial(log, this.#host.clock, target, () => this.#dial(target, options))
  }

  async #dial(target: Target, options: DialOptions): Promise<Connection> {
    if (options.signal?.aborted === true) throw aborted(options.signal)
    const known = this.#dials.get(target.key)
    if (known === undefined && target.plan.length === 0) throw noAddress(target)
    const dial = known ?? this.#open(target, options)
    known?.add(target.plan)
    const outcome = await dial.join(options, this.#acceptsFrom(target, options))
    if (outcome instanceof Connection) return outcome
    // Created after the await: V8's async stack trace includes the caller, at no cost to a successful dial.
    throw outcome(target)
  }

  /** Opens a shared dial, which starts when its turn comes. Throws `DialQueueFullError`. */
  #open(target: Target, { priority, security }: DialOptions): SharedDial {
    const { key, peer } = target
    let place: Place | undefined
    const dial = new SharedDial(peer, this.#host, {
      security,
      ended: () => {
        if (this.#dials.get(key) === dial) this.#dials.delete(key)
        place?.leave()
      },
      succeeded: (connection) => {
        const core = connectionFacade.coreOf(connection)
        this.#addressBook.worked(core.peer, core.remoteAddressText)
      },
      gaveUp: (attempts) => this.#backOffFrom(peer, attempts),
      failed: (failure) => this.#failed(peer, failure)
    })
    dial.add(target.plan)
    this.#dials.set(key, dial)
    let hasWaited = false
    const start = (): void => {
      try {
        dial.start()
      } catch (err) {
        if (!hasWaited) throw err
        // A command that cannot be issued throws an `Error`.
        dial.fail(() => err as Error)
      }
    }
    try {
      place = this.queue.enter(start, (why) => dial.fail(() => why), priority)
    } catch (err) {
      dial.fail(() => err as Error)
      throw err
    }
    hasWaited = true
    return dial
  }

  /** Returns whether a connection of another origin is an answer to this call. */
  #acceptsFrom({ key }: Target, options: DialOptions): (connection: Connection) => boolean {
    return (connection) => {
      const { peer } = connectionFacade.coreOf(connection)
      // Calls for an address ask for a connection to it.
      const isOfPeer = key === keyOf(peer, options.security) && !isSet(options.force)
      return isOfPeer && this.#connections.ranked(peer, options.security).includes(connection)
    }
  }

  /** Returns the factory of the callers' errors, and records the back-off of what has failed. */
  #failed(peer: string | undefined, failure: Failure): (target: DialTarget) => Error {
    const { error, attempts } = failure
    this.#backOffFrom(peer, attempts)
    return (target) => this.#errorOf(error, attempts, target)
  }

  #backOffFrom(peer: string | undefined, attempts: readonly AddressAttempt[]): void {
    if (peer === undefined) return
    for (const { address, cause } of attempts) {
      // The others are not the fault of the address.
      if (cause.kind !== 'limit' && cause.kind !== 'closed') this.backOff.failed(peer, address)
    }
  }

  /** Returns the public error of a failed dial: all of its attempts, and the refused addresses of `target`. */
  #errorOf(error: Error, attempts: readonly AddressAttempt[], target: DialTarget): Error {
    if (!(error instanceof CommandError)) return error
    const { code } = error.result
    const isOver = this.#isClosed || code === ERROR_CODES.ERR_NODE_CLOSED
    // A dial whose attempts all failed reports that, even if the swarm has since been closed.
    if (isOver && code !== ERROR_CODES.ERR_DIAL_ALL_FAILED) return closed()
    const refused = attempts.find(isRefused)
    // Another address, or another attempt, would be refused as well.
    if (refused !== undefined && attempts.every(isRefused)) return refused.cause
    if (attempts.length > 0) return allFailed(target.peer, [...attempts, ...target.refused])
    return error.plain()
  }

  /** Builds the target of a call, by the addresses that it names and those of the address book. */
  #target(
    key: string,
    peer: string | undefined,
    named: readonly ParsedAddress[],
    known: readonly string[],
    { security, force }: DialOptions
  ): Target {
    const texts = named.map(({ text }) => text)
    const { addressManager } = this.#host.options
    const context = { peer, named: new Set(texts) }
    const filtered = addressManager.filter([...new Set([...texts, ...known])], context)
    const isLater = (address: string): boolean =>
      peer !== undefined && !isSet(force) && this.backOff.remaining(peer, address) > 0
    const [later, now] = split(filtered.accepted, isLater)
    const joined = this.#dials.get(keyOf(key, security))
    // A call that joins a dial of the same addresses needs no plan.
    const kept = joined?.hasAll(now) === true ? [] : addressManager.cap(now)
    const plan = dialPlan(addressManager.rank(kept), new Set(kept))
    const planned = new Set(plan.map(({ address }) => address))
    const refused = [
      ...filtered.refused.map((each) => filteredAttempt(each)),
      ...later.map((address) => backedOff(address, this.backOff.remaining(peer ?? '', address))),
      ...(kept.length === 0 && joined !== undefined
        ? []
        : now.filter((address) => !planned.has(address)).map(leftOut))
    ]
    return {
      key: keyOf(key, security),
      peer,
      plan,
      addresses: [...planned],
      refused: refused.length === 0 ? NONE_REFUSED : refused
    }
  }
}

function split<T>(all: readonly T[], isFirst: (each: T) => boolean): [readonly T[], readonly T[]] {
  const first = all.filter(isFirst)
  return first.length === 0 ? [first, all] : [first, all.filter((each) => !first.includes(each))]
}

/** Dials that require different security protocols are not shared. */
function keyOf(target: string, security: DialOptions['security']): string {
  return security === undefined ? target : `${target} ${security.join()}`
}

function closed(): StateError {
  return new StateError('the swarm is closed')
}

function isRefused({ cause }: AddressAttempt): boolean {
  return cause instanceof ResourceLimitExceededError || cause instanceof ResourceScopeClosedError
}

const NONE_REFUSED: readonly AddressAttempt[] = Object.freeze([])

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
