/** Calls that must not overlap, in call order. */
import { aborted, isAborted, onceAborted } from '../base/abort.ts'

/** Runs one task at a time. What waits is what callers wait for; nothing else is held. */
export class SerialQueue {
  // Undefined while none runs.
  #last: Promise<void> | undefined

  /**
   * Run `task` when every earlier one has ended, however it did; at once if there is none, so that a close behind the
   * call finds it under way.
   *
   * The signal ends the wait for the turn, and then `task` is never called; once it runs, it minds the signal itself. A
   * turn that comes as the time is up is still taken: what the task finds done by then is no timeout.
   */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (isAborted(signal)) return Promise.reject(aborted(signal))
    if (this.#last === undefined) {
      const answer = task()
      this.#follow(answer.then(ignore, ignore))
      return answer
    }
    const before = this.#last
    return new Promise<T>((resolve, reject) => {
      let isGivenUp = false
      const release = onceAborted(signal, () => {
        isGivenUp = true
        reject(aborted(signal))
      })
      const turn = before.then(async () => {
        release()
        if (isGivenUp) return
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
