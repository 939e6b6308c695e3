/** Dialling: selects addresses and shares dials between callers. The native side tries the addresses by a plan. */
import { aborted } from '../base/abort.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionTable } from '../connection/table.ts'
import { Connection } from '../connection.ts'
import { DIAL_PARALLEL } from '../constants.ts'
import { logDial } from '../diagnostics/connections.ts'
import type { Log } from '../diagnostics/log.ts'
import {
  type AddressAttempt,
  ERROR_CODES,
  type ErrorCode,
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  SelfDialError,
  StateError
} from '../errors.ts'
import type { DialGate } from '../gate/swarm-gate.ts'
import type { AddrLike } from '../identity/address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import { CommandError } from '../native/command-error.ts'
import type { PeerBook } from '../peerstore/peer-book.ts'
import type { Transports } from '../transport/transports.ts'
import type { AddressManagerLike } from './address-manager.ts'
import { BackOff } from './back-off.ts'
import { type BlackHoleDetection, BlackHoles } from './black-hole.ts'
import { addressOf, type Call, callOf, keyOf, timeLeft, usableConnections } from './call.ts'
import { allFailed, type DialTarget, noAddress, notAllowed, ownAddress } from './failure.ts'
import { type DialOptions, isSet } from './options.ts'
import { Planner, type Prepared } from './planner.ts'
import { Preparation, type PreparationHost } from './preparation.ts'
import { DialQueue, type Place } from './queue.ts'
import { type DialDetail, detailOf } from './report.ts'
import { type Failure, SharedDial, type SharedDialHost } from './shared-dial.ts'

/** The swarm's interface to its dialer. */
export interface DialHost extends SharedDialHost, PreparationHost {
  readonly options: SharedDialHost['options'] &
    PreparationHost['options'] & {
      readonly log: Log
      readonly addressManager: AddressManagerLike
      readonly blackHoleDetection: BlackHoleDetection
      readonly connections: { readonly dialTimeout: number }
    }
  readonly transports: Transports
  readonly gate: DialGate
  readonly limits: {
    readonly peerDefault: { readonly connections: number; readonly connectionsOutbound: number }
  }
  /** Returns whether the swarm listens on an address. */
  isOwnAddress(address: string): boolean
  /** Reports the end of a dial to those who listen. */
  dialEnded(detail: () => DialDetail): void
}

/** Dials peers and addresses; concurrent dials of the same target are shared. */
export class Dialer {
  /** Dials under way, and those that wait for their turn. */
  readonly queue = new DialQueue()
  /** Addresses that are not dialled for now. */
  readonly backOff: BackOff
  readonly #host: DialHost
  readonly #connections: ConnectionTable
  readonly #peers: PeerBook
  readonly #blackHoles: BlackHoles
  readonly #preparation: Preparation
  readonly #dials = new Map<string, SharedDial>()
  #isClosed = false

  constructor(host: DialHost, connections: ConnectionTable, peers: PeerBook) {
    const { addressManager, blackHoleDetection, connections: config } = host.options
    this.#host = host
    this.#connections = connections
    this.#peers = peers
    this.backOff = new BackOff(host.clock)
    this.#blackHoles = new BlackHoles(blackHoleDetection)
    const planner = new Planner({
      addressManager,
      backOff: this.backOff,
      dialTimeout: config.dialTimeout,
      blackHoles: this.#blackHoles,
      gate: host.gate,
      transports: host.transports,
      isOwn: (address) => host.isOwnAddress(address)
    })
    this.#preparation = new Preparation(host, planner, host.gate)
  }

  dialPeer(peer: PeerLike, options: DialOptions = NO_OPTIONS): Promise<Connection> {
    const id = peerText(peer)
    const given = (options.addresses ?? []).map((addr) => addressOf(addr, id))
    const named = given.map(({ text }) => text)
    if (id === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    const [existing] = usableConnections(this.#connections, id, options)
    if (existing !== undefined && !isSet(options.force)) return Promise.resolve(existing)
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    const call = callOf(id, id, named, this.#peers.addressesOf(id), options)
    // For later calls: this one dials what it names.
    if (given.length > 0) this.#peers.named(id, given)
    return this.#begin(call)
  }

  dialAddr(
    addr: AddrLike,
    peer?: PeerLike,
    options: DialOptions = NO_OPTIONS
  ): Promise<Connection> {
    const address = addressOf(addr, peer === undefined ? undefined : peerText(peer))
    const target = peer === undefined ? address.peer : peerText(peer)
    if (target === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    const key = `${address.text} ${target ?? ''}`
    return this.#begin(callOf(key, target, [address.text], NO_ADDRESSES, options))
  }

  /** Returns why an address of a peer would not be dialled now; undefined if it would be. */
  async refusalOf(peer: PeerLike, addr: AddrLike): Promise<AddressAttempt | undefined> {
    const id = peerText(peer)
    const { text } = addressOf(addr, id)
    if (id === this.#host.options.identity.peer) return ownAddress(text)
    const { context } = callOf(id, id, [text], NO_ADDRESSES, NO_OPTIONS)
    return this.#preparation.refusalOf(text, id, context, this.#peers.addressesOf(id))
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
    this.#preparation.close(closed)
    // Those that wait for their turn first: the others make room for them.
    const dials = [...this.#dials.values()]
    for (const dial of dials) if (!dial.hasStarted) dial.cancel(closed)
    for (const dial of dials) dial.cancel(closed)
  }

  #begin(call: Call): Promise<Connection> {
    const { log } = this.#host.options
    if (!log.hears('debug')) return this.#dial(call)
    const { peer } = call.context
    return logDial(log, this.#host.clock, { peer, addresses: call.addresses }, () =>
      this.#dial(call)
    )
  }

  async #dial(call: Call): Promise<Connection> {
    const { key, context, addresses } = call
    const { peer, options } = context
    if (options.signal?.aborted === true) throw aborted(options.signal)
    let dial = this.#dials.get(key)
    const isForced = isSet(options.force)
    const needsNothing = isForced ? dial?.dialsAll(addresses) : dial?.hasAll(addresses)
    let refused: readonly AddressAttempt[]
    let left = options
    if (dial !== undefined && needsNothing === true) {
      refused = dial.refusalsOf(addresses)
    } else {
      // What an address manager of the application throws rejects the call.
      let prepared = this.#preparation.prepare(call)
      if (prepared instanceof Promise) {
        const { clock } = this.#host
        const began = clock.now()
        prepared = await prepared
        if (this.#isClosed) throw closed()
        left = timeLeft(options, clock.now() - began)
      }
      dial = this.#enter(call, prepared)
      refused = prepared.refused
    }
    const outcome = await dial.join(left, this.#acceptsFrom(key, options))
    if (outcome instanceof Connection) return outcome
    // Created after the await: V8's async stack trace includes the caller, at no cost to a successful dial.
    throw outcome({ peer, refused })
  }

  /** Returns the dial that a call waits for: a new one, or one under way with what the call adds. */
  #enter(call: Call, prepared: Prepared): SharedDial {
    const { key, context, addresses } = call
    const { peer, options } = context
    const known = this.#dials.get(key)
    const { plan, names, refused } = prepared
    // A callback of the application may have aborted the call.
    if (options.signal?.aborted === true) throw aborted(options.signal)
    if (known === undefined && plan.length + names.length === 0) throw noAddress({ peer, refused })
    const dial = known ?? this.#open(call, prepared)
    dial.knows(addresses, refused)
    if (known !== undefined) this.#add(known, call, prepared)
    return dial
  }

  #add(dial: SharedDial, call: Call, { plan, names }: Prepared): void {
    dial.add(plan)
    for (const address of names) {
      dial.resolve({ address, run: (signal) => this.#preparation.resolve(address, call, signal) })
    }
  }

  /** Opens a shared dial, which starts when its turn comes. Throws `DialQueueFullError`. */
  #open(call: Call, prepared: Prepared): SharedDial {
    const { key, context } = call
    const { peer, options } = context
    const { priority, security, simultaneousConnect } = options
    let place: Place | undefined
    const dial = new SharedDial(peer, this.#host, {
      security,
      options,
      initiator: simultaneousConnect?.isClient ?? true,
      parallel: () => this.#roomFor(peer),
      isMixed: !this.#host.transports.isNative,
      ended: (outcome) => {
        if (this.#dials.get(key) === dial) this.#dials.delete(key)
        place?.leave()
        this.#host.dialEnded(() => detailOf(outcome, { peer, refused: prepared.refused }))
      },
      attempted: (attempt) => this.#observe(attempt),
      succeeded: (connection, how) => {
        const core = connectionFacade.coreOf(connection)
        core.dialled(how)
        this.#blackHoles.answered(core.remoteAddressText)
        this.#peers.worked(core.peer, core.remoteAddressText)
      },
      gaveUp: (attempts) => this.#backOffFrom(peer, attempts),
      failed: (failure) => this.#failed(peer, failure)
    })
    this.#add(dial, call, prepared)
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

  /** Returns the number of attempts at a peer that the limit of its connections permits, at least 1 and at most 8. */
  #roomFor(peer: string | undefined): number {
    const { connectionsOutbound, connections } = this.#host.limits.peerDefault
    const open = peer === undefined ? 0 : this.#connections.count(peer)
    const room = Math.min(connectionsOutbound, connections) - open
    return Math.max(Math.min(room, DIAL_PARALLEL), 1)
  }

  /** Returns whether a connection of another origin is an answer to this call. */
  #acceptsFrom(key: string, options: DialOptions): (connection: Connection) => boolean {
    return (connection) => {
      const { peer } = connectionFacade.coreOf(connection)
      // Calls for an address ask for a connection to it.
      const isOfPeer = key === keyOf(peer, options) && !isSet(options.force)
      return isOfPeer && usableConnections(this.#connections, peer, options).includes(connection)
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
    for (const { address, stage, cause } of attempts) {
      // The others are not the fault of the address.
      const isFault = cause.kind !== 'limit' && cause.kind !== 'closed'
      if (isFault && ATTEMPTED.has(stage)) this.backOff.failed(peer, address)
    }
  }

  /** Records whether an attempt was answered. */
  #observe({ address, stage, elapsed, cause }: AddressAttempt): void {
    if (stage === 'psk' || stage === 'security' || stage === 'muxer' || ANSWERS.has(cause.code)) {
      this.#blackHoles.answered(address)
    } else if (stage === 'connect' && SILENCE.has(cause.code)) {
      this.#blackHoles.silent(address, elapsed)
    }
  }

  /** Returns the public error of a failed dial: all of its attempts, and the refused addresses of `target`. */
  #errorOf(
    error: Error | undefined,
    attempts: readonly AddressAttempt[],
    target: DialTarget
  ): Error {
    if (error !== undefined && !(error instanceof CommandError)) return error
    const code = error?.result.code
    const isOver = this.#isClosed || code === ERROR_CODES.ERR_NODE_CLOSED
    // A dial whose attempts all failed reports that, even if the swarm has since been closed.
    if (isOver && code !== ERROR_CODES.ERR_DIAL_ALL_FAILED) return closed()
    const refused = attempts.find(isRefused)
    // Another address, or another attempt, would be refused as well.
    if (refused !== undefined && attempts.every(isRefused)) return refused.cause
    // Upgrades over duplexes of the application end first when the swarm closes.
    if (attempts.some(({ cause }) => cause instanceof StateError)) return closed()
    if (attempts.length > 0) return allFailed(target.peer, [...attempts, ...target.refused])
    return error?.plain() ?? noAddress(target)
  }
}

const NO_ADDRESSES: readonly string[] = Object.freeze([])
const NO_OPTIONS: DialOptions = Object.freeze({})

/** Stages of an attempt, as opposed to those of its preparation. */
const ATTEMPTED: ReadonlySet<AddressAttempt['stage']> = new Set([
  'connect',
  'psk',
  'security',
  'muxer'
])

/** Failures to connect that are an answer. */
const ANSWERS: ReadonlySet<ErrorCode> = new Set(['ERR_CONNECTION_REFUSED', 'ERR_CONNECTION_RESET'])
const SILENCE: ReadonlySet<ErrorCode> = new Set(['ERR_TIMEOUT', 'ERR_ABORTED'])

function closed(): StateError {
  return new StateError('the swarm is closed')
}

function isRefused({ cause }: AddressAttempt): boolean {
  return cause instanceof ResourceLimitExceededError || cause instanceof ResourceScopeClosedError
}
