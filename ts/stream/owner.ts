/** What carries a stream, as the stream sees it: a connection, or a muxer of the application. */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import type { StreamState } from '../constants.ts'
import type { ConnectionClosedError } from '../errors.ts'
import type { HostPort } from '../identity/address.ts'
import type { MuxedStream } from '../muxer/muxed.ts'
import type { Engine } from '../native/engine.ts'
import type { StreamHandle } from '../native/handles.ts'
import type { AbandonedStreams } from './abandoned.ts'
import type { StreamCore } from './core.ts'
import type { Deadlines } from './deadlines.ts'

/** What a stream needs of what carries it. */
export interface StreamOwner {
  /** What its streams are named after. */
  readonly id: string
  readonly engine: Engine
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly abandoned: AbandonedStreams
  /** None for a stream of a muxer that came without one. */
  readonly connection: Connection | undefined
  readonly remoteAddress: HostPort | undefined
  /** `tcp`, `quic`, ...; empty where there is no connection. */
  readonly transport: string
  /** What takes its streams with it: the end of the connection, with this code on the wire. */
  lost(closeCode: number): ConnectionClosedError
  /** The stream has ended. */
  streamEnded(stream: StreamCore): void
  /** Take a stream off the list, and say so once. */
  forget(stream: StreamCore): void
  /** A callback of the application has failed. */
  readonly onFailure: OnFailure
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
}

/** What moves the bytes of a stream whose muxer is the application's. */
export interface StreamPump {
  readonly muxed: MuxedStream
  /** The slot has something for the muxed stream. */
  onOutgoing(): void
  /** The stream has ended; if in good order, the muxed one is freed. */
  onClosed(isFailed: boolean): void
  /** The stream was abandoned: the muxed one is left as it is. */
  leave(): void
  /** The connection under the muxer has ended. */
  connectionLost(code: number, how: { remote: boolean; isOrderly: boolean }): void
}

/** How a stream begins. */
export interface StreamInit {
  readonly handle: StreamHandle
  /** Which stream of its owner it is. */
  readonly number: number
  readonly owner: StreamOwner
  readonly direction: 'inbound' | 'outbound'
  readonly state: StreamState
  readonly protocol: string | undefined
  /** What was proposed, for the error if the remote speaks none of it. */
  readonly proposed: readonly string[]
}
