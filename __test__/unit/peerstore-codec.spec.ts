import test from 'ava'
import fc from 'fast-check'
import { ProtobufError, ProtobufReader, ProtobufWriter } from '../../ts/base/protobuf.ts'
import {
  ADDRESS_TTL_CONNECTED,
  ADDRESS_TTL_PERMANENT,
  ADDRESS_TTL_RECENTLY_CONNECTED
} from '../../ts/constants.ts'
import { addressBytes } from '../../ts/identity/address.ts'
import { makeIdentity } from '../../ts/identity/keys.ts'
import { parseAddress } from '../../ts/identity/parsed-address.ts'
import { decodePeer, encodePeer } from '../../ts/peerstore/codec.ts'
import { UNVERIFIED, WORKED } from '../../ts/peerstore/peer-addresses.ts'
import { PeerEntry } from '../../ts/peerstore/peer-entry.ts'
import { signPeerRecord } from '../../ts/peerstore/signed-record.ts'

const identity = makeIdentity(undefined)
const { peer: PEER } = identity
const NOW = 1_700_000_000_000
const at = (port: number): string => `/ip4/192.0.2.1/tcp/${port}`

/** Returns what is persisted of an entry, for comparison. */
function facts(entry: PeerEntry) {
  const { protocols, metadata, tags, publicKey, record } = entry
  return {
    addresses: [...entry.addresses.all()],
    ...{ protocols: [...protocols], metadata: [...(metadata ?? [])], tags: [...(tags ?? [])] },
    ...{ publicKey, record }
  }
}

const address = fc.record({
  port: fc.integer({ min: 1, max: 65_535 }),
  ttl: fc.oneof(fc.integer({ min: 1, max: 10 ** 9 }), fc.constant(ADDRESS_TTL_PERMANENT)),
  worked: fc.boolean(),
  isCertified: fc.boolean()
})
const bytes = fc.uint8Array({ maxLength: 40 })
const name = fc.string({ minLength: 1, maxLength: 40, unit: 'binary' })

const entries = fc
  .record({
    addresses: fc.uniqueArray(address, { maxLength: 64, selector: ({ port }) => port }),
    protocols: fc.uniqueArray(name, { maxLength: 20 }),
    metadata: fc.dictionary(name, bytes),
    tags: fc.dictionary(name, fc.integer({ min: 0, max: 100 })),
    key: fc.boolean(),
    seq: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined })
  })
  .map(({ addresses, protocols, metadata, tags, key, seq }) => {
    const entry = new PeerEntry(PEER)
    for (const { port, ttl, worked, isCertified } of addresses) {
      const added = entry.addresses.add(
        parseAddress(at(port)),
        worked ? WORKED : UNVERIFIED,
        ttl,
        NOW
      )
      added.isCertified = isCertified
    }
    entry.protocols = protocols
    if (Object.keys(metadata).length > 0) entry.metadata = new Map(Object.entries(metadata))
    if (Object.keys(tags).length > 0) entry.tags = new Map(Object.entries(tags))
    if (key) entry.publicKey = identity.publicKeyBytes
    if (seq !== undefined && addresses.length > 0) {
      entry.record = { envelope: signPeerRecord(identity, [at(1)], seq), seq }
    }
    return entry
  })

test('any record is read as it was written', (t) => {
  fc.assert(
    fc.property(entries, (entry) => {
      t.deepEqual(facts(decodePeer(PEER, encodePeer(entry, NOW), NOW)), facts(entry))
    }),
    { numRuns: 200 }
  )
})

test('arbitrary bytes, and records with any change, are decoded or refused with one error', (t) => {
  const refuses = (record: Uint8Array): void => {
    try {
      decodePeer(PEER, record, NOW)
    } catch (err) {
      t.true(err instanceof ProtobufError, `${err}`)
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), refuses), { numRuns: 2_000 })
  fc.assert(
    fc.property(entries, fc.nat(), fc.integer({ min: 0, max: 255 }), (entry, where, byte) => {
      const record = Uint8Array.from(encodePeer(entry, NOW))
      if (record.length > 0) record[where % record.length] = byte
      refuses(record)
      refuses(record.subarray(0, where % (record.length + 1)))
    }),
    { numRuns: 500 }
  )
})

test('numbers of up to 64 bits are read and written', (t) => {
  for (const value of [0n, 127n, 128n, 2n ** 53n - 1n, 2n ** 64n - 1n]) {
    const writer = new ProtobufWriter()
    writer.varint(1_001, value)
    const reader = new ProtobufReader(writer.end())
    t.true(reader.next() && reader.isNumber(1_001))
    t.is(reader.bigint(), value)
    t.false(reader.next())
  }
})

test('addresses of a peer that was connected are recent ones, expired ones are left out', (t) => {
  const entry = new PeerEntry(PEER)
  entry.addresses.add(parseAddress(at(1)), WORKED, ADDRESS_TTL_CONNECTED, NOW)
  entry.addresses.add(parseAddress(at(2)), UNVERIFIED, 1_000, NOW)
  const loaded = decodePeer(PEER, encodePeer(entry, NOW), NOW + 1_000)
  t.like([...loaded.addresses.all()], {
    length: 1,
    0: {
      text: at(1),
      quality: WORKED,
      ttl: ADDRESS_TTL_RECENTLY_CONNECTED,
      expiresAt: NOW + 1_000 + ADDRESS_TTL_RECENTLY_CONNECTED
    }
  })
})

test('addresses of a tagged peer that worked are kept although they have expired', (t) => {
  const entry = new PeerEntry(PEER)
  entry.tags = new Map([['keep-alive', 1]])
  entry.addresses.add(parseAddress(at(1)), WORKED, 1_000, NOW)
  entry.addresses.add(parseAddress(at(2)), UNVERIFIED, 1_000, NOW)
  const loaded = decodePeer(PEER, encodePeer(entry, NOW), NOW + 10 ** 9)
  t.deepEqual(loaded.addresses.texts({ now: () => NOW + 10 ** 9 }), [at(1)])
})

test('a record of js without lifetimes has its addresses for an hour after it observed them', (t) => {
  const writer = new ProtobufWriter()
  for (const [port, observed] of [
    [1, NOW - 3_600_001],
    [2, NOW - 1_000]
  ] as const) {
    const entry = new ProtobufWriter()
    entry.bytes(1, addressBytes(at(port)))
    entry.varint(3, BigInt(observed))
    writer.bytes(1, entry.end())
  }
  const loaded = decodePeer(PEER, writer.end(), NOW)
  t.like([...loaded.addresses.all()], {
    length: 1,
    0: { text: at(2), expiresAt: NOW - 1_000 + 3_600_000 }
  })
})
