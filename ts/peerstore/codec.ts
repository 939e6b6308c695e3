/**
 * The record of a peer: the protobuf of js-libp2p's peer store, so that either reads what the other has written, with
 * fields of our own under numbers far away.
 */
import { ProtobufReader, ProtobufWriter } from '../base/protobuf.ts'
import {
  ADDRESS_TTL_CONNECTED,
  ADDRESS_TTL_PERMANENT,
  ADDRESS_TTL_RECENTLY_CONNECTED
} from '../constants.ts'
import { addressBytes, addressOf } from '../identity/address.ts'
import { dialRefusal, parseAddress } from '../identity/parsed-address.ts'
import { PROTOCOLS_MAX, putMetadata } from './changes.ts'
import {
  type KnownAddress,
  lifetimeLeft,
  ownLifetime,
  type Quality,
  UNDIALABLE,
  UNVERIFIED,
  WORKED
} from './peer-addresses.ts'
import { PeerEntry } from './peer-entry.ts'
import { recordSeq } from './signed-record.ts'

/** Fields of a peer. Those of js, then ours: none yet. */
const PEER = {
  addresses: 1,
  protocols: 2,
  publicKey: 4,
  record: 5,
  metadata: 6,
  tags: 7,
  updated: 8
} as const

/** Fields of an address: those of js, then ours. */
const ADDRESS = {
  multiaddr: 1,
  isCertified: 2,
  observed: 3,
  ttl: 1_001,
  expires: 1_002,
  quality: 1_003
} as const

/** Fields of an entry of a map, and of a tag, whose second one is when it expires. */
const ENTRY = { key: 1, value: 2 } as const
const TAG = { value: 1, expiry: 2 } as const

/** Stands for a lifetime that never ends. */
const FOREVER = 2n ** 64n - 1n

/** Any lifetime from here on is {@link FOREVER}, as a number loses its last digits. */
const FOREVER_MIN = 2 ** 63

/** Milliseconds for which js believes an address after it was observed. */
const JS_ADDRESS_MS = 3_600_000

/** Maximum tags of a peer. */
const TAGS_MAX = 1_024

/** Returns the record of a peer. */
export function encodePeer(entry: PeerEntry, now: number): Uint8Array {
  const record = new ProtobufWriter()
  for (const address of entry.addresses.all()) {
    record.bytes(PEER.addresses, encodeAddress(address, now))
  }
  for (const name of entry.protocols) record.text(PEER.protocols, name)
  if (entry.publicKey !== undefined) record.bytes(PEER.publicKey, entry.publicKey)
  if (entry.record !== undefined) record.bytes(PEER.record, entry.record.envelope)
  for (const [key, value] of entry.metadata ?? []) {
    const pair = new ProtobufWriter()
    pair.text(ENTRY.key, key)
    pair.bytes(ENTRY.value, value)
    record.bytes(PEER.metadata, pair.end())
  }
  for (const [name, value] of entry.tags ?? []) {
    const tag = new ProtobufWriter()
    // The format has no negative values.
    tag.varint(TAG.value, Math.max(value, 0))
    const pair = new ProtobufWriter()
    pair.text(ENTRY.key, name)
    pair.bytes(ENTRY.value, tag.end())
    record.bytes(PEER.tags, pair.end())
  }
  record.varint(PEER.updated, whole(now))
  return record.end()
}

function encodeAddress(address: KnownAddress, now: number): Uint8Array {
  const { text, quality, isCertified, observedAt } = address
  const isConnected = address.ttl === ADDRESS_TTL_CONNECTED
  // A process that ends before the connection leaves the lifetime that the application has given.
  const left = isConnected && address.own !== undefined ? lifetimeLeft(address, now) : address
  const { ttl, expiresAt } = left
  const written = new ProtobufWriter()
  written.bytes(ADDRESS.multiaddr, addressBytes(text))
  if (isCertified) written.varint(ADDRESS.isCertified, 1)
  // While it is connected, the peer is observed all the time.
  written.varint(ADDRESS.observed, whole(isConnected ? now : observedAt))
  written.varint(ADDRESS.ttl, ttl === ADDRESS_TTL_PERMANENT ? FOREVER : whole(ttl))
  if (Number.isFinite(expiresAt)) written.varint(ADDRESS.expires, whole(expiresAt))
  written.varint(ADDRESS.quality, quality)
  return written.end()
}

/**
 * Returns the entry of a record, without what has expired and what exceeds the bounds. Throws `ProtobufError` for a
 * malformed one.
 */
export function decodePeer(peer: string, bytes: Uint8Array, now: number): PeerEntry {
  const entry = new PeerEntry(peer)
  const addresses: KnownAddress[] = []
  const protocols: string[] = []
  const fields = new ProtobufReader(bytes)
  while (fields.next()) {
    if (fields.is(PEER.addresses)) {
      const address = decodeAddress(fields.bytes(), now)
      if (address !== undefined) addresses.push(address)
    } else if (fields.is(PEER.protocols) && protocols.length < PROTOCOLS_MAX) {
      protocols.push(fields.text())
    } else if (fields.is(PEER.publicKey)) entry.publicKey = Uint8Array.from(fields.bytes())
    else if (fields.is(PEER.record)) {
      const envelope = Uint8Array.from(fields.bytes())
      entry.record = { envelope, seq: recordSeq(envelope) }
    } else if (fields.is(PEER.metadata)) decodeMetadata(entry, fields.bytes())
    else if (fields.is(PEER.tags)) decodeTag(entry, fields.bytes())
    else if (fields.isNumber(PEER.updated)) entry.updatedAt = fields.number()
    else fields.skip()
  }
  if (protocols.length > 0) entry.protocols = shared(protocols)
  entry.addresses.keepWorked(entry.isTagged)
  for (const address of addresses) entry.addresses.put(address)
  entry.addresses.sweep(now)
  if (entry.addresses.size === 0) entry.record = undefined
  return entry
}

// The protocols of the latest record. Most peers run the same software, so that equal ones share their memory.
let latest: readonly string[] = []

function shared(protocols: readonly string[]): readonly string[] {
  const isSame =
    protocols.length === latest.length && protocols.every((name, at) => name === latest[at])
  if (!isSame) latest = Object.freeze(protocols)
  return latest
}

function decodeAddress(bytes: Uint8Array, now: number): KnownAddress | undefined {
  let text: string | undefined
  let isCertified = false
  let observedAt = 0
  let lifetime: number | undefined
  let expiresAt = Number.POSITIVE_INFINITY
  let stored: number | undefined
  const fields = new ProtobufReader(bytes)
  while (fields.next()) {
    if (fields.is(ADDRESS.multiaddr)) text = addressOf(fields.bytes())
    else if (fields.isNumber(ADDRESS.isCertified)) isCertified = fields.number() !== 0
    else if (fields.isNumber(ADDRESS.observed)) observedAt = fields.number()
    else if (fields.isNumber(ADDRESS.ttl)) lifetime = fields.number()
    else if (fields.isNumber(ADDRESS.expires)) expiresAt = fields.number()
    else if (fields.isNumber(ADDRESS.quality)) stored = fields.number()
    else fields.skip()
  }
  if (text === undefined) return undefined
  const own = qualityOf(stored)
  const known = {
    ...(own === undefined ? parsedOf(text) : { text, quality: own }),
    own: undefined,
    isCertified,
    observedAt
  }
  if (known.text === '') return undefined
  if (lifetime === undefined) {
    return { ...known, ttl: JS_ADDRESS_MS, expiresAt: observedAt + JS_ADDRESS_MS }
  }
  if (lifetime >= FOREVER_MIN) return { ...known, ttl: ADDRESS_TTL_PERMANENT, expiresAt }
  if (lifetime < ADDRESS_TTL_CONNECTED) {
    return { ...known, ttl: lifetime, expiresAt, own: ownLifetime(lifetime, expiresAt) }
  }
  // The process has ended before its connection.
  return {
    ...known,
    ttl: ADDRESS_TTL_RECENTLY_CONNECTED,
    expiresAt: now + ADDRESS_TTL_RECENTLY_CONNECTED
  }
}

/** Returns an address of js, whose text may end in `/p2p`, with what is known of it. */
function parsedOf(written: string): { text: string; quality: Quality } {
  const parsed = parseAddress(written)
  const quality = dialRefusal(parsed) === undefined ? UNVERIFIED : UNDIALABLE
  return { text: parsed.text, quality }
}

function qualityOf(stored: number | undefined): Quality | undefined {
  return stored === UNDIALABLE || stored === UNVERIFIED || stored === WORKED ? stored : undefined
}

function decodeMetadata(entry: PeerEntry, bytes: Uint8Array): void {
  const { key, value } = decodePair(bytes)
  // What exceeds the bound, as js has none, is left out.
  putMetadata(entry, key, Uint8Array.from(value))
}

function decodeTag(entry: PeerEntry, bytes: Uint8Array): void {
  const { key, value } = decodePair(bytes)
  let amount = 0
  let expiresAt = Number.POSITIVE_INFINITY
  const fields = new ProtobufReader(value)
  while (fields.next()) {
    if (fields.isNumber(TAG.value)) amount = fields.number()
    else if (fields.isNumber(TAG.expiry)) expiresAt = fields.number()
    else fields.skip()
  }
  // Those that expire are for the time of a connection.
  if (expiresAt !== Number.POSITIVE_INFINITY) return
  entry.tags ??= new Map()
  if (entry.tags.size < TAGS_MAX) entry.tags.set(key, amount)
}

function decodePair(bytes: Uint8Array): { key: string; value: Uint8Array } {
  let key = ''
  let value = new Uint8Array(0)
  const fields = new ProtobufReader(bytes)
  while (fields.next()) {
    if (fields.is(ENTRY.key)) key = fields.text()
    else if (fields.is(ENTRY.value)) value = Uint8Array.from(fields.bytes())
    else fields.skip()
  }
  return { key, value }
}

/** Returns milliseconds as a whole number, 0 or more. */
function whole(ms: number): number {
  return Math.max(Math.ceil(ms), 0)
}
