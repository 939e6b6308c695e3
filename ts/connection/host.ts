/** The swarm's interface to its connections. */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import type { ErrorCode, Libp2pError, ResourceLimitExceededError } from '../errors.ts'
import type { NativeRefusal } from '../native/addon.ts'
import type { Engine, Served } from '../native/engine.ts'
import type { ConnectionHandle, StreamHandle } from '../native/handles.ts'
import type { PeerReport } from '../peerstore/peer-book.ts'
import type { ConnScope, StreamScope } from '../resource-manager/interfaces.ts'
import type { AbandonedStreams } from '../stream/abandoned.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Deadlines } from '../stream/deadlines.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import type { ConnectionCore } from './core.ts'
import type { NewStreamOptions } from './facts.ts'

/** The protocols proposed for a stream: none for a raw one. */
export type Proposal = string | readonly string[] | undefined

/** The charge of one stream to the application's resource manager. */
export interface StreamCharge {
  /** Ends the charge with `stream`. */
  follow(stream: StreamCore): void
  /** Ends the charge now: there is no stream. */
  done(): void
}

/** Admits the streams of a swarm with a resource manager of the application, or with a queue for a stream's place. */
export interface StreamAdmission {
  /** Opens a stream, now or once there is a place for it. */
  newStream(core: ConnectionCore, proposal: Proposal, options: NewStreamOptions): Promise<Stream>
  /** Charges a stream of the application's muxer; returns the refusal, or undefined if there is no manager. */
  charge(
    core: ConnectionCore,
    direction: 'inbound' | 'outbound'
  ): StreamCharge | Libp2pError | undefined
  /** Charges an inbound stream; returns the refusal, which is reported, if there is one. */
  admit(core: ConnectionCore, stream: StreamCore): Libp2pError | undefined
  /** Assigns the charge of a stream to a protocol; returns the refusal, if there is one. */
  setProtocol(stream: StreamCore, protocol: string): Libp2pError | undefined
  /** Ends the charge of a stream. Idempotent. */
  release(stream: StreamCore): void
  /** Called when a stream of a connection has ended or left the transient scope: others may have its place. */
  placeFreed(core: ConnectionCore): void
  /** Called when a connection opens no more streams. */
  opensNoMore(core: ConnectionCore): void
}

/** The swarm that a connection belongs to. */
export interface ConnectionHost {
  readonly swarm: Swarm
  readonly engine: Engine
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly abandoned: AbandonedStreams
  /** Notifies notifiees and listeners. */
  notify(event: 'openedStream' | 'closedStream', stream: Stream): void
  /** Passes an inbound stream to its handler. */
  dispatch(stream: StreamCore, connection: Connection, protocol: number): void
  /** Returns the handler of a protocol that is not in the native table; undefined if there is none. */
  choose(protocol: string): Served | undefined
  /** Returns the error if `streams` reach the limit of outbound streams of a protocol; undefined otherwise. */
  refusal(protocol: string | undefined, streams: Iterable<StreamCore>): Error | undefined
  /** Returns the number of the scope of a connection or stream; undefined after its end. */
  scopeOf(handle: ConnectionHandle | StreamHandle): number | undefined
  /** Returns the scope of a connection. */
  connectionScope(core: ConnectionCore): ConnScope
  /** Returns the scope of a stream. */
  streamScope(core: StreamCore): StreamScope
  /** Charges a stream to a protocol. Throws `ResourceLimitExceededError`; `InvalidParametersError` if it has one. */
  setProtocol(core: StreamCore, protocol: string): void
  /** Charges a stream to a service. Throws `ResourceLimitExceededError`. */
  setService(core: StreamCore, service: string): void
  /** Reports that a limit has refused a stream that was opened, or wrapped, here. */
  limitRefused(
    refusal: ResourceLimitExceededError,
    core: ConnectionCore,
    direction: 'inbound' | 'outbound'
  ): void
  /** Returns what the transport of a connection that has just ended said of it; null if nothing. */
  endText(handle: ConnectionHandle): string | null
  /**
   * Takes the refusal by which a stream has failed after its negotiation; without one, that behind the last call that
   * was refused by a limit.
   */
  takeRefusal(stream?: StreamHandle): NativeRefusal | null
  /** Returns the error of a refusal. */
  refusalError(refusal: NativeRefusal, code?: ErrorCode): Libp2pError
  /** Undefined if native limits and those of handlers alone apply. */
  readonly admission: StreamAdmission | undefined
  /** Called when a stream of a connection has ended, before that is notified. */
  streamEnded(connection: Connection, failure: Libp2pError | undefined): void
  /** Stores what the peer of a connection has reported of itself. */
  identified(core: ConnectionCore, report: PeerReport): void
  /** Called when a local close begins: the connection leaves every view. */
  connectionClosing(core: ConnectionCore): void
  /** Called when a connection and its streams have ended. */
  connectionEnded(core: ConnectionCore): void
  /** Called when a callback of the application fails. */
  readonly onFailure: OnFailure
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
}
