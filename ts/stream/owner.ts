/** The owner of a stream: a connection, or an application muxer. */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import type { StreamState } from '../constants.ts'
import type { ConnectionClosedError } from '../errors.ts'
import type { HostPort } from '../identity/address.ts'
import type { MuxedStream } from '../muxer/muxed.ts'
import type { Engine } from '../native/engine.ts'
import type { StreamHandle } from '../native/handles.ts'
import type { StreamScope } from '../resource-manager/interfaces.ts'
import type { AbandonedStreams } from './abandoned.ts'
import type { StreamCore } from './core.ts'
import type { Deadlines } from './deadlines.ts'

/** The owner's interface to its streams. */
export interface StreamOwner {
  /** Prefix of the ids of its streams. */
  readonly id: string
  readonly engine: Engine
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly abandoned: AbandonedStreams
  /** Undefined for a stream of a muxer without a connection. */
  readonly connection: Connection | undefined
  readonly remoteAddress: HostPort | undefined
  /** `tcp`, `quic`, ...; empty without a connection. */
  readonly transport: string
  /** Returns the error of streams lost with the connection, whose wire code is `closeCode`. */
  lost(closeCode: number): ConnectionClosedError
  /** Called when the stream has ended. */
  streamEnded(stream: StreamCore): void
  /** Removes a stream from the list and notifies once. */
  forget(stream: StreamCore): void
  /** Called before the protocol of a raw stream is set. Throws `ResourceLimitExceededError` to refuse it. */
  setProtocol(stream: StreamCore, protocol: string): void
  /** Returns the scope of a stream. */
  streamScope(stream: StreamCore): StreamScope
  /** Called when a callback of the application fails. */
  readonly onFailure: OnFailure
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
}

/** Moves the bytes of a stream whose muxer is the application's. */
export interface StreamPump {
  /** Undefined while it is being opened. */
  readonly muxed: MuxedStream | undefined
  /** Whether bytes or the end are being passed to the muxed stream. */
  readonly isSending: boolean
  /** Called when the slot has bytes or orders for the muxed stream. */
  onOutgoing(): void
  /** Called when the stream has ended; without a failure, the muxed stream is closed. */
  onClosed(isFailed: boolean): void
  /** Called when the stream is abandoned: the muxed stream is left as it is. */
  leave(): void
  /** Called when the connection under the muxer has ended. */
  connectionLost(code: number, how: { remote: boolean; isOrderly: boolean }): void
}

/** Initial state of a stream. */
export interface StreamInit {
  readonly handle: StreamHandle
  /** Number of the stream within its owner. */
  readonly number: number
  readonly owner: StreamOwner
  readonly direction: 'inbound' | 'outbound'
  readonly state: StreamState
  readonly protocol: string | undefined
  /** The proposed protocols, for the error if the remote supports none of them. */
  readonly proposed: readonly string[]
}
