/** Calls of `newStream` that wait for a stream's place. */
import { getEventListeners } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import {
  AbortError,
  ConnectionClosedError,
  Libp2pError,
  MuxerClosedError,
  nullResourceManager,
  RateLimitError,
  ResourceLimitExceededError,
  StateError,
  type Stream,
  type SwarmOptions,
  TimeoutError
} from '../../ts/index.ts'
import { GO_AWAY } from '../support/bad-input.ts'
import { CountingManager } from '../support/counting-manager.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { createNode, createPair, outcomeOf, PAIR_PROTOCOL, turns, until } from '../support/pair.ts'
import { createRawPair } from '../support/raw-pair.ts'
import { line, MULTISTREAM } from '../support/raw-peer.ts'

const OTHER = '/ferroswarm/test/semaphore/1.0.0'

/** A dialer whose queue retries by records alone. */
const STILL = { dialer: { clock: new FakeClock() } }

/** Options of a swarm with at most this many outbound streams on a connection. */
function withStreams(outboundStreamsMax: number): SwarmOptions {
  return { limits: { connection: { streamsOutbound: outboundStreamsMax } } }
}

/** A pair whose dialer lets streams wait, with every place of its connection taken. */
async function createFull(t: ExecutionContext, max = 2, dialer: SwarmOptions = {}) {
  const pair = await createPair(t, { dialer: { ...dialer, ...withStreams(max) } })
  pair.dialer.setResourceManager(null, { streamSemaphore: true })
  const open = await Promise.all(
    Array.from({ length: max }, () => pair.outbound.newStream(PAIR_PROTOCOL))
  )
  // `max` streams.
  return { ...pair, open: open as [Stream, ...Stream[]] }
}

// K1
test('a stream beyond the limit waits, and opens when one has closed', async (t) => {
  const { outbound, listener, open } = await createFull(t)
  const third = outbound.newStream(PAIR_PROTOCOL)
  t.is(await outcomeOf(third), 'waits')
  listener.handle(PAIR_PROTOCOL, async (stream) => {
    await stream.write(await stream.read(1))
  })
  await open[0].close()
  const stream = await third
  await stream.write(Uint8Array.of(7))
  t.deepEqual([...(await stream.read(1))], [7])
  t.is(outbound.streams.length, 2)
})

// K1
test('streams to a peer wait as well, and so do raw ones and those of several protocols', async (t) => {
  const { dialer, listener, open } = await createFull(t, 3)
  const peer = listener.peerId
  const waiting = [
    dialer.newStream(peer, PAIR_PROTOCOL),
    dialer.newStream(peer),
    dialer.newStream(peer, [OTHER, PAIR_PROTOCOL])
  ]
  for (const call of waiting) t.is(await outcomeOf(call), 'waits')
  for (const stream of open) await stream.reset()
  const streams = await Promise.all(waiting)
  t.deepEqual(
    streams.map(({ protocol }) => protocol),
    [PAIR_PROTOCOL, undefined, PAIR_PROTOCOL]
  )
})

test('streams that wait are opened in the order of their calls', async (t) => {
  const { outbound, open } = await createFull(t, 1)
  const order: number[] = []
  const waiting = [0, 1, 2, 3].map(async (index) => {
    // Protocols that differ do not change the order.
    const stream = await outbound.newStream(index % 2 === 0 ? PAIR_PROTOCOL : OTHER)
    order.push(index)
    await stream.reset()
  })
  await open[0].close()
  await Promise.all(waiting)
  t.deepEqual(order, [0, 1, 2, 3])
})

test('a later call does not overtake those that wait', async (t) => {
  const { outbound, open } = await createFull(t, 1)
  const first = outbound.newStream(PAIR_PROTOCOL)
  t.is(await outcomeOf(first), 'waits')
  // The place is free from here on; its record has not been drained.
  void open[0].reset()
  const second = outbound.newStream(PAIR_PROTOCOL)
  const stream = await first
  t.is(await outcomeOf(second), 'waits')
  await stream.reset()
  await t.notThrowsAsync(second)
})

test('a later call of another protocol, or of a callback, does not overtake those that wait', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, listener, outbound } = await createPair(t)
  listener.handle(OTHER, () => {})
  dialer.setResourceManager(manager)
  await outbound.newStream(PAIR_PROTOCOL)
  const order: string[] = []
  const open = async (name: string, protocol: string): Promise<void> => {
    await outbound.newStream(protocol)
    order.push(name)
  }
  const waiting = ['first', 'second'].map((name) => open(name, PAIR_PROTOCOL))
  dialer.addEventListener(
    'openedStream',
    () => void waiting.push(open('of a callback', PAIR_PROTOCOL)),
    { once: true }
  )
  // Places that no end of a stream has freed.
  manager.streamsMax = 4
  waiting.push(open('other', OTHER))
  await until(() => order.length === 3)
  t.deepEqual(order, ['first', 'second', 'of a callback'])
  manager.streamsMax = 5
  t.is(await outcomeOf(outbound.newStream(OTHER)), 'waits')
  await Promise.all(waiting)
  t.deepEqual(order, ['first', 'second', 'of a callback', 'other'])
})

// K2
test('the count of streams is 0 again when they are closed or reset', async (t) => {
  const manager = new CountingManager({ streamsMax: 3 })
  const { dialer, openStreams } = await createPair(t)
  dialer.setResourceManager(manager)
  const pairs = [await openStreams(), await openStreams(), await openStreams()]
  t.is(manager.streams, 3)
  await pairs[0]?.near.close()
  await pairs[1]?.near.reset()
  await pairs[2]?.far.reset()
  await until(() => manager.streams === 0)
  t.is(manager.count('done stream'), 3)
})

// K3
test('without the semaphore a stream beyond the limit is refused at once', async (t) => {
  const { dialer, outbound, open } = await createFull(t)
  dialer.setResourceManager(null)
  const err = await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), {
    instanceOf: ResourceLimitExceededError
  })
  t.regex(err.message, /2 of 2 streamsOutbound/)
  const manager = new CountingManager({ streamsMax: 0 })
  dialer.setResourceManager(manager, { streamSemaphore: false })
  await open[0].reset()
  await until(() => outbound.streams.length === 1)
  await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), { message: /limit of 0/ })
  t.is(manager.count('openStream'), 1)
})

// K4
test('a stream that is removed, closed and reset gives its place back once', async (t) => {
  const manager = new CountingManager()
  const { dialer, outbound, openStreams } = await createPair(t)
  dialer.setResourceManager(manager)
  const { near, far } = await openStreams()
  const kept = await openStreams()
  near.remove()
  outbound.removeStream(near)
  await near.close()
  await near.reset()
  await far.reset()
  await kept.near.reset()
  await until(() => manager.streams === 0)
  await outbound.close()
  t.is(manager.count('done stream'), 2)
  t.is(manager.streams, 0)
})

// K5
test('a call whose dial fails takes no place', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, listener, outbound } = await createPair(t)
  dialer.setResourceManager(manager)
  const stranger = await createNode(t)
  await stranger.listen('/ip4/127.0.0.1/tcp/0')
  const addresses = stranger.getListenAddrs()
  await stranger.close()
  await t.throwsAsync(dialer.newStream(stranger.peerId, PAIR_PROTOCOL), {
    name: 'NoRemoteAddrsError'
  })
  await t.throwsAsync(dialer.newStream(stranger.peerId, PAIR_PROTOCOL, { addresses }), {
    name: 'DialAllFailedError'
  })
  t.is(manager.streams, 0)
  const stream = await dialer.newStream(listener.peerId, PAIR_PROTOCOL)
  t.is(manager.streams, 1)
  t.deepEqual(outbound.streams, [stream])
})

// K5
test('a stream that the manager admits and the native limit refuses takes no place', async (t) => {
  const manager = new CountingManager({ streamsMax: 2 })
  const { dialer, outbound } = await createPair(t, { dialer: withStreams(1) })
  dialer.setResourceManager(manager, { streamSemaphore: false })
  await outbound.newStream(PAIR_PROTOCOL)
  await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), { code: 'ERR_STREAM_LIMIT' })
  t.is(manager.streams, 1)
})

// K6
test('a stream keeps its place when the opening of another fails', async (t) => {
  const manager = new CountingManager({ streamsMax: 2 })
  const { dialer, outbound } = await createPair(t)
  dialer.setResourceManager(manager)
  const first = await outbound.newStream(PAIR_PROTOCOL)
  await t.throwsAsync(outbound.newStream([OTHER, `${OTHER}/2`]), {
    name: 'UnsupportedProtocolError'
  })
  await until(() => manager.count('done stream') === 1)
  t.is(manager.streams, 1)
  await first.close()
  await until(() => manager.streams === 0)
})

test('a stream whose opening fails gives its place to one that waits', async (t) => {
  const { outbound, open } = await createFull(t, 1)
  await open[0].reset()
  await until(() => outbound.streams.length === 0)
  const refused = outbound.newStream([OTHER, `${OTHER}/2`])
  const waiting = outbound.newStream(PAIR_PROTOCOL)
  await t.throwsAsync(refused, { name: 'UnsupportedProtocolError' })
  t.is((await waiting).protocol, PAIR_PROTOCOL)
})

// K7
test('an inbound stream holds its place until it is closed, not only until its handler returns', async (t) => {
  const manager = new CountingManager()
  const { listener, openStreams } = await createPair(t)
  listener.setResourceManager(manager)
  // The handler of this protocol returns at once.
  const { near, far } = await openStreams()
  await turns()
  t.is(manager.streams, 1)
  await near.close()
  await far.close()
  await until(() => manager.streams === 0)
  t.is(manager.count('done stream'), 1)
})

// K8
test('streams are labelled by the side that opened them', async (t) => {
  const [outbound, inbound] = [new CountingManager(), new CountingManager()]
  const { dialer, listener, openStreams } = await createPair(t)
  dialer.setResourceManager(outbound)
  listener.setResourceManager(inbound)
  await openStreams()
  t.deepEqual(outbound.calls, [
    `openStream ${listener.peerId} outbound`,
    `setProtocol ${PAIR_PROTOCOL}`
  ])
  t.deepEqual(inbound.calls, [
    `openStream ${dialer.peerId} inbound`,
    `setProtocol ${PAIR_PROTOCOL}`
  ])
})

// K9
test('waits that are given up lose no place', async (t) => {
  const clock = new FakeClock()
  const { outbound, open } = await createFull(t, 1, { clock })
  const aborting = new AbortController()
  const aborted = outbound.newStream(PAIR_PROTOCOL, { signal: aborting.signal })
  const late = outbound.newStream(PAIR_PROTOCOL, { timeout: 50 })
  const patient = outbound.newStream(PAIR_PROTOCOL)
  aborting.abort(new Error('enough'))
  const abort = await t.throwsAsync(aborted, { instanceOf: AbortError })
  t.is((abort.cause as Error).message, 'enough')
  clock.advance(50)
  const timeout = await t.throwsAsync(late, { instanceOf: TimeoutError })
  t.regex(timeout.message, /within 50 ms: connection-\d+: 1 of 1 streamsOutbound/)
  t.true(timeout.cause instanceof ResourceLimitExceededError)
  t.is(await outcomeOf(patient), 'waits')
  await open[0].reset()
  await (await patient).reset()
  // A signal has no effect once its stream is open.
  const ending = new AbortController()
  const last = await outbound.newStream(PAIR_PROTOCOL, { signal: ending.signal })
  const timers = clock.timers
  const next = outbound.newStream(PAIR_PROTOCOL, { signal: ending.signal, timeout: 50 })
  // Its timeout, and the timer of the queue.
  t.deepEqual([getEventListeners(ending.signal, 'abort').length, clock.timers], [1, timers + 2])
  await last.reset()
  const stream = await next
  t.deepEqual([getEventListeners(ending.signal, 'abort').length, clock.timers], [0, timers])
  ending.abort()
  t.true(stream.isOperational())
})

// K9
test('a wait that is given up in the turn in which its place is freed passes it on', async (t) => {
  const { outbound, open } = await createFull(t, 1)
  const aborting = new AbortController()
  const first = outbound.newStream(PAIR_PROTOCOL, { signal: aborting.signal })
  const second = outbound.newStream(PAIR_PROTOCOL)
  void open[0].reset()
  aborting.abort()
  await t.throwsAsync(first, { instanceOf: AbortError })
  await t.notThrowsAsync(second)
})

test('a call waits for a minute by default, and a swarm counts its dial into the timeout', async (t) => {
  const clock = new FakeClock()
  const { dialer, listener, outbound } = await createFull(t, 1, { clock })
  const waiting = [
    outbound.newStream(PAIR_PROTOCOL),
    dialer.newStream(listener.peerId, PAIR_PROTOCOL)
  ]
  const endless = outbound.newStream(PAIR_PROTOCOL, { timeout: Number.POSITIVE_INFINITY })
  clock.advance(59_999)
  for (const call of waiting) t.is(await outcomeOf(call), 'waits')
  clock.advance(1)
  for (const call of waiting) await t.throwsAsync(call, { instanceOf: TimeoutError })
  t.is(await outcomeOf(endless), 'waits')
  const peer = await createNode(t)
  await peer.listen('/ip4/127.0.0.1/tcp/0')
  // Half of the timeout passes in the dial.
  dialer.addEventListener('connected', ({ detail }) => {
    clock.advance(500)
    void detail.newStream()
  })
  const addresses = peer.getListenAddrs()
  const dialled = dialer.newStream(peer.peerId, PAIR_PROTOCOL, { addresses, timeout: 1_000 })
  await until(() => dialer.getConnections(peer.peerId).length === 1)
  t.is(await outcomeOf(dialled), 'waits')
  clock.advance(500)
  await t.throwsAsync(dialled, { instanceOf: TimeoutError })
  const rejected = t.throwsAsync(endless, { instanceOf: StateError })
  await dialer.close({ drainTimeout: 0 })
  await rejected
})

// K10
test('waits reject when the swarm closes', async (t) => {
  const { dialer, listener, outbound, inbound } = await createFull(t)
  const waiting = [
    outbound.newStream(PAIR_PROTOCOL),
    dialer.newStream(listener.peerId, PAIR_PROTOCOL)
  ]
  const rejected = waiting.map((call) =>
    t.throwsAsync(call, { instanceOf: StateError, message: /closed/ })
  )
  // The close waits for a handler.
  const handled = new Promise<void>((resolve) => {
    dialer.handle(OTHER, () => {
      resolve()
      return new Promise(() => {})
    })
  })
  await inbound.newStream(OTHER)
  await handled
  const closed = dialer.close()
  await Promise.all(rejected)
  // Nothing waits from then on.
  const refusal = { code: 'ERR_STREAM_LIMIT' }
  await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), refusal)
  for (const streamSemaphore of [false, true]) {
    dialer.setResourceManager(null, { streamSemaphore })
    await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), refusal)
  }
  await dialer.close()
  await closed
})

test('waits reject when their connection ends, is closed or accepts no more streams', async (t) => {
  for (const end of ['lost', 'closed', 'going away'] as const) {
    const { outbound, inbound } = await createFull(t, 1)
    const waiting = outbound.newStream(PAIR_PROTOCOL)
    const rejected = t.throwsAsync(waiting, undefined, end)
    if (end === 'lost') await inbound.closeWithError(0x1001)
    else if (end === 'closed') await outbound.close()
    else void inbound.close()
    const err = await rejected
    t.true(err instanceof ConnectionClosedError || err instanceof MuxerClosedError, end)
  }
})

test('waits for a place that another connection holds reject with their own connection', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  for (const end of ['lost', 'closed'] as const) {
    const { dialer, outbound, inbound } = await createPair(t)
    const peer = await createNode(t)
    await peer.listen('/ip4/127.0.0.1/tcp/0')
    const other = await dialer.dialPeer(peer.peerId, { addresses: peer.getListenAddrs() })
    dialer.setResourceManager(manager)
    const open = await other.newStream()
    const waiting = outbound.newStream(PAIR_PROTOCOL)
    t.is(await outcomeOf(waiting), 'waits')
    // The GoAway may be heard before the end.
    const any = [ConnectionClosedError, MuxerClosedError]
    const rejected = t.throwsAsync(waiting, { instanceOf: Libp2pError }, end).then((err) => {
      t.true(
        any.some((kind) => err instanceof kind),
        `${err?.name}`
      )
    })
    let isOver = false
    waiting.catch(() => {
      isOver = true
    })
    if (end === 'lost') await inbound.closeWithError(0x1001)
    else {
      void outbound.close()
      // The wait ends with the call, not with the connection.
      await Promise.resolve()
      t.true(isOver)
    }
    await rejected
    await open.reset()
    await until(() => manager.streams === 0)
  }
})

test('waits reject when the peer sends GoAway, although the connection goes on', async (t) => {
  const raw = await createRawPair(t, {
    dials: true,
    limits: { connection: { streamsOutbound: 1 } }
  })
  raw.node.setResourceManager(null, { streamSemaphore: true })
  const open = await raw.connection.newStream()
  const waiting = raw.connection.newStream()
  t.is(await outcomeOf(waiting), 'waits')
  raw.session.send({ type: GO_AWAY, length: 0 })
  await t.throwsAsync(waiting, { instanceOf: MuxerClosedError })
  t.true(open.isOperational())
})

test('a stream to a peer whose connection ends while it waits opens over a new one', async (t) => {
  const { dialer, listener, outbound } = await createFull(t, 1)
  const waiting = dialer.newStream(listener.peerId, PAIR_PROTOCOL)
  t.is(await outcomeOf(waiting), 'waits')
  await outbound.closeWithError(0)
  const stream = await waiting
  t.not(stream.connection, outbound)
})

test('each stream that ends wakes one wait, and not all', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, outbound } = await createPair(t, STILL)
  dialer.setResourceManager(manager)
  const open = await outbound.newStream(PAIR_PROTOCOL)
  const waiting = Array.from({ length: 50 }, () => outbound.newStream(PAIR_PROTOCOL))
  const before = manager.count('openStream')
  await open.reset()
  const stream = await waiting[0]
  // One that was admitted, and one that was refused.
  t.is(manager.count('openStream') - before, 2)
  manager.streamsMax = 4
  await stream?.reset()
  await waiting[4]
  t.is(manager.streams, 4)
  t.is(await outcomeOf(waiting[5] as Promise<Stream>), 'waits')
  t.is(manager.count('openStream') - before, 7)
  for (const call of waiting) call.catch(() => {})
})

test('a limit of one protocol does not hold up another protocol', async (t) => {
  const { dialer, outbound, listener, open } = await createFull(t, 2)
  listener.handle(OTHER, () => {})
  dialer.handle(OTHER, () => {}, { maxOutbound: 1 })
  await open[0].reset()
  await until(() => outbound.streams.length === 1)
  await outbound.newStream(OTHER)
  // Refused by its own limit, and by that of the connection.
  const blocked = outbound.newStream(OTHER)
  const behind = outbound.newStream(PAIR_PROTOCOL)
  t.is(await outcomeOf(behind), 'waits')
  await open[1]?.reset()
  await t.notThrowsAsync(behind)
  t.is(await outcomeOf(blocked), 'waits')
  for (const stream of outbound.streams) if (stream.protocol === OTHER) await stream.reset()
  t.is((await blocked).protocol, OTHER)
})

test('one connection at its limit does not hold up another one', async (t) => {
  const { dialer, outbound, open } = await createFull(t, 1)
  const blocked = outbound.newStream(PAIR_PROTOCOL)
  const peer = await createNode(t)
  peer.handle(PAIR_PROTOCOL, () => {})
  await peer.listen('/ip4/127.0.0.1/tcp/0')
  const other = await dialer.dialPeer(peer.peerId, { addresses: peer.getListenAddrs() })
  const first = await other.newStream(PAIR_PROTOCOL)
  const second = other.newStream(PAIR_PROTOCOL)
  t.is(await outcomeOf(second), 'waits')
  await first.reset()
  await t.notThrowsAsync(second)
  t.is(await outcomeOf(blocked), 'waits')
  await open[0].reset()
  await t.notThrowsAsync(blocked)
})

test('a shared limit is passed on across connections, in the order of the calls', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, outbound } = await createPair(t, STILL)
  const peer = await createNode(t)
  peer.handle(PAIR_PROTOCOL, () => {})
  await peer.listen('/ip4/127.0.0.1/tcp/0')
  const other = await dialer.dialPeer(peer.peerId, { addresses: peer.getListenAddrs() })
  dialer.setResourceManager(manager)
  const open = await outbound.newStream(PAIR_PROTOCOL)
  const order: number[] = []
  const opened = [other, outbound, other].map((connection) => connection.newStream(PAIR_PROTOCOL))
  const asked = manager.count('openStream')
  const waiting = opened.map(async (call, index) => {
    const stream = await call
    order.push(index)
    await stream.reset()
  })
  await open.reset()
  await Promise.all(waiting)
  t.deepEqual(order, [0, 1, 2])
  // Each place was offered to its taker and one more, as a refusal by this limit is one for all; the last to none.
  t.is(manager.count('openStream') - asked, 5)
  await until(() => manager.streams === 0)
})

test('a limit of a peer wakes nobody when a stream with another peer ends', async (t) => {
  const manager = new CountingManager({ streamsMax: 2 })
  const { dialer, outbound, listener } = await createPair(t, STILL)
  const peer = await createNode(t)
  await peer.listen('/ip4/127.0.0.1/tcp/0')
  const other = await dialer.dialPeer(peer.peerId, { addresses: peer.getListenAddrs() })
  dialer.setResourceManager(manager)
  manager.scope = `protocol:/a.peer:${listener.peerId}`
  const open = [await outbound.newStream(), await other.newStream()]
  const waiting = outbound.newStream(PAIR_PROTOCOL)
  const asked = manager.count('openStream')
  await open[1]?.reset()
  await until(() => manager.streams === 1)
  t.is(manager.count('openStream'), asked)
  await open[0]?.reset()
  await t.notThrowsAsync(waiting)
})

test('a scope whose name resembles that of a connection or peer is that of any peer', async (t) => {
  const { dialer, outbound } = await createPair(t)
  const peer = await createNode(t)
  await peer.listen('/ip4/127.0.0.1/tcp/0')
  const other = await dialer.dialPeer(peer.peerId, { addresses: peer.getListenAddrs() })
  for (const scope of ['connection-pool', 'connection-1-pool', 'the peer: all of them']) {
    const manager = new CountingManager({ streamsMax: 1 })
    dialer.setResourceManager(manager)
    manager.scope = scope
    const open = await other.newStream()
    const waiting = outbound.newStream(PAIR_PROTOCOL)
    await open.reset()
    await until(() => manager.count('done stream') === 1)
    t.is(await outcomeOf(waiting), 'done', scope)
    await (await waiting).reset()
    await until(() => manager.streams === 0)
  }
})

test('a refusal by a rate is not waited for', async (t) => {
  const { dialer, outbound } = await createPair(t)
  const err = new RateLimitError('too fast', { scope: 'system', resource: 'streams' })
  dialer.setResourceManager({
    ...nullResourceManager,
    openStream() {
      throw err
    }
  })
  t.is(await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL)), err)
})

test('waits continue under a new manager, and reject with their refusals when the queue is removed', async (t) => {
  const { dialer, outbound } = await createPair(t)
  const strict = new CountingManager({ streamsMax: 0 })
  dialer.setResourceManager(strict)
  const first = outbound.newStream(PAIR_PROTOCOL)
  const second = outbound.newStream(PAIR_PROTOCOL)
  const lenient = new CountingManager({ streamsMax: 1 })
  dialer.setResourceManager(lenient)
  await t.notThrowsAsync(first)
  t.is(await outcomeOf(second), 'waits')
  const rejected = t.throwsAsync(second, { message: '1 streams reach the limit of 1' })
  const refusals: Error[] = []
  dialer.addEventListener('limit', ({ detail }) => void refusals.push(detail.error))
  dialer.setResourceManager(null)
  t.deepEqual(refusals, [await rejected])
})

test('a refusal that ends a wait is reported once', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, outbound } = await createPair(t)
  dialer.setResourceManager(manager)
  const open = await outbound.newStream(PAIR_PROTOCOL)
  const refusals: Error[] = []
  dialer.addEventListener('limit', ({ detail }) => void refusals.push(detail.error))
  const waiting = outbound.newStream(PAIR_PROTOCOL)
  t.is(await outcomeOf(waiting), 'waits')
  t.deepEqual(refusals, [])
  // Not for lack of a place.
  const quota = new ResourceLimitExceededError('the quota is used up', { scope: 'user' })
  manager.full = () => quota
  manager.streamsMax = 0
  await open.reset()
  t.is(await t.throwsAsync(waiting), quota)
  t.deepEqual(refusals, [quota])
})

test('at most 4,096 calls wait, and further ones are refused at once', async (t) => {
  const { dialer, outbound } = await createFull(t, 1)
  const waiting = Array.from({ length: 4_096 }, () => outbound.newStream(PAIR_PROTOCOL))
  await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), { code: 'ERR_STREAM_LIMIT' })
  await t.throwsAsync(outbound.newStream(OTHER), { code: 'ERR_STREAM_LIMIT' })
  const rejected = Promise.allSettled(waiting)
  dialer.setResourceManager(null)
  t.true((await rejected).every(({ status }) => status === 'rejected'))
})

test('a wait that the manager ends while it admits the stream leaves no stream behind', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, outbound } = await createPair(t)
  dialer.setResourceManager(manager)
  const open = await outbound.newStream(PAIR_PROTOCOL)
  const aborting = new AbortController()
  const waiting = outbound.newStream(PAIR_PROTOCOL, { signal: aborting.signal })
  const next = outbound.newStream(PAIR_PROTOCOL)
  manager.onAdmitted = () => aborting.abort()
  await open.reset()
  await t.throwsAsync(waiting, { instanceOf: AbortError })
  const stream = await next
  t.deepEqual(outbound.streams, [stream])
  t.is(manager.streams, 1)
})

test('a stream that leaves the transient scope gives its place there to one that waits', async (t) => {
  const { dialer, outbound } = await createPair(t, {
    dialer: { clock: new FakeClock(), limits: { transient: { streamsOutbound: 1 } } }
  })
  dialer.setResourceManager(null, { streamSemaphore: true })
  const negotiated = outbound.newStream([OTHER, PAIR_PROTOCOL])
  // Waits for the end of the negotiation.
  const raw = outbound.newStream()
  t.is((await negotiated).protocol, PAIR_PROTOCOL)
  const first = await raw
  const second = outbound.newStream()
  t.is(await outcomeOf(second), 'waits')
  first.setProtocol(PAIR_PROTOCOL)
  await t.notThrowsAsync(second)
  t.is(outbound.streams.length, 3)
})

test('an inbound stream that is negotiated gives its transient place to one that waits', async (t) => {
  const { listener, outbound, inbound } = await createPair(t, {
    listener: { clock: new FakeClock(), limits: { transient: { streams: 1 } } }
  })
  listener.setResourceManager(null, { streamSemaphore: true })
  const remote = await outbound.newStream()
  await remote.write(line(MULTISTREAM))
  await until(() =>
    listener.resourceManager.viewTransient((scope) => scope.stat.numStreamsInbound === 1)
  )
  const waiting = inbound.newStream()
  t.is(await outcomeOf(waiting), 'waits')
  await remote.write(line(PAIR_PROTOCOL))
  await t.notThrowsAsync(waiting)
})

test('a place of which no record tells is taken within a second', async (t) => {
  const clock = new FakeClock()
  const { dialer, listener, outbound } = await createPair(t, {
    dialer: { clock, limits: { peerDefault: { streamsOutbound: 1 } } }
  })
  dialer.setResourceManager(null, { streamSemaphore: true })
  await outbound.newStream(PAIR_PROTOCOL)
  const timers = clock.timers
  const waiting = [outbound.newStream(PAIR_PROTOCOL), outbound.newStream(PAIR_PROTOCOL)]
  clock.advance(1_000)
  t.is(await outcomeOf(waiting[0] as Promise<Stream>), 'waits')
  for (const streamsOutbound of [2, 3]) {
    dialer.resourceManager.viewPeer(listener.peerId, (peer) => peer.setLimit({ streamsOutbound }))
    clock.advance(1_000)
    await t.notThrowsAsync(waiting[streamsOutbound - 2] as Promise<Stream>)
  }
  t.is(clock.timers, timers)
  // Nor does the timer outlive the queue.
  const last = outbound.newStream(PAIR_PROTOCOL)
  const rejected = t.throwsAsync(last, { code: 'ERR_STREAM_LIMIT' })
  t.is(clock.timers, timers + 2)
  dialer.setResourceManager(null)
  await rejected
  t.is(clock.timers, timers)
})
