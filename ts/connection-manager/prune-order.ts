/** The order in which the pruner closes connections: pure functions over facts. */
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionDirection } from '../connection/facts.ts'
import type { Connection } from '../connection.ts'

/** What the pruner compares of a connection. */
export interface PruneCandidate {
  /** The connection. */
  readonly connection: Connection
  /** Whether the tag store has no connection of its peer on record. */
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

/**
 * What decided between a connection that was closed and the first in the order that was not: the first criterion by
 * which they differ; `policy` if that of the application decides, `only candidates` if all others were exempt, `few
 * enough` if nothing is closed.
 */
export type PruneRule =
  | 'temporary'
  | 'value'
  | 'streams'
  | 'direction'
  | 'age'
  | 'policy'
  | 'only candidates'
  | 'few enough'

/** Inbound connections go first: the peer that dialled can do so again. */
function rankOf(direction: ConnectionDirection): number {
  return direction === 'outbound' ? 1 : 0
}

/** @internal Returns candidates in the usual order. */
export function sorted(
  candidates: readonly PruneCandidate[],
  tieBreak: PruneTieBreak
): PruneCandidate[] {
  const sign = tieBreak === 'oldest' ? 1 : -1
  return candidates.toSorted((one, other) => {
    if (one.temporary !== other.temporary) return one.temporary ? -1 : 1
    if (one.value !== other.value) return one.value - other.value
    if (one.streams !== other.streams) return one.streams - other.streams
    const direction = rankOf(one.direction) - rankOf(other.direction)
    return direction === 0 ? sign * (one.opened - other.opened) : direction
  })
}

/** @internal Returns the first criterion by which two candidates differ. */
export function ruleBetween(one: PruneCandidate, other: PruneCandidate): PruneRule {
  if (one.temporary !== other.temporary) return 'temporary'
  if (one.value !== other.value) return 'value'
  if (one.streams !== other.streams) return 'streams'
  return rankOf(one.direction) === rankOf(other.direction) ? 'age' : 'direction'
}

/** @internal Returns the facts of a connection. */
export function candidateOf(
  connection: Connection,
  value: number,
  temporary: boolean
): PruneCandidate {
  const { streams, direction, opened } = connectionFacade.coreOf(connection)
  return { connection, temporary, value, streams: streams.size, direction, opened }
}
