/** Serializes calls that must not overlap. */
import { aborted, isAborted, onceAborted } from '../base/abort.ts'

/** Runs one task at a time, in call order. Holds nothing but pending calls. */
export class SerialQueue {
  // Undefined while none runs.
  #last: Promise<void> | undefined

  /**
   * Runs `task` once all earlier ones have ended; synchronously if none is pending, so that a subsequent close finds it
   * in progress.
   *
   * If `signal` is aborted while the task is queued, it is never run; a running task must observe the signal itself. A
   * task whose turn comes just as a timeout fires still runs: a result available by then is not a timeout.
   */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (isAborted(signal)) return Promise.reject(aborted(signal))
    if (this.#last === undefined) {
      const result = task()
      this.#follow(result.then(ignore, ignore))
      return result
    }
    const before = this.#last
    return new Promise<T>((resolve, reject) => {
      let isAbandoned = false
      const release = onceAborted(signal, () => {
        isAbandoned = true
        reject(aborted(signal))
      })
      const turn = before.then(async () => {
        release()
        if (isAbandoned) return
        try {
          resolve(await task())
        } catch (err) {
          reject(err)
        }
      })
      this.#follow(turn)
    })
  }

  #follow(turn: Promise<void>): void {
    this.#last = turn
    void turn.then(() => {
      if (this.#last === turn) this.#last = undefined
    })
  }
}

function ignore(): void {}
