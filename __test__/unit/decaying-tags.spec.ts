/** Tags whose values decay: the algorithm and the presets of go-libp2p. */
import test from 'ava'
import {
  bumpOverwrite,
  bumpSumBounded,
  bumpSumUnbounded,
  type DecayingTagOptions,
  decayExpireWhenInactive,
  decayFixed,
  decayLinear,
  decayNone,
  InvalidParametersError,
  StateError,
  TagStore
} from '../../ts/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { peerOf } from '../support/peers.ts'

const [one, other] = [peerOf(1), peerOf(2)]
const SECOND = 1_000
const misuse = { instanceOf: InvalidParametersError }

function setUp(resolution = SECOND) {
  const clock = new FakeClock()
  const store = new TagStore({ clock, decayResolution: resolution })
  const register = (name: string, options: Partial<DecayingTagOptions> = {}) =>
    store.registerDecayingTag(name, {
      interval: SECOND,
      decay: decayNone(),
      bump: bumpSumUnbounded(),
      ...options
    })
  return { clock, store, register }
}

// go 110
test('a value expires once it was not bumped for long enough, and not before', (t) => {
  const { clock, store, register } = setUp()
  const tag = register('seen', { decay: decayExpireWhenInactive(2 * SECOND) })
  tag.bump(one, 10)
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 10)
  tag.bump(one, 5)
  clock.advance(SECOND)
  t.is(store.getTag(one, 'seen'), 15)
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 0)
  t.is(store.getTagInfo(one), undefined)
  t.is(clock.timers, 0)
})

// go 110
test('bumps add up without bounds, within bounds, and overwrite', (t) => {
  const { store, register } = setUp()
  const bounded = register('bounded', { bump: bumpSumBounded(10, 20) })
  bounded.bump(one, 5)
  t.is(store.getTagValue(one), 10)
  bounded.bump(one, 100)
  t.is(store.getTagValue(one), 20)
  const sum = register('sum')
  for (let count = 0; count < 3; count += 1) sum.bump(one, 100)
  t.is(store.getTag(one, 'sum'), 300)
  t.is(store.getTagValue(one), 320)
  const last = register('last', { bump: bumpOverwrite() })
  last.bump(one, 7)
  last.bump(one, 3)
  t.is(store.getTag(one, 'last'), 3)
})

// go 110
test('a fixed decay subtracts at every interval, and ends at 0', (t) => {
  const { clock, store, register } = setUp()
  const tag = register('fixed', { decay: decayFixed(12) })
  tag.bump(one, 30)
  const values = [1, 2, 3, 4].map(() => {
    clock.advance(SECOND)
    return store.getTagValue(one)
  })
  t.deepEqual(values, [18, 6, 0, 0])
  t.is(store.getTagInfo(one), undefined)
})

// go 110
test('a linear decay multiplies and rounds down, and goes on after a bump', (t) => {
  const { clock, store, register } = setUp()
  const tag = register('linear', { decay: decayLinear(0.5), bump: bumpOverwrite() })
  tag.bump(one, 1_000)
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 500)
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 250)
  tag.bump(one, 1_000)
  t.is(store.getTagValue(one), 1_000)
  clock.advance(10 * SECOND)
  t.is(store.getTagValue(one), 0)
})

// go 110
test('intervals that are no multiple of the resolution are kept on average', (t) => {
  const { clock, store, register } = setUp()
  const options = { decay: decayFixed(1) }
  const short = register('short', { ...options, interval: 1_400 })
  const long = register('long', { ...options, interval: 2_400 })
  short.bump(one, 1_000)
  long.bump(one, 1_000)
  const values = [1, 2, 3].map(() => {
    clock.advance(SECOND)
    return [store.getTag(one, 'short'), store.getTag(one, 'long'), store.getTagValue(one)]
  })
  t.deepEqual(values, [
    [1_000, 1_000, 2_000],
    [999, 1_000, 1_999],
    [998, 999, 1_997]
  ])
  t.is(register('raised', { interval: 1 }).interval, SECOND)
})

// go 110
test('the sums of several peers and tags are kept apart, with one timer for all', (t) => {
  const { clock, store, register } = setUp()
  const first = register('first', { decay: decayFixed(1) })
  const second = register('second', { decay: decayLinear(0.5) })
  store.tagPeer(one, 'static', 5)
  first.bump(one, 10)
  second.bump(one, 100)
  second.bump(other, 200)
  t.is(clock.timers, 1)
  t.deepEqual(store.getTagInfo(one)?.tags, { static: 5, first: 10, second: 100 })
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 5 + 9 + 50)
  t.is(store.getTagValue(other), 100)
  store.close()
  t.is(clock.timers, 0)
})

// go 110
test('a tag can be removed from a peer, and closed', (t) => {
  const { clock, store, register } = setUp()
  const tag = register('tag')
  const left = register('left')
  tag.bump(one, 10)
  tag.bump(other, 20)
  left.bump(one, 1)
  tag.remove(one)
  tag.remove(one)
  t.is(store.getTagValue(one), 1)
  tag.close()
  tag.close()
  t.is(store.getTagValue(other), 0)
  t.is(store.getTagInfo(other), undefined)
  t.throws(() => tag.bump(one, 1), { instanceOf: StateError })
  register('tag').bump(other, 3)
  t.is(store.getTagValue(other), 3)
  store.clearPeer(other)
  t.is(store.getTagValue(other), 0)
  clock.advance(SECOND)
})

test('what decays outlives connections as other tags do', (t) => {
  const { clock, store, register } = setUp()
  const tag = register('tag', { decay: decayFixed(1) })
  store.recordConnection(one, 'a')
  tag.bump(one, 10)
  store.removeConnection(one, 'a')
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 9)
})

test('after a long pause a value has decayed as if there had been none, and the timer goes on', (t) => {
  const { clock, store, register } = setUp()
  const tag = register('tag', { decay: decayFixed(1) })
  tag.bump(one, 1_000)
  // The clock of a machine that slept: one timer fires late.
  clock.jump(50 * SECOND)
  t.is(store.getTagValue(one), 950)
  clock.jump(100_000 * SECOND)
  t.is(store.getTagValue(one), 850)
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 849)
})

test('a decay that throws, or returns no whole number, leaves the value and is reported', (t) => {
  const clock = new FakeClock()
  const failures: unknown[] = []
  const store = new TagStore({ clock, decayResolution: SECOND }).report({
    onFailure: (err) => void failures.push(err)
  })
  const failure = new Error('no decay')
  const bump = bumpSumUnbounded()
  const bad = store.registerDecayingTag('bad', {
    interval: SECOND,
    bump,
    decay: () => {
      throw failure
    }
  })
  const half = store.registerDecayingTag('half', { interval: SECOND, bump, decay: () => 0.5 })
  bad.bump(one, 5)
  half.bump(one, 7)
  clock.advance(SECOND)
  t.is(store.getTagValue(one), 12)
  t.is(failures[0], failure)
  t.true(failures[1] instanceof InvalidParametersError)
})

test('a decay that changes the store itself does not spoil sums', (t) => {
  const { clock, store, register } = setUp()
  const tag = register('tag', {
    decay: ({ value }) => {
      store.clearPeer(one)
      return value - 1
    }
  })
  tag.bump(one, 10)
  clock.advance(SECOND)
  t.is(store.getTagInfo(one), undefined)
  t.is(store.getTagValue(one), 0)
})

test('invalid names, options and bumps are refused', (t) => {
  const { store, register } = setUp()
  const tag = register('tag')
  t.throws(() => register('tag'), { ...misuse, message: /exists already/ })
  t.throws(() => store.tagPeer(one, 'tag', 1), { ...misuse, message: /bump it instead/ })
  t.throws(() => store.untagPeer(one, 'tag'), misuse)
  t.throws(() => register(''), misuse)
  store.tagPeer(other, 'static', 5)
  t.throws(() => register('static'), { ...misuse, message: /does not decay/ })
  t.throws(() => register('keep-alive-2'), { ...misuse, message: /does not decay/ })
  t.throws(() => decayFixed(-1), misuse)
  t.throws(() => register('a', { interval: 0 }), misuse)
  t.throws(() => register('a', { decay: 'linear' as never }), misuse)
  t.throws(() => register('a', { intervall: 5 } as never), misuse)
  t.throws(() => store.registerDecayingTag('a', undefined as never), misuse)
  t.throws(() => store.registerDecayingTag('a', {} as never), misuse)
  t.throws(() => tag.bump('nobody', 1), misuse)
  t.throws(() => tag.bump(one, 0.5), misuse)
  t.throws(() => bumpSumBounded(2, 1), misuse)
  t.throws(() => decayLinear(1.5), misuse)
  t.throws(() => decayFixed(0.5), misuse)
  t.throws(() => decayExpireWhenInactive(0), misuse)
  t.is(store.getTagInfo(one), undefined)
})
