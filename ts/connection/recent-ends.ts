/** Peers whose last connection has ended in an orderly way, for as long as they count as `CanConnect`. */
import type { Clock } from '../base/clock.ts'
import { CAN_CONNECT_MS } from '../constants.ts'

/** Maximum number of peers; the oldest are forgotten first. */
const PEERS_MAX = 1_024

/** Remembers peers for {@link CAN_CONNECT_MS}, and reports when it forgets one by itself. */
export class RecentEnds {
  readonly #clock: Clock
  readonly #onForgotten: (peer: string) => void
  // The oldest end first.
  readonly #endedAt = new Map<string, number>()
  #timer: unknown

  constructor(clock: Clock, onForgotten: (peer: string) => void) {
    this.#clock = clock
    this.#onForgotten = onForgotten
  }

  has(peer: string): boolean {
    return this.#endedAt.has(peer)
  }

  add(peer: string): void {
    this.#endedAt.delete(peer)
    this.#endedAt.set(peer, this.#clock.now())
    if (this.#endedAt.size > PEERS_MAX) this.#forget(this.#oldest()?.[0])
    this.#schedule()
  }

  delete(peer: string): void {
    this.#endedAt.delete(peer)
  }

  /** Forgets every peer without a report. */
  clear(): void {
    this.#endedAt.clear()
    this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  /** Sets the timer, if it is not set, for the time at which the oldest end is to be forgotten. */
  #schedule(): void {
    if (this.#timer !== undefined) return
    const oldest = this.#oldest()
    if (oldest === undefined) return
    const left = oldest[1] + CAN_CONNECT_MS - this.#clock.now()
    this.#timer = this.#clock.setTimer(() => this.#expire(), Math.max(left, 0))
  }

  #expire(): void {
    this.#timer = undefined
    const now = this.#clock.now()
    for (const [peer, endedAt] of this.#endedAt) {
      if (now - endedAt < CAN_CONNECT_MS) break
      this.#forget(peer)
    }
    this.#schedule()
  }

  #oldest(): [string, number] | undefined {
    const [oldest] = this.#endedAt
    return oldest
  }

  #forget(peer: string | undefined): void {
    if (peer === undefined) return
    this.#endedAt.delete(peer)
    this.#onForgotten(peer)
  }
}
