/** Addresses of peers, in memory: those dialled successfully, and those that peers advertise. */
import { anArray } from '../base/arguments.ts'
import type { AddrLike } from '../identity/address.ts'
import { dialRefusal, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'

/** Maximum addresses per peer. A peer may advertise any number. */
const ADDRESSES_MAX = 64

/** Maximum number of peers; unreached ones are evicted first, least recent first. Any peer may advertise others. */
const PEERS_MAX = 10_000

/** Quality of an address, worst first, which is also the order of eviction. */
const UNDIALABLE = 0
const UNVERIFIED = 1
const WORKED = 2
type Quality = typeof UNDIALABLE | typeof UNVERIFIED | typeof WORKED

/**
 * Addresses by peer: dialled successfully, then unverified, then without a transport; among equals the most recently
 * confirmed first. At most 64 per peer: the oldest of the worst quality is evicted.
 */
export class AddressBook {
  readonly #unreached = new Map<string, Map<string, Quality>>()
  /** Peers with an address that was dialled successfully. */
  readonly #reached = new Map<string, Map<string, Quality>>()

  /**
   * Adds or confirms addresses of a peer. A `/p2p` suffix is removed; an address of another peer, or of a `/p2p` part
   * alone, is ignored.
   */
  add(peer: PeerLike, addrs: readonly AddrLike[]): void {
    const id = peerText(peer)
    anArray(addrs, 'addrs')
    this.#add(id, addrs, UNVERIFIED)
  }

  /** @internal Records a successful dial of an address. */
  worked(peer: string, addr: string): void {
    const known = this.#reached.get(peer)
    if (known?.get(addr) !== WORKED) {
      this.#add(peer, [addr], WORKED)
      return
    }
    // Known already: make the address, and the peer, the most recent one.
    known.delete(addr)
    known.set(addr, WORKED)
    this.#reached.delete(peer)
    this.#reached.set(peer, known)
  }

  /** Returns the addresses of a peer as text, without `/p2p`. */
  get(peer: PeerLike): string[] {
    const all = this.#addressesOf(peerText(peer))
    if (all === undefined) return []
    // The common case: there is nothing to sort.
    if (all.size === 1) return [...all.keys()]
    const known = [...all].reverse()
    return known.sort(([, a], [, b]) => b - a).map(([address]) => address)
  }

  /** Removes a peer. */
  delete(peer: PeerLike): void {
    const id = peerText(peer)
    this.#unreached.delete(id)
    this.#reached.delete(id)
  }

  /** Returns the peers with at least one address, as text. */
  peers(): string[] {
    return [...this.#unreached.keys(), ...this.#reached.keys()]
  }

  #add(id: string, addrs: readonly AddrLike[], quality: Quality): void {
    const known = this.#addressesOf(id) ?? new Map<string, Quality>()
    for (const parsed of addrs.map(parseAddress)) {
      const { text, peer } = parsed
      if (text === '' || (peer !== undefined && peer !== id)) continue
      // A transport of the application may have dialled it.
      const isDialable = quality === WORKED || dialRefusal(parsed) === undefined
      const fresh = isDialable ? quality : UNDIALABLE
      const before = known.get(text) ?? fresh
      known.delete(text)
      // The larger of two standings is one of them.
      known.set(text, Math.max(before, fresh) as Quality)
      if (known.size > ADDRESSES_MAX) known.delete(worst(known))
    }
    if (known.size === 0) return
    const place = quality === WORKED || this.#reached.has(id) ? this.#reached : this.#unreached
    this.#unreached.delete(id)
    this.#reached.delete(id)
    place.set(id, known)
    if (this.#unreached.size + this.#reached.size <= PEERS_MAX) return
    const from = this.#unreached.size > 0 ? this.#unreached : this.#reached
    const [stalest] = from.keys()
    if (stalest !== undefined) from.delete(stalest)
  }

  #addressesOf(id: string): Map<string, Quality> | undefined {
    return this.#reached.get(id) ?? this.#unreached.get(id)
  }
}

/** Returns the oldest address of the worst quality. */
function worst(known: ReadonlyMap<string, Quality>): string {
  let found = ''
  let least = Number.POSITIVE_INFINITY
  for (const [address, quality] of known) {
    if (quality >= least) continue
    found = address
    least = quality
  }
  return found
}
