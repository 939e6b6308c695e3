/** Virtual time: a clock that stands still until the simulation moves it, and the queue of what is to happen. */
import { misuse } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'

/** The beginning of every simulation: 2020-01-01T00:00:00Z. One date for all, so that a seed determines everything. */
export const EPOCH_MS = 1_577_836_800_000

/** Cancelled entries from which the queue is compacted, once they are the larger part of it. */
const COMPACTED_FROM = 1_024

/** An entry of the queue. */
interface Entry {
  readonly at: number
  /** Entries of the same time run in the order of their numbers. */
  readonly number: number
  run: (() => void) | undefined
}

/**
 * The virtual clock. Its timers run when the simulation reaches their time, in the order of (time, time of the call).
 *
 * The queue is bounded by what the swarms of the simulation bound: their timers, and their packets in flight.
 */
export class VirtualClock implements Clock {
  #now = EPOCH_MS
  #numbers = 0
  /** A binary heap: each entry is due no later than the two at twice its index, plus one and plus two. */
  #heap: Entry[] = []
  #cancelled = 0

  now(): number {
    return this.#now
  }

  setTimer(callback: () => void, ms: number): unknown {
    return this.at(this.#now + Math.max(ms, 0), callback)
  }

  clearTimer(timer: unknown): void {
    // Made by `setTimer`, or undefined.
    const entry = timer as Entry | undefined
    if (entry?.run === undefined) return
    entry.run = undefined
    this.#cancelled += 1
    if (this.#cancelled >= COMPACTED_FROM && this.#cancelled * 2 > this.#heap.length)
      this.#compact()
  }

  /** Calls `run` at a time, which is not in the past. */
  at(at: number, run: () => void): unknown {
    // Without an order among them the queue would not be one.
    if (Number.isNaN(at)) throw misuse('the time of a timer', 'a number', at)
    this.#numbers += 1
    const entry: Entry = { at, number: this.#numbers, run }
    this.#push(entry)
    return entry
  }

  /** The time of the next entry; Infinity if there is none. */
  get next(): number {
    while (this.#heap[0] !== undefined && this.#heap[0].run === undefined) {
      this.#pop()
      this.#cancelled -= 1
    }
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** Number of entries that are to run. */
  get size(): number {
    return this.#heap.length - this.#cancelled
  }

  /** Moves to a time that is neither in the past nor beyond {@link next}, and runs what is due there. */
  moveTo(time: number, onThrown: (err: unknown) => void): void {
    this.#now = time
    // What these add is for the next round: the process settles in between.
    const last = this.#numbers
    while (this.next <= time && (this.#heap[0]?.number ?? 0) <= last) {
      const entry = this.#pop()
      const run = entry?.run
      // Cleared later on, it must not count as cancelled.
      if (entry !== undefined) entry.run = undefined
      try {
        run?.()
      } catch (err) {
        onThrown(err)
      }
    }
  }

  #compact(): void {
    const entries = this.#heap.filter(({ run }) => run !== undefined)
    // A sorted array is a heap.
    this.#heap = entries.sort((one, other) => (isBefore(one, other) ? -1 : 1))
    this.#cancelled = 0
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(entry)
    while (index > 0) {
      const above = (index - 1) >> 1
      // Within the heap.
      const parent = heap[above] as Entry
      if (!isBefore(entry, parent)) break
      heap[index] = parent
      index = above
    }
    heap[index] = entry
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || last === first) return first
    let index = 0
    for (;;) {
      let below = 2 * index + 1
      const left = heap[below]
      if (left === undefined) break
      const right = heap[below + 1]
      if (right !== undefined && isBefore(right, left)) below += 1
      // One of the two.
      const child = heap[below] as Entry
      if (!isBefore(child, last)) break
      heap[index] = child
      index = below
    }
    heap[index] = last
    return first
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.number < other.number)
}
