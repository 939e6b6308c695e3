/** Dialling: whom, where, and who waits for it. The native side tries the addresses. */
import { aborted, type LastLook, onceGivenUp } from '../base/abort.ts'
import { aDuration, aFlag, anArray, aSignal, type OptionChecks, someOf } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { connectionFaces } from '../connection/face.ts'
import type { ConnectionTable } from '../connection/table.ts'
import { Connection } from '../connection.ts'
import {
  DIAL_ADDRESS_TIMEOUT_MS,
  DIAL_ADDRESSES_MAX,
  DIAL_PARALLEL,
  DIAL_PRIVATE_ADDRESS_TIMEOUT_MS,
  DIAL_TIMEOUT_MS,
  type Limits
} from '../constants.ts'
import { type DialTarget, tellDial } from '../diagnostics/connections.ts'
import type { Log } from '../diagnostics/log.ts'
import {
  type AddressAttempt,
  DialAllFailedError,
  ERROR_CODES,
  InvalidParametersError,
  NoConnectionError,
  NoRemoteAddrsError,
  ResourceLimitExceededError,
  SelfDialError,
  StateError,
  TimeoutError
} from '../errors.ts'
import { type AddrLike, isPrivate } from '../identity/address.ts'
import type { Identity } from '../identity/keys.ts'
import { dialRefusal, type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import { CommandError } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import type { RequestId } from '../native/handles.ts'
import type { AddressBook } from './address-book.ts'
import { attemptOf, attemptsText, refusedAttempt } from './attempt.ts'
import type { DialOptions } from './options.ts'

/** What dialling needs of the swarm that it dials for. */
export interface DialHost extends Commands<'dial' | 'cancel'> {
  readonly engine: LastLook
  readonly clock: Clock
  readonly limits: Pick<Limits, 'connectionsMax'>
  readonly options: { readonly identity: Pick<Identity, 'peer'>; readonly log: Log }
  /** `take` gets the connection of a dial, unless the dial is forgotten before. */
  expectDialled(request: RequestId, take: (connection: Connection) => void): void
  /** Nobody wants the connection of a dial any more. */
  forgetDialled(request: RequestId): void
}

/** Whom a call dials, and where. */
interface Plan extends DialTarget {
  /** Calls of the same key share a dial. */
  readonly key: string
}

/** How a dial ended for one caller: with a connection, or with what makes his error. */
type Ending = Connection | ((plan: Plan) => Error)

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
  /** Dials of the native side that are under way. */
  readonly requests: Set<RequestId>
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
    return this.#begin(planOf(id, id, [...given, ...known], options), options)
  }

  dialAddr(addr: AddrLike, peer?: PeerLike, options: DialOptions = {}): Promise<Connection> {
    const address = addressOf(addr, peer === undefined ? undefined : peerText(peer))
    const target = peer === undefined ? address.peer : peerText(peer)
    if (target === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    return this.#begin(
      planOf(`${address.text} ${target ?? ''}`, target, [address], options),
      options
    )
  }

  /** Give up every dial under way. */
  close(): void {
    this.#isClosed = true
    for (const { requests } of this.#dials.values()) {
      for (const request of requests) this.#host.node.cancel(request)
    }
  }

  #begin(plan: Plan, options: DialOptions): Promise<Connection> {
    const { log } = this.#host.options
    if (!log.hears('debug')) return this.#dial(plan, options)
    return tellDial(log, this.#host.clock, plan, () => this.#dial(plan, options))
  }

  async #dial(plan: Plan, options: DialOptions): Promise<Connection> {
    if (options.signal?.aborted === true) throw aborted(options.signal)
    const shared = this.#dials.get(plan.key) ?? shareOf(plan)
    this.#try(shared, plan, options)
    const ending = await this.#join(shared, options)
    if (ending instanceof Connection) return ending
    // Made here, behind the wait: V8 knows who awaits this, so the stack is that of the caller, at no cost to a dial
    // that succeeds.
    throw ending(plan)
  }

  /** Dial the addresses of a plan that nobody who waits has brought along yet. */
  #try(shared: SharedDial, plan: Plan, { security }: DialOptions): void {
    const fresh = plan.addresses.filter((address) => !shared.addresses.has(address))
    if (fresh.length === 0) {
      if (shared.requests.size === 0) throw nowhere(plan)
      return
    }
    const isLocal = fresh.every(isPrivate)
    const { request, result } = this.#host.command((node, number) =>
      node.dial(number, fresh, {
        peer: plan.peer,
        security: security && [...security],
        addressTimeoutMs: isLocal ? DIAL_PRIVATE_ADDRESS_TIMEOUT_MS : DIAL_ADDRESS_TIMEOUT_MS,
        // Each address has its own time, and each caller keeps his own here: a more patient one may join.
        timeoutMs: TIMER_MS_MAX,
        // The bound is that of the peer.
        parallel: Math.max(DIAL_PARALLEL - shared.addresses.size, 1)
      })
    )
    for (const address of fresh) shared.addresses.add(address)
    shared.requests.add(request)
    this.#dials.set(shared.key, shared)
    this.#host.expectDialled(request, (connection) => this.#succeed(shared, request, connection))
    result.catch((err: unknown) => this.#fail(shared, request, err))
  }

  /** The connection is up: whoever waits has it, before anybody else hears of it. */
  #succeed(shared: SharedDial, request: RequestId, connection: Connection): void {
    // It is over: there is nothing of it to cancel.
    shared.requests.delete(request)
    this.#host.forgetDialled(request)
    this.#forget(shared)
    const core = connectionFaces.coreOf(connection)
    this.#addressBook.worked(core.peer, core.remoteAddressText)
    for (const end of shared.waiters) end(connection)
  }

  #fail(shared: SharedDial, request: RequestId, err: unknown): void {
    // One that was forgotten has no end that anybody waits for.
    if (!shared.requests.has(request)) return
    const isCommand = err instanceof CommandError
    if (isCommand) shared.attempts.push(...(err.result.attempts ?? []).map(attemptOf))
    shared.requests.delete(request)
    this.#host.forgetDialled(request)
    if (shared.requests.size > 0) return
    this.#forget(shared)
    // A command rejects with nothing but errors.
    const failure = (plan: Plan): Error =>
      isCommand ? this.#dialError(err, shared.attempts, plan) : (err as Error)
    for (const end of shared.waiters) end(failure)
  }

  /** From here on nobody joins it, and a connection that it still makes is nobody's. */
  #forget(shared: SharedDial): void {
    if (this.#dials.get(shared.key) === shared) this.#dials.delete(shared.key)
    for (const request of shared.requests) {
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
        end(() => (why === 'aborted' ? aborted(signal) : late(ms)))
        if (shared.waiters.size === 0) this.#forget(shared)
      })
      shared.waiters.add(end)
    })
  }

  /** The public error of a dial that the native side gave up: all of its attempts, and what `plan` was refused. */
  #dialError(err: CommandError, attempts: readonly AddressAttempt[], plan: Plan): Error {
    if (attempts.length > 0) return allFailed(plan.peer, [...attempts, ...plan.refused])
    const { code, detail } = err.result
    const isOver = this.#isClosed || code === ERROR_CODES.ERR_NODE_CLOSED
    if (isOver) return new StateError('the swarm is closed')
    if (code !== ERROR_CODES.ERR_RESOURCE_LIMIT_EXCEEDED) return err.plain()
    // It is refused exactly when there are as many as there may be.
    const limit = this.#host.limits.connectionsMax
    const figures = { scope: 'node', resource: 'connections', limit, current: limit }
    return new ResourceLimitExceededError(detail, figures)
  }
}

function late(ms: number): TimeoutError {
  return new TimeoutError(`the dial did not succeed within its ${Math.round(ms)} ms`)
}

function shareOf({ key, peer }: Plan): SharedDial {
  return {
    key,
    peer,
    addresses: new Set(),
    requests: new Set(),
    attempts: [],
    waiters: new Set()
  }
}

const NONE_REFUSED: readonly AddressAttempt[] = Object.freeze([])

/** Where a call dials: what nothing here can dial takes nobody's place. */
function planOf(
  target: string,
  peer: string | undefined,
  addresses: readonly ParsedAddress[],
  { security }: DialOptions
): Plan {
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

function notAllowed(reason: boolean | string | undefined): NoConnectionError {
  const because = typeof reason === 'string' ? `: ${reason}` : ''
  return new NoConnectionError(`no connection to the peer, and dialling is ruled out${because}`)
}

function allFailed(
  peer: string | undefined,
  attempts: readonly AddressAttempt[]
): DialAllFailedError {
  const whose = peer === undefined ? '' : ` of ${peer}`
  return new DialAllFailedError(`every address${whose} failed: ${attemptsText(attempts)}`, {
    peerId: peer,
    attempts,
    cause: attempts[0]?.cause
  })
}

/** Why a dial does not begin. */
function nowhere({ peer, refused }: Plan): Error {
  return refused.length > 0
    ? allFailed(peer, refused)
    : new NoRemoteAddrsError(`no address of ${peer} is known`)
}
