/** The repetition of failed attempts of one dial. */
import type { Clock } from '../base/clock.ts'
import { type RetryConfig, retryDelay } from './retry.ts'

interface RepetitionHost {
  readonly clock: Clock
  readonly options: {
    readonly random: () => number
    readonly retry: Readonly<Required<RetryConfig>>
  }
}

/** Waits between attempts at the same address. */
export class Repetition {
  readonly #host: RepetitionHost
  readonly #onDue: () => void
  readonly #timers = new Set<unknown>()
  /** Addresses whose wait is over. */
  readonly #due: string[] = []
  #isOver = false

  /** `onDue` is called when a wait is over. */
  constructor(host: RepetitionHost, onDue: () => void) {
    this.#host = host
    this.#onDue = onDue
  }

  /** Number of addresses to be tried again. */
  get size(): number {
    return this.#timers.size + this.#due.length
  }

  /** Whether a wait is over. */
  get isDue(): boolean {
    return this.#due.length > 0
  }

  /** Tries an address again, unless it has been often enough; `tries` is the number of its attempts so far. */
  add(address: string, tries: number): void {
    const { clock, options } = this.#host
    if (this.#isOver || tries > options.retry.maxRetries) return
    const timer = clock.setTimer(
      () => {
        this.#timers.delete(timer)
        this.#due.push(address)
        this.#onDue()
      },
      retryDelay(options.retry, tries, options.random())
    )
    this.#timers.add(timer)
  }

  /** Returns the next address whose wait is over. */
  next(): string | undefined {
    return this.#due.shift()
  }

  /** Repeats nothing any more. */
  end(): void {
    this.#isOver = true
    if (this.size === 0) return
    for (const timer of this.#timers) this.#host.clock.clearTimer(timer)
    this.#timers.clear()
    this.#due.length = 0
  }
}
