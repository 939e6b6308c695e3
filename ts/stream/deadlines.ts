/**
 * The deadlines of every stream of a swarm: one heap, one timer.
 *
 * Cancelling marks the entry and leaves it in place; it is removed at its time, or when cancelled entries outnumber the
 * others.
 */
import type { Clock } from '../base/clock.ts'

/** One deadline in the heap. */
export interface Deadline {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Undefined once it fired or was cancelled. */
  expire: (() => void) | undefined
}

// Below this many entries, removing cancelled ones is not worth a rebuild.
const SWEEP_MIN = 64

/** A binary heap of deadlines, earliest first. */
export class Deadlines {
  readonly #clock: Clock
  readonly #beforeExpiry: (then: () => void) => void
  #heap: Deadline[] = []
  #cancelled = 0
  #timer: unknown
  #timerAt = Number.POSITIVE_INFINITY

  /** `beforeExpiry` delivers pending events, then calls `then`, which fires a batch of deadlines. */
  constructor(clock: Clock, beforeExpiry: (then: () => void) => void) {
    this.#clock = clock
    this.#beforeExpiry = beforeExpiry
  }

  /** Number of deadlines that have neither fired nor been cancelled. */
  get size(): number {
    return this.#heap.length - this.#cancelled
  }

  /** Returns whether `at` has passed. */
  isPast(at: number): boolean {
    return at <= this.#clock.now()
  }

  /** Calls `expire` once at `at`; never synchronously. */
  add(at: number, expire: () => void): Deadline {
    const deadline: Deadline = { at, expire }
    this.#heap.push(deadline)
    this.#up(this.#heap.length - 1)
    this.#arm()
    return deadline
  }

  /** Cancels a deadline; no-op for one that fired. */
  cancel(deadline: Deadline): void {
    if (deadline.expire === undefined) return
    deadline.expire = undefined
    this.#cancelled += 1
    if (this.#heap.length >= SWEEP_MIN && this.#cancelled * 2 > this.#heap.length) this.#sweep()
    if (this.size === 0) this.clear()
  }

  /** Cancels every deadline. */
  clear(): void {
    for (const deadline of this.#heap) deadline.expire = undefined
    this.#heap = []
    this.#cancelled = 0
    this.#disarm()
  }

  #fire(): void {
    this.#timer = undefined
    // Keeps `#arm` from setting another timer before these have fired.
    this.#timerAt = Number.NEGATIVE_INFINITY
    this.#beforeExpiry(() => this.#expire())
  }

  #expire(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    for (let head = this.#heap[0]; head !== undefined && head.at <= now; head = this.#heap[0]) {
      this.#pop()
      const { expire } = head
      head.expire = undefined
      if (expire === undefined) this.#cancelled -= 1
      else expire()
    }
    this.#arm()
  }

  #arm(): void {
    const head = this.#heap[0]
    if (head === undefined || this.#timerAt <= head.at) return
    this.#disarm()
    this.#timerAt = head.at
    // A timer may fire a millisecond early; it then finds nothing due and is armed again.
    this.#timer = this.#clock.setTimer(() => this.#fire(), Math.max(head.at - this.#clock.now(), 0))
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
  }

  #sweep(): void {
    // A sorted array is a heap.
    this.#heap = this.#heap.filter((deadline) => deadline.expire !== undefined)
    this.#heap.sort((a, b) => a.at - b.at)
    this.#cancelled = 0
  }

  #pop(): void {
    const last = this.#heap.pop()
    if (last === undefined || this.#heap.length === 0) return
    this.#heap[0] = last
    this.#down(0)
  }

  // `from`, here and below, is a valid index of the heap, and so is the parent of an index.
  #up(from: number): void {
    const heap = this.#heap
    const moved = heap[from] as Deadline
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = heap[parent] as Deadline
      if (above.at <= moved.at) break
      heap[index] = above
      index = parent
    }
    heap[index] = moved
  }

  #down(from: number): void {
    const heap = this.#heap
    const moved = heap[from] as Deadline
    let index = from
    for (;;) {
      const child = index * 2 + 1
      const left = heap[child]
      if (left === undefined) break
      const right = heap[child + 1]
      const isRight = right !== undefined && right.at < left.at
      const least = isRight ? right : left
      if (least.at >= moved.at) break
      heap[index] = least
      index = isRight ? child + 1 : child
    }
    heap[index] = moved
  }
}
