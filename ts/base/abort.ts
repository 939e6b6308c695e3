/** Waits that a signal ends. */
import { AbortError } from '../errors.ts'

/** What every call that can wait takes. */
export interface AbortOptions {
  /** Ends the wait with `AbortError`. */
  signal?: AbortSignal | undefined
}

/** The error of a call whose signal was aborted. */
export function aborted(signal: AbortSignal | undefined, bytesAccepted = 0): AbortError {
  return new AbortError(undefined, { cause: signal?.reason, bytesAccepted })
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
    let letGo = (): void => {}
    // Whoever comes with a signal that is aborted already has waited for nothing.
    if (signal.aborted) abort()
    else letGo = onceAborted(signal, abort)
    promise.then(resolve, reject).finally(letGo)
  })
}
