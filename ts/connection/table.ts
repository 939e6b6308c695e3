/** The open connections of a swarm, by peer. A connection leaves when its close begins or its end is reported. */
import type { PeerId } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { SecurityName, SecurityProtocol } from '../constants.ts'
import { CAN_CONNECT_MS, Connectedness } from '../constants.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { connectionFacade } from './facade.ts'

/** Option names by security protocol. */
const SECURITY_NAMES: Readonly<Record<SecurityProtocol, SecurityName>> = {
  '/tls/1.0.0': 'tls',
  '/noise': 'noise'
}

/** Maximum number of peers whose clean disconnect is remembered; the oldest are evicted first. */
const ENDS_MAX = 1_024

/** Connections by peer, each list oldest first. */
export class ConnectionTable {
  readonly clock: Clock
  readonly #all = new Set<Connection>()
  readonly #byPeer = new Map<string, Connection[]>()
  // Connections whose close has begun: in no view any more, but not ended yet.
  readonly #closing = new Map<Connection, string>()
  readonly #endedAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  get size(): number {
    return this.#all.size
  }

  /** Whether every connection has ended, including those closing. */
  get isDrained(): boolean {
    return this.#all.size + this.#closing.size === 0
  }

  add(peer: string, connection: Connection): void {
    this.#all.add(connection)
    const connections = this.#byPeer.get(peer)
    if (connections === undefined) this.#byPeer.set(peer, [connection])
    else connections.push(connection)
  }

  /** Removes a connection from every view: its local close has begun. */
  leave(peer: string, connection: Connection): void {
    this.#unlist(peer, connection)
    this.#closing.set(connection, peer)
    this.#recordEnd(peer)
  }

  /** Removes a connection that has ended; `clean` if it was closed without an error. */
  remove(peer: string, connection: Connection, clean: boolean): void {
    this.#unlist(peer, connection)
    this.#closing.delete(connection)
    if (clean) this.#recordEnd(peer)
  }

  all(): Connection[] {
    return [...this.#all]
  }

  /** Returns every connection that has not ended, including those closing. */
  living(): Connection[] {
    return [...this.#all, ...this.#closing.keys()]
  }

  of(peer: string): Connection[] {
    return [...(this.#byPeer.get(peer) ?? [])]
  }

  /** Returns the connections to a peer that have not ended, including those closing. */
  unended(peer: string): Connection[] {
    const closing = [...this.#closing].filter(([, owner]) => owner === peer)
    return [...this.of(peer), ...closing.map(([connection]) => connection)]
  }

  /** Returns connections that accept new streams: most streams first, then newest; over one of `security` if given. */
  ranked(peer: string, security?: readonly SecurityName[]): Connection[] {
    const usable = this.of(peer).filter(
      (connection) =>
        connectionFacade.coreOf(connection).takesStreams && matches(connection, security)
    )
    if (usable.length < 2) return usable
    return usable.reverse().sort((a, b) => b.stat.numStreams - a.stat.numStreams)
  }

  peers(): PeerId[] {
    return Array.from(this.#byPeer.keys(), (peer) => peerIdOf(peer))
  }

  connectedness(peer: string): Connectedness {
    if (this.#byPeer.has(peer)) return Connectedness.Connected
    const ended = this.#endedAt.get(peer)
    return ended !== undefined && this.clock.now() - ended <= CAN_CONNECT_MS
      ? Connectedness.CanConnect
      : Connectedness.NotConnected
  }

  #unlist(peer: string, connection: Connection): void {
    if (!this.#all.delete(connection)) return
    const connections = this.#byPeer.get(peer) ?? []
    if (connections.length <= 1) this.#byPeer.delete(peer)
    else connections.splice(connections.indexOf(connection), 1)
  }

  #recordEnd(peer: string): void {
    this.#endedAt.delete(peer)
    this.#endedAt.set(peer, this.clock.now())
    if (this.#endedAt.size <= ENDS_MAX) return
    const [oldest] = this.#endedAt.keys()
    if (oldest !== undefined) this.#endedAt.delete(oldest)
  }
}

function matches(connection: Connection, security: readonly SecurityName[] | undefined): boolean {
  if (security === undefined) return true
  const protocol = connection.state.security
  return protocol !== '' && security.includes(SECURITY_NAMES[protocol])
}
