/** Adapter of Web streams. */
import { abortable } from '../base/abort.ts'
import { ABORT_OPTIONS, aSize, checkOptions, bytes as someBytes } from '../base/arguments.ts'
import { NOTHING } from '../base/bytes.ts'
import { ConnectionClosedError } from '../errors.ts'
import type { HostPort } from '../identity/address.ts'
import { closing } from './closing.ts'
import type { AbortOptions, ChunkReader, ReadWriteCloser } from './interfaces.ts'
import { Pushback } from './pushback.ts'
import { SerialQueue } from './serial-queue.ts'

/** Reads and writes two Web streams, which it locks. */
export class WebCarrier implements ReadWriteCloser, ChunkReader {
  readonly remoteAddress: HostPort | undefined
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>
  readonly #pushback: Pushback
  readonly #reads = new SerialQueue()
  readonly #writes = new SerialQueue()
  #closing: Promise<void> | undefined
  #ended = false

  constructor(
    { readable, writable }: ReadableWritablePair<Uint8Array, Uint8Array>,
    remoteAddress: HostPort | undefined
  ) {
    this.remoteAddress = remoteAddress
    this.#reader = readable.getReader()
    this.#writer = writable.getWriter()
    // A Web stream rejects this promise in addition to the failing calls.
    this.#writer.closed.catch(() => {})
    this.#reader.closed.catch(() => {})
    this.#pushback = new Pushback(() => this.#pull())
  }

  get readableEnded(): boolean {
    return this.#ended
  }

  read(n?: number, options: AbortOptions = {}): Promise<Uint8Array> {
    if (n !== undefined) aSize(n, 'n')
    checkOptions(options, ABORT_OPTIONS)
    if (n === 0) return Promise.resolve(NOTHING)
    return this.#reads.run(() => this.#pushback.read(n, options), options.signal)
  }

  unshift(bytes: Uint8Array): void {
    someBytes(bytes, 'bytes')
    this.#pushback.unshift(bytes)
  }

  write(bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
    someBytes(bytes, 'bytes')
    checkOptions(options, ABORT_OPTIONS)
    const { signal } = options
    return this.#writes.run(async () => {
      this.#checkOpen()
      if (bytes.length === 0) return
      await abortable(this.#writer.ready, signal)
      // A local close also ends that wait.
      this.#checkOpen()
      // A copy: a sink may use the chunk until its write resolves, and an abort returns before that.
      const written = this.#writer.write(signal === undefined ? bytes : bytes.slice())
      await abortable(written, signal, () => bytes.length)
    }, signal)
  }

  close(options: AbortOptions = {}): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    this.#closing ??= this.#close()
    const flushed = this.#closing
    return closing(options.signal, (signal) => {
      return abortable(flushed, signal).catch((err) => {
        // A stalled sink is aborted, which discards the chunks it has not taken.
        this.#writer.abort(err).catch(() => {})
        throw err
      })
    })
  }

  #checkOpen(): void {
    if (this.#closing === undefined) return
    throw new ConnectionClosedError('the connection was closed here')
  }

  async #pull(): Promise<Uint8Array> {
    for (;;) {
      const { done, value } = await this.#reader.read()
      if (done) {
        this.#ended = true
        return NOTHING
      }
      if (value.length > 0) return value
    }
  }

  async #close(): Promise<void> {
    this.#pushback.clear()
    // A side that has failed or ended already needs no close.
    await Promise.allSettled([this.#writer.close(), this.#reader.cancel()])
  }
}
