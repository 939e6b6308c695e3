/** The swarm's use of a peerstore of the application, by its public calls and in the order of go-libp2p. */
import type { PeerId } from '@libp2p/interface'
import {
  ADDRESS_TTL_CONNECTED,
  ADDRESS_TTL_RECENTLY_CONNECTED,
  ADDRESS_TTL_TEMPORARY
} from '../constants.ts'
import type { ParsedAddress } from '../identity/parsed-address.ts'
import type { PeerBook, PeerReport } from './peer-book.ts'
import { AGENT_VERSION, PROTOCOL_VERSION } from './peer-entry.ts'
import type { PeerstoreLike } from './peerstore.ts'

/** {@link PeerBook} over a replacement. What it throws, or rejects with, is reported and has no other effect. */
export class ReplacedBook implements PeerBook {
  readonly #store: PeerstoreLike
  readonly #failed: (err: unknown) => void
  readonly #connected = new Set<string>()

  constructor(store: PeerstoreLike, failed: (err: unknown) => void) {
    this.#store = store
    this.#failed = failed
  }

  open(): void {}

  addressesOf(peer: string): string[] {
    try {
      return this.#store.addrs(peer).map(String)
    } catch (err) {
      this.#failed(err)
      return []
    }
  }

  named(peer: string, addresses: readonly ParsedAddress[]): void {
    const texts = addresses.map(({ text }) => text)
    this.#write((store) => store.addAddrs(peer, texts, ADDRESS_TTL_TEMPORARY))
  }

  worked(peer: string, address: string): void {
    this.#write((store) => store.addAddrs(peer, [address], this.#ttlOf(peer)))
  }

  connected(peer: string): void {
    this.#connected.add(peer)
  }

  disconnected(peer: string): void {
    this.#connected.delete(peer)
    this.#write((store) =>
      store.updateAddrs(peer, ADDRESS_TTL_CONNECTED, ADDRESS_TTL_RECENTLY_CONNECTED)
    )
  }

  identified(peer: string, report: PeerReport): void {
    const { listenAddrs, protocols, agentVersion, protocolVersion, signedPeerRecord } = report
    const ttl = this.#ttlOf(peer)
    this.#write((store) => store.addPubKey(peer, report.publicKey))
    if (signedPeerRecord !== undefined) {
      this.#write((store) => store.consumePeerRecord(signedPeerRecord, { ttl, expectedPeer: peer }))
    }
    if (listenAddrs !== undefined) {
      this.#write((store) => store.addAddrs(peer, listenAddrs, ttl))
    }
    if (protocols !== undefined) this.#write((store) => store.setProtocols(peer, protocols))
    const texts = { [AGENT_VERSION]: agentVersion, [PROTOCOL_VERSION]: protocolVersion }
    for (const [key, value] of Object.entries(texts)) {
      if (value === undefined) continue
      this.#write((store) => store.put(peer, key, new TextEncoder().encode(value)))
    }
  }

  close(): void {
    this.#connected.clear()
  }

  reachable(): string[] {
    try {
      return this.#store.peersWithAddrs().map(String)
    } catch (err) {
      this.#failed(err)
      return []
    }
  }

  setTags(peer: string, tags: ReadonlyMap<string, number>): void {
    const bytes = new TextEncoder().encode(JSON.stringify(Object.fromEntries(tags)))
    this.#write((store) =>
      tags.size === 0 ? store.delete(peer, TAGS_KEY) : store.put(peer, TAGS_KEY, bytes)
    )
  }

  tags(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    const tagged = new Map<string, ReadonlyMap<string, number>>()
    for (const peer of this.#peers()) {
      try {
        const bytes = this.#store.get(peer, TAGS_KEY)
        if (bytes !== undefined) tagged.set(peer.toString(), tagsOf(bytes))
      } catch (err) {
        this.#failed(err)
      }
    }
    return tagged
  }

  #peers(): PeerId[] {
    try {
      return this.#store.peers()
    } catch (err) {
      this.#failed(err)
      return []
    }
  }

  #ttlOf(peer: string): number {
    return this.#connected.has(peer) ? ADDRESS_TTL_CONNECTED : ADDRESS_TTL_RECENTLY_CONNECTED
  }

  #write(write: (store: PeerstoreLike) => Promise<unknown>): void {
    try {
      // A replacement may return no promise.
      Promise.resolve(write(this.#store)).catch(this.#failed)
    } catch (err) {
      this.#failed(err)
    }
  }
}

/** The key of metadata under which tags are stored. */
const TAGS_KEY = 'ferroswarm/tags'

function tagsOf(bytes: Uint8Array): ReadonlyMap<string, number> {
  const tags: unknown = JSON.parse(new TextDecoder().decode(bytes))
  const entries = Object.entries(tags ?? {})
  return new Map(entries.filter((entry): entry is [string, number] => Number.isInteger(entry[1])))
}
