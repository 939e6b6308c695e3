/** Dialling: whom, where, and who waits for it. The native side tries the addresses. */

import {
  aDuration,
  aFlag,
  anArray,
  aSignal,
  type OptionChecks,
  someOf,
  TIMER_MS_MAX
} from '../arguments.ts'
import type { ConnectionTable } from '../connection/table.ts'
import { Connection } from '../connection.ts'
import {
  DIAL_ADDRESS_TIMEOUT_MS,
  DIAL_ADDRESSES_MAX,
  DIAL_PARALLEL,
  DIAL_PRIVATE_ADDRESS_TIMEOUT_MS,
  DIAL_TIMEOUT_MS
} from '../constants.ts'
import {
  AbortError,
  DialAllFailedError,
  InvalidParametersError,
  NoConnectionError,
  NoRemoteAddrsError,
  SelfDialError,
  TimeoutError
} from '../errors.ts'
import { type AddrLike, addressText, isPrivate, splitPeer } from '../identity/address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import { CommandError } from '../native/command-error.ts'
import { attemptOf } from '../native/native-error.ts'
import type { NodeHost } from '../node-host.ts'
import type { AbortOptions } from '../stream/read-queue.ts'
import type { AddressBook } from './address-book.ts'

/** Options of a dial. `signal` and `timeout` are the caller's own, also where a dial is shared. */
export interface DialOptions extends AbortOptions {
  /** Milliseconds for the whole call; 60,000 unless given. */
  timeout?: number
  /** Addresses to try before those of the address book. */
  addresses?: readonly AddrLike[]
  /** Do not dial: take a connection that is there or reject with `NoConnectionError`. Text is the reason. */
  noDial?: boolean | string
  /** Dial although there is a connection. Text is the reason. */
  force?: boolean | string
  /** Security protocols of this dial, preferred first; the swarm's unless given. */
  security?: readonly ('tls' | 'noise')[]
}

/** The options of a dial. */
export const DIAL_CHECKS: OptionChecks<DialOptions> = {
  signal: aSignal,
  timeout: aDuration,
  addresses: (value, name) => {
    anArray(value, name)
    for (const addr of value as AddrLike[]) addressText(addr)
  },
  noDial: aFlag,
  force: aFlag,
  security: someOf('tls', 'noise')
}

/** One dial of the native side and those who wait for it. */
interface SharedDial {
  readonly result: Promise<Connection>
  readonly request: number
  readonly addresses: ReadonlySet<string>
  waiters: number
}

/** Dials, joined by peer. */
export class Dialer {
  readonly #host: NodeHost
  readonly #connections: ConnectionTable
  readonly #addressBook: AddressBook
  readonly #dials = new Map<string, SharedDial>()

  constructor(host: NodeHost, connections: ConnectionTable, addressBook: AddressBook) {
    this.#host = host
    this.#connections = connections
    this.#addressBook = addressBook
  }

  dialPeer(peer: PeerLike, options: DialOptions = {}): Promise<Connection> {
    const id = peerText(peer)
    const given = (options.addresses ?? []).map((addr) => addressOf(addr, id).address)
    if (id === this.#host.options.identity.peer) return Promise.reject(new SelfDialError())
    const [existing] = this.#connections.ranked(id)
    if (existing !== undefined && !isSet(options.force)) return Promise.resolve(existing)
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    const addresses = [...new Set([...given, ...this.#addressBook.get(id)])]
    return this.#dial(id, id, addresses.slice(0, DIAL_ADDRESSES_MAX), options)
  }

  dialAddr(addr: AddrLike, peer?: PeerLike, options: DialOptions = {}): Promise<Connection> {
    const target = addressOf(addr, peer === undefined ? undefined : peerText(peer))
    if (target.peer === this.#host.options.identity.peer) {
      return Promise.reject(new SelfDialError())
    }
    if (isSet(options.noDial)) return Promise.reject(notAllowed(options.noDial))
    const key = `${target.address} ${target.peer ?? ''}`
    return this.#dial(key, target.peer, [target.address], options)
  }

  /** Give up every dial under way. */
  close(): void {
    for (const { request } of this.#dials.values()) this.#host.node.cancel(request)
  }

  async #dial(
    key: string,
    peer: string | undefined,
    addresses: readonly string[],
    options: DialOptions
  ): Promise<Connection> {
    const { clock } = this.#host
    const deadline = clock.now() + (options.timeout ?? DIAL_TIMEOUT_MS)
    let untried = addresses
    for (;;) {
      const underWay = this.#dials.get(key)
      const shared = underWay ?? this.#start(key, peer, untried, options)
      try {
        return await this.#join(shared, deadline, options.signal)
      } catch (err) {
        // Another caller's dial failed; the addresses that only we know are still to be tried.
        untried = untried.filter((address) => !shared.addresses.has(address))
        if (underWay === undefined || untried.length === 0) throw err
        if (!(err instanceof DialAllFailedError)) throw err
      }
    }
  }

  #start(
    key: string,
    peer: string | undefined,
    addresses: readonly string[],
    options: DialOptions
  ): SharedDial {
    if (addresses.length === 0) throw new NoRemoteAddrsError(`no address of ${peer} is known`)
    const isLocal = addresses.every(isPrivate)
    const command = this.#host.command(
      (node, request) =>
        node.dial(request, [...addresses], {
          ...(peer === undefined ? {} : { peer }),
          ...(options.security === undefined ? {} : { security: [...options.security] }),
          addressTimeoutMs: isLocal ? DIAL_PRIVATE_ADDRESS_TIMEOUT_MS : DIAL_ADDRESS_TIMEOUT_MS,
          // A caller's own timeout is kept here; the dial may be wanted by a more patient one.
          timeoutMs: Math.min(Math.max(options.timeout ?? 0, DIAL_TIMEOUT_MS), TIMER_MS_MAX),
          parallel: DIAL_PARALLEL
        }),
      this.#dial
    )
    const { request } = command
    const shared: SharedDial = {
      request,
      addresses: new Set(addresses),
      waiters: 0,
      result: this.#finish(command.result, request, peer).finally(() => this.#dials.delete(key))
    }
    this.#dials.set(key, shared)
    return shared
  }

  async #finish(
    result: Promise<unknown>,
    request: number,
    peer: string | undefined
  ): Promise<Connection> {
    try {
      await result
    } catch (err) {
      this.#host.forgetDial(request)
      throw err instanceof CommandError ? dialError(err, peer) : err
    }
    const connection = await this.#host.dialled(request)
    const core = Connection.core(connection)
    this.#addressBook.add(core.peer, [core.remoteAddressText])
    return connection
  }

  /** Wait for a shared dial; the last one to leave cancels it. */
  #join(
    shared: SharedDial,
    deadline: number,
    signal: AbortSignal | undefined
  ): Promise<Connection> {
    const { clock } = this.#host
    shared.waiters += 1
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clock.clearTimer(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const giveUp = (err: Error): void => {
        leave()
        reject(err)
        shared.waiters -= 1
        if (shared.waiters === 0) this.#host.node.cancel(shared.request)
      }
      const onAbort = (): void => giveUp(new AbortError(undefined, { cause: signal?.reason }))
      const remaining = Math.min(Math.max(deadline - clock.now(), 0), TIMER_MS_MAX)
      const timer = clock.setTimer(() => {
        giveUp(new TimeoutError(`the dial did not succeed within its ${Math.round(remaining)} ms`))
      }, remaining)
      shared.result.then(resolve, reject).finally(leave)
      if (signal?.aborted === true) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}

function addressOf(
  addr: AddrLike,
  peer: string | undefined
): { address: string; peer: string | undefined } {
  const { address, peer: named } = splitPeer(addressText(addr))
  if (named !== undefined && peer !== undefined && named !== peer) {
    throw new InvalidParametersError(`expected an address of ${peer}, received one of ${named}`)
  }
  return { address, peer: peer ?? named }
}

function isSet(flag: boolean | string | undefined): boolean {
  return flag !== undefined && flag !== false
}

function notAllowed(reason: boolean | string | undefined): NoConnectionError {
  const because = typeof reason === 'string' ? `: ${reason}` : ''
  return new NoConnectionError(`no connection to the peer, and dialling is ruled out${because}`)
}

/** The public error of a dial that the native side gave up. */
function dialError(err: CommandError, peer: string | undefined): Error {
  const attempts = (err.result.attempts ?? []).map(attemptOf)
  if (attempts.length === 0) {
    return err.plain()
  }
  const reasons = attempts.map(({ address, cause }) => `${address}: ${cause.message}`).join('; ')
  return err.as(
    new DialAllFailedError(
      `every address${peer === undefined ? '' : ` of ${peer}`} failed: ${reasons}`,
      { peerId: peer, attempts, cause: attempts[0]?.cause }
    )
  )
}
