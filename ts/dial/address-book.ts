/** Addresses of peers, in memory: those that worked, and those that peers tell of themselves. */
import { anArray } from '../base/arguments.ts'
import type { AddrLike } from '../identity/address.ts'
import { dialRefusal, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'

/** Addresses kept of one peer. A peer can tell us any number. */
const ADDRESSES_MAX = 64

/** Peers kept; of those that were never reached, the least recently heard of go first. Anybody can tell us of any. */
const PEERS_MAX = 10_000

/** What is known of an address, the least first: that is also the order in which they go when there are too many. */
const UNDIALABLE = 0
const HEARD_OF = 1
const WORKED = 2
type Standing = typeof UNDIALABLE | typeof HEARD_OF | typeof WORKED

/**
 * Addresses by peer: those that worked first, then those that may, then those that no transport here takes; among
 * equals the most recently confirmed first. At most 64 a peer: of the worst kind, the oldest goes.
 */
export class AddressBook {
  readonly #heardOf = new Map<string, Map<string, Standing>>()
  /** Peers with an address that worked. */
  readonly #reached = new Map<string, Map<string, Standing>>()

  /**
   * Remember addresses of a peer, or confirm them. A `/p2p` part is cut off; an address of another peer is ignored,
   * and so is one that is nothing but a `/p2p` part.
   */
  add(peer: PeerLike, addrs: readonly AddrLike[]): void {
    const id = peerText(peer)
    anArray(addrs, 'addrs')
    this.#add(id, addrs, HEARD_OF)
  }

  /** @internal A dial of this address has led to the peer. */
  worked(peer: string, addr: string): void {
    const known = this.#reached.get(peer)
    if (known?.get(addr) !== WORKED) {
      this.#add(peer, [addr], WORKED)
      return
    }
    // Nothing new: it is the most recent one again, and so is the peer.
    known.delete(addr)
    known.set(addr, WORKED)
    this.#reached.delete(peer)
    this.#reached.set(peer, known)
  }

  /** The addresses of a peer as text, without `/p2p`. */
  get(peer: PeerLike): string[] {
    const known = [...(this.#addressesOf(peerText(peer)) ?? [])].reverse()
    return known.sort(([, a], [, b]) => b - a).map(([address]) => address)
  }

  /** Forget a peer. */
  delete(peer: PeerLike): void {
    const id = peerText(peer)
    this.#heardOf.delete(id)
    this.#reached.delete(id)
  }

  /** Peers with at least one address, as text. */
  peers(): string[] {
    return [...this.#heardOf.keys(), ...this.#reached.keys()]
  }

  #add(id: string, addrs: readonly AddrLike[], standing: Standing): void {
    const known = this.#addressesOf(id) ?? new Map<string, Standing>()
    for (const parsed of addrs.map(parseAddress)) {
      const { text, peer } = parsed
      if (text === '' || (peer !== undefined && peer !== id)) continue
      const fresh = dialRefusal(parsed) === undefined ? standing : UNDIALABLE
      const before = known.get(text) ?? fresh
      known.delete(text)
      // The larger of two standings is one of them.
      known.set(text, Math.max(before, fresh) as Standing)
      if (known.size > ADDRESSES_MAX) known.delete(worst(known))
    }
    if (known.size === 0) return
    const place = standing === WORKED || this.#reached.has(id) ? this.#reached : this.#heardOf
    this.#heardOf.delete(id)
    this.#reached.delete(id)
    place.set(id, known)
    if (this.#heardOf.size + this.#reached.size <= PEERS_MAX) return
    const from = this.#heardOf.size > 0 ? this.#heardOf : this.#reached
    const [stalest] = from.keys()
    if (stalest !== undefined) from.delete(stalest)
  }

  #addressesOf(id: string): Map<string, Standing> | undefined {
    return this.#reached.get(id) ?? this.#heardOf.get(id)
  }
}

/** Of the addresses that are known to be good for least, the oldest. */
function worst(known: ReadonlyMap<string, Standing>): string {
  let found = ''
  let least = Number.POSITIVE_INFINITY
  for (const [address, standing] of known) {
    if (standing >= least) continue
    found = address
    least = standing
  }
  return found
}
