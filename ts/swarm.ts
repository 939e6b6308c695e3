/**
 * The swarm: composition root of this package. It owns one native node and decides; the node carries the bytes.
 */
import type { PeerId, PrivateKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from './base/abort.ts'
import {
  ABORT_OPTIONS,
  aDuration,
  aFunction,
  areOptions,
  checkOptions,
  type OptionChecks
} from './base/arguments.ts'
import { TypedEventTarget } from './base/events.ts'
import { INSPECT, type InspectArguments, shown } from './base/inspection.ts'
import { ConnectionTable } from './connection/table.ts'
import { type Connection, NEW_STREAM_CHECKS, type NewStreamOptions } from './connection.ts'
import { type Connectedness, DRAIN_TIMEOUT_MS } from './constants.ts'
import { traced, tracedDial } from './diagnostics/channels.ts'
import { Failures } from './diagnostics/failures.ts'
import { AddressBook } from './dial/address-book.ts'
import { DIAL_CHECKS, Dialer } from './dial/dialer.ts'
import { openStream } from './dial/open-stream.ts'
import type { DialOptions } from './dial/options.ts'
import { StateError } from './errors.ts'
import type { AddrLike } from './identity/address.ts'
import type { Identity } from './identity/keys.ts'
import { isPeer, type PeerLike, peerText } from './identity/peer-id.ts'
import type { Counters } from './native/counters.ts'
import type { HandledProtocols, HandlerOptions, StreamHandler } from './negotiation/handler.ts'
import { protocolNames } from './negotiation/protocol-name.ts'
import { Registrar } from './negotiation/registrar.ts'
import { loadServices, type Service } from './protocols/services.ts'
import type { Stream } from './stream.ts'
import type { SwarmEvents } from './swarm/events.ts'
import { Listeners } from './swarm/listener.ts'
import type { Network } from './swarm/network.ts'
import { NodeHost } from './swarm/node-host.ts'
import { type Notifiee, type NotifieeEvent, Notifiees } from './swarm/notifiee.ts'
import {
  type ResolvedOptions,
  resolveOptions,
  type SwarmOptions,
  type SwarmSettings
} from './swarm/options.ts'
import { Shutdown } from './swarm/shutdown.ts'

export type { SwarmEvents } from './swarm/events.ts'

/** Options of {@link Swarm.newStream} on the swarm: how to get a connection, and how to open. */
export interface SwarmStreamOptions extends DialOptions, NewStreamOptions {}

/** Options of {@link Swarm.close}. */
export interface CloseOptions {
  /**
   * Milliseconds to wait for handlers that have not returned, and for what was written and is not sent; 10,000 unless
   * given.
   */
  drainTimeout?: number
}

const CLOSE_CHECKS: OptionChecks<CloseOptions> = { drainTimeout: aDuration }

const SWARM_STREAM_CHECKS: OptionChecks<SwarmStreamOptions> = {
  ...DIAL_CHECKS,
  ...NEW_STREAM_CHECKS
}

/** Make a swarm and start it. */
export async function createSwarm(options: SwarmOptions = {}): Promise<Swarm> {
  const swarm = new Swarm(options)
  await swarm.start()
  return swarm
}

/**
 * A node of the network: its identity, listeners, connections and protocol handlers.
 *
 * A listening or connected swarm keeps the process alive, as `net.Server` does; see {@link Swarm.unref}.
 */
export class Swarm extends TypedEventTarget<SwarmEvents> implements Network, AsyncDisposable {
  readonly #options: SwarmSettings
  readonly #failures: Failures
  readonly #notifiees: Notifiees
  readonly #connections: ConnectionTable
  readonly #registrar: Registrar
  readonly #addressBook: AddressBook
  readonly #host: NodeHost
  readonly #listeners: Listeners
  readonly #dialer: Dialer
  readonly #services: Service[] = []
  #phase: 'idle' | 'starting' | 'started' | 'closed' = 'idle'
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #shutdown: Shutdown | undefined
  #isOver = false

  /** Validates everything and makes the identity; nothing runs before {@link Swarm.start}. */
  constructor(options: SwarmOptions = {}) {
    super()
    this.#options = resolveOptions(options)
    const { clock } = this.#options
    this.#connections = new ConnectionTable(clock)
    this.#addressBook = new AddressBook()
    this.#failures = new Failures(this.#options.log)
    this.#notifiees = new Notifiees(this.#failures.report)
    this.#registrar = new Registrar(this.#failures)
    this.#host = new NodeHost(this, this.#options, this.#connections, this.#registrar, {
      notify: (event, detail) => this.#notify(event, detail),
      onFailure: this.#failures.report
    })
    this.#listeners = new Listeners(this.#host)
    this.#dialer = new Dialer(this.#host, this.#connections, this.#addressBook)
  }

  /** Our peer id. */
  get peerId(): PeerId {
    return this.#options.identity.peerId
  }

  /** Our private key. Loads @libp2p/crypto; never logged. */
  get privateKey(): PrivateKey {
    return this.#options.identity.privateKey
  }

  /** Our identity in bytes: the public key in its protobuf form, and signatures. */
  get identity(): Identity {
    return this.#options.identity
  }

  /** Addresses of peers, learned from dials and from identify. */
  get addressBook(): AddressBook {
    return this.#addressBook
  }

  /** The options in force. */
  get options(): ResolvedOptions {
    return this.#options
  }

  /** Aborted from the call of {@link Swarm.close} on; the same as `stream.signal`. */
  get signal(): AbortSignal {
    return this.#host.signal
  }

  /**
   * Start the native node and the services. Idempotent; a closed swarm throws `StateError`. Where a service does not
   * start, it rejects with that service's error and the swarm is closed.
   */
  async start(): Promise<void> {
    if (this.#phase === 'closed') throw new StateError('the swarm is closed')
    this.#starting ??= this.#start()
    await this.#starting
  }

  async #start(): Promise<void> {
    try {
      this.#phase = 'starting'
      this.#host.start()
      this.#phase = 'started'
      this.#registrar.attach(this.#host)
      for (const service of await loadServices(this.#options.services)) {
        if (this.isStarted()) {
          this.#services.push(service)
          await service.start(this)
        }
      }
    } catch (err) {
      // Nobody has this swarm to close it.
      await this.close({ drainTimeout: 0 })
      throw err
    }
  }

  /** {@link Swarm.close}. */
  stop(options?: CloseOptions): Promise<void> {
    return this.close(options)
  }

  /** Whether it is between `start` and `close`. */
  isStarted(): boolean {
    return this.#phase === 'started'
  }

  /** {@link Swarm.isStarted}. */
  get started(): boolean {
    return this.isStarted()
  }

  /**
   * Listen on every address; true if any succeeded. A duplicate counts and binds nothing.
   *
   * Addresses are `/ip4/<host>/tcp/<port>` and `/ip6/<host>/tcp/<port>`, link-local ones with their interface in front:
   * `/ip6zone/<interface>/ip6/<host>/tcp/<port>`. A `/p2p` part may only name this swarm.
   *
   * Listens and unlistens take effect in the order of their calls. Resolves when the bound addresses are known. Rejects
   * with `ListenError{attempts}` when none succeeded, and with `StateError` if the swarm is closed before. Throws
   * `InvalidParametersError` for bad text and another peer's address, `StateError` before the start.
   */
  listen(...addrs: AddrLike[]): Promise<true> {
    this.#assertStarted()
    return this.#listeners.listen(addrs)
  }

  /**
   * Stop listening on an address, given as asked for or as bound; false if nothing listens there when its turn comes.
   *
   * Resolves when the address is free again. Rejects with `StateError` if the swarm is closed before.
   */
  unlisten(addr: AddrLike): Promise<boolean> {
    this.#assertStarted()
    return this.#listeners.unlisten(addr)
  }

  /** The bound addresses, without `/p2p`. Wildcards stay wildcards. */
  getListenAddrs(): Multiaddr[] {
    return this.#listeners.addresses()
  }

  /**
   * A connection to a peer: one that is there, a dial under way, or a dial of every known address at once.
   *
   * `signal` and `timeout` are this caller's own; a shared dial goes on while one caller waits, and what comes of it
   * when none does is closed unseen. A caller that joins it brings its own addresses along. Dials that ask for different
   * `security` are not shared.
   * Addresses that no transport here takes (names, too, are not resolved) are not tried; the error lists them as well.
   * Rejects with `DialAllFailedError{attempts}`, `NoRemoteAddrsError`, `NoConnectionError` (`noDial`),
   * `SelfDialError`, `AbortError`, `TimeoutError`. Throws `InvalidParametersError`, `StateError`.
   */
  dialPeer(peer: PeerLike, options?: DialOptions): Promise<Connection> {
    checkOptions(options, DIAL_CHECKS)
    this.#assertStarted()
    return traced(
      tracedDial,
      () => ({ swarm: this, peer: peerText(peer), address: undefined }),
      () => this.#dialer.dialPeer(peer, options)
    )
  }

  /**
   * A new connection to one address, or the dial of it that is under way. With `peer`, or `/p2p` at its end, only that
   * peer is accepted.
   *
   * Errors as {@link Swarm.dialPeer}. Throws `InvalidParametersError` for `/p2p/<peer id>` alone, which is no place.
   */
  dialAddr(addr: AddrLike, peer?: PeerLike, options?: DialOptions): Promise<Connection>
  /** Connect to one address, whoever is there or as `/p2p` at its end says, with options. */
  dialAddr(addr: AddrLike, options: DialOptions): Promise<Connection>
  dialAddr(
    addr: AddrLike,
    first?: PeerLike | DialOptions,
    second?: DialOptions
  ): Promise<Connection> {
    const peer = areDialOptions(first) ? undefined : first
    const options = areDialOptions(first) ? first : second
    checkOptions(options, DIAL_CHECKS)
    this.#assertStarted()
    return traced(
      tracedDial,
      () => ({
        swarm: this,
        peer: peer === undefined ? undefined : peerText(peer),
        address: addr.toString()
      }),
      () => this.#dialer.dialAddr(addr, peer, options)
    )
  }

  /**
   * Open a stream to a peer, dialling it if need be; without protocols, a raw one.
   *
   * Takes the connection with most streams, then the newest. Where that has ended, ends meanwhile or takes no more
   * streams, tries the others, then dials. `force` dials at once.
   * Errors of {@link Swarm.dialPeer} and {@link Connection.newStream}.
   */
  newStream(
    peer: PeerLike,
    protocols?: string | readonly string[],
    options?: SwarmStreamOptions
  ): Promise<Stream>
  /** Open a raw stream to a peer, with options. */
  newStream(peer: PeerLike, options: SwarmStreamOptions): Promise<Stream>
  newStream(
    peer: PeerLike,
    first?: string | readonly string[] | SwarmStreamOptions,
    second?: SwarmStreamOptions
  ): Promise<Stream> {
    const protocols = areOptions(first) ? undefined : first
    const options = areOptions(first) ? first : second
    checkOptions(options, SWARM_STREAM_CHECKS)
    if (protocols !== undefined) protocolNames(protocols)
    this.#assertStarted()
    return openStream(this.#dialer, this.#connections, peer, protocols, options)
  }

  /**
   * Hand inbound streams of these protocols to `handler`. Replaces an earlier handler.
   * A predicate is asked about protocols that no name has, in the order of registration, on this thread. One that
   * throws counts as no and is logged.
   * A handler that throws or rejects ends its own stream and nothing else, see {@link StreamHandler}. May be called
   * before the start.
   */
  handle(protocols: HandledProtocols, handler: StreamHandler, options?: HandlerOptions): void {
    this.#registrar.handle(protocols, handler, options)
  }

  /** Refuse these protocols from here on; streams that are open stay. */
  unhandle(protocols: HandledProtocols): void {
    this.#registrar.unhandle(protocols)
  }

  /** Hand **every** inbound stream, un-negotiated, to `handler`; the table is bypassed. `null` ends that. */
  setStreamHandler(handler: StreamHandler | null): void {
    if (handler !== null) aFunction(handler, 'handler')
    this.#registrar.setRaw(handler)
  }

  /** The protocols we answer to, in the order of their registration. */
  getProtocols(): string[] {
    return this.#registrar.protocols()
  }

  /** Open connections, oldest first; of one peer if given. One that is being closed here is open no more. */
  getConnections(peer?: PeerLike): Connection[] {
    return peer === undefined ? this.#connections.all() : this.#connections.of(peerText(peer))
  }

  /** The connection that `newStream` takes first; undefined if there is none. */
  getConnection(peer: PeerLike): Connection | undefined {
    return this.#connections.ranked(peerText(peer))[0]
  }

  /** The number of open connections. */
  getTotalConnections(): number {
    return this.#connections.size
  }

  /** Peers with at least one connection. */
  getPeers(): PeerId[] {
    return this.#connections.peers()
  }

  /** What is known about reaching a peer. */
  connectedness(peer: PeerLike): Connectedness {
    return this.#connections.connectedness(peerText(peer))
  }

  /** Close every connection to a peer. */
  closePeer(peer: PeerLike, options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    const connections = this.#connections.unended(peerText(peer))
    const closed = connections.map((connection) => connection.close(options))
    return Promise.all(closed).then(() => {})
  }

  /** Tell `notifiee` what happens from here on; false if it was told already. */
  notify(notifiee: Notifiee): boolean {
    return this.#notifiees.add(notifiee)
  }

  /** Stop telling `notifiee`. Unknown ones are no error. */
  stopNotify(notifiee: Notifiee): void {
    this.#notifiees.delete(notifiee)
  }

  /** Let this swarm keep the process alive (the default). */
  ref(): this {
    this.#host.ref()
    return this
  }

  /** Let the process end although this swarm listens or is connected. A command under way still holds it. */
  unref(): this {
    this.#host.unref()
    return this
  }

  /** Counts of the native side, of all swarms of this thread: bytes, frames, streams, connections. */
  counters(): Counters {
    return this.#host.counters()
  }

  /**
   * Close in good order, within `drainTimeout`.
   *
   * From the call on no connection is accepted and new inbound streams are reset with the code `Shutdown`;
   * {@link Swarm.signal}, which handlers are given, is aborted, `closing` is told and services are stopped. Then it
   * waits for handlers that have not returned and for what was written and is not sent, and for nothing else: streams
   * that are open when that is done, or when the time is up, are reset with the code `Shutdown`, and every peer is told.
   *
   * Resolves when every `disconnected` and `listenClose` is delivered. Idempotent; a second call while the
   * first one waits forces the end. Throws `InvalidParametersError`.
   */
  close(options?: CloseOptions): Promise<void> {
    checkOptions(options, CLOSE_CHECKS)
    const drainTimeout = options?.drainTimeout ?? DRAIN_TIMEOUT_MS
    if (this.#closing !== undefined) {
      this.#shutdown?.stopWaiting()
      this.#host.closeAtOnce()
      return this.#closing
    }
    this.#phase = 'closed'
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Before anybody is told: whoever closes the swarm in answer to that joins this close.
    this.#closing = promise
    if (this.#host.isRunning) this.#close(drainTimeout).then(resolve, reject)
    else {
      this.#isOver = true
      this.endEvents()
      resolve()
    }
    return promise
  }

  async #close(drainTimeout: number): Promise<void> {
    this.#host.stopAccepting()
    if (this.hasListeners('closing')) {
      this.emit('closing', new CustomEvent('closing', { detail: { drainTimeout } }))
    }
    const shutdown = new Shutdown(this.#host, drainTimeout)
    this.#shutdown = shutdown
    await shutdown.wait(Promise.all([this.#stopServices(), this.#registrar.idle()]))
    this.#dialer.close()
    shutdown.resetStreams()
    await this.#host.close(shutdown.left)
    this.#registrar.detach()
    this.#listeners.closed()
    this.#isOver = true
    this.endEvents()
  }

  /** All at once: one that hangs does not keep the others from it. */
  async #stopServices(): Promise<void> {
    const stop = async (service: Service): Promise<void> => {
      try {
        await service.stop()
      } catch (err) {
        this.#failures.report(err, service, 'the stop of a service failed')
      }
    }
    await Promise.all(this.#services.splice(0).reverse().map(stop))
  }

  /** {@link Swarm.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal Never the key, and no crossing. */
  [INSPECT](...args: InspectArguments): unknown {
    // A proxy has none of the private fields.
    if (!(#options in this)) return this
    return shown('Swarm', this.#options.identity.peer, () => this.#facts(), args)
  }

  #facts(): Record<string, unknown> {
    return {
      peerId: this.peerId,
      state: this.#phase === 'closed' && !this.#isOver ? 'closing' : this.#phase,
      listenAddrs: this.getListenAddrs(),
      connections: this.getTotalConnections(),
      peers: this.getPeers().length,
      streams: [...this.#host.streams()].length,
      protocols: this.getProtocols()
    }
  }

  protected override onListenerError(err: unknown, listener: object, message: string): void {
    this.#failures.report(err, listener, message)
  }

  #assertStarted(): void {
    if (this.#phase === 'started') return
    throw new StateError(
      this.#phase === 'closed' ? 'the swarm is closed' : 'the swarm is not started'
    )
  }

  #notify<K extends NotifieeEvent>(event: K, detail: SwarmEvents[K]['detail']): void {
    this.#notifiees.tell(this, event, detail)
    if (this.hasListeners(event)) {
      // The events of a swarm are of that type, each with its own detail.
      this.emit(event, new CustomEvent(event, { detail }) as SwarmEvents[K])
    }
  }
}

/** A peer id may be an object of no class too. */
function areDialOptions(value: PeerLike | DialOptions | undefined): value is DialOptions {
  return areOptions(value) && !isPeer(value)
}
