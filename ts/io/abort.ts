/** Waits that a signal ends. */

import { AbortError } from '../errors.ts'
import { isTimeUp } from '../native/time-up.ts'

/** The error of a call whose signal was aborted. */
export function aborted(signal: AbortSignal, bytesAccepted = 0): AbortError {
  return new AbortError(undefined, { cause: signal.reason, bytesAccepted })
}

/** Whether the signal is aborted by now. */
export function isAborted(signal: AbortSignal | undefined): signal is AbortSignal {
  return signal?.aborted === true
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
    const onAbort = (): void => {
      if (isTimeUp(signal)) setImmediate(abort)
      else abort()
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
