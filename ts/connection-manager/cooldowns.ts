/** Times for which the auto-connector leaves peers alone. */
import type { Clock } from '../base/clock.ts'
import type { ResolvedConnectionConfig } from '../connection/config.ts'

/** Maximum number of peers of each kind that are remembered; the oldest are forgotten, and may be dialled again. */
const PEERS_MAX = 10_000

/** Milliseconds for which a peer that has disconnected is left alone, as in py-libp2p. */
const DISCONNECTED_MS = 60_000

/** The longest cooldown while more connections are urgent, as in py-libp2p. */
const URGENT_MS = 60_000

/** Failures of a peer, and the time of the last. */
interface Failures {
  readonly count: number
  readonly at: number
}

/** Cooldowns by the text of the peer. */
export class Cooldowns {
  readonly #clock: Clock
  readonly #config: ResolvedConnectionConfig
  readonly #failures = new Map<string, Failures>()
  readonly #disconnected = new Map<string, number>()
  /** Peers that the application has disconnected from. */
  readonly #left = new Set<string>()

  constructor(clock: Clock, config: ResolvedConnectionConfig) {
    this.#clock = clock
    this.#config = config
  }

  /** Records a failed dial. */
  failed(peer: string): void {
    const count = (this.#failures.get(peer)?.count ?? 0) + 1
    this.#failures.delete(peer)
    this.#failures.set(peer, { count, at: this.#clock.now() })
    forgetOldest(this.#failures)
  }

  /** Records that the last connection has ended, by a call of the application if it `hasLeft`. */
  disconnected(peer: string, hasLeft: boolean): void {
    if (hasLeft) {
      this.#left.delete(peer)
      this.#left.add(peer)
      forgetOldest(this.#left)
      return
    }
    this.#disconnected.delete(peer)
    this.#disconnected.set(peer, this.#clock.now())
    forgetOldest(this.#disconnected)
  }

  /** Forgets what was recorded of a peer. */
  clear(peer: string): void {
    this.#failures.delete(peer)
    this.#disconnected.delete(peer)
    this.#left.delete(peer)
  }

  clearAll(): void {
    this.#failures.clear()
    this.#disconnected.clear()
    this.#left.clear()
  }

  /** Returns whether a peer is left alone; for a shorter time if more connections are urgent. */
  has(peer: string, isUrgent: boolean): boolean {
    if (this.#left.has(peer)) return true
    const now = this.#clock.now()
    const { count, at } = this.#failures.get(peer) ?? { count: 0, at: 0 }
    const { autoConnectCooldown, autoConnectMaxCooldown } = this.#config
    const cooldown = Math.min(autoConnectCooldown * 2 ** (count - 1), autoConnectMaxCooldown)
    if (count > 0 && now < at + (isUrgent ? Math.min(cooldown, URGENT_MS) : cooldown)) return true
    const disconnected = this.#disconnected.get(peer)
    return disconnected !== undefined && now < disconnected + DISCONNECTED_MS
  }
}

function forgetOldest(peers: Map<string, unknown> | Set<string>): void {
  const [oldest] = peers.keys()
  if (peers.size > PEERS_MAX && oldest !== undefined) peers.delete(oldest)
}
