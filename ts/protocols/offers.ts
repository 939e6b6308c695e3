/** What a swarm offers to peers, its protocols and its listen addresses, and who hears of a change. */
import type { Swarm } from '../swarm.ts'

const watchers = new WeakMap<Swarm, Set<() => void>>()

/** Call `watcher` when our protocols or listen addresses have changed, until the answer is called. */
export function watchOffers(swarm: Swarm, watcher: () => void): () => void {
  const all = watchers.get(swarm) ?? new Set()
  watchers.set(swarm, all)
  all.add(watcher)
  return () => all.delete(watcher)
}

/** What `swarm` offers is another than before. */
export function offersChanged(swarm: Swarm): void {
  for (const watcher of watchers.get(swarm) ?? []) watcher()
}
