/** The strategy `health_based`: the score of py-libp2p, of what the traffic of a connection shows. */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import { StreamResetError, TimeoutError } from '../errors.ts'
import { byLeast } from './order.ts'

const LATENCY_WEIGHT = 0.4
const SUCCESS_WEIGHT = 0.4
const STABILITY_WEIGHT = 0.2

/** The round trip that scores 0, as does an unknown one. */
const ROUND_TRIP_MAX_MS = 1_000

/** Weight of the last stream in the moving average of the successes. */
const SMOOTHING = 0.3

/** Age from which a connection is stable. */
const STABLE_MS = 60 * 60_000

/** Scores connections, and keeps the share of their streams that ended well. */
export class HealthSelection {
  readonly #clock: Clock
  readonly #successes = new WeakMap<Connection, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The highest score first, then the newest. */
  order(connections: readonly Connection[]): readonly Connection[] {
    return byLeast(connections, (connection) => -this.score(connection))
  }

  /** Returns the score of a connection, 0 to 1. Takes one native call. */
  score(connection: Connection): number {
    const roundTripMs = connection.counters()?.roundTripMs ?? ROUND_TRIP_MAX_MS
    const latency = 1 - Math.min(roundTripMs / ROUND_TRIP_MAX_MS, 1)
    const age = this.#clock.now() - connection.stat.opened
    const stability = Math.min(Math.max(age / STABLE_MS, 0), 1)
    return (
      LATENCY_WEIGHT * latency +
      SUCCESS_WEIGHT * this.#successOf(connection) +
      STABILITY_WEIGHT * stability
    )
  }

  /** Counts the end of a stream. */
  streamEnded(connection: Connection, failure: Error | undefined): void {
    const before = this.#successOf(connection)
    this.#successes.set(connection, before + SMOOTHING * ((isFailure(failure) ? 0 : 1) - before))
  }

  #successOf(connection: Connection): number {
    return this.#successes.get(connection) ?? 1
  }
}

/** Returns whether a stream ended by a reset of the remote, or in silence. Refusals of a protocol are answers. */
function isFailure(error: Error | undefined): boolean {
  return (error instanceof StreamResetError && error.remote) || error instanceof TimeoutError
}
