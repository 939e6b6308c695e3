/**
 * Interfaces of byte and message carriers, matched structurally.
 *
 * `Stream` and `TcpStream` are {@link ReadWriteCloser}s; `fromDuplex` and `fromWebStreams` adapt other types.
 */
import type { AbortOptions } from '../base/abort.ts'
import type { HostPort } from '../identity/address.ts'

export type { AbortOptions } from '../base/abort.ts'
export type { HostPort } from '../identity/address.ts'

/** State of the connection below a reader, for errors that explain missing bytes. */
export interface ConnState {
  /** `tcp`, `quic`, `ws`, ... */
  readonly transport: string
  /** Time at which the connection was opened, in milliseconds since the epoch. */
  readonly openedAt: number
}

/**
 * A source of bytes, in order.
 *
 * There are two kinds, which differ in `read` without `n` and in the report of their end: {@link StreamReader} and
 * {@link ChunkReader}. `readSome`, `readAll` and `readExactly` behave the same on both.
 */
export interface Reader {
  /** Reads up to `n` bytes as soon as any are available; `read(0)` resolves to an empty array at once. */
  read(n?: number, options?: AbortOptions): Promise<Uint8Array>
  /** True once the end has been reported, on a reader that reports it as an empty array. */
  readonly readableEnded?: boolean
  /** Puts bytes back in front of all unread ones, so that an abandoned call loses none. */
  unshift?(bytes: Uint8Array): void
  /** Returns the state of the connection below, if known. */
  connState?(): ConnState | undefined
}

/**
 * A reader such as `Stream`: `read` without `n` reads everything up to the end, and at the end `read` rejects with
 * `StreamEOFError`.
 */
export interface StreamReader extends Reader {
  /** Puts bytes back in front of all unread ones. */
  unshift(bytes: Uint8Array): void
}

/**
 * A reader such as the adapters of this module: `read` without `n` resolves to the bytes that have arrived, and at the
 * end to an empty array, after which `readableEnded` is true.
 */
export interface ChunkReader extends Reader {
  /** True once the end has been reported. */
  readonly readableEnded: boolean
  /** Puts bytes back in front of all unread ones. */
  unshift(bytes: Uint8Array): void
}

/** A sink of bytes, in order. */
export interface Writer {
  /** Writes; resolves when all bytes are accepted. Concurrent writes never interleave. */
  write(bytes: Uint8Array, options?: AbortOptions): Promise<void>
}

/** A carrier that can be closed. */
export interface Closer {
  /** Closes the carrier. Idempotent. */
  close(options?: AbortOptions): Promise<void>
}

/** A {@link Reader} and {@link Writer}. */
export interface ReadWriter extends Reader, Writer {}

/** A {@link Reader} that can be closed. */
export interface ReadCloser extends Reader, Closer {}

/** A {@link Writer} that can be closed. */
export interface WriteCloser extends Writer, Closer {}

/** A bidirectional byte carrier, such as a connection. */
export interface ReadWriteCloser extends Reader, Writer, Closer {
  /** The remote host and port, also after the close; undefined if there is none. */
  readonly remoteAddress: HostPort | undefined
}

/** A source of whole messages, in order. */
export interface MsgReader {
  /** Reads the next message. */
  readMsg(options?: AbortOptions): Promise<Uint8Array>
}

/** A sink of whole messages, in order. */
export interface MsgWriter {
  /** Writes a message; resolves when it is accepted. */
  writeMsg(message: Uint8Array, options?: AbortOptions): Promise<void>
}

/** A {@link MsgReader} and {@link MsgWriter}. */
export interface MsgReadWriter extends MsgReader, MsgWriter {}

/** A {@link MsgReadWriter} that can be closed. */
export interface MsgReadWriteCloser extends MsgReader, MsgWriter, Closer {}

/** Encrypts and decrypts bytes in memory, synchronously. */
export interface Encrypter {
  /** Returns the ciphertext, in memory of its own. */
  encrypt(bytes: Uint8Array): Uint8Array
  /**
   * Returns the plaintext, in memory of its own.
   *
   * @throws {@link DecryptionFailedError} for bytes that were not encrypted by the remote, or not in this order.
   */
  decrypt(bytes: Uint8Array): Uint8Array
}
