/** A clock that moves only when a test advances it. */
import type { Clock } from '../../ts/base/clock.ts'

interface Timer {
  readonly at: number
  readonly callback: () => void
}

export class FakeClock implements Clock {
  #now = 1_000_000
  readonly #timers = new Set<Timer>()

  now(): number {
    return this.#now
  }

  setTimer(callback: () => void, ms: number): unknown {
    const timer = { at: this.#now + ms, callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimer(timer: unknown): void {
    this.#timers.delete(timer as Timer)
  }

  /** Number of pending timers. */
  get timers(): number {
    return this.#timers.size
  }

  /** Advances by `ms` and runs the timers that fall due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.callback()
    }
    this.#now = end
  }

  /** Advances by `ms` at once: timers that fall due run late, as after a machine has slept. */
  jump(ms: number): void {
    this.#now += ms
    this.advance(0)
  }
}
