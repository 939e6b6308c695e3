/** What an end in a worker of its own counts; its counters are those of this end alone. */
import type { Counters } from '../../ts/native/counters.ts'
import type { Swarm } from '../../ts/swarm.ts'

/** What one end has seen of the traffic. */
export interface Counted {
  readonly bytes: number
  readonly counts: Counters
}

/** What the worker of an end sends: the listener's address, then each end's counts. */
export type EndMessage = { readonly address: string } | Counted

export function countsSince(swarm: Swarm, before: Counters): Counters {
  const names = Object.keys(before) as (keyof Counters)[]
  const now = swarm.counters()
  return Object.fromEntries(names.map((name) => [name, now[name] - before[name]])) as Counters
}
