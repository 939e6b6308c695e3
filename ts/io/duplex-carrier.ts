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

/** What one abortable write hands down at a time, so that an abort can tell how much went through. */
const PIECE_BYTES = 64 * 1024

/**
 * How long a closed duplex waits for the other side's end. Closing a socket while bytes of the peer are unread makes
 * the system reset it, which may cost the peer our last bytes.
 */
const LINGER_MS = 2_000

// What the system says when the other side is gone, and what a write under way is told when the duplex is destroyed.
const GONE = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTCONN',
  'ECANCELED',
  'ERR_STREAM_DESTROYED'
])

/** Reads and writes a Duplex, which is this object's alone from here on. */
export class DuplexCarrier implements ReadWriteCloser, ChunkReader {
  readonly #duplex: Duplex
  readonly #transport: string
  readonly #reads = new SerialQueue()
  readonly #writes = new SerialQueue()
  #remoteAddress: HostPort | undefined
  #closing: Promise<void> | undefined
  #ended = false
  // What was taken from the duplex and not handed out, and what was put back.
  readonly #held = new ByteQueue()
  // Called when there may be something to read, or nothing any more.
  #wake: (() => void) | undefined
  readonly #onEvent = (): void => this.#wake?.()

  constructor(duplex: Duplex, transport: string, remoteAddress: HostPort | undefined) {
    this.#duplex = duplex
    this.#transport = transport
    this.#remoteAddress = remoteAddress
    // The first listener stays for life: an error that nobody listens to ends the process.
    for (const event of ['error', 'readable', 'end', 'close']) duplex.on(event, this.#onEvent)
  }

  get remoteAddress(): HostPort | undefined {
    return this.#remoteAddress
  }

  protected setRemoteAddress(address: HostPort): void {
    this.#remoteAddress = address
  }

  /** True once a read has reported the end. */
  get readableEnded(): boolean {
    return this.#ended
  }

  /**
   * Up to `n` bytes, without `n` what has arrived. Empty at the remote's end, and after our own close.
   *
   * Rejects with `ConnectionClosedError` if the connection was lost, with `AbortError`, and with whatever else the
   * duplex fails with. One read at a time, in call order.
   */
  read(n?: number, options: AbortOptions = {}): Promise<Uint8Array> {
    if (n !== undefined) aSize(n, 'n')
    checkOptions(options, ABORT_OPTIONS)
    if (n === 0) return Promise.resolve(NOTHING)
    return this.#reads.run(() => this.#read(n, options.signal), options.signal)
  }

  /** Put bytes back in front of everything unread. */
  unshift(bytes: Uint8Array): void {
    someBytes(bytes, 'bytes')
    if (bytes.length > 0 && this.#closing === undefined) this.#held.unshift([bytes], bytes.length)
  }

  /**
   * Write; resolves when the duplex has passed everything on. One write at a time, in call order.
   *
   * Rejects with `ConnectionClosedError` after our own close and if the connection was lost, with `AbortError`, whose
   * `bytesAccepted` the remote gets all the same, and with whatever else the duplex fails with.
   */
  write(bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
    someBytes(bytes, 'bytes')
    checkOptions(options, ABORT_OPTIONS)
    return this.#writes.run(() => this.#write(bytes, options.signal), options.signal)
  }

  /**
   * Flush, end both directions, read no more. Idempotent; after a failure it only frees.
   *
   * The signal, or without one a minute, ends the wait for the flush. The duplex is destroyed then with what was not
   * flushed, and the call rejects with `AbortError` or `TimeoutError`.
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
      // All that has arrived; empty-handed it starts the source, or makes an end that is there show.
      const chunk = duplex.read() as Uint8Array | null
      if (chunk !== null) {
        // Plain bytes and no Buffer: what a caller compares with.
        this.#held.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length))
        continue
      }
      if (duplex.readableEnded) return this.#end()
      if (duplex.destroyed) throw this.#failure()
      await this.#somethingToRead(signal)
    }
  }

  #somethingToRead(signal: AbortSignal | undefined): Promise<void> {
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
    if (signal === undefined) return this.#pass(bytes)
    for (let at = 0; at < bytes.length || at === 0; at += PIECE_BYTES) {
      if (signal.aborted) throw aborted(signal, at)
      // A copy: an abort gives the caller its memory back while the duplex still has the piece.
      const piece = bytes.slice(at, at + PIECE_BYTES)
      await abortable(this.#pass(piece), signal, () => at + piece.length)
    }
  }

  #pass(bytes: Uint8Array): Promise<void> {
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
      // What still comes is thrown away, up to the remote's end.
      duplex.once('end', () => {
        if (duplex.writableFinished) duplex.destroy()
      })
      duplex.off('readable', this.#onEvent)
      duplex.resume()
    })
  }

  /** Everything is flushed: the other side has some time for its end. */
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
    // Errors of the system have one.
    const { code } = err as NodeJS.ErrnoException
    if (code === undefined || !GONE.has(code)) return err
    return new ConnectionClosedError(`the connection was lost: ${code}`, {
      cause: err,
      closeReason: code,
      transport: this.#transport
    })
  }

  /** Why the duplex is gone. */
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
