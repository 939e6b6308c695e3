/** What this package asks of a multiplexer, its own or the application's: three shapes. */
import type { AbortOptions } from '../base/abort.ts'
import type { ReadWriteCloser } from '../io/interfaces.ts'

/**
 * One stream of a multiplexer. `Stream` is one; `wrapMuxedStream` makes a `Stream` of any other.
 *
 * Errors are told apart by name, so that those of js-libp2p do too: `StreamEOFError`, `StreamClosedError`,
 * `StreamResetError` (with `errorCode` and `remote`), `ConnectionClosedError` and `MuxerClosedError`.
 */
export interface MuxedStream {
  /** Who opened it; `outbound` unless told. */
  readonly direction?: 'inbound' | 'outbound'
  /** Up to `max` bytes, as soon as any are there. Rejects with `StreamEOFError` at the end, or answers empty. */
  read(max?: number, options?: AbortOptions): Promise<Uint8Array>
  /** Resolves when all of `bytes` are accepted; only then is their memory the caller's again. */
  write(bytes: Uint8Array, options?: AbortOptions): Promise<void>
  /** Ends both halves in good order and frees the stream. */
  close(options?: AbortOptions): Promise<void>
  /** Ends the reading half: later data is thrown away and must not block the peer. */
  closeRead(options?: AbortOptions): Promise<void>
  /** Ends the writing half behind what was written. */
  closeWrite(options?: AbortOptions): Promise<void>
  /** Ends both halves at once and frees the stream; rejects calls that wait. */
  reset(code?: number): Promise<void>
  /** Both deadlines: a date, milliseconds since the epoch, or null for none. */
  setDeadline(at: Date | number | null): void
  setReadDeadline(at: Date | number | null): void
  setWriteDeadline(at: Date | number | null): void
}

/** A connection that carries several streams. */
export interface MuxedConn {
  readonly isClosed: boolean
  /** Resolves when its streams have ended and the peer was told. */
  close(options?: AbortOptions): Promise<void>
  /** {@link MuxedConn.close} with a `ConnectionErrorCode` for the peer. */
  closeWithError(code: number): Promise<void>
  openStream(options?: AbortOptions): Promise<MuxedStream>
  /** The next stream of the remote's. Rejects with `MuxerClosedError` once the connection has ended. */
  acceptStream(options?: AbortOptions): Promise<MuxedStream>
}

/** Makes a {@link MuxedConn} of any pipe of bytes. */
export interface Multiplexer {
  /** `isServer`: the other side dialled. */
  newConnection(
    duplex: ReadWriteCloser,
    options: { readonly isServer: boolean }
  ): MuxedConn | Promise<MuxedConn>
}
