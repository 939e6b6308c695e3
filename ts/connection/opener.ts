/**
 * The interface beneath a connection: opens its streams and closes it. The native implementation is
 * `native-opener.ts`, that over a muxer of the application `muxer/opener.ts`; the core behind `Connection` uses none of
 * their handles.
 */
import type { ConnectionClosedError, Libp2pError, ResourceLimitExceededError } from '../errors.ts'
import type { MuxedConn } from '../muxer/muxed.ts'
import type { ConnectionCounters } from '../native/counters.ts'
import type { Served } from '../native/engine.ts'
import type { StreamCore } from '../stream/core.ts'
import type { StreamOwner } from '../stream/owner.ts'
import type { ConnectionEnd } from './facts.ts'

/** The connection's interface to its opener. */
export interface ConnectionOwner extends StreamOwner {
  /** Returns the number of the next stream, of either direction. */
  nextStream(): number
  /** Called when the remote has opened a stream; `protocol` is the number of its handler in the table. */
  streamOpened(stream: StreamCore, protocol: number): void
  /** Called when a limit has refused an inbound stream. */
  streamRefused(refusal: ResourceLimitExceededError): void
  /** Returns the handler of a protocol that is not in the native table; undefined if there is none. */
  choose(protocol: string): Served | undefined
  /** Called when the remote's GoAway arrives: it accepts no more streams. */
  remoteGoesAway(): void
  /** Called when the connection has ended: the opener's last notification. */
  ended(end: ConnectionEnd): void
  /** Returns the error of a call on a connection that has ended. */
  closedError(): ConnectionClosedError
}

/** Opens the streams of one connection and closes it. */
export interface Opener {
  /** The connection's muxer if it is the application's; undefined for a native one. */
  readonly muxed: MuxedConn | undefined
  /**
   * Sets the owner to notify. Called once, by the owner, before any other method, except that an opener without an
   * owner may be closed unattached.
   */
  attach(owner: ConnectionOwner): void
  /**
   * Opens a stream, raw if there are no protocols. `numbers` are those of the protocols in the native table.
   *
   * A stream in INIT is a pending negotiation, which ends in `onNegotiated` of the stream. Errors are returned, not
   * thrown: the caller rejects with them.
   */
  open(protocols: readonly string[], numbers: Uint32Array): StreamCore | Libp2pError
  /** Closes gracefully: bytes that streams accepted are delivered first. {@link ConnectionOwner.ended} follows. */
  close(code: number): void
  /** Closes at once, even while {@link Opener.close} is delivering. {@link ConnectionOwner.ended} follows. */
  closeAtOnce(code: number): void
  /** Returns the bytes and frames carried so far, or until the end. */
  counters(): ConnectionCounters
  /** Returns the number of the connection's scope; undefined after its end, and if it has none. */
  scope(): number | undefined
  /** Called when a stream has ended or was removed; may be called again. */
  forget(stream: StreamCore): void
  /** Marks the remote as tolerating a FIN before it has answered our proposal: see `docs/streams.md`. */
  allowEarlyFin(): void
}
