/** The option `connections.maxPerPeer`: further connections to a peer close the oldest ones. */
import { ConnectionErrorCode } from '../constants.ts'
import { connectionFacade } from './facade.ts'
import type { ConnectionTable } from './table.ts'

/** Closes the connections that are too many. */
export class Excess {
  readonly #connections: ConnectionTable
  readonly #max: number
  // Peers with too many connections, which are closed when this turn of the event loop is over.
  readonly #peers = new Set<string>()

  constructor(connections: ConnectionTable, max: number) {
    this.#connections = connections
    this.#max = max
  }

  /** Called when a connection to a peer has been added to the table. */
  opened(peer: string): void {
    if (this.#connections.count(peer) <= this.#max || this.#peers.has(peer)) return
    this.#peers.add(peer)
    // Several may have been opened at once: those who dialled them receive them first.
    setImmediate(() => {
      this.#peers.delete(peer)
      this.#close(peer)
    })
  }

  #close(peer: string): void {
    const connections = this.#connections.of(peer)
    const count = Math.max(connections.length - this.#max, 0)
    const rule = `it was the oldest of more than ${this.#max} with the peer, see connections.maxPerPeer`
    for (const connection of connections.slice(0, count)) {
      connectionFacade.coreOf(connection).closeBy(rule, ConnectionErrorCode.GarbageCollected)
    }
  }
}
