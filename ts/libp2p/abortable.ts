/** Waits that a signal ends with its reason, as those of js-libp2p do. */
import { onceAborted } from '../base/abort.ts'

/** Returns `promise`, or a rejection with the reason of `signal` once that is aborted. `promise` is not cancelled. */
export function abortable<T>(promise: Promise<T>, signal?: AbortSignal | null): Promise<T> {
  if (signal === undefined || signal === null) return promise
  return new Promise((resolve, reject) => {
    const release = onceAborted(signal, () => reject(signal.reason))
    promise.then(resolve, reject).finally(release)
  })
}
