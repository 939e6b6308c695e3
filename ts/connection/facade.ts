/** How the machinery of connections reaches their public facade, as that of streams does: see `stream/facade.ts`. */
import type { Connection } from '../connection.ts'
import type { ConnectionCore } from './core.ts'
import type { ConnectionCloseReason } from './facts.ts'

/** What only the class `Connection` itself can do. */
export interface ConnectionFacade {
  make(core: ConnectionCore): Connection
  /** The machinery behind a connection. */
  coreOf(connection: Connection): ConnectionCore
  emitClose(connection: Connection, reason: ConnectionCloseReason): void
}

/** Those of the class `Connection`. Whoever has a connection has loaded it. */
export let connectionFacade: ConnectionFacade

/** Called once, by `connection.ts`. */
export function provideConnectionFacade(provided: ConnectionFacade): void {
  connectionFacade = provided
}
