/** What a connection tells of itself, and what its calls take: the types of its public facade. */
import type { PeerId, PublicKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import type { MuxerName, MuxerProtocol, SecurityProtocol, TransportName } from '../constants.ts'
import type { ConnectionCounters } from '../native/counters.ts'
import type { Stats } from '../stream/facts.ts'

/** What secures, multiplexes and carries a connection. */
export interface ConnectionSecurity {
  /** Empty where the address names none that is known. */
  readonly transport: TransportName | ''
  /** The protocol id; empty where the transport secures by itself. */
  readonly security: SecurityProtocol | ''
  /** The protocol id. */
  readonly muxer: MuxerProtocol
  /** Our engine of that muxer, of the option `muxers`. */
  readonly muxerEngine: MuxerName
  /** Whether the muxer was agreed on inside the security handshake. */
  readonly usedEarlyMuxerNegotiation: boolean
}

/** The facts that never change, as the opener of a connection gives them. */
export interface ConnectionFacts {
  /** The authenticated peer, as text. */
  readonly remotePeer: string
  /** Its public key, in the protobuf form. */
  readonly remotePublicKey: Uint8Array
  /** Addresses as text, without `/p2p`. */
  readonly remoteAddress: string
  readonly localAddress: string
  readonly direction: 'inbound' | 'outbound'
  readonly security: ConnectionSecurity
  readonly dialReport: DialReport
}

/** Options of `newStream`. */
export interface NewStreamOptions extends AbortOptions {
  /** Milliseconds the peer may take to choose among several protocols; the native limit unless given. */
  negotiationTimeout?: number | undefined
}

/** Facts about a connection, taken at the call. */
export interface ConnStats extends Stats {
  /** Open streams, both directions. */
  readonly numStreams: number
}

/** {@link ConnStats}. */
export type ConnectionStat = ConnStats

/** {@link ConnStats} and {@link ConnectionCounters} in one. */
export interface ConnectionStats extends ConnStats, ConnectionCounters {
  /** When it ended, in milliseconds since the epoch; undefined while it lives. */
  readonly ended: number | undefined
}

/** Why a connection ended. */
export interface ConnectionCloseReason {
  /** The code on the wire, 0 for an orderly end; see `ConnectionErrorCode`. */
  readonly closeCode: number
  /** Whether the remote ended it. */
  readonly remote: boolean
  /** What broke it; undefined after an orderly end. */
  readonly error: Error | undefined
}

/** Milliseconds that each part of setting the connection up took. */
export interface DialReport {
  readonly dial: number
  readonly security: number
  readonly muxer: number
}

/** Events of a {@link Connection}. */
export interface ConnectionEvents {
  /** The connection has ended and so have its streams. Exactly once. */
  close: CustomEvent<ConnectionCloseReason>
}

/** The peers at both ends of a connection, and its protection: a part of go's `Conn`. */
export interface ConnSecurity {
  readonly localPeer: PeerId
  readonly remotePeer: PeerId
  readonly remotePublicKey: PublicKey
  readonly state: ConnectionSecurity
}

/** The addresses of both ends: a part of go's `Conn`. */
export interface ConnMultiaddrs {
  readonly localAddr: Multiaddr
  readonly remoteAddr: Multiaddr
}

/** The facts of a connection: a part of go's `Conn`. */
export interface ConnStat {
  readonly stat: ConnStats
}
