/**
 * The swarm: composition root of this package. It owns one native node and makes all decisions; the node carries the
 * bytes.
 */
import type { PeerId, PrivateKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from './base/abort.ts'
import {
  ABORT_OPTIONS,
  aBoolean,
  aDuration,
  aFunction,
  areOptions,
  checkOptions,
  misuse,
  type OptionChecks
} from './base/arguments.ts'
import { TypedEventTarget } from './base/events.ts'
import { INSPECT, type InspectArguments, shown } from './base/inspection.ts'
import { lazyModule } from './base/lazy-module.ts'
import type { ResolvedConnectionConfig } from './connection/config.ts'
import type { ConnectionDirection } from './connection/facts.ts'
import { selectionOf } from './connection/strategy.ts'
import { ConnectionTable } from './connection/table.ts'
import { type Connection, NEW_STREAM_CHECKS, type NewStreamOptions } from './connection.ts'
import { isKeepAlive, type TagUpdate } from './connection-manager/common-tags.ts'
import type { ManagerHost } from './connection-manager/host.ts'
import type {
  AutoConnectorLike,
  ConnectionPrunerLike,
  ReconnectQueueLike
} from './connection-manager/interfaces.ts'
import { ConnectionManager } from './connection-manager/manager.ts'
import { type TagInfo, TagStore } from './connection-manager/tag-store.ts'
import { Connectedness, DRAIN_TIMEOUT_MS } from './constants.ts'
import { traced, tracedDial } from './diagnostics/channels.ts'
import { Failures } from './diagnostics/failures.ts'
import type { AddressManagerLike } from './dial/address-manager.ts'
import { Dialer } from './dial/dialer.ts'
import { openStream } from './dial/open-stream.ts'
import { DIAL_CHECKS, type DialOptions } from './dial/options.ts'
import type { DialQueue } from './dial/queue.ts'
import { type DialExplanation, explanationOf } from './dial/report.ts'
import type { RetryConfig } from './dial/retry.ts'
import type { DnsResolverLike } from './dns/records.ts'
import { StateError } from './errors.ts'
import type { ConnectionGate } from './gate/connection-gate.ts'
import type { InboundRateLimiter } from './gate/rate-limiter.ts'
import type { AddrLike } from './identity/address.ts'
import type { Identity } from './identity/keys.ts'
import { parseAddress } from './identity/parsed-address.ts'
import { isPeer, type PeerLike, peerIdOf, peerText } from './identity/peer-id.ts'
import type { AnyDuplex } from './io/carriers.ts'
import type { AddConnectionOptions } from './muxer/added.ts'
import type { MuxedConn } from './muxer/muxed.ts'
import type { Counters } from './native/counters.ts'
import type { HandledProtocols, HandlerOptions, StreamHandler } from './negotiation/handler.ts'
import { protocolNames } from './negotiation/protocol-name.ts'
import { Registrar } from './negotiation/registrar.ts'
import { bookOf, type PeerstoreStorage, storageOf } from './peerstore/options.ts'
import type { PeerBook } from './peerstore/peer-book.ts'
import type { PeerstoreLike } from './peerstore/peerstore.ts'
import { loadServices, type Service } from './protocols/services.ts'
import type {
  ResourceManager,
  ResourceManagerOptions,
  SwarmResourceManager
} from './resource-manager/interfaces.ts'
import { aResourceManager } from './resource-manager/null.ts'
import type { Stream } from './stream.ts'
import { EventOrder } from './swarm/event-order.ts'
import type { SwarmEvents } from './swarm/events.ts'
import { Listeners } from './swarm/listener.ts'
import type { ListenOptions, Network } from './swarm/network.ts'
import { NodeHost } from './swarm/node-host.ts'
import { type Notifiee, type NotifieeEvent, Notifiees } from './swarm/notifiee.ts'
import {
  type ResolvedOptions,
  resolveOptions,
  type SwarmOptions,
  type SwarmSettings
} from './swarm/options.ts'
import { Shutdown } from './swarm/shutdown.ts'
import type { StreamNotices } from './swarm/stream-notices.ts'
import type { WebSocketCertificate } from './transport/websocket-options.ts'
import type { UpgradeInboundOptions, UpgradeOutboundOptions, Upgrader } from './upgrade/options.ts'
import type { DuplexUpgrader } from './upgrade/upgrader.ts'

export type { ConnectednessDetail, SwarmEvents } from './swarm/events.ts'

/** Options of {@link Swarm.newStream}: those of the dial and those of the stream. */
export interface SwarmStreamOptions extends DialOptions, NewStreamOptions {
  /** Timeout of the dial and of the wait for a place, in milliseconds. Defaults to 60,000 for each. */
  timeout?: number | undefined
}

/** Options of {@link Swarm.close}. */
export interface CloseOptions {
  /** Milliseconds to wait for running handlers and unsent bytes. Defaults to 10,000. */
  drainTimeout?: number
}

/** Numbers of connections and peers. See {@link Swarm.getMetrics}. */
export interface SwarmMetrics {
  /** Open connections. */
  readonly total: number
  /** Those that peers opened. */
  readonly inbound: number
  /** Those that this swarm opened, and added ones of unknown direction. */
  readonly outbound: number
  /** Peers with at least one of them. */
  readonly peers: number
}

// What many programs do not use.
const { url } = import.meta
const loadStreamNotices = lazyModule<typeof import('./swarm/stream-notices.ts')>(
  url,
  './swarm/stream-notices'
)
const loadUpgrader = lazyModule<typeof import('./upgrade/upgrader.ts')>(url, './upgrade/upgrader')

const LISTEN_CHECKS: OptionChecks<ListenOptions> = {
  reusePort: (value, name) => {
    aBoolean(value, name)
    if (value === true && process.platform !== 'linux') {
      throw misuse(name, `false on ${process.platform}, which does not spread connections`, value)
    }
  }
}

const CLOSE_CHECKS: OptionChecks<CloseOptions> = { drainTimeout: aDuration }

const MANAGER_CHECKS: OptionChecks<ResourceManagerOptions> = { streamSemaphore: aBoolean }

const SWARM_STREAM_CHECKS: OptionChecks<SwarmStreamOptions> = {
  ...DIAL_CHECKS,
  ...NEW_STREAM_CHECKS
}

/**
 * Creates a swarm and starts it.
 *
 * @throws {@link InvalidParametersError} for invalid options. A service that fails to start rejects with its own error.
 * @example
 * ```ts
 * import { createSwarm } from 'ferroswarm'
 *
 * const swarm = await createSwarm({ limits: { connection: { streamsInbound: 100 } } })
 * swarm.handle('/echo/1.0.0', (stream) => stream.readable.pipeTo(stream.writable))
 * await swarm.listen('/ip4/0.0.0.0/tcp/4001')
 * console.log(`${swarm.peerId}`)
 * await swarm.close()
 * ```
 */
export async function createSwarm(options: SwarmOptions = {}): Promise<Swarm> {
  const swarm = new Swarm(options)
  await swarm.start()
  return swarm
}

/**
 * A libp2p node: its identity, listeners, connections and protocol handlers.
 *
 * A listening or connected swarm keeps the process alive, as `net.Server` does; see {@link Swarm.unref}.
 */
export class Swarm extends TypedEventTarget<SwarmEvents> implements Network, AsyncDisposable {
  readonly #options: SwarmSettings
  readonly #failures: Failures
  readonly #notifiees: Notifiees
  readonly #order = new EventOrder()
  readonly #connections: ConnectionTable
  readonly #registrar: Registrar
  readonly #tags: TagStore
  readonly #manager: ConnectionManager
  readonly #book: PeerBook
  readonly #storage: PeerstoreStorage | undefined
  readonly #host: NodeHost
  readonly #listeners: Listeners
  readonly #dialer: Dialer
  #upgrader: DuplexUpgrader | undefined
  readonly #services: Service[] = []
  #notices: StreamNotices | undefined
  #phase: 'idle' | 'starting' | 'started' | 'closed' = 'idle'
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #shutdown: Shutdown | undefined
  #hasClosed = false

  /**
   * Validates the options and creates the identity. Nothing runs before {@link Swarm.start}.
   *
   * @throws {@link InvalidParametersError} for invalid options.
   */
  constructor(options: SwarmOptions = {}) {
    super()
    this.#options = resolveOptions(options)
    const { clock } = this.#options
    this.#failures = new Failures(this.#options.log)
    const { peerstore, logger, identity } = this.#options
    this.#storage = storageOf(options.peerstore, peerstore, identity.peer, logger)
    this.#book = bookOf(peerstore, (...line) => logger.debug(...line), this.#failures.report)
    this.#notifiees = new Notifiees(this.#failures.report)
    const { strategy } = this.#options.connections
    const selection = selectionOf(strategy, clock, this.#failures.report)
    this.#connections = new ConnectionTable(clock, selection, (peer, connectedness, previous) => {
      this.#follow(peer, connectedness)
      if (!this.hasListeners('connectedness')) return
      const detail = { peer: peerIdOf(peer), connectedness, previous }
      this.#order.deliver(() => {
        this.emit('connectedness', new CustomEvent('connectedness', { detail }))
      })
    })
    this.#registrar = new Registrar(this.#failures)
    const { decayResolution } = this.#options.connections
    this.#tags = new TagStore({ clock, decayResolution }).report({
      changed: (peer, tag) => this.#storeTags(peer, tag),
      onFailure: this.#failures.report
    })
    this.#manager = new ConnectionManager(this, this.#managerHost(), this.#options)
    this.#host = new NodeHost(this, this.#options, this.#connections, this.#registrar, {
      notify: (event, detail) => this.#notify(event, detail),
      afterEvents: (then) => this.#order.after(then),
      holdEvents: (cause) => this.#order.hold(cause),
      identified: (peer, report) => this.#book.identified(peer, report),
      connected: (peer, connection) => this.#dialer.connected(peer, connection),
      manager: this.#manager,
      isOwnAddress: (address) => this.#listeners.owns(address),
      acceptDuplex: (duplex, remoteAddr) => void this.#accept(duplex, remoteAddr),
      upgradeDialled: (...call) => this.#upgrades.upgradeDialled(...call),
      dialEnded: (detail) => {
        if (this.hasListeners('dial')) {
          this.emit('dial', new CustomEvent('dial', { detail: detail() }))
        }
      },
      limit: (detail) => this.emit('limit', new CustomEvent('limit', { detail })),
      refused: (detail) => this.emit('refused', new CustomEvent('refused', { detail })),
      onFailure: this.#failures.report
    })
    this.#listeners = new Listeners(this.#host)
    this.#dialer = new Dialer(this.#host, this.#connections, this.#book)
    const { resourceManager } = this.#options
    if (resourceManager !== undefined) this.setResourceManager(resourceManager)
  }

  /** What the connection management needs beyond the public calls. */
  #managerHost(): ManagerHost {
    const { clock, log, connections, random } = this.#options
    return {
      clock,
      log,
      random,
      config: connections,
      tags: this.#tags,
      onFailure: this.#failures.report,
      isConnected: (peer) => this.#connections.count(peer) > 0,
      reachable: () => this.#book.reachable(),
      pruned: (detail) => this.#tell('prune', detail),
      reconnectFailed: (detail) => this.#tell('reconnectFailed', detail),
      retain: () => this.#host.retain(),
      release: () => this.#host.release()
    }
  }

  /** The local peer id. */
  get peerId(): PeerId {
    return this.#options.identity.peerId
  }

  /** The local private key. Loads @libp2p/crypto. Never logged. */
  get privateKey(): PrivateKey {
    return this.#options.identity.privateKey
  }

  /** The local identity: keys as libp2p protobufs, and signatures. */
  get identity(): Identity {
    return this.#options.identity
  }

  /** What is known of peers, from dials, identify and the application: the option `peerstore`. */
  get peerstore(): PeerstoreLike {
    return this.#options.peerstore
  }

  /** Tags and protection of peers: what the pruner and the auto-connector go by. See docs/connection-manager.md. */
  get tagStore(): TagStore {
    return this.#tags
  }

  /** Closes connections above `connections.high`. */
  get connectionPruner(): ConnectionPrunerLike {
    return this.#manager.pruner
  }

  /** Dials known peers while connections are missing. */
  get autoConnector(): AutoConnectorLike {
    return this.#manager.connector
  }

  /** Makes connections to peers tagged `keep-alive` again. */
  get reconnectQueue(): ReconnectQueueLike {
    return this.#manager.queue
  }

  /** Numbers of dials under way (`pending`) and of those that wait for their turn (`size`); `abort` ends the latter. */
  get dialQueue(): Pick<DialQueue, 'size' | 'pending' | 'abort'> {
    return this.#dialer.queue
  }

  /** {@link Swarm.upgradeInbound} and {@link Swarm.upgradeOutbound}, for a component that needs no more of the swarm. */
  get upgrader(): Upgrader {
    return Object.freeze({
      upgradeInbound: (...call: Parameters<Upgrader['upgradeInbound']>) =>
        this.upgradeInbound(...call),
      upgradeOutbound: (...call: Parameters<Upgrader['upgradeOutbound']>) =>
        this.upgradeOutbound(...call)
    })
  }

  /** Filters, caps and ranks the addresses of dials: the option `addressManager`. */
  get addressManager(): AddressManagerLike {
    return this.#options.addressManager
  }

  /** The lists of hosts that may connect and be dialled, and of those that may not. May be changed before the start. */
  get connectionGate(): ConnectionGate {
    return this.#host.gate.lists
  }

  /**
   * The rates of inbound connections, `limits.rates`, from which the application may take points too.
   *
   * @throws {@link StateError} before the swarm is started.
   */
  get inboundRateLimiter(): InboundRateLimiter {
    return this.#host.rateLimiter
  }

  /** Resolves names in addresses: the option `dns`. Its lookups reject with {@link StateError} if the swarm is not started. */
  get dnsResolver(): DnsResolverLike {
    return this.#host.dns
  }

  /** How often and when failed addresses are dialled again: the option `retry`, including defaults. */
  get retryConfig(): Readonly<Required<RetryConfig>> {
    return this.#options.retry
  }

  /** Bounds and timeouts of connections, and the strategy: the option `connections`, including defaults. */
  get connectionConfig(): ResolvedConnectionConfig {
    return this.#options.connections
  }

  /** The effective options, including defaults. */
  get options(): ResolvedOptions {
    return this.#options
  }

  /**
   * The resource manager: usage and limits of peers, protocols and services, and explanations of refusals. It accounts
   * natively, also beside one of {@link Swarm.setResourceManager}. Can be read after the swarm is closed.
   *
   * @throws {@link StateError} before the swarm is started.
   */
  get resourceManager(): SwarmResourceManager {
    return this.#host.resourceManager
  }

  /** Aborted when {@link Swarm.close} is called; the same signal as `stream.signal`. */
  get signal(): AbortSignal {
    return this.#host.signal
  }

  /**
   * Starts the native node, loads a persistent peerstore, and starts the services. Idempotent. If the peerstore or a service
   * fails, rejects with its error and closes the swarm.
   *
   * @throws {@link StateError} if the swarm is closed.
   * @throws {@link InvalidParametersError} if another swarm that runs uses the same {@link Peerstore}.
   * @throws {@link PeerstoreError} if the peerstore cannot be opened; a {@link PeerstoreLockedError} if it is open elsewhere,
   * a {@link PeerstoreCorruptError} if its file is damaged.
   */
  async start(): Promise<void> {
    if (this.#phase === 'closed') throw new StateError('the swarm is closed')
    this.#starting ??= this.#start()
    await this.#starting
  }

  async #start(): Promise<void> {
    try {
      this.#phase = 'starting'
      this.#book.open()
      this.#host.start()
      if (this.#storage !== undefined) {
        await this.#storage.open()
        if (this.#closing !== undefined) throw new StateError('the swarm is closed')
      }
      this.#phase = 'started'
      this.#registrar.attach(this.#host)
      this.#restoreTags()
      this.#manager.start()
      for (const service of await loadServices(this.#options.services)) {
        if (this.isStarted()) {
          this.#services.push(service)
          await service.start(this)
        }
      }
    } catch (err) {
      // The caller of `createSwarm` has no reference with which to close the swarm.
      await this.close({ drainTimeout: 0 })
      throw err
    }
  }

  /** Alias of {@link Swarm.close}. */
  stop(options?: CloseOptions): Promise<void> {
    return this.close(options)
  }

  /** Returns whether the swarm is started and not closed. */
  isStarted(): boolean {
    return this.#phase === 'started'
  }

  /** Alias of {@link Swarm.isStarted}. */
  get started(): boolean {
    return this.isStarted()
  }

  /**
   * Listens on addresses; resolves to true once the bound ones are known, if any succeeded. An address that is bound
   * already counts as a success.
   *
   * Addresses are those of the option `transports`: `/ip4/<host>/tcp/<port>`, `/ip4/<host>/udp/<port>/quic-v1`,
   * `/ip4/<host>/tcp/<port>/ws`, the same with `/ip6/<host>`, and others, see docs/transports.md. Link-local ones name
   * their interface: `/ip6zone/<interface>/ip6/<host>/tcp/<port>`. A `/p2p` part may only name this swarm. Without
   * addresses it listens on free ports of all interfaces, IPv4 and IPv6, over TCP and QUIC: `listen(...list)` with an
   * empty list does too. Calls of `listen` and `unlisten` take effect in call order.
   *
   * With `{ reusePort: true }` as the last argument, several processes listen on one port, each as a peer of its own.
   * Give each a key of its own. Without it, a port in use is an error. Only on Linux.
   *
   * @throws {@link ListenError} if no address succeeded; `attempts` has the reasons.
   * @throws {@link StateError} if the swarm is not started, or is closed meanwhile.
   * @throws {@link InvalidParametersError} for a malformed address, one of another peer, or none at all if no transport
   * takes a default one, and for an invalid option.
   * @example
   * ```ts
   * await swarm.listen('/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0/udp/4001/quic-v1')
   * for (const address of swarm.getListenAddrs()) console.log(`${address}/p2p/${swarm.peerId}`)
   * ```
   */
  listen(...addrs: AddrLike[]): Promise<true>
  /** Listens on addresses with options. */
  listen(...args: [...addrs: AddrLike[], options: ListenOptions]): Promise<true>
  listen(...args: (AddrLike | ListenOptions)[]): Promise<true> {
    const last = args.at(-1)
    const options = areListenOptions(last) ? last : undefined
    checkOptions(options, LISTEN_CHECKS)
    this.#assertStarted()
    // Any other argument that is no address is refused as one.
    const addrs = (options === undefined ? args : args.slice(0, -1)) as AddrLike[]
    return this.#listeners.listen(addrs, options)
  }

  /**
   * Stops listening on an address, given as requested or as bound. Resolves once the address is free; to false if the
   * swarm does not listen on it.
   *
   * @throws {@link StateError} if the swarm is not started, or is closed meanwhile.
   * @throws {@link InvalidParametersError} for a malformed address.
   */
  unlisten(addr: AddrLike): Promise<boolean> {
    this.#assertStarted()
    return this.#listeners.unlisten(addr)
  }

  /** Returns the bound addresses, without `/p2p`. Wildcards are not expanded. */
  getListenAddrs(): Multiaddr[] {
    return this.#listeners.addresses()
  }

  /**
   * Returns the bound addresses, without `/p2p`, each once, with `0.0.0.0` and `::` replaced by the addresses that the
   * interfaces of this host have now: loopback included, and link-local ones of IPv6 with their interface, as
   * `/ip6zone/eth0/ip6/fe80::…`, which other hosts cannot use as they are.
   */
  getInterfaceListenAddrs(): Multiaddr[] {
    return this.#listeners.interfaceAddresses()
  }

  /**
   * Resolves to a connection to a peer: an open one, that of a pending dial, or a new one. See docs/dialling.md for the
   * addresses that are dialled, when, and how often.
   *
   * Concurrent dials of a peer with the same `security` are shared; each caller has its own `signal` and `timeout`, and
   * adds its own addresses. A shared dial continues while at least one caller waits; once none does, its connection is
   * closed without being reported. Names are resolved by {@link Swarm.dnsResolver}. Addresses that no
   * transport supports are not tried, but listed in the error.
   *
   * @throws {@link DialAllFailedError} if every address failed; `attempts` has the stages and reasons.
   * @throws {@link NoRemoteAddrsError} if no address of the peer is known.
   * @throws {@link NoConnectionError} if `noDial` is set and there is no connection.
   * @throws {@link SelfDialError} if the peer is this swarm.
   * @throws {@link ResourceLimitExceededError} at a limit of connections, such as `connections.max`, or if the
   * application's resource manager refuses the connection.
   * @throws {@link TimeoutError} after `timeout`, with the `attempts` so far.
   * @throws {@link AbortError} by `signal`, with the `attempts` so far.
   * @throws {@link StateError} if the swarm is not started, or is closed meanwhile.
   * @throws {@link InvalidParametersError} for an invalid peer, address or option.
   * @example
   * ```ts
   * const connection = await swarm.dialPeer(peerId, {
   *   addresses: ['/ip4/192.0.2.1/tcp/4001'],
   *   timeout: 5_000
   * })
   * console.log(connection.state.security, connection.dialReport)
   * ```
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
   * Resolves to a new connection to one address, or to that of a pending dial of it. With `peer`, or `/p2p` at the end
   * of the address, only that peer is accepted.
   *
   * @throws {@link DialAllFailedError} if the address failed; `attempts` has the stage and the reason, such as an
   * {@link UnexpectedPeerError}.
   * @throws {@link NoConnectionError} if `noDial` is set.
   * @throws {@link SelfDialError} if the peer is this swarm.
   * @throws {@link ResourceLimitExceededError} at a limit of connections, such as `connections.max`, or if the
   * application's resource manager refuses the connection.
   * @throws {@link TimeoutError} after `timeout`.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link StateError} if the swarm is not started, or is closed meanwhile.
   * @throws {@link InvalidParametersError} for an invalid argument, such as `/p2p/<peer id>` without an address.
   * @example
   * ```ts
   * const signal = AbortSignal.timeout(5_000)
   * const connection = await swarm.dialAddr('/ip4/192.0.2.1/tcp/4001', peerId, { signal })
   * console.log(`${connection.remotePeer}`)
   * await connection.close()
   * ```
   */
  dialAddr(addr: AddrLike, peer?: PeerLike, options?: DialOptions): Promise<Connection>
  /** Connects to one address with options; any peer is accepted unless `/p2p` at its end names one. */
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
   * Resolves to whether an address of a peer would be dialled now: whether there is a transport for it, and neither the
   * address manager, nor the gater, nor a back-off refuses it. See {@link Swarm.explainDial} for the reason. Names are
   * not resolved, and nothing is dialled.
   *
   * @throws {@link StateError} if the swarm is not started.
   * @throws {@link InvalidParametersError} for an invalid peer or address.
   */
  canDial(peer: PeerLike, addr: AddrLike): Promise<boolean> {
    return this.explainDial(peer, addr).then(({ canDial }) => canDial)
  }

  /**
   * Resolves to the answer of {@link Swarm.canDial} with its reason.
   *
   * @throws {@link StateError} if the swarm is not started.
   * @throws {@link InvalidParametersError} for an invalid peer or address.
   * @example
   * ```ts
   * const { canDial, reason } = await swarm.explainDial(peerId, '/ip4/192.0.2.1/udp/4001/quic-v1')
   * if (!canDial) console.log(reason)
   * ```
   */
  explainDial(peer: PeerLike, addr: AddrLike): Promise<DialExplanation> {
    const id = peerText(peer)
    parseAddress(addr)
    this.#assertStarted()
    return this.#dialer.refusalOf(id, addr).then(explanationOf)
  }

  /**
   * Opens a stream to a peer, dialling it if there is no connection. Without protocols the stream is not negotiated.
   *
   * Of several connections it uses the first by the strategy, the option `connections.strategy`, which defaults to the
   * one with the most streams, then the newest. If that has ended, ends meanwhile or accepts no more streams, tries the
   * others in this order, then dials. `force` always dials. At the limit of streams it rejects or, see
   * {@link Swarm.setResourceManager}, waits for a place on that connection.
   *
   * Rejects as {@link Swarm.dialPeer} and {@link Connection.newStream} do.
   *
   * @throws {@link StateError} if the swarm is not started.
   * @throws {@link InvalidParametersError} for an invalid peer, protocol name or option.
   * @example
   * ```ts
   * const stream = await swarm.newStream(peerId, '/upper/1.0.0')
   * await stream.write(Buffer.from('hello'))
   * await stream.closeWrite()
   * console.log(String(Buffer.from(await stream.read())))
   * ```
   */
  newStream(
    peer: PeerLike,
    protocols?: string | readonly string[],
    options?: SwarmStreamOptions
  ): Promise<Stream>
  /** Opens a raw stream to a peer with options. */
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
   * Resolves to a connection over a duplex that the remote has opened, such as an accepted WebSocket or Unix socket:
   * the native security protocols and muxer run over it, or a muxer of the application that the option `muxers` lists.
   * The swarm owns the duplex from here on.
   *
   * Any `AnyDuplex`: a Duplex of node:stream, a socket, a pair of Web streams, a `ReadWriteCloser` or a
   * {@link RawConnection}. The connection differs from others in nothing but its cost: every chunk crosses twice
   * between JavaScript and native code. It ends when the duplex ends; when it is closed, the duplex is closed after the
   * last bytes. If the call rejects, the duplex is destroyed and nothing remains charged. See docs/upgrading.md.
   *
   * `addr` is the address of the remote, whose `/p2p` part names the only peer to accept. It defaults to that of a TCP
   * socket or `RawConnection`, else to the empty address `/`.
   *
   * @throws {@link UpgradeError} if the upgrade fails; `stage` says where, and `cause` why: an
   * {@link UnexpectedPeerError}, {@link EncryptionFailedError}, {@link TimeoutError}, {@link ConnectionClosedError}, or
   * a {@link RawConnectionError} if the duplex fails.
   * @throws {@link RawConnectionError} if the duplex has ended already.
   * @throws {@link ResourceLimitExceededError} at a limit of connections.
   * @throws {@link ResourceScopeClosedError} if `scope` has ended.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link StateError} if the swarm is not started, or is closed meanwhile.
   * @throws {@link InvalidParametersError} for an invalid argument, or a duplex in use.
   * @example
   * ```ts
   * import { createServer } from 'node:net'
   *
   * const server = createServer((socket) => {
   *   swarm.upgradeInbound(socket).catch((err) => console.error('no connection:', err.message))
   * })
   * server.listen('/run/my-service.sock')
   * ```
   */
  upgradeInbound(
    duplex: AnyDuplex,
    addr?: AddrLike,
    options?: UpgradeInboundOptions
  ): Promise<Connection> {
    this.#assertStarted()
    return this.#upgrades.upgradeInbound(duplex, addr, options)
  }

  /**
   * Resolves to a connection over a duplex that this side has opened: {@link Swarm.upgradeInbound} of the other
   * direction, which rejects in the same way. With `peer`, or `/p2p` at the end of `addr`, only that peer is accepted.
   *
   * @throws {@link UpgradeError} if the upgrade fails.
   * @throws {@link RawConnectionError} if the duplex has ended already.
   * @throws {@link ResourceLimitExceededError} at a limit of connections.
   * @throws {@link ResourceScopeClosedError} if `scope` has ended.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link StateError} if the swarm is not started, or is closed meanwhile.
   * @throws {@link InvalidParametersError} for an invalid argument, or a duplex in use.
   * @example
   * ```ts
   * import { connect } from 'node:net'
   *
   * const connection = await swarm.upgradeOutbound(connect('/run/my-service.sock'), peerId, {
   *   addr: '/unix/%2Frun%2Fmy-service.sock'
   * })
   * console.log(`${connection.remoteAddr}`, connection.state.transport)
   * ```
   */
  upgradeOutbound(
    duplex: AnyDuplex,
    peer?: PeerLike,
    options?: UpgradeOutboundOptions
  ): Promise<Connection> {
    this.#assertStarted()
    return this.#upgrades.upgradeOutbound(duplex, peer, options)
  }

  /**
   * Registers a handler for inbound streams of the given protocols, replacing an earlier one. May be called before
   * {@link Swarm.start}.
   *
   * Predicates are called for protocols without a handler by name, in registration order, on this thread. A predicate
   * that throws counts as false and is logged. A handler that throws or rejects ends only its own stream, see
   * {@link StreamHandler}.
   *
   * @throws {@link InvalidParametersError} for an invalid protocol name, handler or option.
   * @example
   * ```ts
   * swarm.handle('/upper/1.0.0', async (stream, _connection, { signal }) => {
   *   const request = await stream.read(1_024, { signal })
   *   await stream.write(Buffer.from(String(Buffer.from(request)).toUpperCase()))
   *   await stream.close()
   * })
   * ```
   */
  handle(protocols: HandledProtocols, handler: StreamHandler, options?: HandlerOptions): void {
    this.#registrar.handle(protocols, handler, options)
  }

  /**
   * Removes the handlers of these protocols. Open streams are not affected.
   *
   * @throws {@link InvalidParametersError} for an invalid protocol name.
   */
  unhandle(protocols: HandledProtocols): void {
    this.#registrar.unhandle(protocols)
  }

  /**
   * Passes **every** inbound stream to `handler` without negotiation, bypassing the registered handlers. `null`
   * restores negotiation.
   *
   * @throws {@link InvalidParametersError} if `handler` is neither a function nor `null`.
   */
  setStreamHandler(handler: StreamHandler | null): void {
    if (handler !== null) aFunction(handler, 'handler')
    this.#registrar.setRaw(handler)
  }

  /** Returns the protocols handled by name, in registration order. */
  getProtocols(): string[] {
    return this.#registrar.protocols()
  }

  /**
   * Returns the open connections, oldest first; with `peer`, only those to it. Excludes connections being closed
   * locally.
   *
   * @throws {@link InvalidParametersError} for an invalid peer.
   */
  getConnections(peer?: PeerLike): Connection[] {
    return peer === undefined ? this.#connections.all() : this.#connections.of(peerText(peer))
  }

  /**
   * Returns the connection that `newStream` would use; undefined if there is none.
   *
   * @throws {@link InvalidParametersError} for an invalid peer.
   */
  getConnection(peer: PeerLike): Connection | undefined {
    return this.#connections.ranked(peerText(peer))[0]
  }

  /** Returns the open connections by the text of their peer, oldest first, as a copy. */
  getConnectionsMap(): Map<string, Connection[]> {
    return this.#connections.map()
  }

  /** The oldest open connection to each peer, by its text, as a copy: `connections_legacy` of py-libp2p. */
  get connectionsLegacy(): Map<string, Connection> {
    const oldest = ([peer, connections]: [string, Connection[]]) =>
      connections.slice(0, 1).map((connection) => [peer, connection] as const)
    return new Map([...this.getConnectionsMap()].flatMap(oldest))
  }

  /** Returns the numbers of open connections, by direction, and of connected peers. */
  getMetrics(): SwarmMetrics {
    const connections = this.#connections.all()
    const inbound = connections.filter(({ direction }) => direction === 'inbound').length
    const total = connections.length
    return { total, inbound, outbound: total - inbound, peers: this.#connections.peerCount }
  }

  /** Returns the number of open connections. */
  getTotalConnections(): number {
    return this.#connections.size
  }

  /** Returns the peers with at least one open connection. */
  getPeers(): PeerId[] {
    return this.#connections.peers()
  }

  /**
   * Returns whether a peer is connected, was until recently, or could not be dialled.
   *
   * @throws {@link InvalidParametersError} for an invalid peer.
   */
  connectedness(peer: PeerLike): Connectedness {
    const id = peerText(peer)
    const isConnected = this.#connections.count(id) > 0
    return !isConnected && this.#dialer.backOff.concerns(id)
      ? Connectedness.CannotConnect
      : this.#connections.connectedness(id)
  }

  /**
   * Closes all connections to a peer, as {@link Connection.close} does.
   *
   * @throws {@link AbortError} by `signal`, which ends the wait, not the delivery.
   * @throws {@link InvalidParametersError} for an invalid peer or option.
   */
  closePeer(peer: PeerLike, options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    const connections = this.#connections.unended(peerText(peer))
    const closed = connections.map((connection) => connection.close(options))
    return Promise.all(closed).then(() => {})
  }

  /**
   * Adds a connection over a muxer of the application: its own, or that of another library. From then on it is a
   * connection like any other: listed and announced, its inbound streams are negotiated and passed to the handlers, its
   * resources are accounted for, and it is closed with the swarm. See docs/muxers.md.
   *
   * The application vouches for the remote peer, which is not authenticated again, and with the option `psk` for its being
   * in the private network, as the cipher of that is not applied. The swarm owns `muxed` from now on;
   * adding it again returns the same connection, and lists it again if it was removed.
   *
   * @throws {@link ResourceLimitExceededError} at a limit of connections, such as `limits.system.connections`, or if the
   * application's resource manager refuses it; `muxed` stays open.
   * @throws {@link MuxerClosedError} if `muxed` is closed, or was added and its connection is being closed.
   * @throws {@link StateError} if the swarm is not started.
   * @throws {@link InvalidParametersError} for an invalid argument, if the remote peer is not known, or if `muxed` is a
   * connection of another swarm.
   * @example
   * ```ts
   * const connection = swarm.addConnection(muxed, 'outbound', { remotePeer, muxer: '/mplex/6.7.0' })
   * const stream = await connection.newStream('/chat/1.0.0')
   * ```
   */
  addConnection(
    muxed: MuxedConn,
    direction?: ConnectionDirection,
    options?: AddConnectionOptions
  ): Connection
  /** Adds a connection of unknown direction with options. */
  addConnection(muxed: MuxedConn, options: AddConnectionOptions): Connection
  addConnection(
    muxed: MuxedConn,
    first?: ConnectionDirection | AddConnectionOptions,
    second?: AddConnectionOptions
  ): Connection {
    this.#assertStarted()
    return areOptions(first)
      ? this.#host.added.add(muxed, undefined, first)
      : this.#host.added.add(muxed, first, second)
  }

  /**
   * Removes a connection from the views of this swarm, which uses it no more. It stays open, with its streams, until
   * either side or {@link Swarm.close} closes it; `disconnected` follows then. Idempotent.
   *
   * @throws {@link InvalidParametersError} if it is not a connection of this swarm.
   */
  removeConnection(connection: Connection): void {
    this.#host.remove(connection)
  }

  /**
   * Notifies `openedStream` of a stream that {@link wrapMuxedStream} has made without a connection, and `closedStream` at
   * its end. Once per stream; does nothing for streams of connections, which are announced already.
   *
   * @throws {@link InvalidParametersError} if it is not a stream, or one of another swarm.
   */
  notifyOpenedStream(stream: Stream): void {
    this.#streamNotices.opened(stream)
  }

  /**
   * Notifies `closedStream` of a stream now, and not again when it ends. Once per stream; does nothing for one that was
   * not announced.
   *
   * @throws {@link InvalidParametersError} if it is not a stream, or one of another swarm.
   */
  notifyClosedStream(stream: Stream): void {
    this.#streamNotices.closed(stream)
  }

  /**
   * Registers `notifiee` for subsequent events. Returns false if it is registered already.
   *
   * @throws {@link InvalidParametersError} if `notifiee` is not an object, or one of its callbacks not a function.
   */
  notify(notifiee: Notifiee): boolean {
    return this.#notifiees.add(notifiee)
  }

  /** Unregisters `notifiee`; does nothing if it is not registered. */
  stopNotify(notifiee: Notifiee): void {
    this.#notifiees.delete(notifiee)
  }

  /**
   * Replaces what listeners of `/tls/ws` present, as the option `webSocket.certificate` does at the start: call it when a
   * certificate has been renewed. Handshakes from then on use the new ones, and connections stay. Files are read before it
   * returns. An empty list takes them away: new handshakes fail, and `listen` refuses such addresses. If it throws, the
   * former ones remain.
   *
   * @throws {@link InvalidParametersError} for anything but certificates and their private keys.
   * @throws {@link StateError} if the swarm is not started.
   * @example
   * ```ts
   * process.on('SIGHUP', () => {
   *   swarm.setCertificates({ cert: '/etc/node/fullchain.pem', key: '/etc/node/privkey.pem' })
   * })
   * ```
   */
  setCertificates(certificate: WebSocketCertificate | readonly WebSocketCertificate[]): void {
    this.#assertStarted()
    this.#host.setCertificates(certificate)
  }

  /**
   * Sets the application's resource manager, which vetoes and observes connections and streams in addition to the native
   * limits; `null` removes it. May be called before {@link Swarm.start}.
   *
   * A refused inbound connection is closed with `ConnectionErrorCode.ResourceLimitExceeded`, a refused outbound one
   * rejects its dial. A refused inbound stream is reset with `StreamErrorCode.ResourceLimitExceeded` before its handler
   * runs, an outbound one rejects `newStream`. Refusals of what a remote opens are in the log. Connections and streams
   * that are open when a manager is set are not charged to it; those that are charged to it remain so until their end,
   * also if it is removed. What its scopes throw at their ends is reported and has no other effect. Each call costs some
   * microseconds of this thread: limits that a remote may run into are better native ones.
   *
   * With `streamSemaphore`, the default with a manager, calls of `newStream` that are refused by a limit of streams wait
   * in FIFO order; without a manager, `setResourceManager(null, { streamSemaphore: true })` lets them wait for the
   * native limits. At most 4,096 calls wait. When the queue is removed, they reject with their refusals.
   *
   * @throws {@link InvalidParametersError} if `manager` is neither a resource manager nor `null`, or for an invalid
   * option.
   * @example
   * ```ts
   * swarm.setResourceManager({
   *   ...nullResourceManager,
   *   openConnection(direction, _usesFd, endpoint) {
   *     console.log(direction, `${endpoint}`)
   *     return nullScope
   *   }
   * })
   * ```
   */
  setResourceManager(manager: ResourceManager | null, options?: ResourceManagerOptions): void {
    if (manager !== null) aResourceManager(manager, 'manager')
    checkOptions(options, MANAGER_CHECKS)
    this.#host.setResourceManager(manager, options?.streamSemaphore ?? manager !== null)
  }

  /**
   * Sets a tag of a peer, in place of an earlier value of it: {@link TagStore.tagPeer} of {@link Swarm.tagStore}, as are
   * the calls below.
   *
   * @throws {@link InvalidParametersError} for an invalid peer, or a value that is no whole number.
   * @example
   * ```ts
   * swarm.tagPeer(peerId, CommonTags.KEEP_ALIVE, 50)
   * swarm.protect(peerId, 'my-application')
   * ```
   */
  tagPeer(peer: PeerLike, tag: string, value: number): void {
    this.#tags.tagPeer(peer, tag, value)
  }

  /** Removes a tag of a peer, if it has it. */
  untagPeer(peer: PeerLike, tag: string): void {
    this.#tags.untagPeer(peer, tag)
  }

  /** Sets a tag of a peer to what `update` returns of its value, 0 if it does not have it. See {@link upsertAdd}. */
  upsertTag(peer: PeerLike, tag: string, update: TagUpdate): void {
    this.#tags.upsertTag(peer, tag, update)
  }

  /** Returns the tags and connections of a peer, as a copy; undefined if it has neither. */
  getTagInfo(peer: PeerLike): TagInfo | undefined {
    return this.#tags.getTagInfo(peer)
  }

  /** Protects a peer: its connections are not pruned while any tag protects it. */
  protect(peer: PeerLike, tag: string): void {
    this.#tags.protect(peer, tag)
  }

  /** Ends the protection of a peer by a tag; returns whether others still protect it. */
  unprotect(peer: PeerLike, tag: string): boolean {
    return this.#tags.unprotect(peer, tag)
  }

  /** Returns whether a peer is protected by a tag; without one, or with an empty one, whether by any. */
  isProtected(peer: PeerLike, tag?: string): boolean {
    return this.#tags.isProtected(peer, tag)
  }

  /** Makes this swarm keep the process alive while it listens or is connected, which is the default. */
  ref(): this {
    this.#host.ref()
    return this
  }

  /** Lets the process exit although this swarm listens or is connected. A pending command still keeps it alive. */
  unref(): this {
    this.#host.unref()
    return this
  }

  /** Returns native counters of bytes, frames, streams and connections, summed over all swarms of this thread. */
  counters(): Counters {
    return this.#host.counters()
  }

  /**
   * Shuts down gracefully, within `drainTimeout`.
   *
   * At once: connections are no longer accepted, new inbound streams are reset with the code `Shutdown`,
   * {@link Swarm.signal}, which handlers receive, is aborted, `closing` is emitted and services are stopped. Then it
   * waits for running handlers and unsent bytes only. Streams that are open after that, or after `drainTimeout`, are
   * reset with the code `Shutdown`, and the connections are closed with GoAway.
   *
   * Resolves when every `disconnected` and `listenClose` has been delivered. Idempotent; a second call while the first
   * one waits forces the close.
   *
   * @throws {@link InvalidParametersError} for an invalid option.
   * @example
   * ```ts
   * for (const name of ['SIGINT', 'SIGTERM'] as const) {
   *   process.on(name, () => swarm.close({ drainTimeout: 5_000 }))
   * }
   * ```
   */
  close(options?: CloseOptions): Promise<void> {
    checkOptions(options, CLOSE_CHECKS)
    const drainTimeout = options?.drainTimeout ?? DRAIN_TIMEOUT_MS
    if (this.#closing !== undefined) {
      this.#shutdown?.stopWaiting()
      this.#host.closeAtOnce()
      this.#upgrader?.closeAtOnce()
      return this.#closing
    }
    this.#phase = 'closed'
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Set before any notification: a listener that closes the swarm joins this close.
    this.#closing = promise
    if (this.#host.isRunning) this.#close(drainTimeout).then(resolve, reject)
    else {
      this.#hasClosed = true
      this.endEvents()
      this.#closePeerstore(drainTimeout).then(resolve, reject)
    }
    return promise
  }

  async #close(drainTimeout: number): Promise<void> {
    this.#manager.stop()
    this.#host.stopAccepting()
    this.#upgrader?.close()
    if (this.hasListeners('closing')) {
      this.emit('closing', new CustomEvent('closing', { detail: { drainTimeout } }))
    }
    const shutdown = new Shutdown(this.#host, drainTimeout)
    this.#shutdown = shutdown
    const custom = this.#listeners.stopCustom()
    await shutdown.wait(Promise.all([this.#stopServices(), this.#registrar.idle()]))
    this.#dialer.close()
    shutdown.resetStreams()
    await this.#host.close(shutdown.left)
    await this.#upgrader?.closed(shutdown.left)
    await shutdown.within(custom)
    await this.#closePeerstore(shutdown.left)
    this.#registrar.detach()
    this.#listeners.closed()
    this.#tags.close()
    this.#hasClosed = true
    this.endEvents()
  }

  /** Stores the tags of a peer that outlive the process, once one of them has changed. */
  #storeTags(peer: string, changed: string): void {
    if (isKeepAlive(changed)) this.#book.setTags(peer, this.#tags.keepAliveTags(peer))
  }

  /** Sets the tags that were stored, but for those that the application has set since. */
  #restoreTags(): void {
    for (const [peer, tags] of this.#book.tags()) {
      const kept = new Map([...tags].filter(([tag]) => isKeepAlive(tag)))
      // A datastore of js-libp2p has others too.
      if (kept.size < tags.size) this.#book.setTags(peer, kept)
      this.#tags.restore(peer, kept)
    }
  }

  /** Stores what the end of the connections has changed, and ends the timer of the peerstore. */
  async #closePeerstore(timeoutMs: number): Promise<void> {
    await this.#storage?.close(timeoutMs)
    this.#book.close()
  }

  /** Tells the peerstore of the first connection to a peer, and of the end of its last one. */
  #follow(peer: string, connectedness: Connectedness): void {
    const { Connected, Limited } = Connectedness
    if (connectedness === Connected || connectedness === Limited) this.#book.connected(peer)
    else this.#book.disconnected(peer)
  }

  /** Upgrades duplexes; loaded at the first. */
  get #upgrades(): DuplexUpgrader {
    if (this.#upgrader === undefined) {
      this.#upgrader = new (loadUpgrader().DuplexUpgrader)(this.#host)
      if (this.#phase === 'closed') this.#upgrader.close()
    }
    return this.#upgrader
  }

  /** Upgrades a duplex of a transport's listener. */
  async #accept(duplex: AnyDuplex, remoteAddr: AddrLike | undefined): Promise<void> {
    try {
      await this.#upgrades.upgradeInbound(duplex, remoteAddr)
    } catch (err) {
      // A failed upgrade has its diagnostics; this is for a duplex that was none, or has ended.
      this.#failures.expected(err, () => 'a duplex of a transport was not upgraded')
    }
  }

  /** Stops all services concurrently, so that one that hangs does not block the others. */
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

  /** Alias of {@link Swarm.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal Never shows the key, and does not cross into native code. */
  [INSPECT](...args: InspectArguments): unknown {
    // A proxy does not have the private fields.
    if (!(#options in this)) return this
    return shown('Swarm', this.#options.identity.peer, () => this.#facts(), args)
  }

  #facts(): Record<string, unknown> {
    return {
      peerId: this.peerId,
      state: this.#phase === 'closed' && !this.#hasClosed ? 'closing' : this.#phase,
      listenAddrs: this.getListenAddrs(),
      connections: this.getTotalConnections(),
      peers: this.#connections.peerCount,
      streams: [...this.#host.streams()].length,
      protocols: this.getProtocols()
    }
  }

  protected override onHeard(type: keyof SwarmEvents): void {
    if (type === 'limit' || type === 'refused') this.#host.levelsChanged()
  }

  protected override onListenerError(err: unknown, listener: object, message: string): void {
    this.#failures.report(err, listener, message)
  }

  get #streamNotices(): StreamNotices {
    this.#notices ??= new (loadStreamNotices().StreamNotices)(this.#host)
    return this.#notices
  }

  #assertStarted(): void {
    if (this.#phase === 'started') return
    throw new StateError(
      this.#phase === 'closed' ? 'the swarm is closed' : 'the swarm is not started'
    )
  }

  #tell<K extends 'prune' | 'reconnectFailed'>(event: K, detail: SwarmEvents[K]['detail']): void {
    if (!this.hasListeners(event)) return
    // TypeScript does not correlate the event name with its detail.
    this.emit(event, new CustomEvent(event, { detail }) as SwarmEvents[K])
  }

  #notify<K extends NotifieeEvent>(event: K, detail: SwarmEvents[K]['detail']): void {
    if (this.#notifiees.size === 0 && !this.hasListeners(event)) return
    this.#order.deliver(() => {
      this.#notifiees.tell(this, event, detail)
      if (this.hasListeners(event)) {
        // TypeScript does not correlate the event name with its detail.
        this.emit(event, new CustomEvent(event, { detail }) as SwarmEvents[K])
      }
    })
  }
}

/** Returns whether `value` is options: a peer id may be a plain object too. */
function areDialOptions(value: PeerLike | DialOptions | undefined): value is DialOptions {
  return areOptions(value) && !isPeer(value)
}

/** Returns whether `value` is options: an address may be a plain object too. */
function areListenOptions(value: AddrLike | ListenOptions | undefined): value is ListenOptions {
  return areOptions(value) && !('getComponents' in value)
}
