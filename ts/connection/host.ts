/** What a connection needs of what it belongs to. */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import type { Limits } from '../constants.ts'
import type { Engine, Served } from '../native/engine.ts'
import type { AbandonedStreams } from '../stream/abandoned.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Deadlines } from '../stream/deadlines.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import type { ConnectionCore } from './core.ts'

/** The swarm of a connection, as the connection sees it. */
export interface ConnectionHost {
  readonly swarm: Swarm
  readonly engine: Engine
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly abandoned: AbandonedStreams
  /** Tell notifiees and listeners. */
  notify(event: 'openedStream' | 'closedStream', stream: Stream): void
  /** Hand an inbound stream to its handler. */
  dispatch(stream: StreamCore, connection: Connection, protocol: number): void
  /** Who serves a protocol that the native table does not have; undefined for nobody. */
  choose(protocol: string): Served | undefined
  /** Why there can be no further outbound stream of a protocol beside these; undefined if there can. */
  refusal(protocol: string | undefined, streams: Iterable<StreamCore>): Error | undefined
  /** The bounds in force. */
  readonly limits: Readonly<Limits>
  /** A connection is being closed here: nobody finds it any more. */
  connectionClosing(core: ConnectionCore): void
  /** A connection is gone, and so are its streams. */
  connectionEnded(core: ConnectionCore): void
  /** A callback of the application has failed. */
  readonly onFailure: OnFailure
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
}
