/** The swarm's interface to its connection management, for the parts that are given the swarm alone. */
import { misuse } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { ResolvedConnectionConfig } from '../connection/config.ts'
import type { Connection } from '../connection.ts'
import type { Log } from '../diagnostics/log.ts'
import type { Swarm } from '../swarm.ts'
import type { PruneDecision } from './prune-decision.ts'
import type { ReconnectFailure } from './reconnect-queue.ts'
import type { TagStore } from './tag-store.ts'

/** What the parts need of a swarm beyond its public calls. */
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
  /** The peers with known addresses, as text. */
  reachable(): readonly string[]
  /** Emits the event `prune`, if it has listeners. */
  pruned(decision: PruneDecision): void
  /** Emits the event `reconnectFailed`, if it has listeners. */
  reconnectFailed(failure: ReconnectFailure): void
  /** Keeps the process alive until `release`, unless the swarm is unreferenced. */
  retain(): void
  release(): void
}

/** A part that follows the connections of a swarm. */
export interface ConnectionObserver {
  /** Called when the swarm has started. */
  start(): void
  /** Called when the swarm begins to close. */
  stop(): void
  /** Called with each new connection, once everyone was notified of it. It must be quick. */
  connected?(connection: Connection): void
  /** Called with each connection that has ended, once everyone was notified of it. It must be quick. */
  disconnected?(connection: Connection): void
}

const HOSTS = new WeakMap<Swarm, ManagerHost>()

/** Registers the interface of a swarm. */
export function provideHost(swarm: Swarm, host: ManagerHost): void {
  HOSTS.set(swarm, host)
}

/** Returns the interface of a swarm. Throws `InvalidParametersError` for anything else. */
export function hostOf(swarm: Swarm): ManagerHost {
  const host = HOSTS.get(swarm)
  if (host === undefined) throw misuse('swarm', 'a Swarm', swarm)
  return host
}
