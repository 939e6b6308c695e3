import test from 'ava'
import {
  ADDRESS_TTL_CONNECTED,
  ADDRESS_TTL_PERMANENT,
  ADDRESS_TTL_RECENTLY_CONNECTED,
  ADDRESS_TTL_TEMPORARY
} from '../../ts/constants.ts'
import { InvalidParametersError, InvalidRecordError, PeerstoreLimitError } from '../../ts/errors.ts'
import { makeIdentity } from '../../ts/identity/keys.ts'
import { decodePeer, encodePeer } from '../../ts/peerstore/codec.ts'
import { TableBook } from '../../ts/peerstore/peer-book.ts'
import type { PeerEntry } from '../../ts/peerstore/peer-entry.ts'
import { Peerstore } from '../../ts/peerstore/peerstore.ts'
import { ReplacedBook } from '../../ts/peerstore/replaced-book.ts'
import { openPeerRecord, signPeerRecord } from '../../ts/peerstore/signed-record.ts'
import { FakeClock } from '../support/fake-clock.ts'

const { peer: PEER, publicKeyBytes: KEY } = makeIdentity(undefined)
const at = (port: number): string => `/ip4/192.0.2.1/tcp/${port}`

function setUp(maxPeers?: number) {
  const clock = new FakeClock()
  const store = new Peerstore(maxPeers === undefined ? { clock } : { clock, maxPeers })
  const refusals: string[] = []
  const book = new TableBook(store.table, (line) => void refusals.push(line))
  const addrs = (peer = PEER): string[] => store.addrs(peer).map(String)
  return { clock, store, book, addrs, refusals }
}

/** Returns distinct peer ids, made without keys. */
function peers(count: number): string[] {
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  return Array.from({ length: count }, (_, index) => {
    let name = ''
    for (let left = index; name.length < 6; left = Math.floor(left / 58)) name += digits[left % 58]
    return `QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7D${name}`
  })
}

// go 171
test('addresses expire at the end of their lifetime, which adding them only extends', (t) => {
  const { clock, store, addrs } = setUp()
  void store.addAddrs(PEER, [at(1)], ADDRESS_TTL_TEMPORARY)
  void store.addAddrs(PEER, [at(2)], ADDRESS_TTL_RECENTLY_CONNECTED)
  void store.addAddrs(PEER, [at(2)], ADDRESS_TTL_TEMPORARY)
  clock.advance(ADDRESS_TTL_TEMPORARY - 1)
  t.deepEqual(addrs().sort(), [at(1), at(2)])
  clock.advance(1)
  t.deepEqual(addrs(), [at(2)])
  clock.advance(ADDRESS_TTL_RECENTLY_CONNECTED - ADDRESS_TTL_TEMPORARY)
  t.deepEqual(addrs(), [])
  t.deepEqual(store.peersWithAddrs(), [])
  clock.advance(60_000)
  t.false(store.has(PEER), 'memory is freed')
  t.is(clock.timers, 0)
})

// go 171
test('a set lifetime may be shorter, and 0 removes addresses', (t) => {
  const { clock, store, addrs } = setUp()
  void store.addAddrs(PEER, [at(1), at(2)], ADDRESS_TTL_PERMANENT)
  void store.setAddrs(PEER, [at(1), at(3)], 10)
  void store.setAddrs(PEER, [at(2)], 0)
  t.deepEqual(addrs(), [at(3), at(1)])
  clock.advance(10)
  t.deepEqual(addrs(), [])
  void store.addAddrs(PEER, [at(1)], 0)
  t.deepEqual(addrs(), [])
})

// go 171
test('the addresses of one lifetime get another one together', (t) => {
  const { clock, store, addrs } = setUp()
  void store.addAddrs(PEER, [at(1), at(2)], ADDRESS_TTL_CONNECTED)
  void store.addAddrs(PEER, [at(3)], ADDRESS_TTL_PERMANENT)
  // It stays a permanent one.
  void store.addAddrs(PEER, [at(3)], ADDRESS_TTL_CONNECTED)
  void store.updateAddrs(PEER, ADDRESS_TTL_CONNECTED, 10)
  t.is(addrs().length, 3)
  clock.advance(10)
  t.deepEqual(addrs(), [at(3)])
  void store.updateAddrs(PEER, ADDRESS_TTL_PERMANENT, 0)
  t.deepEqual(addrs(), [])
})

// go 171
test('addresses of a connected peer do not expire; 20 of them are kept 15 minutes after it has left', (t) => {
  const { clock, book, addrs } = setUp()
  const many = Array.from({ length: 60 }, (_, index) => at(index + 1))
  book.connected(PEER)
  book.worked(PEER, at(1))
  book.identified(PEER, { publicKey: KEY, listenAddrs: many })
  clock.advance(ADDRESS_TTL_RECENTLY_CONNECTED * 10)
  t.is(addrs().length, 60)
  book.disconnected(PEER)
  t.deepEqual(addrs().slice(0, 2), [at(1), at(60)])
  t.is(addrs().length, 20)
  clock.advance(ADDRESS_TTL_RECENTLY_CONNECTED)
  t.deepEqual(addrs(), [])
})

// go 171
test('addresses that a peer reports replace those that it has reported before', (t) => {
  const { store, book, addrs } = setUp()
  void store.addAddrs(PEER, [at(9)], ADDRESS_TTL_PERMANENT)
  book.connected(PEER)
  book.worked(PEER, at(1))
  book.identified(PEER, { publicKey: KEY, listenAddrs: [at(2), at(3)] })
  book.identified(PEER, { publicKey: KEY, listenAddrs: [at(3), at(4)] })
  t.deepEqual(addrs(), [at(1), at(4), at(3), at(9)])
  book.identified(PEER, { publicKey: KEY, protocols: ['/a'] })
  t.is(addrs().length, 4, 'what is not reported stays')
})

test('addresses that a peer reports evict none that the application keeps', (t) => {
  const { store, book, addrs } = setUp()
  void store.addAddrs(PEER, [at(1)], ADDRESS_TTL_PERMANENT)
  book.connected(PEER)
  const many = Array.from({ length: 500 }, (_, index) => at(index + 2))
  book.identified(PEER, { publicKey: KEY, listenAddrs: many })
  t.is(addrs().length, 64)
  t.true(addrs().includes(at(1)))
})

test('named addresses are temporary until they work', (t) => {
  const { clock, book, addrs } = setUp()
  const parsed = (text: string) => ({
    ...{ text, peer: undefined, name: undefined, refusal: undefined, transport: 'tcp' as const },
    place: {
      transport: 'tcp' as const,
      family: 4 as const,
      host: '192.0.2.1',
      port: 1,
      zone: undefined
    }
  })
  book.named(PEER, [parsed(at(1)), parsed(at(2))])
  book.connected(PEER)
  book.worked(PEER, at(1))
  clock.advance(ADDRESS_TTL_TEMPORARY)
  t.deepEqual(addrs(), [at(1)])
})

// go 171
test('identify stores key, protocols and versions, and a valid signed record instead of addresses', (t) => {
  const { store, book, addrs, refusals } = setUp()
  const identity = makeIdentity(undefined)
  const { peer, publicKeyBytes: publicKey } = identity
  const record = signPeerRecord(identity, [at(1), at(2)], 7n)
  book.connected(peer)
  book.identified(peer, {
    ...{ publicKey, protocols: ['/a', '/b'], agentVersion: 'go', protocolVersion: 'ipfs/0.1.0' },
    ...{ listenAddrs: [at(3)], signedPeerRecord: record }
  })
  t.deepEqual(addrs(peer), [at(2), at(1)])
  t.deepEqual(store.getPeerRecord(peer), record)
  t.deepEqual(store.getProtocols(peer), ['/a', '/b'])
  t.deepEqual(String(Buffer.from(store.get(peer, 'AgentVersion') ?? [])), 'go')
  t.deepEqual(String(Buffer.from(store.get(peer, 'ProtocolVersion') ?? [])), 'ipfs/0.1.0')
  t.deepEqual(store.peersWithKeys().map(String), [peer])
  t.true(store.pubKey(peer)?.equals(identity.privateKey.publicKey))
  t.deepEqual(refusals, [])
})

// go 171
test('a record that is invalid, or of another peer, is ignored in favour of the addresses', (t) => {
  const { store, book, addrs, refusals } = setUp()
  const record = signPeerRecord(makeIdentity(undefined), [at(1)], 7n)
  for (const signedPeerRecord of [record, record.slice(1), Uint8Array.of(1)]) {
    book.identified(PEER, { publicKey: KEY, listenAddrs: [at(3)], signedPeerRecord })
    t.deepEqual(addrs(), [at(3)])
    t.is(store.getPeerRecord(PEER), undefined)
  }
  t.is(refusals.length, 3)
})

test('a record is accepted unless there is a later one, and replaces what it no longer certifies', async (t) => {
  const { store, addrs } = setUp()
  const identity = makeIdentity(undefined)
  const { peer } = identity
  const options = { ttl: ADDRESS_TTL_PERMANENT }
  const consume = (seq: bigint, ...addresses: string[]): Promise<boolean> =>
    store.consumePeerRecord(signPeerRecord(identity, addresses, seq), options)
  t.true(await consume(5n, at(1), at(2)))
  // As in go, addresses of others may still be added.
  await store.addAddrs(peer, [at(9)], ADDRESS_TTL_PERMANENT)
  t.false(await consume(4n, at(3)))
  t.true(await consume(2n ** 63n, at(2), at(4)))
  t.deepEqual(addrs(peer), [at(4), at(2), at(9)])
  await store.clearAddrs(peer)
  t.is(store.getPeerRecord(peer), undefined)
})

test('a record with any bit flipped is refused', async (t) => {
  const { store } = setUp()
  const identity = makeIdentity(undefined)
  const record = signPeerRecord(identity, [at(1)], 7n)
  t.like(openPeerRecord(record), { peer: identity.peer, seq: 7n, addresses: [at(1)] })
  for (let bit = 0; bit < record.length * 8; bit += 1) {
    const flipped = record.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    await t.throwsAsync(store.consumePeerRecord(flipped, { ttl: 1 }), {
      instanceOf: InvalidRecordError
    })
  }
  await t.throwsAsync(store.consumePeerRecord(record, { ttl: 1, expectedPeer: PEER }), {
    instanceOf: InvalidRecordError,
    message: new RegExp(`expected a record of ${PEER}`)
  })
  t.deepEqual(store.peers(), [])
})

// A123
test('the key of another peer is refused', async (t) => {
  const { store } = setUp()
  const other = makeIdentity(undefined)
  t.throws(() => store.addPubKey(PEER, other.publicKeyBytes), {
    instanceOf: InvalidParametersError
  })
  t.false(store.has(PEER))
  await store.addPubKey(PEER, KEY)
  await store.addPubKey(other.peer, other.privateKey.publicKey)
  t.deepEqual(store.peersWithKeys().map(String), [PEER, other.peer])
  t.true(store.pubKey(makeIdentity(undefined).peer) !== undefined, 'it is in the peer id')
})

test('protocols are added, set, removed and looked up', async (t) => {
  const { store } = setUp()
  await store.setProtocols(PEER, ['/a', '/b', '/a'])
  await store.addProtocols(PEER, ['/c', '/b'])
  await store.removeProtocols(PEER, ['/a'])
  t.deepEqual(store.getProtocols(PEER), ['/b', '/c'])
  t.deepEqual(store.supportsProtocols(PEER, ['/c', '/a', '/b']), ['/c', '/b'])
  t.is(store.firstSupportedProtocol(PEER, ['/x', '/c', '/b']), '/c')
  t.is(store.firstSupportedProtocol(PEER, ['/x']), undefined)
  const many = Array.from({ length: 1_025 }, (_, index) => `/p/${index}`)
  await t.throwsAsync(store.setProtocols(PEER, many), { instanceOf: PeerstoreLimitError })
  t.deepEqual(store.getProtocols(PEER), ['/b', '/c'])
  await store.setProtocols(PEER, [])
  t.false(store.has(PEER))
})

test('metadata is copied both ways, and bounded', async (t) => {
  const { store } = setUp()
  const value = Uint8Array.of(1)
  await store.put(PEER, 'key', value)
  value[0] = 2
  const read = store.get(PEER, 'key')
  t.deepEqual(read, Uint8Array.of(1))
  read?.fill(3)
  t.deepEqual(store.get(PEER, 'key'), Uint8Array.of(1))
  await t.throwsAsync(store.put(PEER, 'key', new Uint8Array(64 * 1024)), {
    instanceOf: PeerstoreLimitError,
    message: /65539 bytes exceeds the limit of 65536/
  })
  await store.put(PEER, 'key', new Uint8Array(64 * 1024 - 3))
  await store.delete(PEER, 'key')
  t.is(store.get(PEER, 'key'), undefined)
  t.false(store.has(PEER))
})

test('the latency is a moving average, the latest with a tenth', (t) => {
  const { store } = setUp()
  t.is(store.latency(PEER), undefined)
  for (const ms of [100, 200, 200]) store.recordLatency(PEER, ms)
  t.is(store.latency(PEER), 119)
  t.true(store.has(PEER))
})

test('a removed peer is forgotten with its addresses', async (t) => {
  const { store } = setUp()
  await store.addAddrs(PEER, [at(1)], ADDRESS_TTL_PERMANENT)
  await store.put(PEER, 'key', Uint8Array.of(1))
  t.deepEqual(store.peerInfo(PEER).addrs.map(String), [at(1)])
  t.is(`${store.peerInfo(PEER).id}`, PEER)
  await store.removePeer(PEER)
  t.deepEqual(store.peers(), [])
  t.deepEqual(store.peerInfo(PEER).addrs, [])
})

// A162
test('a hundred thousand peers leave 10,000, and those that are connected or tagged', (t) => {
  const { store, book } = setUp()
  const [connected, tagged, reached, ...others] = peers(100_000) as [string, string, string]
  book.connected(connected)
  book.worked(connected, at(1))
  void store.setTags(tagged, new Map([['keep-alive', 50]]))
  book.worked(reached, at(2))
  for (const peer of others) void store.addAddrs(peer, [at(3)], ADDRESS_TTL_RECENTLY_CONNECTED)
  t.is(store.peers().length, 10_001)
  for (const peer of [connected, tagged, reached]) t.true(store.has(peer), peer)
  t.true(store.has(others.at(-1) ?? ''))
  t.deepEqual([...new TableBook(store.table).tags().keys()], [tagged])
})

test('peers without addresses are evicted first, then those never reached, the least recent first', (t) => {
  const { store, book } = setUp(3)
  const [one, two, three, four, five, six] = peers(6) as [
    string,
    string,
    string,
    string,
    string,
    string
  ]
  book.worked(one, at(1))
  void store.addAddrs(two, [at(1)], ADDRESS_TTL_TEMPORARY)
  void store.setProtocols(three, ['/bare'])
  const known = (): string[] => store.peers().map(String)
  book.worked(four, at(1))
  t.deepEqual(known(), [one, two, four])
  book.worked(five, at(1))
  t.deepEqual(known(), [one, four, five])
  book.worked(one, at(1))
  book.worked(six, at(1))
  t.deepEqual(known(), [one, five, six])
  // The least recent one, if it were not connected.
  book.connected(five)
  for (const peer of [two, three, four]) book.worked(peer, at(1))
  t.deepEqual(known(), [five, three, four])
  book.disconnected(five)
  for (const peer of [two, six, one]) book.worked(peer, at(1))
  t.deepEqual(known(), [two, six, one])
})

// A162
test('peers that report as much as they can take no more memory than ordinary ones', (t) => {
  const { store, book } = setUp(1_000)
  const protocols = Array.from({ length: 1_000 }, (_, index) => `/${'x'.repeat(70)}/${index}`)
  for (const peer of peers(1_000)) book.identified(peer, { publicKey: KEY, protocols })
  t.true(store.peers().length <= 90, `${store.peers().length}`)
})

// A162
test('peers that the application keeps are not evicted by others, and bounded themselves', async (t) => {
  const { store, book, addrs } = setUp(3)
  const [one, two, three, four, ...strangers] = peers(50) as [string, string, string, string]
  await store.addAddrs(one, [at(1)], ADDRESS_TTL_PERMANENT)
  await store.put(two, 'nickname', Uint8Array.of(1))
  await store.setTags(three, new Map([['keep-alive', 1]]))
  for (const peer of strangers) {
    book.worked(peer, at(1))
    book.identified(peer, { publicKey: KEY, agentVersion: 'stranger', protocolVersion: '1' })
  }
  t.is(store.peers().length, 6)
  t.deepEqual(
    [one, two, three, four].map((peer) => store.has(peer)),
    [true, true, true, false]
  )
  const refused = { instanceOf: PeerstoreLimitError, message: /^3 peers have/ }
  await t.throwsAsync(store.addAddrs(four, [at(1)], ADDRESS_TTL_PERMANENT), refused)
  await t.throwsAsync(store.setAddrs(four, [at(1)], ADDRESS_TTL_PERMANENT), refused)
  await t.throwsAsync(store.put(four, 'nickname', Uint8Array.of(1)), refused)
  await t.throwsAsync(store.setTags(four, new Map([['keep-alive', 1]])), refused)
  t.false(store.has(four))
  await store.addAddrs(four, [at(1)], ADDRESS_TTL_TEMPORARY)
  await t.throwsAsync(
    store.updateAddrs(four, ADDRESS_TTL_TEMPORARY, ADDRESS_TTL_PERMANENT),
    refused
  )
  // More of those that it keeps, and another one in place of one.
  await store.addAddrs(one, [at(2)], ADDRESS_TTL_PERMANENT)
  await store.delete(two, 'nickname')
  await store.updateAddrs(four, ADDRESS_TTL_TEMPORARY, ADDRESS_TTL_PERMANENT)
  t.deepEqual(addrs(four), [at(1)])
})

// A162
test('metadata beyond the memory of the peers that the application keeps is refused', async (t) => {
  const { store } = setUp(100)
  const value = new Uint8Array(60_000)
  const stored: string[] = []
  for (const peer of peers(100)) {
    const err = await store.put(peer, 'key', value).catch((reason: unknown) => reason)
    if (err === undefined) stored.push(peer)
    else t.true(err instanceof PeerstoreLimitError, `${err}`)
  }
  t.is(stored.length, 21)
  t.deepEqual(store.peers().map(String), stored)
})

// A162
test('latencies are bounded by the number of peers', (t) => {
  const { store } = setUp(10)
  for (const peer of peers(100)) store.recordLatency(peer, 5)
  t.is(store.peers().length, 10)
})

test('a write that resolves is not evicted by its own size, however small the store', async (t) => {
  const { store, book } = setUp(1)
  const [one, two] = peers(2) as [string, string]
  book.worked(two, at(1))
  const protocols = Array.from({ length: 1_024 }, (_, index) => `/${'x'.repeat(1_000)}/${index}`)
  await store.setProtocols(one, protocols)
  t.is(store.getProtocols(one).length, 1_024)
})

test('an address of a tagged peer that worked outlives its lifetime', async (t) => {
  const { clock, store, book, addrs } = setUp()
  book.connected(PEER)
  book.worked(PEER, at(1))
  book.identified(PEER, { publicKey: KEY, listenAddrs: [at(2)] })
  await store.setTags(PEER, new Map([['keep-alive', 1]]))
  book.disconnected(PEER)
  clock.advance(24 * 3_600_000)
  t.deepEqual(addrs(), [at(1)])
  t.deepEqual([...(store.table.get(PEER)?.tags ?? [])], [['keep-alive', 1]])
  await store.setTags(PEER, new Map())
  t.deepEqual(addrs(), [])
})

test('a store keeps no timer once its swarm has closed, whatever is written then', (t) => {
  const clock = new FakeClock()
  const store = new Peerstore({ clock })
  const book = new TableBook(store.table)
  book.open()
  void store.addAddrs(PEER, ['/ip4/192.0.2.1/tcp/1'], 1_000)
  t.is(clock.timers, 1)
  book.close()
  t.is(clock.timers, 0)
  void store.addAddrs(PEER, ['/ip4/192.0.2.1/tcp/2'], 1_000)
  t.is(clock.timers, 0)
  clock.advance(1_000)
  t.deepEqual(store.addrs(PEER), [])
  // Another swarm takes it over.
  const other = new TableBook(store.table)
  other.open()
  void store.addAddrs(PEER, ['/ip4/192.0.2.1/tcp/3'], 1_000)
  book.close()
  t.is(clock.timers, 1, 'the first one has no more say')
  other.close()
  t.is(clock.timers, 0)
})

test('a lifetime that the application has given is not shortened by a connection', async (t) => {
  const { clock, store, book, addrs } = setUp()
  const week = 7 * 24 * 3_600_000
  await store.addAddrs(PEER, [at(1), at(2)], week)
  book.connected(PEER)
  book.worked(PEER, at(1))
  book.identified(PEER, { publicKey: KEY, listenAddrs: [at(2), at(3)] })
  await store.addAddrs(PEER, [at(4)], week)
  book.identified(PEER, { publicKey: KEY, listenAddrs: [at(4)] })
  const reread = decodePeer(
    PEER,
    encodePeer(store.table.get(PEER) as PeerEntry, clock.now()),
    clock.now()
  )
  book.disconnected(PEER)
  clock.advance(week - 1)
  t.deepEqual(addrs().sort(), [at(1), at(2), at(4)])
  t.deepEqual(reread.addresses.texts(clock).sort(), [at(1), at(2), at(4)], 'nor by a crash')
  clock.advance(1)
  t.deepEqual(addrs(), [])
  // It counts from when it was given: 15 minutes remain at least.
  await store.addAddrs(PEER, [at(1)], week)
  book.connected(PEER)
  book.worked(PEER, at(1))
  clock.advance(week)
  book.disconnected(PEER)
  clock.advance(ADDRESS_TTL_RECENTLY_CONNECTED - 1)
  t.deepEqual(addrs(), [at(1)])
  clock.advance(1)
  t.deepEqual(addrs(), [])
})

test('a key of metadata that would be stored as another one is refused', (t) => {
  const { store } = setUp()
  t.throws(() => store.put(PEER, 'a\ud800', Uint8Array.of(1)), {
    instanceOf: InvalidParametersError
  })
})

test('a malformed value of a peerstore of the application loses the tags of its peer alone', async (t) => {
  const store = new Peerstore()
  const [one, two] = peers(2) as [string, string]
  await store.put(one, 'ferroswarm/tags', Buffer.from('{'))
  await store.put(two, 'ferroswarm/tags', Buffer.from('{"keep-alive":1}'))
  const errors: unknown[] = []
  const book = new ReplacedBook(store, (err) => void errors.push(err))
  t.deepEqual([...book.tags()], [[two, new Map([['keep-alive', 1]])]])
  t.is(errors.length, 1)
})
