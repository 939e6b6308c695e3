/** The order in which the pruner closes connections: pure functions over facts. */
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionDirection } from '../connection/facts.ts'
import type { Connection } from '../connection.ts'

/** What the pruner compares of a connection. */
export interface PruneCandidate {
  /** The connection. */
  readonly connection: Connection
  /** Whether its peer has tags from before its first connection only, which this one was not recorded as. */
  readonly temporary: boolean
  /** The sum of the tags of its peer. */
  readonly value: number
  /** The number of its open streams, of both directions. */
  readonly streams: number
  /** Who opened it. */
  readonly direction: ConnectionDirection
  /** Time of its establishment, in milliseconds since the epoch. */
  readonly opened: number
}

/**
 * Replaces the order of the pruner: by a number for each connection, lowest first, or by a comparison of two, as for
 * `Array.prototype.sort`: negative if `one` is closed before `other`. What `score` considers equal is closed in the
 * usual order.
 */
export type PrunePolicy =
  | {
      /** Returns the worth of a connection; the lowest is closed first. */
      score: (candidate: PruneCandidate) => number
    }
  | {
      /** Compares two connections. */
      compare: (one: PruneCandidate, other: PruneCandidate) => number
    }

/** Which of two connections that are equal otherwise is closed first. */
export type PruneTieBreak = 'oldest' | 'newest'

/** What decided between a connection that was closed and the first in the order that was not. */
export type PruneRule =
  | 'temporary'
  | 'value'
  | 'streams'
  | 'direction'
  | 'age'
  | 'policy'
  | 'only candidate'

/** Inbound connections go first: the peer that dialled can do so again. */
function directionRank(direction: ConnectionDirection): number {
  return direction === 'outbound' ? 1 : 0
}

/** The criteria, in the order of their weight. */
const CRITERIA: readonly (readonly [
  PruneRule,
  (one: PruneCandidate, other: PruneCandidate) => number
])[] = [
  ['temporary', (one, other) => Number(other.temporary) - Number(one.temporary)],
  ['value', (one, other) => one.value - other.value],
  ['streams', (one, other) => one.streams - other.streams],
  ['direction', (one, other) => directionRank(one.direction) - directionRank(other.direction)]
]

/** Compares two candidates by the usual order; those that are equal in it by age. */
export function compareCandidates(
  one: PruneCandidate,
  other: PruneCandidate,
  tieBreak: PruneTieBreak
): number {
  // Not a loop over the criteria: a decision over ten thousand connections makes some hundred thousand comparisons.
  if (one.temporary !== other.temporary) return one.temporary ? -1 : 1
  if (one.value !== other.value) return one.value - other.value
  if (one.streams !== other.streams) return one.streams - other.streams
  const direction = directionRank(one.direction) - directionRank(other.direction)
  if (direction !== 0) return direction
  const age = one.opened - other.opened
  return tieBreak === 'oldest' ? age : -age
}

/** Returns the first criterion by which two candidates differ. */
export function ruleBetween(one: PruneCandidate, other: PruneCandidate): PruneRule {
  return CRITERIA.find(([, compare]) => compare(one, other) !== 0)?.[0] ?? 'age'
}

/** Returns the facts of a connection. */
export function candidateOf(
  connection: Connection,
  value: number,
  temporary: boolean
): PruneCandidate {
  const { streams, direction, opened } = connectionFacade.coreOf(connection)
  return { connection, temporary, value, streams: streams.size, direction, opened }
}
