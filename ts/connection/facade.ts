/** Access from the connection core to the public facade, without an import cycle: see `stream/facade.ts`. */
import type { Connection } from '../connection.ts'
import type { ConnectionCore } from './core.ts'
import type { ConnectionCloseReason } from './facts.ts'

/** Operations that need private members of `Connection`. */
export interface ConnectionFacade {
  make(core: ConnectionCore): Connection
  /** Returns the core of a connection. */
  coreOf(connection: Connection): ConnectionCore
  emitClose(connection: Connection, reason: ConnectionCloseReason): void
}

/** Set when `connection.ts` is loaded, which precedes any connection. */
export let connectionFacade: ConnectionFacade

/** Called once, by `connection.ts`. */
export function provideConnectionFacade(provided: ConnectionFacade): void {
  connectionFacade = provided
}
