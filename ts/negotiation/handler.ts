/** Types of handlers of inbound streams, for `swarm.handle`. */
import type { Connection } from '../connection.ts'
import type { Stream } from '../stream.ts'
import type { ProtocolPredicate } from './protocol-name.ts'

/** The third argument of a handler. */
export interface HandlerContext {
  /** {@link Stream.signal}: aborted when the swarm begins to close, which waits for running handlers. */
  readonly signal: AbortSignal
}

/**
 * Handles an inbound stream.
 *
 * A handler that throws or rejects resets only its stream, with the code `ProtocolViolation` unless the error specifies
 * another one (see docs/streams.md). The error goes to the logger or, without one, once to a process warning.
 */
export type StreamHandler = (
  stream: Stream,
  connection: Connection,
  context: HandlerContext
) => void | Promise<void>

/** One protocol, several, or a predicate that selects among protocols without a handler by name. */
export type HandledProtocols = string | readonly string[] | ProtocolPredicate

/** Options of `handle`. */
export interface HandlerOptions {
  /**
   * Maximum inbound streams of this protocol per connection; the protocols of a predicate count together. Defaults to
   * `limits.connection.streamsInbound`.
   */
  maxInbound?: number
  /**
   * Maximum outbound streams of this protocol per connection; beyond it `newStream` rejects with
   * `ResourceLimitExceededError`. Defaults to no limit per protocol. Not allowed for predicates.
   */
  maxOutbound?: number
  /** Whether streams of limited connections are handled too; otherwise they are reset. Defaults to false. */
  runOnLimited?: boolean
  /**
   * Service to which the inbound streams are charged, see docs/resource-manager.md; several protocols may share one.
   * Defaults to none. Not allowed for predicates.
   */
  service?: string
}
