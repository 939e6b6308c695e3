/** The listeners of a swarm. */
import type { Multiaddr } from '@multiformats/multiaddr'
import { abortable } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { attemptOf, attemptsText, customAttempt, refusedAttempt } from '../dial/failure.ts'
import {
  type AddressAttempt,
  ERROR_CODES,
  InvalidParametersError,
  ListenError,
  StateError
} from '../errors.ts'
import { type AddrLike, multiaddrOf } from '../identity/address.ts'
import { expandWildcards } from '../identity/interfaces.ts'
import type { Identity } from '../identity/keys.ts'
import { listenRefusal, type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import { type Refusal, socketTextOf } from '../identity/transport-forms.ts'
import { CommandError, withFrames } from '../native/command-error.ts'
import type { Commands } from '../native/commands.ts'
import type { Engine } from '../native/engine.ts'
import type { ListenerId } from '../native/handles.ts'
import { nativeError } from '../native/native-error.ts'
import type { Swarm } from '../swarm.ts'
import type { Transport } from '../transport/transport.ts'
import type { Transports } from '../transport/transports.ts'
import { type CustomListenerHost, listenBy } from './custom-listener.ts'
import type { ListenOptions } from './network.ts'

/** The parts of a swarm used by its listeners. */
export interface ListenerHost extends Commands<'listen' | 'unlisten'>, CustomListenerHost {
  readonly clock: Clock
  readonly transports: Pick<Transports, 'listening' | 'refusalOf'>
  readonly swarm: Pick<Swarm, 'isStarted'>
  readonly engine: Pick<Engine, 'adoptListener'>
  readonly options: { readonly identity: Pick<Identity, 'peer'> }
  /** Whether it can listen over TLS. */
  readonly hasCertificate: boolean
  /** Notifies notifiees and event listeners of a bound or released address. */
  notifyAddress(event: 'listen' | 'listenClose', address: string): void
  /** Adds a reference that keeps the process alive. */
  retain(): void
  /** Drops a reference added by {@link ListenerHost.retain}. */
  release(): void
}

/** One bound listener. */
export interface Listener {
  /** The requested address, without `/p2p`. */
  readonly requested: string
  /** The bound addresses, without `/p2p`. */
  readonly addresses: readonly string[]
}

interface Bound extends Listener {
  /** Stops it; rejects if it cannot be. */
  readonly stop: () => Promise<unknown>
  /** Whether a transport of the application listens. */
  readonly isCustom: boolean
}

/**
 * Listeners by requested address.
 *
 * Calls take effect in call order: each waits for the earlier ones. A listener is identified by its requested and its
 * bound addresses, so calls with different addresses may refer to the same one.
 */
export class Listeners {
  readonly #host: ListenerHost
  readonly #bound = new Map<string, Bound>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(host: ListenerHost) {
    this.#host = host
  }

  addresses(): Multiaddr[] {
    return this.#texts().map(multiaddrOf)
  }

  /** Returns the addresses with wildcards replaced by those of this host's interfaces. */
  interfaceAddresses(): Multiaddr[] {
    return expandWildcards(this.#texts(), { withZones: true }).map(multiaddrOf)
  }

  #texts(): string[] {
    return [...this.#bound.values()].flatMap(({ addresses }) => addresses)
  }

  /** Returns whether an address is one of this host on which the swarm listens. */
  owns(address: string): boolean {
    // Asked for each address of a dial, also by swarms that do not listen.
    if (this.#bound.size === 0) return false
    const texts = this.#texts()
    if (texts.includes(address)) return true
    // One of a relay, or of a transport of the application over the same port, leads elsewhere.
    const socket = socketTextOf(address)
    const [port] = PORT.exec(socket ?? '') ?? []
    if (socket === undefined || port === undefined) return false
    // Listing the interfaces takes some time: most addresses have another port.
    const sockets = texts
      .map((text) => socketTextOf(text) ?? '')
      .filter((text) => text.endsWith(port))
    return sockets.length > 0 && expandWildcards(sockets, { withZones: true }).includes(socket)
  }

  listen(addrs: readonly AddrLike[], { reusePort = false }: ListenOptions = {}): Promise<true> {
    const given = addrs.length === 0 ? this.#defaults() : addrs
    const byText = new Map(given.map((addr) => this.#own(addr)).map((addr) => [addr.text, addr]))
    return this.#inTurn(() => this.#listenAll([...byText.values()], reusePort), this.listen)
  }

  unlisten(addr: AddrLike): Promise<boolean> {
    const { text, peer } = parseAddress(addr)
    const isOwn = peer === undefined || peer === this.#host.options.identity.peer
    return this.#inTurn(async () => isOwn && this.#unlisten(text), this.unlisten)
  }

  /** Notifies the end of all listeners that have not reported it, when the node is closed. */
  closed(): void {
    for (const bound of [...this.#bound.values()]) this.#ended(bound)
  }

  /** Runs `operation` after all earlier ones. Errors have the stack of the caller of `from`. */
  #inTurn<T>(operation: () => Promise<T>, from: (...args: never[]) => unknown): Promise<T> {
    const site: { stack?: string } = {}
    Error.captureStackTrace(site, from)
    const result = this.#last.then(async () => {
      try {
        this.#assertOpen()
        return await operation()
      } catch (err) {
        throw err instanceof Error ? withFrames(err, site) : err
      }
    })
    this.#last = result.catch(() => {})
    return result
  }

  /** Throws `StateError` if the swarm was closed while a call waited for earlier ones. */
  #assertOpen(): void {
    if (!this.#host.swarm.isStarted()) throw new StateError(SWARM_CLOSED)
  }

  /** Returns the default addresses that a transport of the swarm takes. Throws `InvalidParametersError` if none does. */
  #defaults(): readonly string[] {
    const { transports } = this.#host
    const taken = DEFAULT_ADDRESSES.filter((addr) => transports.listening(addr) !== undefined)
    if (taken.length > 0) return taken
    throw new InvalidParametersError(
      'expected at least one address, as no transport of this swarm takes one of the default ones'
    )
  }

  /** Parses an address. Throws `InvalidParametersError` if it names another peer, or only a peer. */
  #own(addr: AddrLike): ParsedAddress {
    const address = parseAddress(addr)
    const self = this.#host.options.identity.peer
    if (address.peer !== undefined && address.peer !== self) {
      throw new InvalidParametersError(
        `expected an address of our own, /p2p/${self}, received one of /p2p/${address.peer}`
      )
    }
    if (address.text === '') {
      throw new InvalidParametersError(
        'expected an address with a host and port, received /p2p alone'
      )
    }
    return address
  }

  async #listenAll(addresses: readonly ParsedAddress[], reusePort: boolean): Promise<true> {
    const outcomes = await Promise.all(addresses.map((addr) => this.#listenOn(addr, reusePort)))
    const attempts = outcomes.filter((outcome) => outcome !== undefined)
    if (attempts.length < outcomes.length) return true
    throw new ListenError(`listening failed: ${attemptsText(attempts)}`, {
      attempts,
      cause: attempts[0]?.cause
    })
  }

  /** Returns the failure; undefined if the swarm listens on the address. */
  async #listenOn(address: ParsedAddress, reusePort: boolean): Promise<AddressAttempt | undefined> {
    if (this.#find(address.text) !== undefined) return undefined
    const { transports } = this.#host
    const transport = transports.listening(address.text)
    if (typeof transport === 'object') return this.#bindCustom(transport, address.text, reusePort)
    const refusal =
      listenRefusal(address) ??
      transports.refusalOf(address.text) ??
      this.#withoutCertificate(address) ??
      (reusePort ? withoutPort(address) : undefined)
    if (refusal !== undefined) return refusedAttempt(address, refusal, 'listen')
    try {
      await this.#bind(address.text, reusePort)
      return undefined
    } catch (err) {
      if (!(err instanceof CommandError)) throw err
      if (isOver(err)) throw new StateError(SWARM_CLOSED)
      const { code, detail = '' } = err.result
      return attemptOf(address.text, { stage: 'listen', code, detail, elapsedMs: 0 })
    }
  }

  /** Returns the refusal of an address over TLS if there is no certificate for it. */
  #withoutCertificate({ place }: ParsedAddress): Refusal | undefined {
    return place?.transport === 'ws' && place.isSecure && !this.#host.hasCertificate
      ? NO_CERTIFICATE
      : undefined
  }

  async #bind(text: string, reusePort: boolean): Promise<void> {
    const command = this.#host.command(
      (node, request) => node.listen(request, text, reusePort),
      this.listen
    )
    const { listener, addresses } = await command.result
    if (listener === undefined) throw nativeError(900, 'a listen without a listener')
    // The result of `listen` is the number of the new listener.
    const handle = listener as ListenerId
    const bound: Bound = {
      requested: text,
      addresses: addresses ?? [text],
      isCustom: false,
      stop: () =>
        this.#host.command((node, request) => node.unlisten(request, handle), this.unlisten).result
    }
    this.#began(bound)
    this.#host.engine.adoptListener(handle, () => this.#ended(bound))
    // The listener may have ended with the swarm before its result arrived.
    if (this.#bound.get(text) !== bound) this.#assertOpen()
  }

  async #unlisten(text: string): Promise<boolean> {
    const bound = this.#find(text)
    if (bound === undefined) return false
    try {
      // That of an application may wait for its connections: it is called, and its errors are reported.
      if (bound.isCustom) void this.#stop(bound)
      else await bound.stop()
    } catch (err) {
      this.#assertOpen()
      throw publicError(err)
    }
    this.#ended(bound)
    return true
  }

  /** Listens by a transport of the application; returns the failure. */
  async #bindCustom(
    transport: Transport,
    text: string,
    reusePort: boolean
  ): Promise<AddressAttempt | undefined> {
    const began = this.#host.clock.now()
    try {
      const listener = listenBy(transport, text, reusePort, this.#host)
      const { signal } = this.#host
      const { addresses, stop } = await abortable(listener, signal).catch((err: unknown) => {
        // One that comes too late is closed.
        if (signal.aborted) void listener.then(({ stop }) => stop()).catch(() => {})
        throw signal.aborted ? new StateError(SWARM_CLOSED) : err
      })
      this.#began({ requested: text, addresses, isCustom: true, stop })
      return undefined
    } catch (err) {
      if (err instanceof StateError) throw err
      return customAttempt(text, 'listen', this.#host.clock.now() - began, err)
    }
  }

  /** Stops the listeners of the application's transports: the swarm begins to close. */
  async stopCustom(): Promise<void> {
    const custom = [...this.#bound.values()].filter(({ isCustom }) => isCustom)
    await Promise.all(
      custom.map((bound) => {
        const stopped = this.#stop(bound)
        this.#ended(bound)
        return stopped
      })
    )
  }

  async #stop(bound: Bound): Promise<void> {
    try {
      await bound.stop()
    } catch (err) {
      this.#host.onFailure(err, bound, 'the close of a listener failed')
    }
  }

  #began(bound: Bound): void {
    this.#bound.set(bound.requested, bound)
    this.#host.retain()
    for (const address of bound.addresses) this.#host.notifyAddress('listen', address)
  }

  #find(text: string): Bound | undefined {
    const requested = this.#bound.get(text)
    if (requested !== undefined) return requested
    return [...this.#bound.values()].find(({ addresses }) => addresses.includes(text))
  }

  #ended(bound: Bound): void {
    if (this.#bound.get(bound.requested) !== bound) return
    this.#bound.delete(bound.requested)
    this.#host.release()
    for (const address of bound.addresses) this.#host.notifyAddress('listenClose', address)
  }
}

const NO_CERTIFICATE: Refusal = Object.freeze({
  reason: 'TLS needs a certificate, and this swarm has none',
  hint: 'see the option webSocket',
  code: 'ERR_LISTEN'
})

const NO_PORT: Refusal = Object.freeze({
  reason: 'reusePort needs a port, and this address has none',
  hint: 'listen on it without the option reusePort',
  code: 'ERR_LISTEN'
})

/** Returns the refusal of an address without a port, which processes cannot share. */
function withoutPort({ place }: ParsedAddress): Refusal | undefined {
  return place === undefined || 'port' in place ? undefined : NO_PORT
}

const SWARM_CLOSED = 'the swarm is closed'

/** Free ports of all interfaces, as go-libp2p listens on by default. */
const DEFAULT_ADDRESSES = [
  '/ip4/0.0.0.0/tcp/0',
  '/ip4/0.0.0.0/udp/0/quic-v1',
  '/ip6/::/tcp/0',
  '/ip6/::/udp/0/quic-v1'
] as const

const PORT = /\/(?:tcp|udp)\/\d+$/

/** Returns whether a command failed because the swarm was closed. */
function isOver({ result }: CommandError): boolean {
  return result.code === ERROR_CODES.ERR_NODE_CLOSED
}

function publicError(err: unknown): unknown {
  return err instanceof CommandError ? err.plain() : err
}
