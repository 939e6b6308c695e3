/** Addresses of peers, in memory: those that worked, and those that peers tell of themselves. */
import { anArray } from '../arguments.ts'
import { type AddrLike, addressText, splitPeer } from '../identity/address.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'

/** Addresses kept of one peer; the oldest go first. A peer can tell us any number. */
const ADDRESSES_MAX = 64

/** Peers kept; the least recently heard of go first. */
const PEERS_MAX = 10_000

/** Addresses by peer, most recently confirmed first. */
export class AddressBook {
  readonly #peers = new Map<string, Set<string>>()

  /** Remember addresses of a peer, or confirm them. A `/p2p` part is cut off; one of another peer is ignored. */
  add(peer: PeerLike, addrs: readonly AddrLike[]): void {
    const id = peerText(peer)
    anArray(addrs, 'addrs')
    const known = this.#peers.get(id) ?? new Set<string>()
    for (const addr of addrs) {
      const { address, peer: named } = splitPeer(addressText(addr))
      if (named !== undefined && named !== id) continue
      known.delete(address)
      known.add(address)
      const [oldest] = known
      if (known.size > ADDRESSES_MAX && oldest !== undefined) known.delete(oldest)
    }
    if (known.size === 0) return
    this.#peers.delete(id)
    this.#peers.set(id, known)
    const [stalest] = this.#peers.keys()
    if (this.#peers.size > PEERS_MAX && stalest !== undefined) this.#peers.delete(stalest)
  }

  /** The addresses of a peer as text, without `/p2p`. */
  get(peer: PeerLike): string[] {
    return [...(this.#peers.get(peerText(peer)) ?? [])].reverse()
  }

  /** Forget a peer. */
  delete(peer: PeerLike): void {
    this.#peers.delete(peerText(peer))
  }

  /** Peers with at least one address, as text. */
  peers(): string[] {
    return [...this.#peers.keys()]
  }
}
