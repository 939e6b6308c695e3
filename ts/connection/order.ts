/** Orders of connections by a measure. */
import type { Connection } from '../connection.ts'

/** Returns connections, given oldest first, by a measure: the smallest first, and of equal ones the newest. */
export function byLeast(
  connections: readonly Connection[],
  measure: (connection: Connection) => number
): readonly Connection[] {
  return connections
    .map((connection) => ({ connection, value: measure(connection) }))
    .reverse()
    .sort((a, b) => a.value - b.value)
    .map(({ connection }) => connection)
}
