/** The names among the addresses of one dial, while they are resolved. */
import type { Clock } from '../base/clock.ts'
import type { AddressAttempt } from '../errors.ts'
import { unresolved, unresolvedYet } from './failure.ts'
import { NOTHING, type Prepared } from './planner.ts'

/** The resolution of one name. */
export interface Resolution {
  /** The address that begins with the name. */
  readonly address: string
  /** Resolves to the prepared addresses of the name. */
  readonly run: (signal: AbortSignal) => Promise<Prepared>
}

/** Resolves names, all at once, from {@link Resolutions.start} on. */
export class Resolutions {
  readonly #clock: Clock
  readonly #onResolved: (name: string, prepared: Prepared) => void
  #waiting: Resolution[] = []
  /** Times of their starts, by address. */
  readonly #running = new Map<string, number>()
  #hasStarted = false
  #ending: AbortController | undefined

  /** `onResolved` is called once for each name, unless it is dropped before. */
  constructor(clock: Clock, onResolved: (name: string, prepared: Prepared) => void) {
    this.#clock = clock
    this.#onResolved = onResolved
  }

  /** Number of names that are not resolved yet. */
  get size(): number {
    return this.#waiting.length + this.#running.size
  }

  add(resolution: Resolution): void {
    if (this.#hasStarted) this.#run(resolution)
    else this.#waiting.push(resolution)
  }

  start(): void {
    this.#hasStarted = true
    for (const resolution of this.#waiting.splice(0)) this.#run(resolution)
  }

  /** Abandons all names. */
  drop(): void {
    this.#waiting = []
    this.#running.clear()
    this.#ending?.abort()
  }

  /** Returns an entry for each name that is being resolved, abandoned for the reason `code`. */
  unfinished(code: 'ERR_TIMEOUT' | 'ERR_ABORTED'): AddressAttempt[] {
    const now = this.#clock.now()
    return Array.from(this.#running, ([address, began]) =>
      unresolvedYet(address, now - began, code)
    )
  }

  #run({ address, run }: Resolution): void {
    const began = this.#clock.now()
    this.#running.set(address, began)
    this.#ending ??= new AbortController()
    run(this.#ending.signal).then(
      (prepared) => this.#settle(address, prepared),
      (err: unknown) => {
        const refused = [unresolved(address, this.#clock.now() - began, err)]
        this.#settle(address, { ...NOTHING, refused })
      }
    )
  }

  #settle(address: string, prepared: Prepared): void {
    if (this.#running.delete(address)) this.#onResolved(address, prepared)
  }
}
