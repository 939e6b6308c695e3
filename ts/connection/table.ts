/** The open connections of a swarm, by peer. A connection leaves when its close begins or its end is reported. */
import type { PeerId } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { SecurityName } from '../constants.ts'
import { Connectedness } from '../constants.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { connectionFacade } from './facade.ts'
import { RecentEnds } from './recent-ends.ts'
import { BEST, type Selection } from './strategy.ts'

/** Option names by security protocol. */
const SECURITY_NAMES: Readonly<Partial<Record<string, SecurityName>>> = {
  '/tls/1.0.0': 'tls',
  '/noise': 'noise'
}

/** Called when the connectedness of a peer has changed. */
type OnChange = (peer: string, connectedness: Connectedness, previous: Connectedness) => void

/** Connections by peer, each list oldest first. */
export class ConnectionTable {
  readonly clock: Clock
  readonly #all = new Set<Connection>()
  readonly #byPeer = new Map<string, Connection[]>()
  // Connections whose close has begun, or that were removed: in no view any more, but not ended yet.
  readonly #closing = new Map<Connection, string>()
  readonly #ends: RecentEnds
  /** Calls that wait for a connection without limits. */
  readonly #awaited = new Map<string, Set<() => void>>()
  readonly #selection: Selection
  readonly #onChange: OnChange

  constructor(clock: Clock, selection: Selection = BEST, onChange: OnChange = () => {}) {
    this.clock = clock
    this.#selection = selection
    this.#onChange = onChange
    const { CanConnect, NotConnected } = Connectedness
    this.#ends = new RecentEnds(clock, (peer) => onChange(peer, NotConnected, CanConnect))
  }

  get size(): number {
    return this.#all.size
  }

  /** Whether every connection has ended, including those closing. */
  get isDrained(): boolean {
    return this.#all.size + this.#closing.size === 0
  }

  /** Lists a connection, for the first time or again. */
  add(peer: string, connection: Connection): void {
    if (this.#all.has(connection)) return
    this.#closing.delete(connection)
    this.#all.add(connection)
    const connections = this.#byPeer.get(peer)
    const previous = this.connectedness(peer)
    if (connections === undefined) this.#byPeer.set(peer, [connection])
    else connections.push(connection)
    this.#ends.delete(peer)
    this.#changed(peer, previous)
    if (!isLimited(connection)) this.#endWaits(peer)
  }

  /**
   * Calls `then` once there is a connection to a peer that is not limited, or none any more. Returns a function that
   * cancels the call, and returns whether that was still to come.
   */
  onceUnlimitedOrNone(peer: string, then: () => void): () => boolean {
    const waiting = this.#awaited.get(peer) ?? new Set()
    const call = (): void => {
      cancel()
      then()
    }
    const cancel = (): boolean => {
      const isWaiting = waiting.delete(call)
      if (isWaiting && waiting.size === 0) this.#awaited.delete(peer)
      return isWaiting
    }
    this.#awaited.set(peer, waiting.add(call))
    return cancel
  }

  /** Removes a connection from every view: its local close has begun, or it is no longer used. Idempotent. */
  leave(peer: string, connection: Connection): void {
    this.#closing.set(connection, peer)
    this.#unlist(peer, connection, true)
  }

  /** Removes a connection that has ended; `clean` if it was closed without an error. */
  remove(peer: string, connection: Connection, clean: boolean): void {
    this.#closing.delete(connection)
    this.#unlist(peer, connection, clean)
  }

  /** Forgets the peers that were connected, when the swarm is closed. */
  clear(): void {
    this.#ends.clear()
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

  /** Returns the number of connections to a peer. */
  count(peer: string): number {
    return this.#byPeer.get(peer)?.length ?? 0
  }

  /** Returns the connections by peer. */
  map(): Map<string, Connection[]> {
    return new Map(Array.from(this.#byPeer, ([peer, connections]) => [peer, [...connections]]))
  }

  /** Returns the connections to a peer that have not ended, including those closing. */
  unended(peer: string): Connection[] {
    const closing = [...this.#closing].filter(([, owner]) => owner === peer)
    return [...this.of(peer), ...closing.map(([connection]) => connection)]
  }

  /**
   * Returns connections that accept new streams, over one of `security` if given: those without limits before others,
   * direct ones before relayed ones, and among equals in the order of the strategy.
   */
  ranked(peer: string, security?: readonly SecurityName[]): Connection[] {
    const usable = this.of(peer).filter(
      (connection) =>
        connectionFacade.coreOf(connection).takesStreams && matches(connection, security)
    )
    return usable.length < 2 ? usable : byKind(this.#selection.order(usable))
  }

  /** Records that `newStream` of the swarm has selected a connection. */
  picked(connection: Connection): void {
    this.#selection.picked?.(connection)
  }

  /** Records the end of a stream. */
  streamEnded(connection: Connection, failure: Error | undefined): void {
    this.#selection.streamEnded?.(connection, failure)
  }

  get peerCount(): number {
    return this.#byPeer.size
  }

  peers(): PeerId[] {
    return Array.from(this.#byPeer.keys(), (peer) => peerIdOf(peer))
  }

  connectedness(peer: string): Connectedness {
    const connections = this.#byPeer.get(peer)
    if (connections !== undefined) {
      return connections.every(isLimited) ? Connectedness.Limited : Connectedness.Connected
    }
    return this.#ends.has(peer) ? Connectedness.CanConnect : Connectedness.NotConnected
  }

  #unlist(peer: string, connection: Connection, clean: boolean): void {
    if (!this.#all.delete(connection)) return
    const previous = this.connectedness(peer)
    const connections = this.#byPeer.get(peer) ?? []
    if (connections.length > 1) connections.splice(connections.indexOf(connection), 1)
    else {
      this.#byPeer.delete(peer)
      if (clean) this.#ends.add(peer)
    }
    this.#changed(peer, previous)
    if (!this.#byPeer.has(peer)) this.#endWaits(peer)
  }

  #endWaits(peer: string): void {
    for (const then of this.#awaited.get(peer) ?? []) then()
  }

  #changed(peer: string, previous: Connectedness): void {
    const connectedness = this.connectedness(peer)
    if (connectedness !== previous) this.#onChange(peer, connectedness, previous)
  }
}

function isLimited(connection: Connection): boolean {
  return connectionFacade.coreOf(connection).limited
}

/** Returns connections with limited ones last, and among equals relayed ones. */
function byKind(connections: readonly Connection[]): Connection[] {
  const kindOf = (connection: Connection): number => {
    const { connectionType, limited } = connectionFacade.coreOf(connection)
    return (limited ? 2 : 0) + (connectionType === 'relayed' ? 1 : 0)
  }
  const kinds = new Map(connections.map((connection) => [connection, kindOf(connection)]))
  // Stable: the order among equals is that of the strategy.
  return [...connections].sort((one, other) => (kinds.get(one) ?? 0) - (kinds.get(other) ?? 0))
}

function matches(connection: Connection, security: readonly SecurityName[] | undefined): boolean {
  if (security === undefined) return true
  const name = SECURITY_NAMES[connection.state.security]
  return name !== undefined && security.includes(name)
}
