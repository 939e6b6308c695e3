/** The options of a swarm: types, defaults and checks. */
import type { PeerId, PrivateKey } from '@libp2p/interface'
import {
  aBoolean,
  aFunction,
  anObject,
  anything,
  type Check,
  checkOptions,
  integer,
  type OptionChecks,
  objectWith,
  someOf
} from '../base/arguments.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { lazyModule } from '../base/lazy-module.ts'
import {
  CONNECTION_DEFAULTS,
  type ConnectionConfig,
  checkConnections,
  type ResolvedConnectionConfig,
  resolveConnections
} from '../connection/config.ts'
import type { ManagerParts } from '../connection-manager/interfaces.ts'
import type { MuxerName, NativeTransportName, SecurityName } from '../constants.ts'
import { Log } from '../diagnostics/log.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { AddressManager, type AddressManagerLike } from '../dial/address-manager.ts'
import type { BlackHoleDetection } from '../dial/black-hole.ts'
import { checkRetry, type RetryConfig, resolveRetry } from '../dial/retry.ts'
import { checkDns, type DnsOptions } from '../dns/options.ts'
import type { DnsResolverLike } from '../dns/records.ts'
import { InvalidParametersError } from '../errors.ts'
import { aGater, type ConnectionGater } from '../gate/gater.ts'
import { type Identity, makeIdentity } from '../identity/keys.ts'
import { peerText } from '../identity/peer-id.ts'
import { checkMuxers, hasOwnMuxer } from '../muxer/choice.ts'
import type { NamedMultiplexer } from '../muxer/muxed.ts'
import { native } from '../native/addon.ts'
import { checkPeerstore, makePeerstore, type PeerstoreOptions } from '../peerstore/options.ts'
import type { PeerstoreLike } from '../peerstore/peerstore.ts'
import { checkServices, type ServiceOptions } from '../protocols/services.ts'
import type { ResourceManager } from '../resource-manager/interfaces.ts'
import type { LimitConfig } from '../resource-manager/limit-config.ts'
import {
  boundConnections,
  machineResources,
  type ResolvedLimits,
  resolveLimits
} from '../resource-manager/limits.ts'
import { aResourceManager } from '../resource-manager/null.ts'
import {
  checkForcedPrivacy,
  checkTransports,
  resolveTransports,
  type TransportChoice
} from '../transport/choice.ts'
import type { PreSharedKey, SwarmKey } from '../transport/pre-shared-key.ts'
import type { QuicOptions } from '../transport/quic-options.ts'
import type { Transport } from '../transport/transport.ts'
import type { ResolvedWebSocketOptions, WebSocketOptions } from '../transport/websocket-options.ts'

const { url } = import.meta
const loadQuic = lazyModule<typeof import('../transport/quic-options.ts')>(
  url,
  '../transport/quic-options'
)
const loadWebSocket = lazyModule<typeof import('../transport/websocket-options.ts')>(
  url,
  '../transport/websocket-options'
)
const loadPsk = lazyModule<typeof import('../transport/pre-shared-key.ts')>(
  url,
  '../transport/pre-shared-key'
)

/** Options of `createSwarm` and `new Swarm`, all optional. */
export interface SwarmOptions extends ManagerParts {
  /** The local private key, as an object of @libp2p/crypto or a libp2p protobuf. Defaults to a new ed25519 key. */
  privateKey?: PrivateKey | Uint8Array
  /** The expected local peer id: a `privateKey` of another peer is refused. */
  peerId?: PeerId | string
  /** Security protocols, preferred first; QUIC needs `tls`. Defaults to `tls`, `noise`. */
  security?: readonly SecurityName[]
  /**
   * Muxers, preferred first. At most one engine of `/yamux/1.0.0`: `yamux`, that of this package and the default, or
   * `yamux-crate`, that of rust-libp2p. Muxers of the application carry the bytes of every connection through JavaScript.
   * See docs/muxers.md.
   */
  muxers?: readonly (MuxerName | NamedMultiplexer)[]
  /**
   * Limits of what peers may use: `auto` derives them from the memory and the descriptors of the machine, `unlimited`
   * lifts all but timeouts and bounds of single protocols, an object overrides those of `auto`. Defaults to `auto`. See
   * docs/resource-manager.md.
   */
  limits?: 'auto' | 'unlimited' | LimitConfig
  /** Bounds and timeouts of connections, and which one a new stream uses. See docs/connections.md. */
  connections?: ConnectionConfig
  /** Number of I/O threads, 1 to 64. Defaults to the number of cores minus one, at least 1 and at most 4. */
  ioThreads?: number
  /**
   * Microseconds, 0 to 1,000, of busy polling: the event loop polls its sockets for the next message before it sleeps,
   * if peers answer that promptly. 0 disables it. Defaults to 100. With several swarms, that of the connection with the
   * last event counts. Only on Node.js for Linux. See docs/operations.md.
   */
  busyPoll?: number
  /** Clock, for tests and simulations. Native timeouts of connections stay on the system clock. */
  clock?: Clock
  /** How often and when a failed address is dialled again. See docs/dialling.md. */
  retry?: RetryConfig
  /** Filters, caps and ranks the addresses of a dial. Defaults to `new AddressManager()`. See docs/dialling.md. */
  addressManager?: AddressManagerLike
  /**
   * The transports: native ones by name, `tcp`, `quic`, `ws`, `unix` and `memory`, and those of the application. The first
   * that takes an address has it; an address that none takes is neither dialled nor listened on. Defaults to `tcp`, `quic`
   * and `ws`; with muxers of the application to `tcp` and `quic`, the only native ones beside these; without `quic` if
   * `security` has no `tls`. See docs/transports.md, and docs/upgrading.md for those of the application.
   */
  transports?: readonly (NativeTransportName | Transport)[]
  /** Timeouts and windows of QUIC, in a swarm with this transport. See docs/transports.md. */
  quic?: QuicOptions
  /**
   * Certificates of WebSocket over TLS, those that are trusted, and the handler of other requests to the port, in a swarm
   * with the transport `ws`. See docs/transports.md.
   */
  webSocket?: WebSocketOptions
  /**
   * The key of a private network: 64 hexadecimal digits, the contents of a `swarm.key` file, or the 32 bytes. Only nodes
   * with the same key connect; the native transports are `tcp`, `ws` and, if it is named, `unix`. Not possible beside
   * muxers of the application. See docs/transports.md.
   */
  psk?: PreSharedKey
  /** Refuses dials and connections. Defaults to none. See docs/gating.md. */
  gater?: ConnectionGater
  /**
   * Kinds of addresses that are not dialled once nobody has answered at them: UDP, IPv6. Defaults to both. See
   * docs/dialling.md.
   */
  blackHoleDetection?: BlackHoleDetection
  /** Resolves names in addresses: options of the swarm's own resolver, or another one. See docs/dns.md. */
  dns?: DnsOptions | DnsResolverLike
  /** What is known of peers: options of the swarm's own store, or another one. See docs/peerstore.md. */
  peerstore?: PeerstoreOptions | PeerstoreLike
  /** Source of numbers in [0, 1), for tests and simulations. Never used for keys. */
  random?: () => number
  /** Receives log messages of the levels it has methods for. Defaults to no logging. See docs/diagnostics.md. */
  logger?: Partial<Logger>
  /** A resource manager of the application, as for `swarm.setResourceManager`. Defaults to native limits alone. */
  resourceManager?: ResourceManager
  /** Built-in protocols to run, and custom services. */
  services?: ServiceOptions
}

/** The effective options of a swarm; see {@link SwarmOptions}. Undefined ones have native defaults. */
export interface ResolvedOptions extends Readonly<ManagerParts> {
  /** The identity of `privateKey`, or the generated one. */
  readonly identity: Identity
  /** See {@link SwarmOptions.security}. */
  readonly security: readonly SecurityName[] | undefined
  /** See {@link SwarmOptions.muxers}. */
  readonly muxers: readonly (MuxerName | NamedMultiplexer)[] | undefined
  /** All limits, including defaults. */
  readonly limits: ResolvedLimits
  /** See {@link SwarmOptions.connections}; `max` is the limit in effect. */
  readonly connections: ResolvedConnectionConfig
  /** See {@link SwarmOptions.ioThreads}. */
  readonly ioThreads: number | undefined
  /** See {@link SwarmOptions.busyPoll}. */
  readonly busyPoll: number | undefined
  /** See {@link SwarmOptions.clock}. */
  readonly clock: Clock
  /** The retries, including defaults. */
  readonly retry: Readonly<Required<RetryConfig>>
  /** See {@link SwarmOptions.addressManager}. */
  readonly addressManager: AddressManagerLike
  /** See {@link SwarmOptions.transports}. */
  readonly transports: readonly (NativeTransportName | Transport)[]
  /** See {@link SwarmOptions.quic}. */
  readonly quic: Readonly<Required<QuicOptions>> | undefined
  /** See {@link SwarmOptions.gater}. */
  readonly gater: ConnectionGater | undefined
  /** See {@link SwarmOptions.blackHoleDetection}. */
  readonly blackHoleDetection: Readonly<Required<BlackHoleDetection>>
  /** See {@link SwarmOptions.dns}. */
  readonly dns: Readonly<DnsOptions> | DnsResolverLike
  /** The peerstore. */
  readonly peerstore: PeerstoreLike
  /** See {@link SwarmOptions.random}. */
  readonly random: () => number
  /** A logger with all levels, also for services; levels without a subscriber do nothing. */
  readonly logger: Logger
  /** See {@link SwarmOptions.resourceManager}; a later one is not reflected. */
  readonly resourceManager: ResourceManager | undefined
  /** See {@link SwarmOptions.services}. */
  readonly services: Readonly<ServiceOptions>
}

/** @internal The options, for the components of a swarm. */
export interface SwarmSettings extends ResolvedOptions {
  /** The log: the logger, the namespaces of `DEBUG`, and the levels in use. */
  readonly log: Log
  /** See {@link SwarmOptions.webSocket}. */
  readonly webSocket: ResolvedWebSocketOptions | undefined
  /** See {@link SwarmOptions.psk}. */
  readonly psk: SwarmKey | undefined
}

const IO_THREADS_MAX = 64

/** 1 ms, the resolution of timers: polling does not delay any. */
const BUSY_POLL_US_MAX = 1_000

/** A logger may be an object of any class, so unknown members are allowed. */
const aLogger: Check = (value, name) => {
  anObject(value, name)
  // Member access is safe on any object.
  const logger = value as Readonly<Record<string, unknown>>
  for (const level of ['debug', 'info', 'warn', 'error']) {
    if (logger[level] !== undefined) aFunction(logger[level], `${name}.${level}`)
  }
}

const SWARM_CHECKS: OptionChecks<SwarmOptions> = {
  // Creating the identity checks the key and the peer id.
  privateKey: anything,
  peerId: anything,
  security: someOf('tls', 'noise'),
  muxers: checkMuxers,
  // Resolving them checks them.
  limits: anything,
  connections: checkConnections,
  ioThreads: integer(1, IO_THREADS_MAX),
  busyPoll: integer(0, BUSY_POLL_US_MAX),
  clock: objectWith('now', 'setTimer', 'clearTimer'),
  retry: checkRetry,
  addressManager: objectWith('filter', 'rank', 'cap'),
  transports: checkTransports,
  quic: (value, name) => loadQuic().checkQuic(value, name),
  webSocket: (value, name) => loadWebSocket().checkWebSocket(value, name),
  psk: (value, name) => loadPsk().checkPsk(value, name, native.swarmKeyFingerprint),
  gater: aGater,
  connectionPruner: aFunction,
  autoConnector: aFunction,
  reconnectQueue: aFunction,
  blackHoleDetection: (value, name) => {
    // The check of options refuses everything but an object.
    checkOptions(value as BlackHoleDetection, { udp: aBoolean, ipv6: aBoolean }, name)
  },
  dns: checkDns,
  peerstore: checkPeerstore,
  random: aFunction,
  logger: aLogger,
  resourceManager: aResourceManager,
  services: checkServices
}

/**
 * @internal Checks the options and applies the defaults.
 *
 * Throws `InvalidParametersError` that names the unknown or invalid option, and if the environment asks for a private
 * network, see {@link checkForcedPrivacy}.
 */
export function resolveOptions(options: SwarmOptions): SwarmSettings {
  checkOptions(options, SWARM_CHECKS)
  const isPrivate = options.psk !== undefined
  checkForcedPrivacy(isPrivate)
  const limits = boundConnections(
    resolveLimits(options.limits, machineResources(native.openFilesMax())),
    options.limits,
    options.connections?.max,
    CONNECTION_DEFAULTS.max
  )
  const identity = makeIdentity(options.privateKey)
  if (options.peerId !== undefined && peerText(options.peerId) !== identity.peer) {
    throw new InvalidParametersError(
      `expected peerId ${identity.peer} of the private key, received ${peerText(options.peerId)}`
    )
  }
  const transports = resolveTransports(options.transports, {
    isPrivate,
    hasOwnMuxer: hasOwnMuxer(options.muxers ?? []),
    hasTls: options.security?.includes('tls') ?? true
  })
  checkEffects(options, transports)
  const log = new Log(options.logger)
  return Object.freeze({
    identity,
    security: options.security,
    muxers: options.muxers && Object.freeze([...options.muxers]),
    limits,
    connections: resolveConnections(options.connections, limits.system.connections),
    ioThreads: options.ioThreads,
    busyPoll: options.busyPoll,
    clock: options.clock ?? systemClock,
    retry: resolveRetry(options.retry),
    addressManager: options.addressManager ?? new AddressManager(),
    transports: Object.freeze(transports),
    quic: options.quic && loadQuic().resolveQuic(options.quic),
    webSocket: options.webSocket && loadWebSocket().resolveWebSocket(options.webSocket),
    psk: options.psk === undefined ? undefined : new (loadPsk().SwarmKey)(options.psk),
    gater: options.gater,
    connectionPruner: options.connectionPruner,
    autoConnector: options.autoConnector,
    reconnectQueue: options.reconnectQueue,
    blackHoleDetection: Object.freeze({
      udp: options.blackHoleDetection?.udp ?? true,
      ipv6: options.blackHoleDetection?.ipv6 ?? true
    }),
    dns: options.dns ?? {},
    peerstore: makePeerstore(options.peerstore, options.clock ?? systemClock),
    random: options.random ?? Math.random,
    logger: log.loggerOf('swarm'),
    log,
    resourceManager: options.resourceManager,
    services: Object.freeze({ ...options.services })
  })
}

/** Throws `InvalidParametersError` for the options of a transport that the swarm does not have. */
function checkEffects(
  options: Pick<SwarmOptions, 'quic' | 'webSocket'>,
  transports: readonly TransportChoice[]
): void {
  for (const [name, transport] of [
    ['quic', 'quic'],
    ['webSocket', 'ws']
  ] as const) {
    if (options[name] === undefined || transports.includes(transport)) continue
    throw new InvalidParametersError(
      `expected no option ${name} in a swarm without the transport ${transport}; its transports are ` +
        transports
          .map((each) => (typeof each === 'string' ? each : 'one of the application'))
          .join(', ')
    )
  }
}
