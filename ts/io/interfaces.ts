/**
 * The shapes of things that carry bytes or messages. They are structural: what has the methods is one.
 *
 * `Stream` and `TcpStream` are {@link ReadWriteCloser}s; `fromDuplex` and `fromWebStreams` make one of anything else.
 */
import type { AbortOptions } from '../base/abort.ts'
import type { HostPort } from '../identity/address.ts'

export type { AbortOptions } from '../base/abort.ts'
export type { HostPort } from '../identity/address.ts'

/** What a reader can tell about the connection under it, for errors that say why bytes are missing. */
export interface ConnState {
  /** `tcp`, `quic`, `ws`, ... */
  readonly transport: string
  /** When the connection was made, in milliseconds since the epoch. */
  readonly openedAt: number
}

/**
 * Bytes come from it, in order. What takes any reader takes this.
 *
 * There are two kinds, which differ in what `read` without `n` does and how they tell their end: {@link StreamReader}
 * and {@link ChunkReader}. `readSome`, `readAll` and `readExactly` do the same on both.
 */
export interface Reader {
  /** Up to `n` bytes, as soon as any are there; `read(0)` answers empty without looking. */
  read(n?: number, options?: AbortOptions): Promise<Uint8Array>
  /** True once the end has been reported, on a reader whose end is an empty answer. */
  readonly readableEnded?: boolean
  /** Puts bytes back in front of everything unread, so that a call that gives up loses none. */
  unshift?(bytes: Uint8Array): void
  /** About the connection under it, where that is known. */
  connState?(): ConnState | undefined
}

/**
 * A reader as `Stream` is one: `read` without `n` reads everything to the end, and at the end `read` rejects with
 * `StreamEOFError`.
 */
export interface StreamReader extends Reader {
  unshift(bytes: Uint8Array): void
}

/**
 * A reader as the adapters of this module are: `read` without `n` answers with what has arrived, and at the end with
 * nothing, after which `readableEnded` is true.
 */
export interface ChunkReader extends Reader {
  readonly readableEnded: boolean
  unshift(bytes: Uint8Array): void
}

/** Bytes go into it, in order. */
export interface Writer {
  /** Resolves when every byte is accepted. Concurrent writes never interleave. */
  write(bytes: Uint8Array, options?: AbortOptions): Promise<void>
}

/** Has an end that the caller can bring about. */
export interface Closer {
  /** Idempotent. */
  close(options?: AbortOptions): Promise<void>
}

export interface ReadWriter extends Reader, Writer {}

export interface ReadCloser extends Reader, Closer {}

export interface WriteCloser extends Writer, Closer {}

/** A connection as the layers above see it. */
export interface ReadWriteCloser extends Reader, Writer, Closer {
  /** The host and port at the other end, kept after the close; undefined where there is none. */
  readonly remoteAddress: HostPort | undefined
}

/** Messages come from it, whole and in order. */
export interface MsgReader {
  /** The next message. */
  readMsg(options?: AbortOptions): Promise<Uint8Array>
}

/** Messages go into it, whole and in order. */
export interface MsgWriter {
  /** Resolves when the message is accepted. */
  writeMsg(message: Uint8Array, options?: AbortOptions): Promise<void>
}

export interface MsgReadWriter extends MsgReader, MsgWriter {}

export interface MsgReadWriteCloser extends MsgReader, MsgWriter, Closer {}

/** Seals and opens bytes that are in memory, synchronously. */
export interface Encrypter {
  /** Sealed bytes, in memory of their own. */
  encrypt(bytes: Uint8Array): Uint8Array
  /** The opposite. Throws `DecryptionFailedError` for what was not sealed for us, or not in this order. */
  decrypt(bytes: Uint8Array): Uint8Array
}
