/** Scripted readers and carriers. */
import { StreamEOFError } from '../../ts/errors.ts'
import type { AbortOptions, ReadWriteCloser } from '../../ts/io/interfaces.ts'

/** The way in which a scripted carrier reports its end. */
export type End = 'error' | 'empty' | 'none'

/** A carrier whose reads are scripted: one fragment per read, then its end. */
export class ScriptedCarrier implements ReadWriteCloser {
  readonly remoteAddress = undefined
  /** Written chunks, one per write. */
  readonly written: Uint8Array[] = []
  /** Requested read sizes. */
  readonly requested: number[] = []
  /** Reads and writes in flight, and the maximum of each. */
  readonly atOnce = { reads: 0, writes: 0, readsMax: 0, writesMax: 0 }
  closed = 0
  readonly #fragments: Uint8Array[]
  readonly #end: End
  #waiting: (() => void)[] = []
  #ended = false

  constructor(fragments: readonly Uint8Array[], end: End = 'error') {
    this.#fragments = [...fragments]
    this.#end = end
  }

  get readableEnded(): boolean {
    return this.#ended
  }

  /** Adds fragments to read. */
  deliver(...fragments: readonly Uint8Array[]): void {
    this.#fragments.push(...fragments)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async read(n = Number.POSITIVE_INFINITY, { signal }: AbortOptions = {}): Promise<Uint8Array> {
    this.requested.push(n)
    this.atOnce.reads += 1
    this.atOnce.readsMax = Math.max(this.atOnce.readsMax, this.atOnce.reads)
    try {
      for (;;) {
        signal?.throwIfAborted()
        const fragment = this.#fragments.shift()
        if (fragment !== undefined) {
          if (fragment.length > n) this.#fragments.unshift(fragment.subarray(n))
          return fragment.subarray(0, n)
        }
        if (this.#end === 'error') throw new StreamEOFError()
        if (this.#end === 'empty') {
          this.#ended = true
          return new Uint8Array(0)
        }
        await new Promise<void>((resolve) => {
          this.#waiting.push(resolve)
          signal?.addEventListener('abort', () => resolve(), { once: true })
        })
      }
    } finally {
      this.atOnce.reads -= 1
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.atOnce.writes += 1
    this.atOnce.writesMax = Math.max(this.atOnce.writesMax, this.atOnce.writes)
    await new Promise((resolve) => setImmediate(resolve))
    this.written.push(bytes.slice())
    this.atOnce.writes -= 1
  }

  async close(): Promise<void> {
    this.closed += 1
  }
}

/** Splits `bytes` into pieces of `size`. */
export function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const cut: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += size) cut.push(bytes.subarray(at, at + size))
  return cut
}

/** Encodes text as UTF-8. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Decodes UTF-8. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
