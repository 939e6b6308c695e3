/** Time as this package uses it, so that tests and simulations bring their own. */

/** A source of time. Milliseconds since the epoch, and one-shot timers. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Call `callback` once after `ms`; answers with what {@link Clock.clearTimer} takes. */
  setTimer(callback: () => void, ms: number): unknown
  /** Forget a timer; a timer that ran is no error. */
  clearTimer(timer: unknown): void
}

/** The system's clock. Its timers do not keep the process alive: what waits for them does. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  setTimer: (callback: () => void, ms: number) => {
    // Node fires at once for more than 2^31-1 ms.
    const timer = setTimeout(callback, Math.min(ms, 0x7fffffff))
    timer.unref()
    return timer
  },
  clearTimer: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout)
})
