/** Counts of one end, which runs in its own worker so that the counters cover that end alone. */
import type { Counters } from '../../ts/native/counters.ts'
import type { Swarm } from '../../ts/swarm.ts'

/** Traffic counted by one end. */
export interface Counted {
  readonly bytes: number
  readonly counts: Counters
}

/** Message from the worker of an end: the listener's address, then each end's counts. */
export type EndMessage = { readonly address: string } | Counted

export function countsSince(swarm: Swarm, before: Counters): Counters {
  const names = Object.keys(before) as (keyof Counters)[]
  const now = swarm.counters()
  return Object.fromEntries(names.map((name) => [name, now[name] - before[name]])) as Counters
}
