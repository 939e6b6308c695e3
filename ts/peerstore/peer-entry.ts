/** What is known of one peer. Parts that most peers lack are made at their first use. */
import { PeerAddresses } from './peer-addresses.ts'

/** Eviction goes by rank, lowest first. */
export const RANK = {
  /** Without addresses. */
  bare: 0,
  /** Never reached. */
  unreached: 1,
  reached: 2,
  /** Never evicted. */
  connected: 3,
  /** What the application keeps, connected or not: never evicted, and bounded apart from the others. */
  kept: 4
} as const
export type Rank = (typeof RANK)[keyof typeof RANK]

/** Keys of metadata that identify writes, as in go and js. */
export const AGENT_VERSION = 'AgentVersion'
export const PROTOCOL_VERSION = 'ProtocolVersion'

const NO_PROTOCOLS: readonly string[] = Object.freeze([])

/** Bytes of an entry without contents, measured. */
const ENTRY_BYTES = 400

/** A signed peer record. */
export interface SignedRecord {
  readonly envelope: Uint8Array
  readonly seq: bigint
}

/** The entry of one peer, linked into the list of its rank. */
export class PeerEntry {
  readonly peer: string
  readonly addresses = new PeerAddresses()
  /** Never changed, only replaced: reports of peers share it. */
  protocols: readonly string[] = NO_PROTOCOLS
  metadata: Map<string, Uint8Array> | undefined
  tags: Map<string, number> | undefined
  /** A libp2p protobuf. */
  publicKey: Uint8Array | undefined
  record: SignedRecord | undefined
  /** Milliseconds, not persisted. */
  latency: number | undefined
  isConnected = false
  /** When it last changed; set for the entries of a store. */
  updatedAt = 0
  /** Approximate bytes of memory, as last measured. */
  bytes = ENTRY_BYTES
  rank: Rank = RANK.bare
  previous: PeerEntry | undefined
  next: PeerEntry | undefined

  constructor(peer: string) {
    this.peer = peer
  }

  get isTagged(): boolean {
    return this.tags !== undefined
  }

  /** Whether the application keeps it: by tags, a permanent address or metadata of its own. */
  get isKept(): boolean {
    if (this.isTagged || this.addresses.hasPermanent) return true
    for (const key of this.metadata?.keys() ?? []) {
      if (key !== AGENT_VERSION && key !== PROTOCOL_VERSION) return true
    }
    return false
  }

  /** Whether nothing is known. */
  get isEmpty(): boolean {
    return (
      this.addresses.size + this.protocols.length === 0 &&
      this.metadata === undefined &&
      this.tags === undefined &&
      this.publicKey === undefined &&
      this.record === undefined &&
      this.latency === undefined
    )
  }

  rankNow(): Rank {
    if (this.isKept) return RANK.kept
    if (this.isConnected) return RANK.connected
    if (this.addresses.size === 0) return RANK.bare
    return this.addresses.hasWorked ? RANK.reached : RANK.unreached
  }

  /** Returns the approximate bytes of memory. */
  measure(): number {
    let bytes = ENTRY_BYTES + this.addresses.bytes + this.metadataBytes
    for (const name of this.protocols) bytes += name.length
    bytes += (this.publicKey?.length ?? 0) + (this.record?.envelope.length ?? 0)
    return bytes
  }

  /** Bytes of the metadata: keys and values. */
  get metadataBytes(): number {
    let bytes = 0
    for (const [key, value] of this.metadata ?? []) bytes += key.length + value.length
    return bytes
  }
}
