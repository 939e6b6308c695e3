/** The open streams of a connection. */
import type { StreamCore } from './core.ts'

/**
 * A set of streams that is cheap to change.
 *
 * Not a `Set`: in V8 the hash table that a set has outgrown refers to the next one, so that one of them in the old
 * generation keeps all later ones, and the streams in them, until a major collection.
 */
export class StreamList implements Iterable<StreamCore> {
  /** In no order; each stream knows its place. */
  readonly #streams: StreamCore[] = []

  get size(): number {
    return this.#streams.length
  }

  add(stream: StreamCore): void {
    stream.place = this.#streams.length
    this.#streams.push(stream)
  }

  /** Returns whether it was there. */
  delete(stream: StreamCore): boolean {
    const { place } = stream
    if (this.#streams[place] !== stream) return false
    const last = this.#streams.pop()
    if (last === undefined || last === stream) return true
    this.#streams[place] = last
    last.place = place
    return true
  }

  /** Iterates in no order. No stream may be added or removed meanwhile. */
  [Symbol.iterator](): Iterator<StreamCore> {
    return this.#streams.values()
  }

  /** Returns a copy, the oldest first. */
  inOrder(): StreamCore[] {
    return this.#streams.toSorted((one, other) => one.number - other.number)
  }
}
