/** Changes of the entries of peers, for the checked calls of {@link Peerstore} and for the swarm's own. */
import { lazyModule } from '../base/lazy-module.ts'
import { ADDRESS_TTL_CONNECTED, ADDRESS_TTL_RECENTLY_CONNECTED } from '../constants.ts'
import { type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import { UNVERIFIED, WORKED } from './peer-addresses.ts'
import type { PeerEntry } from './peer-entry.ts'
import type { PeerTable } from './peer-table.ts'
import type { PeerRecord } from './signed-record.ts'

// Loaded at the first record.
const loadSignedRecord = lazyModule<typeof import('./signed-record.ts')>(
  import.meta.url,
  './signed-record'
)

/** Returns the verified record of an envelope. Throws `InvalidRecordError`. */
export function openRecord(envelope: Uint8Array): PeerRecord {
  return loadSignedRecord().openPeerRecord(envelope)
}

/** Maximum protocols of a peer, as in go. */
export const PROTOCOLS_MAX = 1_024

/**
 * Maximum bytes of a peer's metadata, keys included: the two texts of identify, 16 KiB at most, and as much as an
 * application keeps of a peer in good conscience.
 */
export const METADATA_BYTES_MAX = 64 * 1024

/** Returns the addresses that are of `peer`, if they name one: those of others, and `/p2p` parts alone, are ignored. */
export function ofPeer(peer: string, addresses: readonly ParsedAddress[]): ParsedAddress[] {
  return addresses.filter(
    ({ text, peer: named }) => text !== '' && (named === undefined || named === peer)
  )
}

export function addAddresses(
  table: PeerTable,
  peer: string,
  addresses: readonly ParsedAddress[],
  ttl: number
): Promise<void> {
  const entry = table.ensure(peer)
  const now = table.clock.now()
  for (const address of ofPeer(peer, addresses)) entry.addresses.add(address, UNVERIFIED, ttl, now)
  return table.settle(entry)
}

/** Records a successful dial of an address. */
export function addressWorked(table: PeerTable, peer: string, text: string): void {
  const entry = table.ensure(peer)
  entry.addresses.add(parseAddress(text), WORKED, ADDRESS_TTL_CONNECTED, table.clock.now())
  if (!entry.isConnected) entry.addresses.left(table.clock.now())
  void table.settle(entry)
}

/**
 * Replaces the addresses that a connected peer has reported by those that it reports now. Addresses that worked, and
 * those that somebody else has named, stay.
 */
export function reportAddresses(
  table: PeerTable,
  entry: PeerEntry,
  texts: readonly string[],
  isCertified: boolean
): void {
  const now = table.clock.now()
  const { addresses } = entry
  const reported = ofPeer(entry.peer, texts.map(parseAddress))
  const kept = new Set(reported.map(({ text }) => text))
  addresses.remove(
    ({ text, ttl, quality, own }) =>
      quality !== WORKED && own === undefined && REPORTED.has(ttl) && !kept.has(text)
  )
  const ttl = table.isConnected(entry.peer) ? ADDRESS_TTL_CONNECTED : ADDRESS_TTL_RECENTLY_CONNECTED
  for (const address of reported) {
    addresses.add(address, UNVERIFIED, ttl, now).isCertified ||= isCertified
  }
}

/** Lifetimes of the addresses that peers report. */
const REPORTED: ReadonlySet<number> = new Set([
  ADDRESS_TTL_CONNECTED,
  ADDRESS_TTL_RECENTLY_CONNECTED
])

/**
 * Takes a verified record over, unless there is one with a larger number. Addresses of the earlier record that are not in
 * this one are removed, unless the peer is connected by them, as in go.
 */
export function acceptRecord(entry: PeerEntry, record: PeerRecord, envelope: Uint8Array): boolean {
  if (entry.record !== undefined && entry.record.seq > record.seq) return false
  const kept = new Set(record.addresses)
  entry.addresses.remove(
    ({ text, ttl, isCertified }) => isCertified && ttl !== ADDRESS_TTL_CONNECTED && !kept.has(text)
  )
  entry.record = { envelope, seq: record.seq }
  entry.publicKey = record.publicKey
  return true
}

/** Returns a message if a value does not fit beside the other metadata. */
export function putMetadata(entry: PeerEntry, key: string, value: Uint8Array): string | undefined {
  const before = entry.metadata?.get(key)
  const freed = before === undefined ? 0 : key.length + before.length
  const bytes = entry.metadataBytes - freed + key.length + value.length
  if (bytes > METADATA_BYTES_MAX) {
    return `metadata of ${bytes} bytes exceeds the limit of ${METADATA_BYTES_MAX} a peer`
  }
  entry.metadata ??= new Map()
  entry.metadata.set(key, value)
  return undefined
}

/**
 * Sets the tags of a peer that are to outlive the process: it is not evicted then, and its addresses that worked remain.
 * Returns a message if the application keeps too many peers.
 */
export function putTags(
  table: PeerTable,
  peer: string,
  tags: ReadonlyMap<string, number>
): Promise<void> | string {
  const refusal = tags.size > 0 ? table.refusal(peer) : undefined
  if (refusal !== undefined) return refusal
  const entry = table.ensure(peer)
  entry.tags = tags.size === 0 ? undefined : new Map(tags)
  entry.addresses.keepWorked(entry.isTagged)
  return table.settle(entry)
}
