/** Fragments of something whose size is known, in memory that follows what came and not what was announced. */
import { allocate } from '../native/slab.ts'

const NOTHING = new Uint8Array(0)

/** Memory of the second fragment at least: most things that do not come at once are no larger. */
const GATHERED_BYTES_MIN = 4_096

/** Puts fragments together. A single one is given back as it is, without a copy. */
export class Gathering {
  readonly #wanted: number
  #bytes: Uint8Array = NOTHING
  #length = 0

  constructor(wanted: number) {
    this.#wanted = wanted
  }

  /** Bytes that came. */
  get length(): number {
    return this.#length
  }

  /** Bytes that are missing. */
  get missing(): number {
    return this.#wanted - this.#length
  }

  /** What came. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Take the next fragment, of at most {@link Gathering.missing} bytes. */
  push(fragment: Uint8Array): void {
    if (this.#length === 0) {
      this.#bytes = fragment
    } else {
      if (this.#bytes.length < this.#length + fragment.length) this.#grow(fragment.length)
      this.#bytes.set(fragment, this.#length)
    }
    this.#length += fragment.length
  }

  // Twofold, so that each byte is moved about once however small the fragments are.
  #grow(more: number): void {
    const size = Math.max(this.#length + more, 2 * this.#length, GATHERED_BYTES_MIN)
    const grown = allocate(Math.min(size, this.#wanted))
    grown.set(this.bytes)
    this.#bytes = grown
  }
}
