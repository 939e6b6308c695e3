/**
 * The seam under a connection: the opener of its streams, which also ends it. Ours is native, see `native-opener.ts`;
 * the core behind `Connection` knows no handle of it.
 */
import type { ConnectionClosedError, Libp2pError } from '../errors.ts'
import type { ConnectionCounters } from '../native/counters.ts'
import type { Served } from '../native/engine.ts'
import type { StreamCore } from '../stream/core.ts'
import type { StreamOwner } from '../stream/owner.ts'
import type { ConnectionCloseReason } from './facts.ts'

/** The connection, as its opener sees it. */
export interface ConnectionOwner extends StreamOwner {
  /** Number of the next stream, of either direction. */
  nextStream(): number
  /** The remote has opened a stream; `protocol` is the number of its handler in the table. */
  streamOpened(stream: StreamCore, protocol: number): void
  /** The handler of a protocol that is not in the native table; undefined for none. */
  choose(protocol: string): Served | undefined
  /** The remote has sent its GoAway: it takes no more streams. */
  remoteGoesAway(): void
  /** The connection has ended. The last notification of an opener. */
  ended(reason: ConnectionCloseReason): void
  /** The error of a call on the connection once it has ended. */
  closedError(): ConnectionClosedError
}

/** Opens the streams of one connection, and ends it. */
export interface Opener {
  /**
   * Notify `owner` from here on. Called once, by the owner, before any other method; one that nobody owns is closed
   * without.
   */
  attach(owner: ConnectionOwner): void
  /**
   * Open a stream; no protocols: a raw one. `numbers` are those of the protocols in the native table.
   *
   * A stream in INIT is a pending negotiation, which ends in `onNegotiated` of the stream. The error is returned and not
   * thrown: the caller rejects with it.
   */
  open(protocols: readonly string[], numbers: Uint32Array): StreamCore | Libp2pError
  /** Close in good order: bytes that streams accepted are delivered first. {@link ConnectionOwner.ended} follows. */
  close(): void
  /** Close at once, also while {@link Opener.close} still delivers. {@link ConnectionOwner.ended} follows. */
  closeAtOnce(code: number): void
  /** Bytes and frames carried so far, or until the end. */
  counters(): ConnectionCounters
  /** The remote bears the end of a stream before it has answered our proposal: see `docs/streams.md`. */
  allowEarlyFin(): void
}
