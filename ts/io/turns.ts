/** Calls that must not overlap, in call order. */
import { aborted } from './abort.ts'

/** Runs one task at a time. What waits is what callers wait for; nothing else is held. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  /**
   * Run `task` when every earlier one has ended, however it did.
   *
   * The signal ends the wait for the turn, and then `task` is never called; once it runs, it minds the signal itself.
   */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(aborted(signal))
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => reject(aborted(signal as AbortSignal))
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#last = this.#last.then(async () => {
        signal?.removeEventListener('abort', onAbort)
        if (signal?.aborted === true) return
        try {
          resolve(await task())
        } catch (err) {
          reject(err)
        }
      })
    })
  }
}
