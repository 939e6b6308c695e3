/** Waits ended by an `AbortSignal` or a timeout. */
import { AbortError, TimeoutError } from '../errors.ts'
import { type Clock, TIMER_MS_MAX } from './clock.ts'

/** Options of every call that can wait. */
export interface AbortOptions {
  /** Ends the wait with `AbortError`. */
  signal?: AbortSignal | undefined
}

/** Returns the error of a call whose signal was aborted. */
export function aborted(signal: AbortSignal | undefined, bytesAccepted = 0): AbortError {
  return new AbortError({ cause: signal?.reason, bytesAccepted })
}

/** Returns whether the signal is aborted. */
export function isAborted(signal: AbortSignal | undefined): signal is AbortSignal {
  return signal?.aborted === true
}

/** Returns whether `signal` was aborted by a timeout: `AbortSignal.timeout` or a deadline of this package. */
export function isTimeUp(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && signal.reason?.name === 'TimeoutError'
}

/**
 * Calls `then` when `signal` is aborted, or now if it already is: synchronously, or on a timeout after the event loop
 * has polled once, so that earlier I/O is handled first.
 *
 * Returns a function that cancels the call and removes the listener from the signal.
 */
export function onceAborted(signal: AbortSignal | undefined, then: () => void): () => void {
  if (signal === undefined) return () => {}
  let immediate: NodeJS.Immediate | undefined
  const onAbort = (): void => {
    if (isTimeUp(signal)) immediate = setImmediate(then)
    else then()
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return () => {
    signal.removeEventListener('abort', onAbort)
    clearImmediate(immediate)
  }
}

/**
 * Returns `promise`, or a rejection once `signal` is aborted; on a timeout, earlier I/O is handled first. `promise`
 * itself is not cancelled.
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
    // Already aborted: the call has not waited, so there is no earlier I/O to handle first.
    if (signal.aborted) abort()
    else release = onceAborted(signal, abort)
    promise.then(resolve, reject).finally(release)
  })
}

/** A timeout combined with the caller's signal. Keeps the process alive until it is cleared or unreferenced. */
export class TimeLimit {
  /** Aborted with the caller's signal, or with `TimeoutError` when the timeout expires. */
  readonly signal: AbortSignal
  readonly #late = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(ms: number, signal: AbortSignal | undefined) {
    const late = this.#late
    const isLimited = ms !== Number.POSITIVE_INFINITY
    // Combined only if need be: a signal of several costs more than the rest of the call, most of it in collections.
    if (signal === undefined) this.signal = late.signal
    else this.signal = isLimited ? AbortSignal.any([signal, late.signal]) : signal
    const expire = (): void => {
      if (isLimited) late.abort(new TimeoutError())
    }
    this.#timer = setTimeout(expire, Math.min(ms, TIMER_MS_MAX))
  }

  /** Whether the timeout has expired. */
  get isUp(): boolean {
    return this.#late.signal.aborted
  }

  /** Stops keeping the process alive. */
  unref(): void {
    this.#timer.unref()
  }

  /** Cancels the timer: the call has ended. */
  clear(): void {
    clearTimeout(this.#timer)
  }
}

/** Drains pending events before a wait is given up; implemented by the engine. */
export interface DrainHost {
  afterDrain(then: () => void): void
  aborted(signal: AbortSignal | undefined, then: () => void): void
}

const noop = (): void => {}

/**
 * Calls `giveUp` when `signal` is aborted, and after `ms` milliseconds of `clock`; on a timeout, pending events are
 * delivered first. The caller checks for a signal that is already aborted.
 *
 * Returns a function that cancels both.
 */
export function onceGivenUp(
  engine: DrainHost,
  clock: Clock,
  signal: AbortSignal | undefined,
  ms: number | undefined,
  giveUp: (why: 'aborted' | 'late') => void
): () => void {
  if (signal === undefined && ms === undefined) return noop
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
