/** Time as this package uses it, so that tests and simulations bring their own. */

/** The longest delay of a Node.js timer in milliseconds, some 25 days; for a longer one it fires at once. */
export const TIMER_MS_MAX = 0x7fffffff

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
    const timer = setTimeout(callback, Math.min(ms, TIMER_MS_MAX))
    timer.unref()
    return timer
  },
  // Made by `setTimer`.
  clearTimer: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout)
})
