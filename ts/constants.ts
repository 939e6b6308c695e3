/**
 * Named numbers: the enumerations of the public surface and every default with its unit and reason.
 */

/** The life of a stream; `stream.state` is one of these numbers. */
export const StreamState = {
  INIT: 1,
  OPEN: 2,
  CLOSE_READ: 3,
  CLOSE_WRITE: 4,
  CLOSE_BOTH: 5,
  RESET: 6,
  ERROR: 7
} as const
export type StreamState = (typeof StreamState)[keyof typeof StreamState]

/** Who opened a connection or a stream. */
export const Direction = { Unknown: 0, Inbound: 1, Outbound: 2 } as const
export type Direction = (typeof Direction)[keyof typeof Direction]

/** What is known about reaching a peer. */
export const Connectedness = {
  NotConnected: 0,
  Connected: 1,
  CanConnect: 2,
  CannotConnect: 3,
  Limited: 4
} as const
export type Connectedness = (typeof Connectedness)[keyof typeof Connectedness]

/** Whether others can dial this node. */
export const Reachability = { Unknown: 0, Public: 1, Private: 2 } as const
export type Reachability = (typeof Reachability)[keyof typeof Reachability]

/** How a NAT maps endpoints. */
export const NATDeviceType = { Unknown: 0, Cone: 1, Symmetric: 2 } as const
export type NATDeviceType = (typeof NATDeviceType)[keyof typeof NATDeviceType]

/** The transport protocol a NAT observation is about. */
export const NATTransportProtocol = { UDP: 0, TCP: 1 } as const
export type NATTransportProtocol = (typeof NATTransportProtocol)[keyof typeof NATTransportProtocol]

/** Codes carried by a stream reset. */
export const StreamErrorCode = {
  NoError: 0,
  ProtocolNegotiationFailed: 0x1001,
  ResourceLimitExceeded: 0x1002,
  RateLimited: 0x1003,
  ProtocolViolation: 0x1004,
  Supplanted: 0x1005,
  GarbageCollected: 0x1006,
  Shutdown: 0x1007,
  Gated: 0x1008,
  CodeOutOfRange: 0x1009
} as const
export type StreamErrorCode = (typeof StreamErrorCode)[keyof typeof StreamErrorCode]

/** Codes carried by a connection's end. They are one less than the stream codes of the same name. */
export const ConnectionErrorCode = {
  NoError: 0,
  ProtocolNegotiationFailed: 0x1000,
  ResourceLimitExceeded: 0x1001,
  RateLimited: 0x1002,
  ProtocolViolation: 0x1003,
  Supplanted: 0x1004,
  GarbageCollected: 0x1005,
  Shutdown: 0x1006,
  Gated: 0x1007,
  CodeOutOfRange: 0x1008
} as const
export type ConnectionErrorCode = (typeof ConnectionErrorCode)[keyof typeof ConnectionErrorCode]

const KINDS = {
  StreamState,
  Direction,
  Connectedness,
  Reachability,
  NATDeviceType,
  NATTransportProtocol,
  StreamErrorCode,
  ConnectionErrorCode
} as const

/** The enumerations that {@link toString} knows. */
export type EnumerationName = keyof typeof KINDS

/** The name of an enumeration's value, `(unrecognized)` for a number outside of it. */
// biome-ignore lint/suspicious/noShadowRestrictedNames: the name is go's, and importers choose their own.
export function toString(kind: EnumerationName, value: number): string {
  for (const [name, number] of Object.entries(KINDS[kind])) {
    if (number === value) return name
  }
  return '(unrecognized)'
}

/** Bytes that `read()` without a size gathers at most; more rejects. 4 MiB is go's MessageSizeMax. */
export const READ_ALL_BYTES_MAX = 4 * 1024 * 1024

/** Milliseconds a dial call may take in all. */
export const DIAL_TIMEOUT_MS = 60_000

/** Milliseconds one address may take: connect, security and muxer. */
export const DIAL_ADDRESS_TIMEOUT_MS = 10_000

/** Milliseconds one address on the local network may take: a host there answers soon or not at all. */
export const DIAL_PRIVATE_ADDRESS_TIMEOUT_MS = 5_000

/** Addresses of one peer dialled at a time. */
export const DIAL_PARALLEL = 8

/** Addresses of one peer dialled in one call; the first ones win. */
export const DIAL_ADDRESSES_MAX = 25

/** Milliseconds a negotiation in TypeScript may take: what a stream of the live table has, and go and py give one. */
export const NEGOTIATION_TIMEOUT_MS = 10_000

/** Milliseconds `close` waits for open streams before it resets them. */
export const DRAIN_TIMEOUT_MS = 10_000

/** Milliseconds after a clean end during which a peer counts as `CanConnect`. */
export const CAN_CONNECT_MS = 10 * 60_000

/** The bounds that the native side enforces. Times are milliseconds, sizes bytes. */
export interface Limits {
  /** Connect to muxer, in all. */
  upgradeTimeoutMs: number
  /** Negotiation of one stream. */
  streamNegotiationTimeoutMs: number
  /** Connections of the swarm, dialled and accepted, those under way included. */
  connectionsMax: number
  /** Inbound connections under upgrade, or not told of yet because the event loop is busy, in all. */
  pendingInboundMax: number
  /** The same from one host: an IPv4 address or an IPv6 /56; eight times as many from an IPv6 /48. Loopback is exempt. */
  pendingInboundPerHostMax: number
  /** Inbound streams of one connection that JavaScript has not taken yet. */
  acceptBacklog: number
  /** Inbound streams of one connection; past it a stream is reset, never the connection. */
  inboundStreamsMax: number
  /** Outbound streams of one connection. */
  outboundStreamsMax: number
  /** What a stream's receive window may grow to; `windowMemoryBytes` usually ends its growth earlier. */
  windowMaxBytes: number
  /** What receive windows of the process may grow by in all; those of one connection by half of `connectionMemoryBytes`. */
  windowMemoryBytes: number
  /** Bytes one connection may hold in all. */
  connectionMemoryBytes: number
  /** Quiet time after which a connection is pinged. */
  keepaliveIntervalMs: number
  /** Silence behind a ping, where its answer does not wait behind data of ours. */
  keepaliveTimeoutMs: number
  /** Time the peer may take none of the bytes that wait for it. */
  writeStallTimeoutMs: number
}

/** The bounds that hold unless `options.limits` says otherwise. */
export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  // js gives up after 10 s and go after 15 s: nobody waits longer for us.
  upgradeTimeoutMs: 10_000,
  streamNegotiationTimeoutMs: 10_000,
  // Some 50 MiB of idle connections.
  connectionsMax: 16_384,
  pendingInboundMax: 256,
  // go allows 8 connections an IPv4 address.
  pendingInboundPerHostMax: 8,
  acceptBacklog: 256,
  // go resets past 1,000.
  inboundStreamsMax: 1_000,
  // rust serves 512 streams a connection and ignores more.
  outboundStreamsMax: 500,
  windowMaxBytes: 1024 * 1024 * 1024,
  windowMemoryBytes: 256 * 1024 * 1024,
  connectionMemoryBytes: 32 * 1024 * 1024,
  keepaliveIntervalMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  writeStallTimeoutMs: 30_000
})

/** A transport, by its part of an address. */
export type TransportName =
  | 'tcp'
  | 'ws'
  | 'quic'
  | 'webtransport'
  | 'webrtc'
  | 'webrtc-direct'
  | 'circuit'
  | 'unix'
  | 'memory'

/** A stage of a connection that comes up: the socket, the security handshake, the agreement on a muxer. */
export type DialStage = 'dial' | 'security' | 'muxer'

/** The id of a security protocol on the wire. */
export type SecurityProtocol = '/noise' | '/tls/1.0.0'

/** The id of a stream muxer on the wire. */
export type MuxerProtocol = '/yamux/1.0.0'

/** A security protocol of this package. */
export type SecurityName = 'tls' | 'noise'

/** A stream muxer of this package. */
export type MuxerName = 'yamux' | 'yamux-crate'
