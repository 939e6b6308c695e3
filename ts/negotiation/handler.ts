/** Handlers of inbound streams, as `swarm.handle` takes them. */
import type { Connection } from '../connection.ts'
import type { Stream } from '../stream.ts'
import type { ProtocolPredicate } from './protocol-name.ts'

/** What a handler is given beside the stream. */
export interface HandlerContext {
  /** {@link Stream.signal}: aborted when the swarm begins to close, which waits for handlers that have not returned. */
  readonly signal: AbortSignal
}

/**
 * Takes an inbound stream. One that throws or rejects ends that stream and nothing else: the remote reads
 * `ProtocolViolation` unless the error says more, see docs/streams.md, and the error goes to the logger, or else once
 * to a warning of the process.
 */
export type StreamHandler = (
  stream: Stream,
  connection: Connection,
  context: HandlerContext
) => void | Promise<void>

/** One protocol, several, or those that a predicate chooses among the ones that no name has. */
export type HandledProtocols = string | readonly string[] | ProtocolPredicate

/** Options of `handle`. */
export interface HandlerOptions {
  /**
   * Inbound streams of this protocol on one connection; `limits.inboundStreamsMax` unless given. A predicate's protocols
   * count together.
   */
  maxInbound?: number
  /**
   * Outbound streams of this protocol on one connection, past which `newStream` rejects with
   * `ResourceLimitExceededError`; no bound of its own unless given. Not for predicates.
   */
  maxOutbound?: number
}
