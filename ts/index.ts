/** ferroswarm: a libp2p network stack for Node.js whose data path is Rust. The public list, in reading order. */

export { type Clock, systemClock } from './clock.ts'
export {
  Connection,
  type ConnectionCloseReason,
  type ConnectionEvents,
  type ConnectionSecurity,
  type ConnectionStat,
  type ConnectionStats,
  type DialReport,
  type NewStreamOptions
} from './connection.ts'
export * from './constants.ts'
export { AddressBook } from './dial/address-book.ts'
export type { DialOptions } from './dial/dialer.ts'
export * from './errors.ts'
export { type EventHandler, type EventListenerOptions, TypedEventTarget } from './events.ts'
export type { AddrLike, HostPort } from './identity/address.ts'
export { generatePrivateKey, type Identity, type KeyTypeName } from './identity/keys.ts'
export type { PeerLike } from './identity/peer-id.ts'
export type { Framing, MessageBatch, Messages, MessagesOptions } from './io/messages.ts'
export type { ConnectionCounters, Counters, StreamCounters } from './native/counters.ts'
export {
  globalNoopNotifiee,
  NoopNotifiee,
  type Notifiee,
  type NotifieeEvent,
  NotifyBundle
} from './notifiee.ts'
export type { Logger, MuxerName, ResolvedOptions, SecurityName, SwarmOptions } from './options.ts'
export { Multiselect, type MultiselectMuxerLike } from './protocol/multiselect.ts'
export { MultiselectClient, type MultiselectClientLike } from './protocol/multiselect-client.ts'
export {
  MultiselectCommunicator,
  type MultiselectCommunicatorLike
} from './protocol/multiselect-communicator.ts'
export { isValidHandshake } from './protocol/multiselect-line.ts'
export type { NegotiationOptions } from './protocol/negotiation.ts'
export type { ProtocolPredicate } from './protocol/protocol-name.ts'
export type {
  HandledProtocols,
  HandlerContext,
  HandlerOptions,
  StreamHandler
} from './protocol/registrar.ts'
export { type IdentifyOptions, type IdentifyResult, identify } from './protocols/identify.ts'
export { type PerfOptions, type PerfProgress, type PerfResult, perf } from './protocols/perf.ts'
export { type PingOptions, ping } from './protocols/ping.ts'
export type { Service, ServiceOptions } from './services.ts'
export type { Multiplexer, MuxedConn, MuxedStream } from './stream/muxed.ts'
export { wrapMuxedStream } from './stream/wrap.ts'
export {
  type AbortOptions,
  type DuplexOptions,
  type ReadOptions,
  Stream,
  type StreamCloseDetail,
  type StreamEvents,
  type StreamStat
} from './stream.ts'
export {
  type CloseOptions,
  createSwarm,
  Swarm,
  type SwarmEvents,
  type SwarmStreamOptions
} from './swarm.ts'
