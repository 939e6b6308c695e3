/** What carries a stream, as the stream sees it: a connection, or a muxer of the application. */
import type { Clock } from '../clock.ts'
import type { Connection } from '../connection.ts'
import type { HostPort } from '../identity/address.ts'
import type { Engine } from '../native/engine.ts'
import type { Stream } from '../stream.ts'
import type { Deadlines } from './deadlines.ts'

/** What a stream needs of what carries it. */
export interface StreamHome {
  readonly engine: Engine
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** None for a stream of a muxer that came without one. */
  readonly connection: Connection | undefined
  readonly remoteAddress: HostPort | undefined
  /** `tcp`, `quic`, ...; empty where there is no connection. */
  readonly transport: string
  /** The stream has ended. */
  streamEnded(stream: Stream): void
  /** Take a stream off the list, and say so once. */
  forget(stream: Stream): void
  onListenerError(err: unknown): void
}
