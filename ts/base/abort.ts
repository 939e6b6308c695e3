/** Waits that a signal ends. */
import { AbortError, TimeoutError } from '../errors.ts'
import { type Clock, TIMER_MS_MAX } from './clock.ts'

/** What every call that can wait takes. */
export interface AbortOptions {
  /** Ends the wait with `AbortError`. */
  signal?: AbortSignal | undefined
}

/** The error of a call whose signal was aborted. */
export function aborted(signal: AbortSignal | undefined, bytesAccepted = 0): AbortError {
  return new AbortError({ cause: signal?.reason, bytesAccepted })
}

/** Whether the signal is aborted by now. */
export function isAborted(signal: AbortSignal | undefined): signal is AbortSignal {
  return signal?.aborted === true
}

/** Whether `signal` is one of `AbortSignal.timeout`, or of a deadline of ours. */
export function isTimeUp(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && signal.reason?.name === 'TimeoutError'
}

/**
 * Call `then` when `signal` is aborted: at once, or where that is a time that is up, when the event loop has looked at
 * what was done before it. A signal that is aborted already counts as aborted now.
 *
 * Returns what takes the call back; it leaves nothing on the signal.
 */
export function onceAborted(signal: AbortSignal | undefined, then: () => void): () => void {
  if (signal === undefined) return () => {}
  let look: NodeJS.Immediate | undefined
  const onAbort = (): void => {
    if (isTimeUp(signal)) look = setImmediate(then)
    else then()
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return () => {
    signal.removeEventListener('abort', onAbort)
    clearImmediate(look)
  }
}

/**
 * `promise`, or a rejection as soon as `signal` is aborted; where that is a time that is up, what was done before it
 * comes first. The promise goes on: its outcome is not lost to others.
 */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  bytesAccepted: () => number = () => 0
): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(aborted(signal, bytesAccepted()))
    let release = (): void => {}
    // Whoever comes with a signal that is aborted already has waited for nothing.
    if (signal.aborted) abort()
    else release = onceAborted(signal, abort)
    promise.then(resolve, reject).finally(release)
  })
}

/** The time that a call has beside its caller's signal. It holds the process until it is cleared, unless it is let go. */
export class TimeLimit {
  /** Aborted with the caller's signal, or with `TimeoutError` when the time is up. */
  readonly signal: AbortSignal
  readonly #late = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(ms: number, signal: AbortSignal | undefined) {
    const late = this.#late
    this.signal = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal])
    this.#timer = setTimeout(() => late.abort(new TimeoutError()), Math.min(ms, TIMER_MS_MAX))
  }

  /** Whether the time is up. */
  get isUp(): boolean {
    return this.#late.signal.aborted
  }

  /** Hold the process no longer. */
  unref(): void {
    this.#timer.unref()
  }

  /** The call is over. */
  clear(): void {
    clearTimeout(this.#timer)
  }
}

/** What has the last word before a wait is given up: the engine, which tells what has happened by then. */
export interface DrainHost {
  afterDrain(then: () => void): void
  aborted(signal: AbortSignal | undefined, then: () => void): void
}

const nothing = (): void => {}

/**
 * Call `giveUp` when `signal` is aborted, and when `ms` of `clock` are over; what has happened by then is told first
 * where it is a matter of time. A signal that is aborted already is the caller's to look at.
 *
 * Returns what takes both back.
 */
export function onceGivenUp(
  engine: DrainHost,
  clock: Clock,
  signal: AbortSignal | undefined,
  ms: number | undefined,
  giveUp: (why: 'aborted' | 'late') => void
): () => void {
  if (signal === undefined && ms === undefined) return nothing
  const timer =
    ms === undefined ? undefined : clock.setTimer(() => engine.afterDrain(() => giveUp('late')), ms)
  if (signal === undefined) return () => clock.clearTimer(timer)
  const onAbort = (): void => engine.aborted(signal, () => giveUp('aborted'))
  signal.addEventListener('abort', onAbort, { once: true })
  return () => {
    if (timer !== undefined) clock.clearTimer(timer)
    signal.removeEventListener('abort', onAbort)
  }
}
