/** The events of a swarm. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Connection } from '../connection.ts'
import type { Stream } from '../stream.ts'

/** Events of a `Swarm`; `detail` is what it happened to. Their order is that of `Notifiee`. */
export interface SwarmEvents {
  connected: CustomEvent<Connection>
  disconnected: CustomEvent<Connection>
  openedStream: CustomEvent<Stream>
  closedStream: CustomEvent<Stream>
  listen: CustomEvent<Multiaddr>
  listenClose: CustomEvent<Multiaddr>
  /** `close` was called: nothing new is taken in, handlers have `drainTimeout` to return. */
  closing: CustomEvent<{ readonly drainTimeout: number }>
}
