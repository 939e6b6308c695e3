/** Interfaces of muxers, those of this package and of applications, and their checks. */
import type { AbortOptions } from '../base/abort.ts'
import { type Check, objectWith } from '../base/arguments.ts'
import type { PeerLike } from '../identity/peer-id.ts'
import type { ReadWriteCloser } from '../io/interfaces.ts'
import type { ResourceScope } from '../resource-manager/interfaces.ts'

/**
 * One stream of a muxer. `Stream` is one; `wrapMuxedStream` converts others to a `Stream`.
 *
 * Errors are identified by name, so that those of js-libp2p are recognized: `StreamEOFError`, `StreamClosedError`,
 * `StreamResetError` (with `errorCode` and `remote`), `ConnectionClosedError` and `MuxerClosedError`.
 */
export interface MuxedStream {
  /** The direction of the stream. Defaults to `outbound`. */
  readonly direction?: 'inbound' | 'outbound'
  /**
   * Reads up to `max` bytes as soon as any are available. The end rejects with `StreamEOFError` or resolves empty.
   *
   * Without `max`, a `Stream` reads everything up to the end: pass it, or read with `readSome`, if any may be given.
   */
  read(max?: number, options?: AbortOptions): Promise<Uint8Array>
  /** Writes; resolves when all `bytes` are accepted. Until then their memory must not change. */
  write(bytes: Uint8Array, options?: AbortOptions): Promise<void>
  /** Closes both halves gracefully and frees the stream. */
  close(options?: AbortOptions): Promise<void>
  /** Closes the reading half: later data is discarded and must not block the peer. */
  closeRead(options?: AbortOptions): Promise<void>
  /** Closes the writing half after the written bytes. */
  closeWrite(options?: AbortOptions): Promise<void>
  /** Ends both halves at once and frees the stream; pending calls reject. */
  reset(code?: number): Promise<void>
  /** Sets both deadlines: a `Date`, milliseconds since the epoch, or null for none. */
  setDeadline(at: Date | number | null): void
  /** Sets the deadline of reads. */
  setReadDeadline(at: Date | number | null): void
  /** Sets the deadline of writes. */
  setWriteDeadline(at: Date | number | null): void
}

/** A connection that carries multiplexed streams. */
export interface MuxedConn {
  /** Whether the connection is closed. */
  readonly isClosed: boolean
  /** The authenticated remote peer, for `swarm.addConnection`. */
  readonly remotePeer?: PeerLike
  /** Closes the connection; resolves when its streams have ended and GoAway is sent. */
  close(options?: AbortOptions): Promise<void>
  /** Closes the connection with a `ConnectionErrorCode` for the peer. */
  closeWithError(code: number): Promise<void>
  /** Opens a stream. */
  openStream(options?: AbortOptions): Promise<MuxedStream>
  /** Resolves to the next inbound stream. Rejects with `MuxerClosedError` once the connection has ended. */
  acceptStream(options?: AbortOptions): Promise<MuxedStream>
}

/** What a muxer is told of the carrier that it is started on. */
export interface MuxerInit {
  /** Whether the remote dialled. */
  readonly isServer: boolean
  /** The scope of the connection, for the buffers of the muxer. */
  readonly scope?: ResourceScope
}

/** A muxer: multiplexes streams over any byte carrier. */
export interface Multiplexer {
  /**
   * Starts the muxer on `duplex`, which it owns from here on: the close of the muxed connection closes it.
   *
   * Reads and writes of a secured duplex may be in progress at the same time, but no two reads.
   */
  newConnection(duplex: ReadWriteCloser, init: MuxerInit): MuxedConn | Promise<MuxedConn>
}

/** A muxer for the option `muxers` of a swarm. */
export interface NamedMultiplexer extends Multiplexer {
  /** The protocol id by which both sides select it, such as `/mplex/6.7.0`. */
  readonly protocol: string
}

/** @internal An object of any class with the methods of a stream, of which deadlines are not used. */
export const aMuxedStream: Check = objectWith(
  'read',
  'write',
  'close',
  'closeRead',
  'closeWrite',
  'reset'
)

/** @internal An object of any class with the methods of a connection. */
export const aMuxedConn: Check = objectWith('openStream', 'acceptStream', 'close', 'closeWithError')

/** @internal An object of any class with the method of a muxer. */
export const aMultiplexer: Check = objectWith('newConnection')
