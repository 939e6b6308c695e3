/** The open connections of a swarm, by peer. One leaves when its close begins, or with the event of its end. */
import type { PeerId } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { SecurityName, SecurityProtocol } from '../constants.ts'
import { CAN_CONNECT_MS, Connectedness } from '../constants.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { connectionFacade } from './facade.ts'

/** The names of options by the protocols that they stand for. */
const SECURITY_NAMES: Readonly<Record<SecurityProtocol, SecurityName>> = {
  '/tls/1.0.0': 'tls',
  '/noise': 'noise'
}

/** Peers whose clean end is remembered; the oldest are abandoned first. */
const ENDS_MAX = 1_024

/** Connections by peer, each list oldest first. */
export class ConnectionTable {
  readonly #clock: Clock
  readonly #all = new Set<Connection>()
  readonly #byPeer = new Map<string, Connection[]>()
  // Connections whose close has begun: in no view any more, and not over yet.
  readonly #closing = new Map<Connection, string>()
  readonly #ends = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#all.size
  }

  /** Whether every connection has ended, those that are closing included. */
  get isDrained(): boolean {
    return this.#all.size + this.#closing.size === 0
  }

  add(peer: string, connection: Connection): void {
    this.#all.add(connection)
    const connections = this.#byPeer.get(peer)
    if (connections === undefined) this.#byPeer.set(peer, [connection])
    else connections.push(connection)
  }

  /** We close it: it is in no view from here on. */
  leave(peer: string, connection: Connection): void {
    this.#unlist(peer, connection)
    this.#closing.set(connection, peer)
    this.#hasEnded(peer)
  }

  /** It has ended. `clean` tells whether it did so in good order. */
  remove(peer: string, connection: Connection, clean: boolean): void {
    this.#unlist(peer, connection)
    this.#closing.delete(connection)
    if (clean) this.#hasEnded(peer)
  }

  all(): Connection[] {
    return [...this.#all]
  }

  /** Every connection that has not ended, those that are closing included. */
  living(): Connection[] {
    return [...this.#all, ...this.#closing.keys()]
  }

  of(peer: string): Connection[] {
    return [...(this.#byPeer.get(peer) ?? [])]
  }

  /** Connections to a peer that have not ended, those that are closing included. */
  unended(peer: string): Connection[] {
    const closing = [...this.#closing].filter(([, whose]) => whose === peer)
    return [...this.of(peer), ...closing.map(([connection]) => connection)]
  }

  /** Connections that take new streams, best first: most streams, then newest. Over one of `security`, if given. */
  ranked(peer: string, security?: readonly SecurityName[]): Connection[] {
    const usable = this.of(peer).filter(
      (connection) =>
        connectionFacade.coreOf(connection).takesStreams && isOver(connection, security)
    )
    if (usable.length < 2) return usable
    return usable.reverse().sort((a, b) => b.stat.numStreams - a.stat.numStreams)
  }

  peers(): PeerId[] {
    return Array.from(this.#byPeer.keys(), (peer) => peerIdOf(peer))
  }

  connectedness(peer: string): Connectedness {
    if (this.#byPeer.has(peer)) return Connectedness.Connected
    const ended = this.#ends.get(peer)
    return ended !== undefined && this.#clock.now() - ended <= CAN_CONNECT_MS
      ? Connectedness.CanConnect
      : Connectedness.NotConnected
  }

  #unlist(peer: string, connection: Connection): void {
    if (!this.#all.delete(connection)) return
    const connections = this.#byPeer.get(peer) ?? []
    if (connections.length <= 1) this.#byPeer.delete(peer)
    else connections.splice(connections.indexOf(connection), 1)
  }

  #hasEnded(peer: string): void {
    this.#ends.delete(peer)
    this.#ends.set(peer, this.#clock.now())
    if (this.#ends.size <= ENDS_MAX) return
    const [oldest] = this.#ends.keys()
    if (oldest !== undefined) this.#ends.delete(oldest)
  }
}

function isOver(connection: Connection, security: readonly SecurityName[] | undefined): boolean {
  if (security === undefined) return true
  const protocol = connection.state.security
  return protocol !== '' && security.includes(SECURITY_NAMES[protocol])
}
