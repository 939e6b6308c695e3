/** Times for which addresses of peers are not dialled, as dialling them has failed. */
import type { Clock } from '../base/clock.ts'

/** Back-off of an address after its first failure, in milliseconds. Those of go-libp2p. */
const BASE_MS = 5_000
/** Added for each further failure, times the square of their number. */
const STEP_MS = 1_000
const MAX_MS = 300_000

/** Maximum number of addresses that are remembered; those of the peers that failed longest ago are forgotten first. */
const ADDRESSES_MAX = 10_000

/** The same for one peer: as many as the peerstore keeps. */
const ADDRESSES_OF_PEER_MAX = 64

interface Entry {
  readonly failures: number
  readonly until: number
  /** A failure after this time counts as the first. */
  readonly forgottenAt: number
}

/** Back-offs by peer and address: `min(5 s + n² · 1 s, 300 s)` after failure `n`, counted from 0. */
export class BackOff {
  readonly #clock: Clock
  readonly #byPeer = new Map<string, Map<string, Entry>>()
  #size = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Records that a dial of an address has failed. */
  failed(peer: string, address: string): void {
    const now = this.#clock.now()
    const entries = this.#byPeer.get(peer) ?? new Map<string, Entry>()
    const before = entries.get(address)
    const failures = before === undefined || before.forgottenAt <= now ? 0 : before.failures
    const ms = Math.min(BASE_MS + failures ** 2 * STEP_MS, MAX_MS)
    this.clear(peer)
    entries.delete(address)
    entries.set(address, { failures: failures + 1, until: now + ms, forgottenAt: now + 2 * ms })
    const [first] = entries.keys()
    if (entries.size > ADDRESSES_OF_PEER_MAX && first !== undefined) entries.delete(first)
    this.#byPeer.set(peer, entries)
    this.#size += entries.size
    while (this.#size > ADDRESSES_MAX) {
      const [oldest] = this.#byPeer.keys()
      if (oldest === undefined) break
      this.clear(oldest)
    }
  }

  /** Returns the milliseconds for which an address is not dialled; 0 if it may be. */
  remaining(peer: string, address: string): number {
    const entry = this.#byPeer.get(peer)?.get(address)
    return entry === undefined ? 0 : Math.max(entry.until - this.#clock.now(), 0)
  }

  /** Returns whether an address of the peer is not dialled. */
  concerns(peer: string): boolean {
    const entries = this.#byPeer.get(peer)
    if (entries === undefined) return false
    const now = this.#clock.now()
    return [...entries.values()].some(({ until }) => until > now)
  }

  /** Forgets the failures of a peer: a connection to it exists. */
  clear(peer: string): void {
    this.#size -= this.#byPeer.get(peer)?.size ?? 0
    this.#byPeer.delete(peer)
  }
}
