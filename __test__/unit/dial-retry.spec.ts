import test from 'ava'
import { BackOff } from '../../ts/dial/back-off.ts'
import { checkRetry, isTransient, RETRY_DEFAULTS, retryDelay } from '../../ts/dial/retry.ts'
import {
  DialAllFailedError,
  DialBackOffError,
  DialQueueFullError,
  InvalidParametersError,
  StateError,
  TimeoutError
} from '../../ts/errors.ts'
import { at, refused, setUp } from '../support/dial-host.ts'
import { FakeClock } from '../support/fake-clock.ts'

const RETRIED = { maxRetries: 2, jitter: 0 }

// S11
test('delays double from 100 ms to 30 s, and deviate by 10 % that never exceed the maximum', (t) => {
  t.deepEqual(RETRY_DEFAULTS, {
    maxRetries: 3,
    initialDelay: 100,
    maxDelay: 30_000,
    multiplier: 2,
    jitter: 0.1
  })
  const delays = (random: number): number[] =>
    [1, 2, 3, 10, 100].map((tries) => Math.round(retryDelay(RETRY_DEFAULTS, tries, random)))
  t.deepEqual(delays(0.5), [100, 200, 400, 30_000, 30_000])
  t.deepEqual(delays(0), [90, 180, 360, 27_000, 27_000])
  t.deepEqual(delays(1), [110, 220, 440, 30_000, 30_000])
})

test('an invalid retry is refused by name, and a delay above the maximum with both values', (t) => {
  const refusal = (retry: unknown): string =>
    t.throws(() => checkRetry(retry, 'retry'), { instanceOf: InvalidParametersError }).message
  t.regex(refusal({ maxRetries: -1 }), /retry\.maxRetries/)
  t.regex(refusal({ multiplier: 0.5 }), /retry\.multiplier to be a number of 1 or more/)
  t.regex(refusal({ jitter: 1.5 }), /retry\.jitter to be a number between 0 and 1/)
  t.regex(refusal({ retries: 1 }), /retries/)
  t.regex(refusal({ initialDelay: 50, maxDelay: 10 }), /received 50 and 10/)
  t.notThrows(() => checkRetry({ maxRetries: 0 }, 'retry'))
})

test('failures that a repetition does not mend are final', (t) => {
  const codes = ['ERR_CONNECTION_REFUSED', 'ERR_CONNECTION_RESET', 'ERR_TIMEOUT', 'ERR_UNREACHABLE']
  for (const code of codes) t.true(isTransient(code as 'ERR_TIMEOUT'), code)
  t.false(isTransient('ERR_UNEXPECTED_PEER'))
  t.false(isTransient('ERR_RESOURCE_LIMIT_EXCEEDED'))
  t.false(isTransient('ERR_NO_TRANSPORT'))
})

// S12
test('an address that fails twice is dialled a third time, after 100 and 200 ms', async (t) => {
  const { dialer, dials, complete, connection, peer, clock } = setUp({}, RETRIED)
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  for (const [tries, delay] of [
    [1, 100],
    [2, 200]
  ] as const) {
    complete([refused(0)])
    await Promise.resolve()
    t.is(dials.length, tries)
    clock.advance(delay - 1)
    t.is(dials.length, tries)
    clock.advance(1)
    t.is(dials.length, tries + 1)
  }
  complete()
  t.is(await dial, connection)
  t.is(clock.timers, 0)
})

test('each address is repeated on its own, and listed once in the error', async (t) => {
  const { dialer, dials, complete, progress, peer, clock } = setUp(
    {},
    { ...RETRIED, maxRetries: 1 }
  )
  const dial = dialer.dialPeer(peer, { addresses: [at(1), at(2)] })
  // The second attempt goes on while the first address waits and is dialled again.
  progress({ failed: [refused(0)], underWay: [{ index: 1, stage: 'connect', elapsedMs: 1 }] })
  clock.advance(100)
  t.deepEqual(
    dials.map(({ addresses }) => addresses),
    [[at(1), at(2)], [at(1)]]
  )
  complete([refused(0)], 1)
  complete([refused(1)], 0)
  await Promise.resolve()
  clock.advance(100)
  t.deepEqual(dials[2]?.addresses, [at(2)])
  complete([refused(0)], 2)
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(
    err.attempts.map(({ address }) => address),
    [at(1), at(2)]
  )
  t.is(err.numAddrsTried, 2)
})

test('a wrong peer is not dialled again', async (t) => {
  const { dialer, dials, complete, peer, clock } = setUp({}, RETRIED)
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  complete([{ ...refused(0), stage: 'security', code: 303 }])
  await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(dials.length, 1)
  t.is(clock.timers, 0)
})

test('a dial that waits to repeat an address can time out, and is ended by the close of the swarm', async (t) => {
  const { dialer, complete, peer, clock } = setUp({}, { ...RETRIED, initialDelay: 1_000 })
  const dial = dialer.dialPeer(peer, { addresses: [at(1)], timeout: 500 })
  complete([refused(0)])
  await Promise.resolve()
  clock.advance(500)
  const late = await t.throwsAsync(dial, { instanceOf: TimeoutError })
  t.regex(late.message, /1 address: .*connection refused/)
  t.is(clock.timers, 0)
  // The call has failed, so its address is left alone.
  t.true(dialer.backOff.remaining(peer, at(1)) > 0)
  const other = dialer.dialPeer(peer, { addresses: [at(2)] })
  complete([refused(0)])
  await Promise.resolve()
  dialer.close()
  await t.throwsAsync(other, { instanceOf: StateError, message: 'the swarm is closed' })
  t.is(clock.timers, 0)
})

// go 8, go 9, go 10, S5, S26
test('an address that has failed is not dialled for 5 s, others are, and so is it with force', async (t) => {
  const { dialer, dials, complete, connection, peer, peerstore, clock } = setUp()
  const fails = async (addresses: string[], dialled: string[]): Promise<DialAllFailedError> => {
    const before = dials.length
    // Those of earlier calls would be tried as well.
    await peerstore.clearAddrs(peer)
    const dial = dialer.dialPeer(peer, { addresses, force: addresses.length === 0 })
    if (dialled.length > 0) {
      t.deepEqual(dials.at(-1)?.addresses, dialled)
      complete(dialled.map((_, index) => refused(index)))
    } else t.is(dials.length, before)
    return t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  }
  await fails([at(1)], [at(1)])
  const err = await fails([at(1)], [])
  t.true(err.attempts[0]?.cause instanceof DialBackOffError)
  t.like(err.attempts[0], {
    address: at(1),
    stage: 'filter',
    hint: 'the option force tries it now'
  })
  t.regex(err.message, /not tried again for 5 s/)
  const other = await fails([at(1), at(2)], [at(2)])
  t.deepEqual(
    other.attempts.map(({ address }) => address),
    [at(2), at(1)]
  )
  const forced = dialer.dialPeer(peer, { addresses: [at(1)], force: true })
  complete([refused(0)])
  await t.throwsAsync(forced, { instanceOf: DialAllFailedError })
  // The second failure: 6 s.
  clock.advance(5_999)
  await fails([at(1)], [])
  clock.advance(1)
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  complete()
  t.is(await dial, connection)
  dialer.connected(peer, connection)
  t.is(dialer.backOff.remaining(peer, at(2)), 0)
  t.is(dialer.backOff.remaining(peer, at(1)), 0)
})

test('back-offs grow to 300 s, are forgotten after twice their time, and are bounded', (t) => {
  const clock = new FakeClock()
  const backOff = new BackOff(clock)
  const times = Array.from({ length: 20 }, () => {
    backOff.failed('a', at(1))
    const ms = backOff.remaining('a', at(1))
    clock.advance(ms)
    return ms / 1_000
  })
  t.deepEqual(times.slice(0, 5), [5, 6, 9, 14, 21])
  t.deepEqual(times.slice(-2), [300, 300])
  t.false(backOff.concerns('a'))
  clock.advance(300_000)
  backOff.failed('a', at(1))
  t.is(backOff.remaining('a', at(1)), 5_000)
  t.true(backOff.concerns('a'))
  for (let peer = 0; peer < 10_000; peer += 1) backOff.failed(`peer ${peer}`, at(1))
  t.is(backOff.remaining('a', at(1)), 0, 'the oldest is forgotten')
  t.is(backOff.remaining('peer 9999', at(1)), 5_000)
})

// go 7
test('a caller in a hurry puts no address in back-off, one that was met with silence does', async (t) => {
  const { dialer, progress, peer, clock } = setUp()
  const late = async (timeout: number): Promise<number> => {
    const dial = dialer.dialPeer(peer, { addresses: [at(1)], timeout })
    progress({ underWay: [{ index: 0, stage: 'connect', elapsedMs: timeout }] }, true)
    clock.advance(timeout)
    await t.throwsAsync(dial, { instanceOf: TimeoutError })
    return dialer.backOff.remaining(peer, at(1))
  }
  t.is(await late(4_999), 0)
  t.is(await late(5_000), 5_000)
})

test('a close ends a dial that has an attempt under way and another one to come', async (t) => {
  const { dialer, dials, complete, progress, peer, clock } = setUp({}, RETRIED)
  const dial = dialer.dialPeer(peer, { addresses: [at(1), at(2)] })
  progress({ failed: [refused(0)], underWay: [{ index: 1, stage: 'connect', elapsedMs: 1 }] })
  dialer.close()
  complete([{ ...refused(1), code: 1 }], 0)
  await t.throwsAsync(dial)
  t.is(clock.timers, 0)
  clock.advance(10_000)
  t.is(dials.length, 1)
  t.is(dialer.queue.pending, 0)
})

test('named and proven addresses are dialled, however many others are known', async (t) => {
  const { dialer, dials, book, peerstore, complete, connection, peer } = setUp()
  const many = Array.from({ length: 40 }, (_, index) => `/ip6/2001:db8::1/tcp/${index + 1}`)
  void peerstore.addAddrs(peer, many, 60_000)
  book.worked(peer, '/ip4/192.0.2.1/tcp/60000')
  const named = '/ip4/192.0.2.2/tcp/60001'
  const dial = dialer.dialPeer(peer, { addresses: [named] })
  const dialled = dials[0]?.addresses ?? []
  t.is(dialled.length, 25)
  t.true(dialled.includes(named) && dialled.includes('/ip4/192.0.2.1/tcp/60000'))
  complete()
  t.is(await dial, connection)
})

test('callers who add addresses share the 8 attempts at a time of their peer', async (t) => {
  const { dialer, dials, complete, connection, peer } = setUp()
  const first = dialer.dialPeer(peer, { addresses: [1, 2, 3, 4, 5].map(at) })
  const second = dialer.dialPeer(peer, { addresses: [6, 7, 8, 9].map(at) })
  const third = dialer.dialPeer(peer, { addresses: [at(10)] })
  t.deepEqual(
    dials.map(({ parallel }) => parallel),
    [8, 8, 8]
  )
  complete()
  t.deepEqual(await Promise.all([first, second, third]), [connection, connection, connection])
})

// go 27
test('a connection that the peer opens meanwhile answers the dial, unless it is forced', async (t) => {
  const { dialer, table, cancelled, dials, complete, connection, peer } = setUp()
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  const forced = dialer.dialPeer(peer, { addresses: [at(1)], force: true })
  table.add(peer, connection)
  dialer.connected(peer, connection)
  t.is(await dial, connection)
  t.deepEqual(cancelled, [])
  complete([refused(0)])
  await t.throwsAsync(forced, { instanceOf: DialAllFailedError })
  t.is(dials.length, 1)
})

test('the last caller who is answered ends the dial', async (t) => {
  const { dialer, table, cancelled, dials, connection, peer } = setUp()
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  table.add(peer, connection)
  dialer.connected(peer, connection)
  t.is(await dial, connection)
  t.deepEqual(cancelled, [dials[0]?.request])
  t.is(dialer.queue.pending, 0)
})

// go 22
test('100 dials are under way at a time, by priority, and 500 wait', async (t) => {
  const { dialer, dials, complete, peer, clock } = setUp()
  const addr = (port: number): string => `${at(port)}/p2p/${peer}`
  const all = Array.from({ length: 600 }, (_, index) =>
    dialer.dialAddr(addr(index + 1), undefined, { priority: index === 599 ? 90 : 50 })
  )
  for (const dial of all) dial.catch(() => {})
  t.is(dials.length, 100)
  t.deepEqual([dialer.queue.pending, dialer.queue.size], [100, 500])
  const full = await t.throwsAsync(dialer.dialAddr(addr(700)), { instanceOf: DialQueueFullError })
  t.is(full.kind, 'limit')
  // One who joins a dial that waits needs no place.
  const joined = dialer.dialAddr(addr(200), undefined, { timeout: 10 })
  clock.advance(10)
  await t.throwsAsync(joined, { instanceOf: TimeoutError })
  complete([refused(0)], 0)
  await t.throwsAsync(all[0] ?? Promise.resolve(), { instanceOf: DialAllFailedError })
  t.is(dials.length, 101)
  t.deepEqual(dials[100]?.addresses, [at(600)])
  dialer.close()
  const ends = await Promise.allSettled(all.slice(100, 599))
  t.true(ends.every((end) => end.status === 'rejected' && end.reason instanceof StateError))
})
