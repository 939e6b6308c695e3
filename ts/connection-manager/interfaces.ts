/** What a swarm asks of the parts that manage its connections: those of this package, or of the application. */
import type { Connection } from '../connection.ts'
import type { PeerLike } from '../identity/peer-id.ts'
import type { Swarm } from '../swarm.ts'
import type { PruneDecision } from './prune-decision.ts'
import type { ConnectionManagerInfo, TrimOptions } from './pruner.ts'

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

/** Closes connections of a swarm that are too many: {@link ConnectionPruner}, or one of the application. */
export interface ConnectionPrunerLike extends ConnectionObserver {
  /** Closes connections if there are too many; resolves to their number. */
  maybePrune(): Promise<number>
  /** Closes connections down to the low mark now; resolves to their number. */
  trim(options?: TrimOptions): Promise<number>
  /** Returns the marks and the number of connections. */
  info(): ConnectionManagerInfo
  /** Returns which connections would be closed, in order, and why. */
  explain(): PruneDecision
}

/** Dials peers when connections are missing: {@link AutoConnector}, or one of the application. */
export interface AutoConnectorLike extends ConnectionObserver {
  /** Dials peers now, if connections are missing; resolves to the number of connections made. */
  maybeConnect(): Promise<number>
  /** Records a failed dial. */
  recordFailedConnection(peer: PeerLike): void
  /** Records a successful dial. */
  recordSuccessfulConnection(peer: PeerLike): void
  /** Forgets the failures of a peer. */
  clearCooldown(peer: PeerLike): void
  /** Forgets those of all peers. */
  clearAllCooldowns(): void
}

/** Makes connections to peers with a tag `keep-alive` again: {@link ReconnectQueue}, or one of the application. */
export interface ReconnectQueueLike extends ConnectionObserver {
  /** The number of peers that are being reconnected. */
  readonly pending: number
}

/** The parts of the application that manage the connections of a swarm, each made by a function of the swarm. */
export interface ManagerParts {
  /** Closes connections that are too many. Defaults to `new ConnectionPruner(swarm)`. */
  connectionPruner?: ((swarm: Swarm) => ConnectionPrunerLike) | undefined
  /** Dials peers when connections are missing. Defaults to `new AutoConnector(swarm)`. */
  autoConnector?: ((swarm: Swarm) => AutoConnectorLike) | undefined
  /** Makes connections to peers tagged `keep-alive` again. Defaults to `new ReconnectQueue(swarm)`. */
  reconnectQueue?: ((swarm: Swarm) => ReconnectQueueLike) | undefined
}
