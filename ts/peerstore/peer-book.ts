/** The swarm's own use of its peerstore: what dials, connections and identify tell it, and the addresses of a dial. */
import { ADDRESS_TTL_TEMPORARY } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import type { ParsedAddress } from '../identity/parsed-address.ts'
import {
  acceptRecord,
  addAddresses,
  addressWorked,
  openRecord,
  PROTOCOLS_MAX,
  putMetadata,
  putTags,
  reportAddresses
} from './changes.ts'
import { AGENT_VERSION, PROTOCOL_VERSION } from './peer-entry.ts'
import type { PeerTable } from './peer-table.ts'
import type { PeerRecord } from './signed-record.ts'

/** What identify learns of a connected peer; undefined is not reported, and stays. */
export interface PeerReport {
  readonly listenAddrs?: readonly string[] | undefined
  readonly protocols?: readonly string[] | undefined
  readonly agentVersion?: string | undefined
  readonly protocolVersion?: string | undefined
  readonly signedPeerRecord?: Uint8Array | undefined
  /** The key that the handshake has authenticated. */
  readonly publicKey: Uint8Array
}

/** The swarm's interface to its peerstore. None of its calls throws or waits. */
export interface PeerBook {
  /** Called when the swarm starts. Throws `InvalidParametersError` if another one that runs uses the peerstore. */
  open(): void
  /** Returns the addresses to dial, in their order. */
  addressesOf(peer: string): string[]
  /** Records addresses that a caller has named. */
  named(peer: string, addresses: readonly ParsedAddress[]): void
  /** Records a successful dial of an address. */
  worked(peer: string, address: string): void
  /** Records that a peer has its first connection. */
  connected(peer: string): void
  /** Records that the last connection of a peer has ended. */
  disconnected(peer: string): void
  /** Records what a connected peer has reported of itself. */
  identified(peer: string, report: PeerReport): void
  /** Returns the peers with an address that is not only for a dial at hand. */
  reachable(): string[]
  /** Stores the tags of a peer that are to outlive the process. */
  setTags(peer: string, tags: ReadonlyMap<string, number>): void
  /** Returns the stored tags by peer. */
  tags(): ReadonlyMap<string, ReadonlyMap<string, number>>
  /** Called when the swarm has closed. */
  close(): void
}

/** Called for what is not stored. */
type OnRefusal = (line: string, err?: unknown) => void

/** {@link PeerBook} over the tables of a `Peerstore`. */
export class TableBook implements PeerBook {
  readonly #table: PeerTable
  readonly #refused: OnRefusal

  constructor(table: PeerTable, refused: OnRefusal = () => {}) {
    this.#table = table
    this.#refused = refused
  }

  open(): void {
    if (!this.#table.open(this)) {
      throw new InvalidParametersError('the peerstore is in use by another swarm')
    }
  }

  addressesOf(peer: string): string[] {
    return this.#table.get(peer)?.addresses.texts(this.#table.clock) ?? []
  }

  named(peer: string, addresses: readonly ParsedAddress[]): void {
    void addAddresses(this.#table, peer, addresses, ADDRESS_TTL_TEMPORARY)
  }

  worked(peer: string, address: string): void {
    const entry = this.#table.get(peer)
    // The common case is an address that worked before: neither its memory nor the rank of its peer changes.
    const hasChanged = entry?.isConnected === true ? entry.addresses.worked(address) : undefined
    if (entry === undefined || hasChanged === undefined) addressWorked(this.#table, peer, address)
    else this.#table.touch(entry, hasChanged)
  }

  connected(peer: string): void {
    const entry = this.#table.setConnected(peer, true)
    if (entry !== undefined) this.#table.rank(entry)
  }

  disconnected(peer: string): void {
    if (!this.#table.isConnected(peer)) return
    const entry = this.#table.setConnected(peer, false)
    if (entry === undefined) return
    entry.addresses.left(this.#table.clock.now())
    void this.#table.settle(entry)
  }

  identified(peer: string, report: PeerReport): void {
    const entry = this.#table.ensure(peer)
    const { listenAddrs, protocols, agentVersion, protocolVersion, signedPeerRecord } = report
    const record = this.#verified(peer, signedPeerRecord)
    // The addresses that the peer has signed, if it has signed any.
    const addresses = record === undefined ? listenAddrs : record.addresses
    if (addresses !== undefined) {
      reportAddresses(this.#table, entry, addresses, record !== undefined)
    }
    if (record !== undefined && signedPeerRecord !== undefined) {
      acceptRecord(entry, record, signedPeerRecord)
    }
    entry.publicKey = report.publicKey
    if (protocols !== undefined) entry.protocols = protocols.slice(0, PROTOCOLS_MAX)
    this.#put(entry, AGENT_VERSION, agentVersion)
    this.#put(entry, PROTOCOL_VERSION, protocolVersion)
    void this.#table.settle(entry)
  }

  reachable(): string[] {
    const now = this.#table.clock.now()
    const found: string[] = []
    for (const { peer, addresses } of this.#table.all()) {
      if (addresses.hasLasting(now)) found.push(peer)
    }
    return found
  }

  setTags(peer: string, tags: ReadonlyMap<string, number>): void {
    const stored = putTags(this.#table, peer, tags)
    if (typeof stored === 'string') this.#refused(`the tags of ${peer} are not stored: ${stored}`)
  }

  tags(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    const tagged = new Map<string, ReadonlyMap<string, number>>()
    for (const { peer, tags } of this.#table.all()) if (tags !== undefined) tagged.set(peer, tags)
    return tagged
  }

  close(): void {
    this.#table.close(this)
  }

  /** Returns the record of a peer if it is valid, and of this peer. */
  #verified(peer: string, envelope: Uint8Array | undefined): PeerRecord | undefined {
    if (envelope === undefined) return undefined
    try {
      const record = openRecord(envelope)
      if (record.peer === peer) return record
      this.#refused(`${peer} has sent a record of ${record.peer}, which is ignored`)
    } catch (err) {
      this.#refused(`the signed record of ${peer} is ignored`, err)
    }
    return undefined
  }

  #put(entry: Parameters<typeof putMetadata>[0], key: string, value: string | undefined): void {
    if (value === undefined) return
    const refusal = putMetadata(entry, key, new TextEncoder().encode(value))
    if (refusal !== undefined) this.#refused(`${key} of ${entry.peer} is not stored: ${refusal}`)
  }
}
