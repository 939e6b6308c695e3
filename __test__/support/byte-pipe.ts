/** Two in-memory carriers that are each other's remote, with fragmentation and failures as a test sets them. */
import { AbortError, IOError, StreamEOFError } from '../../ts/errors.ts'
import type { AbortOptions, HostPort, ReadWriteCloser } from '../../ts/io/interfaces.ts'

/** One end of a {@link bytePipe}. */
export class PipeEnd implements ReadWriteCloser {
  readonly remoteAddress: HostPort | undefined = undefined
  /** Bytes of each write, in order. */
  readonly writes: Uint8Array[] = []
  /** Maximum bytes returned by one read. */
  fragment: number = Number.POSITIVE_INFINITY
  /** Number of writes that succeed before all fail. */
  writesLeft: number = Number.POSITIVE_INFINITY
  /** Number of reads that succeed before all fail. */
  readsLeft: number = Number.POSITIVE_INFINITY
  remote: PipeEnd | undefined
  #inbox: Buffer = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => {}

  /** Received bytes that have not been read. */
  get unread(): string {
    return this.#inbox.toString()
  }

  async read(
    n: number = Number.POSITIVE_INFINITY,
    { signal }: AbortOptions = {}
  ): Promise<Uint8Array> {
    if (this.readsLeft === 0) throw new IOError('the wire is cut')
    this.readsLeft -= 1
    while (this.#inbox.length === 0 && !this.#ended) {
      if (signal?.aborted === true) throw new AbortError({ cause: signal.reason })
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        signal?.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    if (this.#inbox.length === 0) throw new StreamEOFError()
    const taken = this.#inbox.subarray(0, Math.min(n, this.fragment))
    this.#inbox = this.#inbox.subarray(taken.length)
    return taken
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.writesLeft === 0) throw new IOError('the wire is cut')
    this.writesLeft -= 1
    this.writes.push(bytes)
    this.remote?.deliver(bytes)
  }

  async close(): Promise<void> {
    this.remote?.end()
  }

  /** Delivers bytes to this end. */
  deliver(bytes: Uint8Array | string): void {
    this.#inbox = Buffer.concat([this.#inbox, Buffer.from(bytes)])
    this.#wake()
  }

  /** Ends the remote's half. */
  end(): void {
    this.#ended = true
    this.#wake()
  }
}

/** Creates two connected ends. */
export function bytePipe(): [PipeEnd, PipeEnd] {
  const [one, other] = [new PipeEnd(), new PipeEnd()]
  one.remote = other
  other.remote = one
  return [one, other]
}
