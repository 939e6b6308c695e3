/** A reader that takes bytes back. */
import { abortable, aborted, isAborted } from '../base/abort.ts'
import { ByteQueue } from '../base/byte-queue.ts'
import type { AbortOptions, Reader } from './interfaces.ts'

/** Reads up to `n` bytes from the underlying reader; an empty array is its end. May ignore the signal. */
export type Pull = (n: number, options: AbortOptions) => Promise<Uint8Array>

/** A pending read of the underlying reader, and the signal of the call that began it. */
interface PendingRead {
  readonly result: Promise<Uint8Array>
  readonly signal: AbortSignal | undefined
}

/**
 * Wraps a reader so that bytes can be put back and an aborted read loses none.
 *
 * If the underlying reader honours the signal, its read is cancelled; otherwise the result is kept for the next call.
 * Reads must not overlap.
 */
export class Pushback implements Reader {
  readonly #pull: Pull
  readonly #held = new ByteQueue()
  #pending: PendingRead | undefined

  constructor(pull: Pull) {
    this.#pull = pull
  }

  async read(n = Number.POSITIVE_INFINITY, options: AbortOptions = {}): Promise<Uint8Array> {
    const { signal } = options
    for (;;) {
      if (this.#held.bytes > 0) return this.#held.take(n)
      if (signal?.aborted === true) throw aborted(signal)
      this.#pending ??= this.#begin(n, options)
      const pending = this.#pending
      let bytes: Uint8Array
      try {
        bytes = await abortable(pending.result, signal)
      } catch (err) {
        // The pending read, and its result, are left to the next call.
        if (isAborted(signal)) throw aborted(signal)
        this.#pending = undefined
        // A read that was cancelled by the signal of an earlier call.
        if (pending.signal?.aborted === true) continue
        throw err
      }
      this.#pending = undefined
      if (bytes.length === 0) return bytes
      this.#held.push(bytes)
    }
  }

  /** Puts bytes back in front of all unread ones. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#held.unshift([bytes], bytes.length)
  }

  /** Drops the held bytes. */
  clear(): void {
    this.#held.clear()
  }

  #begin(n: number, options: AbortOptions): PendingRead {
    const result = this.#pull(n, options)
    // After an aborted call, only the next one handles the rejection.
    result.catch(() => {})
    return { result, signal: options.signal }
  }
}
