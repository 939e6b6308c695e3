/** The public API of ferroswarm, a libp2p network stack for Node.js with a Rust data path. */

export { type Clock, systemClock } from './base/clock.ts'
export { type EventHandler, type EventListenerOptions, TypedEventTarget } from './base/events.ts'
export {
  CONNECTION_DEFAULTS,
  type ConnectionConfig,
  type ReconnectConfig,
  type ResolvedConnectionConfig
} from './connection/config.ts'
export type { ConnectionStrategy, ConnectionStrategyName } from './connection/strategy.ts'
export {
  Connection,
  type ConnectionCloseReason,
  type ConnectionDirection,
  type ConnectionEvents,
  type ConnectionSecurity,
  type ConnectionStat,
  type ConnectionStats,
  type ConnMultiaddrs,
  type ConnSecurity,
  type ConnStat,
  type ConnStats,
  type DialReport,
  type NewStreamOptions,
  type TransportInfo
} from './connection.ts'
export { AutoConnector } from './connection-manager/auto-connector.ts'
export {
  CommonTags,
  type TagUpdate,
  upsertAdd,
  upsertBounded,
  upsertSet
} from './connection-manager/common-tags.ts'
export type {
  BumpFunction,
  DecayFunction,
  DecayingTag,
  DecayingTagOptions,
  DecayingValue
} from './connection-manager/decay.ts'
export {
  bumpOverwrite,
  bumpSumBounded,
  bumpSumUnbounded,
  decayExpireWhenInactive,
  decayFixed,
  decayLinear,
  decayNone
} from './connection-manager/decay-presets.ts'
export type {
  AutoConnectorLike,
  ConnectionObserver,
  ConnectionPrunerLike,
  ManagerParts,
  ReconnectQueueLike
} from './connection-manager/interfaces.ts'
export type {
  PruneDecision,
  PruneExemption,
  PruneVerdict
} from './connection-manager/prune-decision.ts'
export type {
  PruneCandidate,
  PrunePolicy,
  PruneRule,
  PruneTieBreak
} from './connection-manager/prune-order.ts'
export {
  type ConnectionManagerInfo,
  ConnectionPruner,
  type ConnectionPrunerOptions,
  type TrimOptions
} from './connection-manager/pruner.ts'
export { type ReconnectFailure, ReconnectQueue } from './connection-manager/reconnect-queue.ts'
export { type TagInfo, TagStore, type TagStoreOptions } from './connection-manager/tag-store.ts'
export * from './constants.ts'
export type { Logger } from './diagnostics/logger.ts'
export {
  AddressManager,
  type AddressManagerLike,
  type FilteredAddress,
  type FilterResult
} from './dial/address-manager.ts'
export type { BlackHoleDetection } from './dial/black-hole.ts'
export {
  type DialContext,
  type DialOptions,
  type ForceDirectDial,
  getDialPeerTimeout,
  getForceDirectDial,
  getNoDial,
  getSimultaneousConnect,
  getUseTransient,
  type NoDial,
  type SimultaneousConnect,
  type UseTransient
} from './dial/options.ts'
export { type DialJobOptions, DialQueue } from './dial/queue.ts'
export {
  type DialRanker,
  defaultDialRanker,
  noDelayDialRanker,
  type RankedAddress
} from './dial/ranker.ts'
export type { DialDetail, DialExplanation } from './dial/report.ts'
export { RETRY_DEFAULTS, type RetryConfig } from './dial/retry.ts'
export { DnsResolver, type DnsResolverOptions } from './dns/dns-resolver.ts'
export type { DnsOptions } from './dns/options.ts'
export type { DnsRecords, DnsResolverLike, ResolveOptions } from './dns/records.ts'
export * from './errors.ts'
export type {
  ConnectionGate,
  GateEntry,
  GateExplanation,
  GateOptions
} from './gate/connection-gate.ts'
export type {
  AcceptedConnection,
  ConnectionGater,
  GateAnswer,
  GateStage,
  SecuredConnection,
  UpgradedConnection
} from './gate/gater.ts'
export type { InboundRateLimiter } from './gate/rate-limiter.ts'
export type { RefusedDetail } from './gate/refusals.ts'
export type { AddrLike, HostPort } from './identity/address.ts'
export { generatePrivateKey, type Identity, type KeyTypeName } from './identity/keys.ts'
export type { AllowedNetwork, Network as IpNetwork } from './identity/networks.ts'
export type { PeerLike } from './identity/peer-id.ts'
export type { AddConnectionOptions } from './muxer/added.ts'
export type {
  Multiplexer,
  MuxedConn,
  MuxedStream,
  MuxerInit,
  NamedMultiplexer
} from './muxer/muxed.ts'
export { wrapMuxedStream } from './muxer/wrap.ts'
export { type Yamux, type YamuxOptions, yamux } from './muxer/yamux.ts'
export type { YamuxConn } from './muxer/yamux-conn.ts'
export type { ConnectionCounters, Counters, StreamCounters } from './native/counters.ts'
export type {
  HandledProtocols,
  HandlerContext,
  HandlerOptions,
  StreamHandler
} from './negotiation/handler.ts'
export { Multiselect, type MultiselectMuxerLike } from './negotiation/multiselect.ts'
export { MultiselectClient, type MultiselectClientLike } from './negotiation/multiselect-client.ts'
export {
  MultiselectCommunicator,
  type MultiselectCommunicatorLike
} from './negotiation/multiselect-communicator.ts'
export { isValidHandshake } from './negotiation/multiselect-line.ts'
export type { NegotiationOptions } from './negotiation/negotiation.ts'
export type { ProtocolPredicate } from './negotiation/protocol-name.ts'
export type {
  DatastoreBatch,
  DatastoreEntry,
  DatastoreKey,
  DatastoreLike,
  PeerInfo,
  PeerRecordOptions
} from './peerstore/interfaces.ts'
export type { PeerstoreOptions } from './peerstore/options.ts'
export { Peerstore, type PeerstoreInit, type PeerstoreLike } from './peerstore/peerstore.ts'
export { type IdentifyOptions, type IdentifyResult, identify } from './protocols/identify.ts'
export { type PerfOptions, type PerfProgress, type PerfResult, perf } from './protocols/perf.ts'
export { type PingOptions, ping } from './protocols/ping.ts'
export type { Service, ServiceOptions } from './protocols/services.ts'
export type {
  ConnManagementScope,
  ConnScope,
  LimitDetail,
  PeerScope,
  ProtocolScope,
  ResourceManager,
  ResourceManagerOptions,
  ResourceManagerStat,
  ResourceReport,
  ResourceReportRow,
  ResourceScope,
  ResourceScopeLimiter,
  ResourceScopeSpan,
  ResourceScopeViewer,
  ScopeStat,
  ServiceScope,
  StreamManagementScope,
  StreamScope,
  SwarmResourceManager
} from './resource-manager/interfaces.ts'
export {
  fromGoJSON,
  type GoLimit,
  type GoLimits,
  type GoScopeLimits,
  toGoJSON
} from './resource-manager/json.ts'
export type {
  LimitConfig,
  PlainLimits,
  SubnetLimit,
  SubnetRate
} from './resource-manager/limit-config.ts'
export type { NetworkLimit, ResolvedLimits } from './resource-manager/limits.ts'
export { nullResourceManager, nullScope } from './resource-manager/null.ts'
export { autoLimits, type MachineResources, scaleLimits } from './resource-manager/scale.ts'
export type {
  NamedClass,
  NamedLimits,
  ResolvedScopeLimits,
  ResourceName,
  ScopeClass,
  ScopeLimits,
  ScopeLimitTable
} from './resource-manager/scope-limits.ts'
export type { Framing, MessageBatch, Messages, MessagesOptions } from './stream/messages.ts'
export {
  type AbortOptions,
  type DuplexOptions,
  type ReadOptions,
  type Stats,
  Stream,
  type StreamCloseDetail,
  type StreamEvents,
  type StreamStat
} from './stream.ts'
export type { Dialer, ListenOptions, Network } from './swarm/network.ts'
export {
  globalNoopNotifiee,
  NoopNotifiee,
  type Notifiee,
  type NotifieeEvent,
  NotifyBundle
} from './swarm/notifiee.ts'
export type { ResolvedOptions, SwarmOptions } from './swarm/options.ts'
export {
  type CloseOptions,
  type ConnectednessDetail,
  createSwarm,
  Swarm,
  type SwarmEvents,
  type SwarmMetrics,
  type SwarmStreamOptions
} from './swarm.ts'
export type { PreSharedKey } from './transport/pre-shared-key.ts'
export type { QuicOptions } from './transport/quic-options.ts'
export type {
  Opened,
  Transport,
  TransportConn,
  TransportDialOptions,
  TransportListener
} from './transport/transport.ts'
export type {
  WebSocketCertificate,
  WebSocketOptions,
  WebSocketRequestInfo
} from './transport/websocket-options.ts'
export type { RawConnection } from './upgrade/duplex.ts'
export type { UpgradeInboundOptions, UpgradeOutboundOptions, Upgrader } from './upgrade/options.ts'
