/** How the machinery of connections reaches their public face, as that of streams does: see `stream/face.ts`. */
import type { Connection } from '../connection.ts'
import type { ConnectionCore } from './core.ts'
import type { ConnectionCloseReason } from './facts.ts'

/** What only the class `Connection` itself can do. */
export interface ConnectionFaces {
  make(core: ConnectionCore): Connection
  /** The machinery behind a connection. */
  coreOf(connection: Connection): ConnectionCore
  emitClose(connection: Connection, reason: ConnectionCloseReason): void
}

/** Those of the class `Connection`. Whoever has a connection has loaded it. */
export let connectionFaces: ConnectionFaces

/** Called once, by `connection.ts`. */
export function provideConnectionFaces(provided: ConnectionFaces): void {
  connectionFaces = provided
}
