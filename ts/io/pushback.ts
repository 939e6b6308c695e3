/** Reads that can be taken back. */
import { abortable, aborted, isAborted } from '../base/abort.ts'
import { ByteQueue } from '../base/byte-queue.ts'
import type { AbortOptions, Reader } from './interfaces.ts'

/** Asks what is below for up to `n` bytes; empty is its end. It may ignore the signal. */
export type Pull = (n: number, options: AbortOptions) => Promise<Uint8Array>

/** A read under way below, and the signal of the call that began it. */
interface Pulled {
  readonly answer: Promise<Uint8Array>
  readonly signal: AbortSignal | undefined
}

/**
 * A reader in front of another one that takes bytes back and loses none to an aborted read.
 *
 * A reader below that minds the signal withdraws its read; the answer of one that does not is kept for the next
 * call. Reads must not overlap.
 */
export class Pushback implements Reader {
  readonly #pull: Pull
  readonly #held = new ByteQueue()
  #pulled: Pulled | undefined

  constructor(pull: Pull) {
    this.#pull = pull
  }

  async read(n = Number.POSITIVE_INFINITY, options: AbortOptions = {}): Promise<Uint8Array> {
    const { signal } = options
    for (;;) {
      if (this.#held.bytes > 0) return this.#held.take(n)
      if (signal?.aborted === true) throw aborted(signal)
      this.#pulled ??= this.#begin(n, options)
      const pulled = this.#pulled
      let bytes: Uint8Array
      try {
        bytes = await abortable(pulled.answer, signal)
      } catch (err) {
        // What comes of it, if anything does, is the next read's.
        if (isAborted(signal)) throw aborted(signal)
        this.#pulled = undefined
        // A read that was withdrawn before this one began.
        if (pulled.signal?.aborted === true) continue
        throw err
      }
      this.#pulled = undefined
      if (bytes.length === 0) return bytes
      this.#held.push(bytes)
    }
  }

  /** Put bytes in front of everything unread. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#held.unshift([bytes], bytes.length)
  }

  /** Forget what is held. */
  clear(): void {
    this.#held.clear()
  }

  #begin(n: number, options: AbortOptions): Pulled {
    const answer = this.#pull(n, options)
    // An aborted call leaves it behind; the next one looks.
    answer.catch(() => {})
    return { answer, signal: options.signal }
  }
}
