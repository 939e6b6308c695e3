/** The swarm's interface to its connection management, for the parts that are given the swarm alone. */
import { misuse } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { ResolvedConnectionConfig } from '../connection/config.ts'
import type { Log } from '../diagnostics/log.ts'
import type { Swarm } from '../swarm.ts'
import type { PruneDecision } from './prune-decision.ts'
import type { ReconnectFailure } from './reconnect-queue.ts'
import type { TagStore } from './tag-store.ts'

/** @internal What the parts need of a swarm beyond its public calls. */
export interface ManagerHost {
  readonly clock: Clock
  readonly log: Log
  readonly config: ResolvedConnectionConfig
  readonly tags: TagStore
  readonly onFailure: OnFailure
  /** A number in [0, 1). */
  random(): number
  /** Returns whether a peer, by its canonical text, has an open connection. */
  isConnected(peer: string): boolean
  /** The peers with known addresses, as text: not those that were only named for a dial. */
  reachable(): readonly string[]
  /** Emits the event `prune`, if it has listeners. */
  pruned(decision: PruneDecision): void
  /** Emits the event `reconnectFailed`, if it has listeners. */
  reconnectFailed(failure: ReconnectFailure): void
  /** Keeps the process alive until `release`, unless the swarm is unreferenced. */
  retain(): void
  release(): void
}

const HOSTS = new WeakMap<Swarm, ManagerHost>()

/** @internal Registers the interface of a swarm. */
export function provideHost(swarm: Swarm, host: ManagerHost): void {
  HOSTS.set(swarm, host)
}

/** @internal Returns the interface of a swarm. Throws `InvalidParametersError` for anything else. */
export function hostOf(swarm: Swarm): ManagerHost {
  const host = HOSTS.get(swarm)
  if (host === undefined) throw misuse('swarm', 'a Swarm', swarm)
  return host
}
