/** A `node:stream` Duplex as a reader, writer and closer. */
import type { Duplex } from 'node:stream'
import { abortable, aborted, onceAborted } from '../base/abort.ts'
import { ABORT_OPTIONS, aSize, checkOptions, bytes as someBytes } from '../base/arguments.ts'
import { ByteQueue } from '../base/byte-queue.ts'
import { NOTHING } from '../base/bytes.ts'
import { AbortError, ConnectionClosedError } from '../errors.ts'
import type { HostPort } from '../identity/address.ts'
import { closing } from './closing.ts'
import type { AbortOptions, ChunkReader, ReadWriteCloser } from './interfaces.ts'
import { SerialQueue } from './serial-queue.ts'

/** Bytes of an abortable write passed to the duplex at a time, so that an abort can report how many were accepted. */
const PIECE_BYTES = 64 * 1024

/**
 * Milliseconds for which a closed duplex waits for the remote's end. Closing a socket with unread bytes makes the
 * system reset the connection, which may lose the last bytes sent to the peer.
 */
const LINGER_MS = 2_000

// Codes of system errors for a lost connection, and that of a pending write when the duplex is destroyed.
const CONNECTION_LOST = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTCONN',
  'ECANCELED',
  'ERR_STREAM_DESTROYED'
])

/** Reads and writes a Duplex, which it owns exclusively. */
export class DuplexCarrier implements ReadWriteCloser, ChunkReader {
  readonly #duplex: Duplex
  readonly #transport: string
  readonly #reads = new SerialQueue()
  readonly #writes = new SerialQueue()
  #remoteAddress: HostPort | undefined
  #closing: Promise<void> | undefined
  #ended = false
  // Bytes read from the duplex and not yet returned, and bytes put back.
  readonly #held = new ByteQueue()
  // Called when the duplex may be readable, or has ended.
  #wake: (() => void) | undefined
  readonly #onEvent = (): void => this.#wake?.()

  constructor(duplex: Duplex, transport: string, remoteAddress: HostPort | undefined) {
    this.#duplex = duplex
    this.#transport = transport
    this.#remoteAddress = remoteAddress
    // The `error` listener is never removed: an unhandled `error` event ends the process.
    for (const event of ['error', 'readable', 'end', 'close']) duplex.on(event, this.#onEvent)
  }

  /** The remote host and port, also after the close; undefined if unknown. */
  get remoteAddress(): HostPort | undefined {
    return this.#remoteAddress
  }

  /** Sets {@link DuplexCarrier.remoteAddress}. */
  protected setRemoteAddress(address: HostPort): void {
    this.#remoteAddress = address
  }

  /** True once a read has reported the end. */
  get readableEnded(): boolean {
    return this.#ended
  }

  /**
   * Reads up to `n` bytes; without `n`, all that have arrived. Resolves to an empty array at the remote's end and after
   * a local close. Concurrent reads run one at a time, in call order.
   *
   * Also rejects with any other error of the duplex.
   *
   * @throws {@link ConnectionClosedError} if the connection was lost.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid size or option.
   */
  read(n?: number, options: AbortOptions = {}): Promise<Uint8Array> {
    if (n !== undefined) aSize(n, 'n')
    checkOptions(options, ABORT_OPTIONS)
    if (n === 0) return Promise.resolve(NOTHING)
    return this.#reads.run(() => this.#read(n, options.signal), options.signal)
  }

  /** Puts bytes back in front of all unread ones; drops them after a local close. */
  unshift(bytes: Uint8Array): void {
    someBytes(bytes, 'bytes')
    if (bytes.length > 0 && this.#closing === undefined) this.#held.unshift([bytes], bytes.length)
  }

  /**
   * Writes; resolves when the duplex has flushed all bytes. Concurrent writes run one at a time, in call order.
   *
   * Also rejects with any other error of the duplex.
   *
   * @throws {@link ConnectionClosedError} after a local close, or if the connection was lost.
   * @throws {@link AbortError} by `signal`; the remote still receives `bytesAccepted`.
   * @throws {@link InvalidParametersError} if `bytes` is not a `Uint8Array`, or for an invalid option.
   */
  write(bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
    someBytes(bytes, 'bytes')
    checkOptions(options, ABORT_OPTIONS)
    return this.#writes.run(() => this.#write(bytes, options.signal), options.signal)
  }

  /**
   * Flushes, ends both directions and reads no more. Idempotent; after a failure it only releases resources.
   *
   * If the flush is interrupted by `signal` or takes longer than a minute without one, the duplex is destroyed with the
   * unflushed bytes.
   *
   * @throws {@link AbortError} by `signal`.
   * @throws {@link TimeoutError} after a minute without `signal`.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  close(options: AbortOptions = {}): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    this.#closing ??= this.#close()
    this.#wake?.()
    const flushed = this.#closing
    return closing(options.signal, (signal) => {
      return abortable(flushed, signal).catch((err) => {
        this.#duplex.destroy()
        throw err
      })
    })
  }

  async #read(n = Number.POSITIVE_INFINITY, signal?: AbortSignal): Promise<Uint8Array> {
    const duplex = this.#duplex
    for (;;) {
      if (this.#closing !== undefined) return this.#end()
      if (this.#held.bytes > 0) return this.#held.take(n)
      // All bytes that have arrived. If there are none, it starts the source, or makes a buffered end surface.
      const chunk = duplex.read() as Uint8Array | null
      if (chunk !== null) {
        // A plain `Uint8Array` and not a Buffer, so that deep comparisons with one succeed.
        this.#held.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length))
        continue
      }
      if (duplex.readableEnded) return this.#end()
      if (duplex.destroyed) throw this.#failure()
      await this.#untilReadable(signal)
    }
  }

  #untilReadable(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const release = onceAborted(signal, () => {
        this.#wake = undefined
        reject(aborted(signal))
      })
      this.#wake = () => {
        this.#wake = undefined
        release()
        resolve()
      }
    })
  }

  async #write(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (signal === undefined) return this.#writeOnce(bytes)
    for (let at = 0; at < bytes.length || at === 0; at += PIECE_BYTES) {
      if (signal.aborted) throw aborted(signal, at)
      // A copy: after an abort the caller may reuse its memory while the duplex still holds the piece.
      const piece = bytes.slice(at, at + PIECE_BYTES)
      await abortable(this.#writeOnce(piece), signal, () => at + piece.length)
    }
  }

  #writeOnce(bytes: Uint8Array): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#closedHere())
    if (this.#duplex.destroyed) return Promise.reject(this.#failure())
    if (bytes.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#duplex.write(bytes, (err) => {
        if (err === null || err === undefined) resolve()
        else reject(this.#explain(this.#duplex.errored ?? err))
      })
    })
  }

  async #close(): Promise<void> {
    const duplex = this.#duplex
    this.#held.clear()
    if (duplex.destroyed) return
    await new Promise<void>((resolve) => {
      duplex.once('close', resolve)
      duplex.end(() => {
        resolve()
        if (duplex.readableEnded) duplex.destroy()
        else if (!duplex.destroyed) this.#linger()
      })
      if (duplex.readableEnded) return
      // Later bytes are discarded, up to the remote's end.
      duplex.once('end', () => {
        if (duplex.writableFinished) duplex.destroy()
      })
      duplex.off('readable', this.#onEvent)
      duplex.resume()
    })
  }

  /** Destroys the flushed duplex after {@link LINGER_MS}, unless the remote's end comes first. */
  #linger(): void {
    const timer = setTimeout(() => this.#duplex.destroy(), LINGER_MS)
    timer.unref()
    this.#duplex.once('close', () => clearTimeout(timer))
  }

  #end(): Uint8Array {
    this.#ended = true
    return NOTHING
  }

  #explain(err: Error): Error {
    if (err instanceof AbortError) return err
    // System errors have a code.
    const { code } = err as NodeJS.ErrnoException
    if (code === undefined || !CONNECTION_LOST.has(code)) return err
    return new ConnectionClosedError(`the connection was lost: ${code}`, {
      cause: err,
      closeReason: code,
      transport: this.#transport
    })
  }

  /** Returns the reason for the end of the duplex. */
  #failure(): Error {
    if (this.#duplex.errored !== null) return this.#explain(this.#duplex.errored)
    return new ConnectionClosedError('the connection was closed', { transport: this.#transport })
  }

  #closedHere(): ConnectionClosedError {
    return new ConnectionClosedError('the connection was closed here', {
      transport: this.#transport
    })
  }
}
