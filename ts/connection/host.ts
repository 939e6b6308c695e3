/** The swarm's interface to its connections. */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import type { ErrorCode, Libp2pError } from '../errors.ts'
import type { NativeRefusal } from '../native/addon.ts'
import type { Engine, Served } from '../native/engine.ts'
import type { AbandonedStreams } from '../stream/abandoned.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Deadlines } from '../stream/deadlines.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import type { ConnectionCore } from './core.ts'

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
  /** Takes the refusal behind the last call that was refused by a limit. */
  takeRefusal(): NativeRefusal | null
  /** Returns the error of a refusal. */
  refusalError(refusal: NativeRefusal, code?: ErrorCode): Libp2pError
  /** Called when a local close begins: the connection leaves every view. */
  connectionClosing(core: ConnectionCore): void
  /** Called when a connection and its streams have ended. */
  connectionEnded(core: ConnectionCore): void
  /** Called when a callback of the application fails. */
  readonly onFailure: OnFailure
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
}
