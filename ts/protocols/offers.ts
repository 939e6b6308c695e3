/** Notifications of changes of a swarm's offers: its protocols and listen addresses. */
import type { Swarm } from '../swarm.ts'

const watchers = new WeakMap<Swarm, Set<() => void>>()

/** Calls `watcher` when the protocols or listen addresses have changed, until the returned function is called. */
export function watchOffers(swarm: Swarm, watcher: () => void): () => void {
  const all = watchers.get(swarm) ?? new Set()
  watchers.set(swarm, all)
  all.add(watcher)
  return () => all.delete(watcher)
}

/** Notifies the watchers of `swarm`. */
export function offersChanged(swarm: Swarm): void {
  for (const watcher of watchers.get(swarm) ?? []) watcher()
}
