/**
 * Moves virtual time: to the next timer or packet, once the process has nothing left to do at the present one.
 *
 * The process has settled when, after a turn of the event loop, no immediate is queued, no native command is in flight,
 * no record has been dispatched and no packet is to be sent. Microtasks need no count, as Node runs them all between two
 * callbacks. What waits for real I/O or for a timer of Node.js is not seen: it is outside the simulation.
 */
import { misuse } from '../base/arguments.ts'
import { StateError, TimeoutError } from '../errors.ts'
import type { Engine } from '../native/engine.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** Turns of the event loop at one point of virtual time: those of a loop that never ends, such as one of immediates. */
const TURNS_MAX = 100_000

/** A call that waits for virtual time to pass. */
interface Goal {
  /** Returns whether it is reached; may throw. */
  isReached(): boolean
  readonly deadline: number
  resolve(): void
  reject(err: unknown): void
}

/** The driver of one simulation. */
export class Driver {
  readonly #clock: VirtualClock
  readonly #engine: Pick<Engine, 'drain' | 'dispatched' | 'commandsInFlight'>
  readonly #sendAll: () => boolean
  readonly #goals = new Set<Goal>()
  #isDriving = false

  /** `sendAll` sends the packets of this point of time; it returns whether there were any. */
  constructor(
    clock: VirtualClock,
    engine: Pick<Engine, 'drain' | 'dispatched' | 'commandsInFlight'>,
    sendAll: () => boolean
  ) {
    this.#clock = clock
    this.#engine = engine
    this.#sendAll = sendAll
  }

  /** Resolves when `ms` milliseconds have passed. */
  advance(ms: number): Promise<void> {
    const deadline = this.#clock.now() + ms
    return this.#reach(() => this.#clock.now() >= deadline, deadline, undefined)
  }

  /** Resolves when `isReached` returns true, which is asked at each point of time; rejects after `ms` milliseconds. */
  until(isReached: () => boolean, ms: number): Promise<void> {
    const asked = (): boolean => {
      const answer: unknown = isReached()
      // A promise would be taken for true.
      if (typeof answer !== 'boolean')
        throw misuse('the result of predicate', 'true or false', answer)
      return answer
    }
    const late = (): Error => new TimeoutError(`not within ${ms} ms of virtual time`)
    return this.#reach(asked, this.#clock.now() + ms, late)
  }

  /** Resolves or rejects as `promise` does, while time passes; rejects after `ms` milliseconds. */
  async outcome<T>(promise: Promise<T>, ms: number): Promise<T> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.until(() => isSettled, ms)
    return promise
  }

  #reach(
    isReached: () => boolean,
    deadline: number,
    late: (() => Error) | undefined
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const goal: Goal = {
        isReached: () => {
          if (isReached()) return true
          if (late !== undefined && this.#clock.now() >= deadline) throw late()
          return false
        },
        deadline,
        resolve,
        reject
      }
      this.#goals.add(goal)
      if (!this.#isDriving) void this.#drive()
    })
  }

  /** Runs until every goal is reached. */
  async #drive(): Promise<void> {
    this.#isDriving = true
    let rounds = 0
    let last = this.#clock.now()
    try {
      for (;;) {
        await this.#settle()
        if (this.#clock.next > this.#clock.now() && this.#reached()) continue
        if (this.#goals.size === 0) return
        const now = Math.min(
          this.#clock.next,
          ...Array.from(this.#goals, ({ deadline }) => deadline)
        )
        rounds = now > last ? 0 : rounds + 1
        if (rounds > TURNS_MAX) throw noProgress('timers of 0 ms')
        last = now
        this.#clock.moveTo(now, rethrow)
      }
    } catch (err) {
      for (const { reject } of this.#goals) reject(err)
      this.#goals.clear()
    } finally {
      this.#isDriving = false
    }
  }

  /** Ends the calls whose goals are reached; returns whether there were any, whose callers run next. */
  #reached(): boolean {
    const { size } = this.#goals
    for (const goal of this.#goals) {
      try {
        if (!goal.isReached()) continue
        goal.resolve()
      } catch (err) {
        goal.reject(err)
      }
      this.#goals.delete(goal)
    }
    return this.#goals.size < size
  }

  /** Resolves when the process has settled. */
  async #settle(): Promise<void> {
    const engine = this.#engine
    for (let turns = 0; turns < TURNS_MAX; ) {
      const { dispatched } = engine
      engine.drain()
      await new Promise((resolve) => setImmediate(resolve))
      // Commands are real work of native threads, which takes the time it takes.
      const isBusy = engine.commandsInFlight > 0
      if (!isBusy) turns += 1
      engine.drain()
      if (isBusy || engine.dispatched !== dispatched || hasImmediates()) continue
      if (!this.#sendAll()) return
    }
    throw noProgress('callbacks of setImmediate')
  }
}

/** Returns whether callbacks of `setImmediate` are queued. */
function hasImmediates(): boolean {
  return process.getActiveResourcesInfo().includes('Immediate')
}

function noProgress(what: string): StateError {
  return new StateError(`virtual time does not pass: there have been ${TURNS_MAX} turns of ${what}`)
}

/** Throws as a timer of Node.js does whose callback throws. */
function rethrow(err: unknown): void {
  process.nextTick(() => {
    throw err
  })
}
