/** Tags and protection of peers. */
import test from 'ava'
import {
  bumpSumBounded,
  CommonTags,
  Direction,
  decayLinear,
  InvalidParametersError,
  toString as nameOf,
  TagStore,
  upsertAdd,
  upsertBounded,
  upsertSet
} from '../../ts/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { peerOf } from '../support/peers.ts'

const [one, other] = [peerOf(1), peerOf(2)]
const misuse = { instanceOf: InvalidParametersError }

function setUp() {
  const clock = new FakeClock()
  return { clock, store: new TagStore({ clock }) }
}

// T1, go 100
test('of an unknown peer nothing is known', (t) => {
  const { store } = setUp()
  t.is(store.getTagValue(one), 0)
  t.is(store.getTag(one, 'any'), 0)
  t.is(store.getTagInfo(one), undefined)
  t.deepEqual(store.getAllPeers(), [])
})

// T2
test('tags of a peer add up, and the sum follows a tag that is set again', (t) => {
  const { store } = setUp()
  store.tagPeer(one, 'dht', 10)
  store.tagPeer(one, 'relay', 5)
  t.is(store.getTagValue(one), 15)
  store.tagPeer(one, 'dht', -3)
  t.is(store.getTag(one, 'dht'), -3)
  t.is(store.getTagValue(one), 2)
  t.is(store.getTagValue(other), 0)
})

// T3
test('a tag that is removed no longer counts, and unknown ones may be removed', (t) => {
  const { store } = setUp()
  store.tagPeer(one, 'dht', 10)
  store.tagPeer(one, 'relay', 5)
  store.untagPeer(one, 'dht')
  t.is(store.getTagValue(one), 5)
  t.is(store.getTag(one, 'dht'), 0)
  store.untagPeer(one, 'dht')
  store.untagPeer(other, 'dht')
  store.untagPeer(one, 'relay')
  t.is(store.getTagInfo(one), undefined)
})

// T4, go 104
test('an update gets the present value, or 0, and its result is stored', (t) => {
  const { store } = setUp()
  const seen: number[] = []
  const increment = (value: number) => {
    seen.push(value)
    return value + 1
  }
  store.upsertTag(one, 'count', increment)
  store.recordConnection(one, 'a')
  store.upsertTag(one, 'count', increment)
  t.deepEqual(seen, [0, 1])
  t.is(store.getTagValue(one), 2)
  const failure = new Error('no value')
  t.throws(
    () =>
      store.upsertTag(one, 'count', () => {
        throw failure
      }),
    { is: failure }
  )
  t.throws(() => store.upsertTag(one, 'count', () => 0.5), misuse)
  t.throws(() => store.upsertTag(one, 'count', (async () => 5) as never), misuse)
  t.is(store.getTagValue(one), 2)
})

// T5
test('the updates add, set, and stay within their bounds', (t) => {
  const { store } = setUp()
  store.upsertTag(one, 'sum', upsertAdd(7))
  store.upsertTag(one, 'sum', upsertAdd(-2))
  t.is(store.getTag(one, 'sum'), 5)
  store.upsertTag(one, 'set', upsertSet(4))
  store.upsertTag(one, 'set', upsertSet(3))
  t.is(store.getTag(one, 'set'), 3)
  store.upsertTag(one, 'bounded', upsertBounded(100, -5, 20))
  t.is(store.getTag(one, 'bounded'), 20)
  store.upsertTag(one, 'bounded', upsertBounded(-100, -5, 20))
  t.is(store.getTag(one, 'bounded'), -5)
  t.throws(() => upsertBounded(1, 5, 4), { ...misuse, message: /min 5 to be at most max 4/ })
  for (const wrong of [0.5, Number.NaN, '1', 2 ** 31, undefined]) {
    t.throws(() => upsertAdd(wrong as never), misuse)
    t.throws(() => upsertSet(wrong as never), misuse)
    t.throws(() => store.tagPeer(one, 'tag', wrong as never), misuse)
  }
})

// T6, go 103
test('protection is kept per tag, and lasts until the last is removed', (t) => {
  const { store } = setUp()
  store.protect(one, 'a')
  store.protect(one, 'a')
  store.protect(one, 'b')
  t.true(store.isProtected(one))
  t.true(store.isProtected(one, ''))
  t.true(store.isProtected(one, 'a'))
  t.false(store.isProtected(one, 'c'))
  t.false(store.isProtected(other))
  t.true(store.unprotect(one, 'a'))
  t.true(store.unprotect(one, 'unknown'))
  t.false(store.unprotect(one, 'b'))
  t.false(store.isProtected(one))
  t.false(store.unprotect(other, 'a'))
})

// T7, go 101
test('connections are recorded with their times, each once', (t) => {
  const { store, clock } = setUp()
  const begun = clock.now()
  store.recordConnection(one, 'a')
  clock.advance(5)
  store.recordConnection(one, 'b')
  store.recordConnection(one, 'a')
  t.deepEqual(store.getTagInfo(one)?.conns, { a: begun, b: begun + 5 })
  store.removeConnection(one, 'a')
  store.removeConnection(one, 'a')
  store.removeConnection(other, 'a')
  t.deepEqual(store.getTagInfo(one)?.conns, { b: begun + 5 })
  store.removeConnection(one, 'b')
  t.is(store.getTagInfo(one), undefined)
})

// T8, go 100
test('the first connection sets the time at which the peer was first seen, later ones do not', (t) => {
  const { store, clock } = setUp()
  const begun = clock.now()
  store.tagPeer(one, 'early', 1)
  t.is(store.getTagInfo(one)?.firstSeen, begun)
  t.true(store.isTemporary(one))
  clock.advance(10)
  store.recordConnection(one, 'a')
  t.false(store.isTemporary(one))
  clock.advance(10)
  store.recordConnection(one, 'b')
  t.like(store.getTagInfo(one), { firstSeen: begun + 10, value: 1, tags: { early: 1 } })
})

// T9, go 102: as opposed to both, a peer keeps its tags, as it keeps its protection.
test('tags and protection outlive the last connection', (t) => {
  const { store, clock } = setUp()
  store.recordConnection(one, 'a')
  store.tagPeer(one, 'dht', 10)
  store.protect(one, 'app')
  store.removeConnection(one, 'a')
  t.like(store.getTagInfo(one), { value: 10, conns: {} })
  t.true(store.isProtected(one))
  clock.advance(5)
  store.recordConnection(one, 'b')
  t.like(store.getTagInfo(one), { value: 10, firstSeen: clock.now() })
})

// T10
test('what is known of a peer is a copy', (t) => {
  const { store } = setUp()
  store.tagPeer(one, 'dht', 10)
  store.tagPeer(one, '__proto__', 1)
  const info = store.getTagInfo(one)
  t.deepEqual(Object.entries(info?.tags ?? {}), [
    ['dht', 10],
    ['__proto__', 1]
  ])
  Object.assign(info ?? {}, { value: 99 })
  Object.assign(info?.tags ?? {}, { dht: 99 })
  t.is(store.getTagInfo(one)?.value, 11)
  t.is(store.getTag(one, 'dht'), 10)
})

// T11
test('peers are listed, and forgotten but for their protection', (t) => {
  const { store } = setUp()
  store.tagPeer(one, 'dht', 10)
  store.recordConnection(other, 'a')
  store.protect(one, 'app')
  t.deepEqual(store.getAllPeers().map(String), [one, other])
  t.deepEqual(store.getProtectedPeers().map(String), [one])
  store.clearPeer(one)
  store.clearPeer(other)
  store.clearPeer(peerOf(9))
  t.deepEqual(Object.keys(store.getTagInfo(other)?.conns ?? {}), ['a'])
  t.is(store.getTagInfo(one), undefined)
  t.true(store.isProtected(one))
})

// T13
test('the common tags are those of py-libp2p', (t) => {
  t.deepEqual(CommonTags, {
    KEEP_ALIVE: 'keep-alive',
    BOOTSTRAP: 'bootstrap',
    RELAY: 'relay',
    DHT: 'dht',
    PUBSUB: 'pubsub',
    BITSWAP: 'bitswap',
    APPLICATION: 'application',
    ACTIVE_STREAMS: 'active-streams'
  })
  t.deepEqual(
    Object.values(Direction).map((value) => nameOf('Direction', value)),
    ['Unknown', 'Inbound', 'Outbound']
  )
})

test('invalid peers, tags and options are refused', (t) => {
  const { store } = setUp()
  for (const peer of ['nobody', '', 5, undefined] as never[]) {
    for (const call of [
      () => store.tagPeer(peer, 'a', 1),
      () => store.untagPeer(peer, 'a'),
      () => store.upsertTag(peer, 'a', upsertAdd(1)),
      () => store.getTag(peer, 'a'),
      () => store.getTagInfo(peer),
      () => store.getTagValue(peer),
      () => store.protect(peer, 'a'),
      () => store.unprotect(peer, 'a'),
      () => store.isProtected(peer),
      () => store.clearPeer(peer),
      () => store.recordConnection(peer, 'a')
    ]) {
      t.throws(call, misuse)
    }
  }
  for (const tag of ['', 5, undefined, null] as never[]) {
    t.throws(() => store.tagPeer(one, tag, 1), misuse)
    t.throws(() => store.protect(one, tag), misuse)
  }
  t.throws(() => store.upsertTag(one, 'a', 5 as never), misuse)
  t.throws(() => new TagStore({ clocks: 1 } as never), { ...misuse, message: /clock/ })
})

// P8, go 108
test('the tags of unconnected peers are bounded: never connected ones go first, then the least valuable', (t) => {
  const { store } = setUp()
  const total = 10_000
  for (let index = 0; index < total; index += 1) store.tagPeer(peerOf(index), 'value', index)
  const connected = peerOf(total)
  store.recordConnection(connected, 'c')
  store.tagPeer(connected, 'value', -1)
  const early = peerOf(0)
  store.protect(early, 'app')
  // It has been connected, and is worth least.
  const former = peerOf(1)
  store.recordConnection(former, 'f')
  store.removeConnection(former, 'f')
  t.is(store.getAllPeers().length, total + 1)
  store.tagPeer(peerOf(total + 1), 'value', total)
  store.tagPeer(peerOf(total + 2), 'value', total)
  const left = new Set(store.getAllPeers().map(String))
  t.true(left.size <= total + 1)
  t.true(left.size > total - 2_000)
  for (const kept of [connected, early, former, peerOf(total - 1), peerOf(total + 1)]) {
    t.true(left.has(kept))
  }
  t.false(left.has(peerOf(2)))
  t.is(store.getTagValue(peerOf(2)), 0)
  // What has just been set is there, whatever it is worth, and a wish to reconnect stays.
  const wished = peerOf(total + 3)
  store.tagPeer(wished, CommonTags.KEEP_ALIVE, -1_000)
  for (let index = 0; index < 2 * total; index += 1) {
    const peer = peerOf(3 * total + index)
    store.tagPeer(peer, 'value', -1 - index)
    t.is(store.getTag(peer, 'value'), -1 - index)
  }
  t.is(store.getTag(wished, CommonTags.KEEP_ALIVE), -1_000)
  const decaying = store.registerDecayingTag('esteem', {
    interval: 60_000,
    decay: decayLinear(0.5),
    bump: bumpSumBounded(-(2 ** 30), 0)
  })
  for (let index = 0; index < 2 * total; index += 1) {
    const peer = peerOf(6 * total + index)
    decaying.bump(peer, -3 * total - index)
    t.is(store.getTagValue(peer), -3 * total - index)
  }
  t.true(store.getAllPeers().length <= total + 5)
})
