/** A queue of bytes held in JavaScript and not yet delivered. */
import { concat, NOTHING } from './bytes.ts'

/** Chunks in order; almost always empty, so the array is allocated on first use. */
export class ByteQueue {
  #chunks: Uint8Array[] | undefined
  #bytes = 0

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes
  }

  push(chunk: Uint8Array): void {
    this.#chunks ??= []
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /** Prepends chunks of `bytes` bytes in total. */
  unshift(chunks: readonly Uint8Array[], bytes: number): void {
    this.#chunks = [...chunks, ...(this.#chunks ?? [])]
    this.#bytes += bytes
  }

  /** Removes and returns the first chunk, or its first `max` bytes; empty if nothing is held. */
  take(max: number): Uint8Array {
    const head = this.#chunks?.[0]
    if (this.#chunks === undefined || head === undefined) return NOTHING
    if (head.length <= max) {
      this.#chunks.shift()
      this.#bytes -= head.length
      return head
    }
    this.#chunks[0] = head.subarray(max)
    this.#bytes -= max
    return head.subarray(0, max)
  }

  /** Removes and returns everything as one array. */
  takeAll(): Uint8Array {
    if (this.#chunks === undefined) return NOTHING
    const bytes = concat(this.#chunks, this.#bytes)
    this.clear()
    return bytes
  }

  clear(): void {
    this.#chunks = undefined
    this.#bytes = 0
  }
}
