/** The time by which a duplex must have closed. */
import type { Clock } from '../base/clock.ts'

/** A time that can only be brought forward. */
export class CloseLimit {
  readonly #clock: Clock
  readonly #onPassed: () => void
  #at = Number.POSITIVE_INFINITY
  #timer: unknown

  constructor(clock: Clock, onPassed: () => void) {
    this.#clock = clock
    this.#onPassed = onPassed
  }

  /** Sets it to `ms` from now; returns false if it is earlier, or has ended. */
  within(ms: number): boolean {
    const at = this.#clock.now() + ms
    if (at >= this.#at) return false
    this.#at = at
    this.#clock.clearTimer(this.#timer)
    this.#timer = this.#clock.setTimer(this.#onPassed, ms)
    return true
  }

  /** Ends it: the duplex is closed, or destroyed. */
  end(): void {
    this.#at = Number.NEGATIVE_INFINITY
    this.#clock.clearTimer(this.#timer)
  }
}
