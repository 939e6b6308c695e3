/** Bytes that JavaScript holds and nobody was given yet, in order. */
import { concat, NOTHING } from './bytes.ts'

/** Chunks in order; empty for nearly every stream at nearly every time. */
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

  /** Put chunks of `bytes` bytes in all in front. */
  unshift(chunks: readonly Uint8Array[], bytes: number): void {
    this.#chunks = [...chunks, ...(this.#chunks ?? [])]
    this.#bytes += bytes
  }

  /** The first chunk, or its first `max` bytes; empty if nothing is held. */
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

  /** Everything, as one array. */
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
