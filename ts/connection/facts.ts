/** Types of the public facade of connections: properties and options. */

import type { PeerId, PublicKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import type { MuxerName, MuxerProtocol, SecurityProtocol, TransportName } from '../constants.ts'
import type { AddressAttempt } from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import type { ConnectionCounters } from '../native/counters.ts'
import type { Stats } from '../stream/facts.ts'

/** Any other protocol id, of a connection of `swarm.addConnection`. */
type Other = string & {}

/**
 * The side that opened a connection: `inbound` if the remote did, `outbound` if this side did, `unknown` if
 * `swarm.addConnection` was not told.
 */
export type ConnectionDirection = 'inbound' | 'outbound' | 'unknown'

/** Transport, security protocol and muxer of a connection. */
export interface ConnectionSecurity {
  /** The transport; empty if the address names no known one. */
  readonly transport: TransportName | ''
  /** Protocol id of the security protocol, over QUIC `/tls/1.0.0`; empty if it is not known. */
  readonly security: SecurityProtocol | Other | ''
  /** Protocol id of the muxer; empty over QUIC, which has streams of its own, and if it is not known. */
  readonly muxer: MuxerProtocol | Other | ''
  /** The local engine of the muxer, from the option `muxers`; empty for a muxer of the application, and over QUIC. */
  readonly muxerEngine: MuxerName | ''
  /** Whether the muxer was negotiated inside the security handshake. */
  readonly usedEarlyMuxerNegotiation: boolean
}

/** Immutable properties of a connection, provided by its opener. */
export interface ConnectionFacts {
  /** The authenticated peer, as text. */
  readonly remotePeer: string
  /** The public key of the peer, as a libp2p protobuf; empty if it is not known. */
  readonly remotePublicKey: Uint8Array
  /** Addresses as text, without `/p2p`; `/` if one is not known. */
  readonly remoteAddress: string
  readonly localAddress: string
  readonly direction: ConnectionDirection
  readonly security: ConnectionSecurity
  readonly dialReport: StageTimes
  /** Whether it is limited in time or bytes. */
  readonly limited: boolean
}

/** The argument of `connection.setTransportInfo`. */
export interface TransportInfo {
  /** See {@link Connection.connectionType}. */
  readonly type: 'direct' | 'relayed'
  /** See {@link Connection.getTransportAddresses}. */
  readonly addresses: readonly AddrLike[]
}

/** Options of `newStream`. */
export interface NewStreamOptions extends AbortOptions {
  /** Open the stream although the connection is limited in time or bytes. A string gives the reason. */
  allowLimited?: boolean | string | undefined
  /**
   * Milliseconds the peer may take to select one of several protocols. Defaults to
   * `connections.streamNegotiationTimeout`, which bounds it.
   */
  negotiationTimeout?: number | undefined
  /**
   * Milliseconds to wait for a place if the limit of streams is reached and the swarm lets streams wait, see
   * `swarm.setResourceManager`; then `TimeoutError`. Defaults to 60,000.
   */
  timeout?: number | undefined
}

/** A snapshot of a connection. */
export interface ConnStats extends Stats {
  /** See {@link Connection.direction}. */
  readonly direction: ConnectionDirection
  /** Number of open streams, in both directions. */
  readonly numStreams: number
}

/** Alias of {@link ConnStats}. */
export type ConnectionStat = ConnStats

/** A snapshot of a connection with its counters. */
export interface ConnectionStats extends ConnStats, ConnectionCounters {
  /** Time of the end in milliseconds since the epoch; undefined before it. */
  readonly ended: number | undefined
}

/** The reason for the end of a connection. */
export interface ConnectionCloseReason {
  /** The code on the wire; 0 for an orderly end. See `ConnectionErrorCode`. */
  readonly closeCode: number
  /** Whether the remote ended the connection. */
  readonly remote: boolean
  /** The failure; undefined after an orderly end. */
  readonly error: Error | undefined
  /** The rule by which this swarm closed it, in words, such as that of `connections.maxPerPeer`; empty otherwise. */
  readonly rule: string
}

/** @internal The end of a connection as its opener reports it. */
export type ConnectionEnd = Omit<ConnectionCloseReason, 'rule'>

/** Durations of the stages of connection setup, in milliseconds. */
export interface StageTimes {
  /** Connecting the socket. */
  readonly connect: number
  /** The security handshake. */
  readonly security: number
  /** The muxer negotiation. */
  readonly muxer: number
}

/** How a connection was dialled, besides its own durations. */
export interface Dialled {
  /** The address with the name that the connection's was resolved from, if any. */
  readonly resolvedFrom: string | undefined
  /** The attempts at other addresses, or earlier ones at the same, that failed or were abandoned for this connection. */
  readonly attempts: readonly AddressAttempt[]
}

/** How a connection was made. */
export interface DialReport extends StageTimes, Dialled {}

/** Events of a `Connection`. */
export interface ConnectionEvents {
  /** Emitted exactly once, when the connection and all its streams have ended. */
  close: CustomEvent<ConnectionCloseReason>
}

/** Peers and protocols of a connection, as `ConnSecurity` of go-libp2p. */
export interface ConnSecurity {
  /** The local peer id. */
  readonly localPeer: PeerId
  /** The authenticated remote peer. */
  readonly remotePeer: PeerId
  /** The public key of the remote peer. */
  readonly remotePublicKey: PublicKey
  /** Transport, security protocol and muxer. */
  readonly state: ConnectionSecurity
}

/** Addresses of a connection, as `ConnMultiaddrs` of go-libp2p. */
export interface ConnMultiaddrs {
  /** The local address, without `/p2p`. */
  readonly localAddr: Multiaddr
  /** The remote address, without `/p2p`. */
  readonly remoteAddr: Multiaddr
}

/** Statistics of a connection, as `ConnStat` of go-libp2p. */
export interface ConnStat {
  /** A snapshot of the connection. */
  readonly stat: ConnStats
}
