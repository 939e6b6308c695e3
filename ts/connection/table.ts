/** The open connections of a swarm, by peer; only the events of the native side change it. */
import type { PeerId } from '@libp2p/interface'
import type { Clock } from '../clock.ts'
import type { Connection } from '../connection.ts'
import { CAN_CONNECT_MS, Connectedness } from '../constants.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { SecurityName } from '../options.ts'

/** The names of options by the protocols that they stand for. */
const SECURITY_NAMES: ReadonlyMap<string, SecurityName> = new Map([
  ['/tls/1.0.0', 'tls'],
  ['/noise', 'noise']
])

/** Peers whose clean end is remembered; the oldest are forgotten first. */
const ENDS_MAX = 1_024

/** Connections by peer, each list oldest first. */
export class ConnectionTable {
  readonly #clock: Clock
  readonly #all = new Set<Connection>()
  readonly #byPeer = new Map<string, Connection[]>()
  readonly #ends = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#all.size
  }

  add(peer: string, connection: Connection): void {
    this.#all.add(connection)
    const connections = this.#byPeer.get(peer)
    if (connections === undefined) this.#byPeer.set(peer, [connection])
    else connections.push(connection)
  }

  /** `clean` tells whether the connection ended in good order. */
  remove(peer: string, connection: Connection, clean: boolean): void {
    this.#all.delete(connection)
    const connections = this.#byPeer.get(peer) ?? []
    const at = connections.indexOf(connection)
    if (at >= 0) connections.splice(at, 1)
    if (connections.length === 0) this.#byPeer.delete(peer)
    if (!clean) return
    this.#ends.delete(peer)
    this.#ends.set(peer, this.#clock.now())
    const [oldest] = this.#ends.keys()
    if (this.#ends.size > ENDS_MAX && oldest !== undefined) this.#ends.delete(oldest)
  }

  all(): Connection[] {
    return [...this.#all]
  }

  of(peer: string): Connection[] {
    return [...(this.#byPeer.get(peer) ?? [])]
  }

  /** Connections that take new streams, best first: most streams, then newest. Over one of `security`, if given. */
  ranked(peer: string, security?: readonly SecurityName[]): Connection[] {
    const usable = this.of(peer).filter(
      (connection) => !connection.isClosed && isOver(connection, security)
    )
    if (usable.length < 2) return usable
    return usable.reverse().sort((a, b) => b.stat.numStreams - a.stat.numStreams)
  }

  peers(): PeerId[] {
    return Array.from(this.#byPeer.keys(), (peer) => peerIdOf(peer))
  }

  connectedness(peer: string): Connectedness {
    if (this.ranked(peer).length > 0) return Connectedness.Connected
    const ended = this.#ends.get(peer)
    return ended !== undefined && this.#clock.now() - ended <= CAN_CONNECT_MS
      ? Connectedness.CanConnect
      : Connectedness.NotConnected
  }
}

function isOver(connection: Connection, security: readonly SecurityName[] | undefined): boolean {
  if (security === undefined) return true
  const name = SECURITY_NAMES.get(connection.state.security)
  return name !== undefined && security.includes(name)
}
