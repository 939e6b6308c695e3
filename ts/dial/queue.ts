/** Dials that are under way, and those that wait for their turn. */
import { aborted, onceAborted } from '../base/abort.ts'
import {
  aFunction,
  aSignal,
  aSize,
  checkOptions,
  integer,
  type OptionChecks
} from '../base/arguments.ts'
import { AbortError, DialQueueFullError } from '../errors.ts'

/** Dials at a time by default; each may try several addresses. */
const RUNNING_MAX = 100

/** Dials that wait by default. Those behind them would time out first. */
const QUEUED_MAX = 500

/** Priority of a dial by default. */
export const DIAL_PRIORITY = 50

/** Options of {@link DialQueue.add}. */
export interface DialJobOptions {
  /** Jobs of a higher priority, 0 to 100, start first, those of one priority in order. Defaults to 50. */
  priority?: number
  /** Ends the wait with `AbortError`; a job that waits is not started. */
  signal?: AbortSignal | undefined
}

const JOB_CHECKS: OptionChecks<DialJobOptions> = { priority: integer(0, 100), signal: aSignal }

interface Entry {
  readonly priority: number
  readonly start: () => void
  readonly abort: (why: AbortError) => void
  /** Set once it has a place. */
  hasStarted?: boolean
}

/** A place in the queue, or among those under way. */
export interface Place {
  leave(): void
}

/** Runs a limited number of jobs at a time, by priority and then in order. */
export class DialQueue {
  readonly #runningMax: number
  readonly #queuedMax: number
  readonly #queued: Entry[] = []
  #running = 0

  /** Creates a queue for `running` jobs at a time, 100 by default, and `queued` that wait, 500 by default. */
  constructor({ running = RUNNING_MAX, queued = QUEUED_MAX } = {}) {
    integer(1)(running, 'running')
    aSize(queued, 'queued')
    this.#runningMax = running
    this.#queuedMax = queued
  }

  /** The number of jobs that wait. */
  get size(): number {
    return this.#queued.length
  }

  /** The number of jobs under way. */
  get pending(): number {
    return this.#running
  }

  /**
   * Runs `job` when its turn comes, and settles as it does.
   *
   * @throws {@link DialQueueFullError} if too many jobs wait.
   * @throws {@link AbortError} by `signal`, or by {@link DialQueue.abort} while the job waits.
   */
  add<T>(job: () => Promise<T>, options: DialJobOptions = {}): Promise<T> {
    aFunction(job, 'the job')
    checkOptions(options, JOB_CHECKS)
    const { priority, signal } = options
    if (signal?.aborted === true) return Promise.reject(aborted(signal))
    return new Promise((resolve, reject) => {
      let hasStarted = false
      const run = (): void => {
        hasStarted = true
        // Not before `place` and `release` are set.
        const result = Promise.resolve().then(job)
        result.then(resolve, reject).finally(() => {
          release()
          place.leave()
        })
      }
      const giveUp = (why: AbortError): void => {
        release()
        reject(why)
      }
      const place = this.enter(run, giveUp, priority)
      const release = onceAborted(signal, () => {
        // A job under way keeps its place until it settles.
        if (!hasStarted) place.leave()
        reject(aborted(signal))
      })
    })
  }

  /** Rejects every job that waits. */
  abort(): void {
    const why = new AbortError('the dials that waited were aborted')
    for (const entry of this.#queued.splice(0)) entry.abort(why)
  }

  /**
   * @internal Calls `start` when there is a place, perhaps at once, or `abort` by {@link DialQueue.abort}. `leave` ends
   * the use of the place, or the wait for it; idempotent.
   *
   * @throws {@link DialQueueFullError} if too many wait, or what `start` throws at once.
   */
  enter(start: () => void, abort: (why: AbortError) => void, priority = DIAL_PRIORITY): Place {
    if (this.#running < this.#runningMax) {
      this.#running += 1
      const place = { leave: once(() => this.#free()) }
      try {
        start()
      } catch (err) {
        place.leave()
        throw err
      }
      return place
    }
    if (this.#queued.length >= this.#queuedMax) {
      throw new DialQueueFullError(`${this.#queuedMax} dials wait for their turn`)
    }
    const entry: Entry = { priority, start, abort }
    // Behind all others of its priority.
    const index = this.#queued.findIndex((other) => other.priority < priority)
    this.#queued.splice(index < 0 ? this.#queued.length : index, 0, entry)
    return {
      leave: once(() => {
        const waiting = this.#queued.indexOf(entry)
        if (waiting >= 0) this.#queued.splice(waiting, 1)
        else if (entry.hasStarted === true) this.#free()
      })
    }
  }

  #free(): void {
    this.#running -= 1
    const next = this.#queued.shift()
    if (next === undefined) return
    next.hasStarted = true
    this.#running += 1
    next.start()
  }
}

function once(then: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    then()
  }
}
