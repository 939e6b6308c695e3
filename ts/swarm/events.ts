/** The events of a swarm. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Connection } from '../connection.ts'
import type { PruneDecision } from '../connection-manager/prune-decision.ts'
import type { ReconnectFailure } from '../connection-manager/reconnect-queue.ts'
import type { Connectedness } from '../constants.ts'
import type { DialDetail } from '../dial/report.ts'
import type { RefusedDetail } from '../gate/refusals.ts'
import type { LimitDetail } from '../resource-manager/interfaces.ts'
import type { Stream } from '../stream.ts'

/** A change of the connectedness of a peer. */
export interface ConnectednessDetail {
  /** The peer. */
  readonly peer: PeerId
  /** `Connected`, `Limited`, `CanConnect` or `NotConnected`. */
  readonly connectedness: Connectedness
  /** The one before. */
  readonly previous: Connectedness
}

/**
 * Events of a `Swarm`, for `addEventListener`; `detail` is the affected object. Their order is that of `Notifiee`.
 *
 * @example
 * ```ts
 * swarm.addEventListener('connected', ({ detail: connection }) => {
 *   console.log('connected:', `${connection.remotePeer}`, connection.direction)
 * })
 * swarm.addEventListener('disconnected', ({ detail: connection }) => {
 *   console.log('disconnected:', `${connection.remotePeer}`, connection.closeReason?.error)
 * })
 * ```
 */
export interface SwarmEvents {
  /** A connection was established. */
  connected: CustomEvent<Connection>
  /** A connection has ended. */
  disconnected: CustomEvent<Connection>
  /**
   * A peer is connected, with its first connection and before `connected`: `Limited` as long as all of them are limited.
   * Or it no longer is, as soon as its last connection is no longer listed: `CanConnect` after an orderly end, and 10
   * minutes later `NotConnected`, which an end by an error is at once. Each change is emitted once, in order. Back-offs,
   * `CannotConnect`, are not.
   */
  connectedness: CustomEvent<ConnectednessDetail>
  /** Either side opened a stream. */
  openedStream: CustomEvent<Stream>
  /** A stream has ended. */
  closedStream: CustomEvent<Stream>
  /** The swarm started to listen on an address. */
  listen: CustomEvent<Multiaddr>
  /** The swarm stopped listening on an address. */
  listenClose: CustomEvent<Multiaddr>
  /** A dial has ended, in success or failure. Calls that share a dial have one event. */
  dial: CustomEvent<DialDetail>
  /** The pruner has decided to close connections, which are closed next. Each has its reason. */
  prune: CustomEvent<PruneDecision>
  /** A peer tagged `keep-alive` was not reached again, and has lost that tag. */
  reconnectFailed: CustomEvent<ReconnectFailure>
  /**
   * A limit has refused a connection or a stream, or a stream was reset for the memory of its connection; in a dry run,
   * would have. For inbound ones at most some per second are reported, see docs/diagnostics.md.
   */
  limit: CustomEvent<LimitDetail>
  /**
   * The gate has refused a connection or a dial, by a list or a hook. For inbound ones at most some per second are
   * reported, see docs/gating.md.
   */
  refused: CustomEvent<RefusedDetail>
  /** `close` was called: no streams or connections are accepted, and handlers have `drainTimeout` ms to return. */
  closing: CustomEvent<{
    /** Milliseconds that handlers have to return. */
    readonly drainTimeout: number
  }>
}
