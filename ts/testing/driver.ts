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

/** The engine, as the driver sees it. */
type DriverEngine = Pick<
  Engine,
  'drain' | 'dispatched' | 'hasCommands' | 'holdCompletions' | 'releaseCompletions' | 'renewBudget'
>

/** A call that waits for virtual time to pass. */
interface Goal {
  /** Returns whether it is reached; may throw. */
  isReached(): boolean
  readonly deadline: number
  resolve(): void
  reject(err: unknown): void
}

/**
 * Whose turn it is, of the networks of this thread: one point of time each, as what one of them does would keep the others
 * from settling, and come between the steps of what they do.
 */
class Turns {
  #isTaken = false
  readonly #waiting: (() => void)[] = []

  /** Whether another one waits. */
  get isWanted(): boolean {
    return this.#waiting.length > 0
  }

  async take(): Promise<void> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#isTaken = true
  }

  pass(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#isTaken = false
    else next()
  }
}

const turns = new Turns()

/** The driver of one simulation. */
export class Driver {
  readonly #clock: VirtualClock
  readonly #engine: DriverEngine
  readonly #sendAll: () => boolean
  readonly #goals = new Set<Goal>()
  #isDriving = false
  // Of timers at this point of time.
  #rounds = 0

  /** `sendAll` sends the packets of this point of time; it returns whether there were any. */
  constructor(clock: VirtualClock, engine: DriverEngine, sendAll: () => boolean) {
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
    await turns.take()
    try {
      await this.#settle()
      while (this.#goals.size > 0) {
        // Settled, and only then: the others must not see this one at work.
        if (turns.isWanted) {
          turns.pass()
          await turns.take()
        }
        this.#move()
        await this.#settle()
      }
    } catch (err) {
      for (const { reject } of this.#goals) reject(err)
      this.#goals.clear()
    } finally {
      this.#engine.releaseCompletions()
      turns.pass()
      this.#isDriving = false
    }
  }

  /** Moves to the next point of time. */
  #move(): void {
    const clock = this.#clock
    let { next } = clock
    for (const { deadline } of this.#goals) next = Math.min(next, deadline)
    this.#rounds = next > clock.now() ? 0 : this.#rounds + 1
    if (this.#rounds > TURNS_MAX) {
      this.#rounds = 0
      throw noProgress('timers of 0 ms')
    }
    // What is read in one turn must not depend on what the process has read before.
    this.#engine.renewBudget()
    clock.moveTo(next, rethrow)
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
      engine.holdCompletions()
      const { dispatched } = engine
      engine.drain()
      await new Promise((resolve) => setImmediate(resolve))
      // Commands are real work of native threads, which takes the time it takes.
      const isBusy = engine.hasCommands
      if (!isBusy) turns += 1
      engine.drain()
      if (isBusy || engine.dispatched !== dispatched || hasImmediates()) continue
      // Those who wait for a command go on once everything else has settled, in the order of the commands.
      const hasEnded = engine.releaseCompletions()
      if (this.#sendAll() || hasEnded) continue
      // More is due at this point of time; else those whose call has ended go on.
      if (this.#clock.next <= this.#clock.now() || !this.#reached()) return
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
