/**
 * Enumerations of the public API, and all defaults with their units and reasons.
 */

/** States of a stream; `stream.state` is one of these numbers. See docs/streams.md. */
export const StreamState = {
  /** Several protocols were proposed and none is negotiated yet. */
  INIT: 1,
  /** Both halves are open. */
  OPEN: 2,
  /** The reading half has ended, and the end was reported. */
  CLOSE_READ: 3,
  /** The writing half was closed locally. */
  CLOSE_WRITE: 4,
  /** Both halves have ended in an orderly way. */
  CLOSE_BOTH: 5,
  /** Reset by either side, or lost with its connection. */
  RESET: 6,
  /** Failed otherwise; see `stream.error`. */
  ERROR: 7
} as const
/** A value of {@link StreamState}. */
export type StreamState = (typeof StreamState)[keyof typeof StreamState]

/**
 * The side that opened a connection or a stream.
 *
 * @enum
 */
export const Direction = { Unknown: 0, Inbound: 1, Outbound: 2 } as const
/** A value of {@link Direction}. */
export type Direction = (typeof Direction)[keyof typeof Direction]

/** Whether a peer is connected, or could be. */
export const Connectedness = {
  /** No connection, and no recent one. */
  NotConnected: 0,
  /** At least one open connection. */
  Connected: 1,
  /** No connection, but one ended in an orderly way within {@link CAN_CONNECT_MS}. */
  CanConnect: 2,
  /** No connection, and an address whose dial has failed is not dialled for a while. */
  CannotConnect: 3,
  /** Only limited connections, such as those through a relay. */
  Limited: 4
} as const
/** A value of {@link Connectedness}. */
export type Connectedness = (typeof Connectedness)[keyof typeof Connectedness]

/**
 * Whether other peers can dial this node.
 *
 * @enum
 */
export const Reachability = { Unknown: 0, Public: 1, Private: 2 } as const
/** A value of {@link Reachability}. */
export type Reachability = (typeof Reachability)[keyof typeof Reachability]

/**
 * Endpoint mapping of a NAT.
 *
 * @enum
 */
export const NATDeviceType = { Unknown: 0, Cone: 1, Symmetric: 2 } as const
/** A value of {@link NATDeviceType}. */
export type NATDeviceType = (typeof NATDeviceType)[keyof typeof NATDeviceType]

/**
 * The transport protocol of a NAT observation.
 *
 * @enum
 */
export const NATTransportProtocol = { UDP: 0, TCP: 1 } as const
/** A value of {@link NATTransportProtocol}. */
export type NATTransportProtocol = (typeof NATTransportProtocol)[keyof typeof NATTransportProtocol]

/**
 * Error codes of stream resets.
 *
 * @enum
 */
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
/** A value of {@link StreamErrorCode}. */
export type StreamErrorCode = (typeof StreamErrorCode)[keyof typeof StreamErrorCode]

/**
 * Error codes of connection closes: one less than the stream codes of the same name.
 *
 * @enum
 */
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
/** A value of {@link ConnectionErrorCode}. */
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

/** The enumerations supported by {@link toString}. */
export type EnumerationName = keyof typeof KINDS

/** Returns the name of an enumeration value; `(unrecognized)` for a number outside the enumeration. */
// biome-ignore lint/suspicious/noShadowRestrictedNames: the name is that of go-libp2p; importers can rename it.
export function toString(kind: EnumerationName, value: number): string {
  for (const [name, number] of Object.entries(KINDS[kind])) {
    if (number === value) return name
  }
  return '(unrecognized)'
}

/** Advisory maximum bytes of a message: MessageSizeMax of go-libp2p. Nothing enforces it. */
export const MESSAGE_SIZE_MAX = 4 * 1024 * 1024

/** Maximum bytes of a `read()` without a size, which rejects beyond it. */
export const READ_ALL_BYTES_MAX = MESSAGE_SIZE_MAX

/** Timeout of a whole dial call, in milliseconds. */
export const DIAL_TIMEOUT_MS = 60_000

/** Alias of {@link DIAL_TIMEOUT_MS}, after DialPeerTimeout of go-libp2p. */
export const DIAL_PEER_TIMEOUT_MS = DIAL_TIMEOUT_MS

/** Timeout of `newStream` while it waits for a place, in milliseconds: that of a dial. */
export const STREAM_WAIT_TIMEOUT_MS = DIAL_TIMEOUT_MS

/** Timeout of one address in milliseconds: connect, security and muxer. */
export const DIAL_ADDRESS_TIMEOUT_MS = 10_000

/** Timeout of one address on the local network, in milliseconds: a host there answers promptly or not at all. */
export const DIAL_PRIVATE_ADDRESS_TIMEOUT_MS = 5_000

/** Time that a connection to a public address has for its upgrade before another address is tried, in milliseconds. */
export const DIAL_UPGRADE_HOLD_MS = 250

/** Maximum addresses of one peer dialled concurrently. */
export const DIAL_PARALLEL = 8

/** Maximum addresses of one name that are considered. */
export const DIAL_RESOLVED_MAX = 100

/** Maximum addresses of one peer dialled in one call; further ones are ignored. */
export const DIAL_ADDRESSES_MAX = 25

/** Timeout of a negotiation in TypeScript, in milliseconds: that of a stream of a swarm, and of go and py. */
export const NEGOTIATION_TIMEOUT_MS = 10_000

/** Milliseconds for which `close` waits for handlers and unsent bytes before it resets open streams. */
export const DRAIN_TIMEOUT_MS = 10_000

/** Milliseconds after an orderly disconnect during which a peer counts as `CanConnect`. */
export const CAN_CONNECT_MS = 10 * 60_000

/**
 * Timeouts and bounds of each connection once it is muxed, in milliseconds and bytes. They are no limits of scopes: time
 * cannot be reserved, and the others bound the state of one protocol. Defaults: {@link DEFAULT_LIMITS}.
 */
export interface Limits {
  /** Inbound streams of one connection not yet accepted by JavaScript. */
  acceptBacklog: number
  /** Maximum receive window of a stream. The memory limits of its scopes usually stop its growth earlier. */
  windowMaxBytes: number
  /** Idle time after which a connection is pinged. */
  keepaliveIntervalMs: number
  /** Silence allowed after a ping, unless its answer is queued behind data from this side. */
  keepaliveTimeoutMs: number
  /** Time for which the peer may accept none of the bytes pending for it. */
  writeStallTimeoutMs: number
}

/** Defaults of {@link Limits}; those of scopes follow from the machine. */
export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  acceptBacklog: 256,
  windowMaxBytes: 1024 * 1024 * 1024,
  keepaliveIntervalMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  writeStallTimeoutMs: 30_000
})

/** A transport, named after its part of an address. */
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

/** A transport of this package, by its name in the option `transports`. */
export type NativeTransportName = Extract<TransportName, 'tcp' | 'quic' | 'ws' | 'unix' | 'memory'>

/** A stage of connection setup: socket connect, cipher of a private network, security handshake, muxer negotiation. */
export type DialStage = 'connect' | 'psk' | 'security' | 'muxer'

/** Protocol id of a security protocol. */
export type SecurityProtocol = '/noise' | '/tls/1.0.0'

/** Protocol id of a stream muxer. */
export type MuxerProtocol = '/yamux/1.0.0'

/** A security protocol implemented by this package. */
export type SecurityName = 'tls' | 'noise'

/** A muxer engine of this package; both implement `/yamux/1.0.0`. */
export type MuxerName = 'yamux' | 'yamux-crate'

/** Priority of a memory reservation that may use 40 % of the limit. See {@link ResourceScope.reserveMemory}. */
export const RESERVATION_PRIORITY_LOW = 101

/** Priority of a memory reservation that may use 60 % of the limit. */
export const RESERVATION_PRIORITY_MEDIUM = 152

/** Priority of a memory reservation that may use 80 % of the limit. */
export const RESERVATION_PRIORITY_HIGH = 203

/** Priority of a memory reservation that may use the whole limit. */
export const RESERVATION_PRIORITY_ALWAYS = 255

/** Milliseconds that an address lives which somebody has named and nobody has reached, as in go. */
export const ADDRESS_TTL_TEMPORARY = 2 * 60_000

/** Milliseconds that an address of a peer lives after its last connection has ended, as in go. */
export const ADDRESS_TTL_RECENTLY_CONNECTED = 15 * 60_000

/** Lifetime of an address of a connected peer: it does not expire, and becomes a recent one when the peer leaves. */
export const ADDRESS_TTL_CONNECTED: number = Number.MAX_SAFE_INTEGER

/** Lifetime of an address that is removed only on request. */
export const ADDRESS_TTL_PERMANENT: number = Number.POSITIVE_INFINITY
