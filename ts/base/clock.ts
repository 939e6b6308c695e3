/** The source of time of this package, replaceable by tests and simulations. */

/** The longest delay of a Node.js timer in milliseconds, about 25 days; a longer one fires at once. */
export const TIMER_MS_MAX = 0x7fffffff

/** A source of time. Milliseconds since the epoch, and one-shot timers. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `callback` once after `ms`; returns the argument of {@link Clock.clearTimer}. */
  setTimer(callback: () => void, ms: number): unknown
  /** Cancels a timer; no-op for one that fired. */
  clearTimer(timer: unknown): void
}

/**
 * Starts to measure a duration by `clock`. The function returned tells the milliseconds since: for the system's clock with
 * fractions, and unaffected by changes of the time of day.
 */
export function stopwatch(clock: Clock): () => number {
  const now = clock === systemClock ? () => performance.now() : () => clock.now()
  const start = now()
  return () => now() - start
}

/** The system's clock. Its timers do not keep the process alive; their owners do. */
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
