/** The auto-connector: below `connections.autoConnectBelow` connections it dials known peers. */
import { connectionFacade } from '../connection/facade.ts'
import type { Connection } from '../connection.ts'
import type { Libp2pError } from '../errors.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { Swarm } from '../swarm.ts'
import { Cooldowns } from './cooldowns.ts'
import { hostOf, type ManagerHost } from './host.ts'
import type { AutoConnectorLike } from './interfaces.ts'

/** Dials at a time: of the 100 that a swarm makes, most are left to the application. */
const DIALS_MAX = 16

/** Priority of these dials: below the default of 50. */
const PRIORITY = 25

/** Milliseconds between two rounds below `connections.min`, as in py-libp2p. */
const URGENT_INTERVAL_MS = 10_000

/** Least milliseconds between a round and one that a disconnect causes, as in py-libp2p. */
const DISCONNECT_INTERVAL_MS = 5_000

/**
 * Dials known peers while there are fewer than `connections.autoConnectBelow` connections: when the swarm starts, every
 * `connections.autoConnectInterval`, at least every 10 s below `connections.min`, and when a connection has ended.
 *
 * A round dials as many peers as connections are missing, those with the highest sum of tags first: never this swarm,
 * peers that are connected, those without a known address or with temporary ones only, or those in cooldown. A peer is in
 * cooldown for `connections.autoConnectCooldown` after a failed dial, doubled by each further one, for a minute after it
 * has disconnected, and until the next connection if the application has closed the last one.
 *
 * Every swarm has one, `swarm.autoConnector`. See docs/connection-manager.md.
 */
export class AutoConnector implements AutoConnectorLike {
  readonly #swarm: Swarm
  readonly #host: ManagerHost
  readonly #cooldowns: Cooldowns
  #stopping: AbortController | undefined
  #timer: { readonly handle: unknown; readonly dueAt: number } | undefined
  #lastRound = Number.NEGATIVE_INFINITY
  #running: Promise<number> | undefined

  /** @throws {@link InvalidParametersError} if `swarm` is not a swarm. */
  constructor(swarm: Swarm) {
    this.#swarm = swarm
    this.#host = hostOf(swarm)
    this.#cooldowns = new Cooldowns(this.#host.clock, this.#host.config)
  }

  /** Begins its rounds. Called by the swarm. */
  start(): void {
    if (this.#stopping !== undefined || !this.#swarm.isStarted()) return
    this.#stopping = new AbortController()
    // One that was abandoned by a stop is not joined.
    this.#running = undefined
    if (this.#host.config.autoConnectBelow > 0) this.#schedule(0)
  }

  /** Ends its rounds and abandons its dials. Called by the swarm. */
  stop(): void {
    this.#stopping?.abort()
    this.#stopping = undefined
    this.#host.clock.clearTimer(this.#timer?.handle)
    this.#timer = undefined
  }

  /**
   * Dials peers now, if it is started and connections are missing; resolves to the number of connections made. Joins a
   * round under way. Never rejects: failures are in the log, at `debug`.
   */
  maybeConnect(): Promise<number> {
    const stopping = this.#stopping?.signal
    if (stopping === undefined || this.#missing <= 0) return Promise.resolve(0)
    if (this.#running !== undefined) return this.#running
    const running = this.#round(stopping)
      .catch((err: unknown) => {
        this.#host.onFailure(err, this, 'a round of the auto-connector failed')
        return 0
      })
      .finally(() => {
        if (this.#running === running) this.#running = undefined
      })
    this.#running = running
    return running
  }

  /** Puts a peer into cooldown, as a failed dial of a round does. */
  recordFailedConnection(peer: PeerLike): void {
    this.#cooldowns.failed(peerText(peer))
  }

  /** Ends the cooldown of a peer, as every connection to it does. */
  recordSuccessfulConnection(peer: PeerLike): void {
    this.#cooldowns.clear(peerText(peer))
  }

  /** Ends the cooldown of a peer, so that the next round may dial it. */
  clearCooldown(peer: PeerLike): void {
    this.#cooldowns.clear(peerText(peer))
  }

  /** Ends the cooldowns of all peers. */
  clearAllCooldowns(): void {
    this.#cooldowns.clearAll()
  }

  /** Called by the swarm with each new connection. */
  connected(connection: Connection): void {
    this.#cooldowns.clear(connectionFacade.coreOf(connection).peer)
  }

  /** Called by the swarm with each connection that has ended. */
  disconnected(connection: Connection): void {
    const { peer, closeReason } = connectionFacade.coreOf(connection)
    if (!this.#host.isConnected(peer)) {
      const hasLeft = closeReason?.remote === false && closeReason.rule === '' && !closeReason.error
      this.#cooldowns.disconnected(peer, hasLeft)
    }
    if (this.#stopping === undefined || this.#missing <= 0) return
    const sinceRound = this.#host.clock.now() - this.#lastRound
    this.#schedule(Math.max(DISCONNECT_INTERVAL_MS - sinceRound, 0))
  }

  /** The number of connections that are missing. */
  get #missing(): number {
    return this.#host.config.autoConnectBelow - this.#swarm.getTotalConnections()
  }

  /** Whether there are fewer connections than `connections.min`, and more are wanted. */
  get #isUrgent(): boolean {
    return this.#missing > 0 && this.#swarm.getTotalConnections() < this.#host.config.min
  }

  /** Milliseconds until the next round. */
  get #interval(): number {
    const { autoConnectInterval } = this.#host.config
    const isShortened = this.#isUrgent && Number.isFinite(autoConnectInterval)
    return isShortened ? Math.min(URGENT_INTERVAL_MS, autoConnectInterval) : autoConnectInterval
  }

  /** Makes a round in `ms`, or at the earlier time that is planned. */
  #schedule(ms: number): void {
    const { clock } = this.#host
    const dueAt = clock.now() + ms
    if (
      ms === Number.POSITIVE_INFINITY ||
      (this.#timer !== undefined && this.#timer.dueAt <= dueAt)
    ) {
      return
    }
    clock.clearTimer(this.#timer?.handle)
    const handle = clock.setTimer(() => {
      this.#timer = undefined
      void this.maybeConnect()
      this.#schedule(this.#interval)
    }, ms)
    this.#timer = { handle, dueAt }
  }

  /** Dials as many peers as connections are missing; `signal` ends the round. */
  async #round(signal: AbortSignal): Promise<number> {
    this.#lastRound = this.#host.clock.now()
    const peers = this.#candidates().slice(0, this.#missing)
    let made = 0
    const dial = async (): Promise<void> => {
      for (let peer = peers.shift(); peer !== undefined; peer = peers.shift()) {
        if (signal.aborted || this.#missing <= 0) return
        const error = await this.#dial(peer, signal)
        if (error === undefined) made += 1
        // The next one would be refused as well.
        else if (error.kind === 'limit') return
      }
    }
    await Promise.all(Array.from({ length: Math.min(DIALS_MAX, peers.length) }, dial))
    return made
  }

  /** Returns the peers that may be dialled, the most valuable first, and in random order those of equal value. */
  #candidates(): string[] {
    const { tags } = this.#host
    const self = this.#swarm.peerId.toString()
    const isUrgent = this.#isUrgent
    const free = this.#host
      .reachable()
      .filter(
        (peer) =>
          peer !== self && !this.#host.isConnected(peer) && !this.#cooldowns.has(peer, isUrgent)
      )
    return shuffled(free, () => this.#host.random()).sort(
      (one, other) => tags.sumOf(other) - tags.sumOf(one)
    )
  }

  /** Dials a peer; resolves to the error, which is recorded if it is the peer's. */
  async #dial(peer: string, signal: AbortSignal): Promise<Libp2pError | undefined> {
    const { log, config } = this.#host
    try {
      await this.#swarm.dialPeer(peer, { priority: PRIORITY, timeout: config.dialTimeout, signal })
      return undefined
    } catch (err) {
      // A swarm rejects with nothing else.
      const error = err as Libp2pError
      const isOfPeer = !signal.aborted && error.kind !== 'limit'
      if (isOfPeer) this.#cooldowns.failed(peer)
      if (log.hears('debug'))
        log.write('debug', 'dial', `the auto-connector did not reach ${peer}`, err)
      return error
    }
  }
}

/** Returns a list in random order (Fisher-Yates). */
function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const copy = [...list]
  for (let last = copy.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1))
    // Both are places of the list.
    ;[copy[last], copy[other]] = [copy[other] as T, copy[last] as T]
  }
  return copy
}
