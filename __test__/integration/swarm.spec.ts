import test from 'ava'
import { Connectedness, StreamErrorCode } from '../../ts/constants.ts'
import {
  AbortError,
  ConnectionClosedError,
  DialAllFailedError,
  InvalidParametersError,
  ListenError,
  NoConnectionError,
  NoRemoteAddrsError,
  SelfDialError,
  StateError,
  StreamResetError,
  TimeoutError,
  UnexpectedPeerError
} from '../../ts/errors.ts'
import { generatePrivateKey } from '../../ts/identity/keys.ts'
import type { Stream } from '../../ts/stream.ts'
import { Swarm } from '../../ts/swarm.ts'
import { createNode, createPair, PAIR_PROTOCOL, pattern, until } from '../support/pair.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'

// S18
test('listens, reports the bound address, and counts a duplicate as success', async (t) => {
  const swarm = await createNode(t)
  t.true(await swarm.listen(LOCAL))
  const [addr] = swarm.getListenAddrs()
  t.regex(`${addr}`, /^\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*$/)
  t.true(await swarm.listen(LOCAL))
  t.is(swarm.getListenAddrs().length, 1)
  t.true(await swarm.unlisten(`${addr}`))
  t.false(await swarm.unlisten(`${addr}`))
  t.deepEqual(swarm.getListenAddrs(), [])
})

test("the end of one swarm's listener does not end another's", async (t) => {
  const [gone, stays] = await Promise.all([createNode(t), createNode(t)])
  for (const swarm of [gone, stays]) await swarm.listen('/ip4/127.0.0.1/tcp/0')
  const addresses = stays.getListenAddrs().map(String)
  await gone.close()
  t.deepEqual(stays.getListenAddrs().map(String), addresses)
})

test('listening fails with every reason, and only if none succeeded', async (t) => {
  const [one, two] = await Promise.all([createNode(t), createNode(t)])
  await one.listen(LOCAL)
  const taken = `${one.getListenAddrs()[0]}`
  const err = await t.throwsAsync(two.listen(taken), { instanceOf: ListenError })
  t.is(err.attempts.length, 1)
  t.is(err.attempts[0]?.address, taken)
  t.is(err.attempts[0]?.cause.code, 'ERR_ADDRESS_IN_USE')
  t.true(await two.listen(taken, LOCAL))
})

// S2, go 1
test('both sides see the same connection', async (t) => {
  const { dialer, listener, outbound, inbound } = await createPair(t)
  t.true(outbound.remotePeer.equals(listener.peerId))
  t.true(inbound.remotePeer.equals(dialer.peerId))
  t.is(outbound.direction, 'outbound')
  t.is(inbound.direction, 'inbound')
  t.is(`${outbound.localAddr}`, `${inbound.remoteAddr}`)
  t.is(outbound.state.transport, 'tcp')
  t.is(outbound.state.muxer, '/yamux/1.0.0')
  t.is(outbound.state.security, inbound.state.security)
  t.deepEqual(outbound.remotePublicKey.raw, listener.peerId.publicKey?.raw)
  t.is(dialer.connectedness(listener.peerId), Connectedness.Connected)
  t.deepEqual(dialer.getConnections(listener.peerId), [outbound])
  t.is(dialer.getConnection(listener.peerId), outbound)
  t.true(dialer.getPeers()[0]?.equals(listener.peerId))
})

for (const security of ['tls', 'noise'] as const) {
  test(`connects over ${security} alone`, async (t) => {
    const options = { security: [security] }
    const { outbound } = await createPair(t, { dialer: options, listener: options })
    t.is(outbound.state.security, security === 'tls' ? '/tls/1.0.0' : '/noise')
  })
}

// go 15
test('concurrent dials of a peer share one connection', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen(LOCAL)
  const addresses = listener.getListenAddrs()
  const connections = await Promise.all(
    Array.from({ length: 10 }, () => dialer.dialPeer(listener.peerId, { addresses }))
  )
  t.is(new Set(connections).size, 1)
  t.is(dialer.getTotalConnections(), 1)
  t.true((await dialer.dialPeer(listener.peerId)) === connections[0])
  const another = await dialer.dialPeer(listener.peerId, { addresses, force: true })
  t.not(another, connections[0])
  t.deepEqual([...dialer.getConnections()], [...connections.slice(0, 1), another])
})

// S4
test('a failed dial reports the cause at each address', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen(LOCAL)
  const [addr] = listener.getListenAddrs()
  const [gone] = (await closedListener(t)) as [string]
  const other = (await createNode(t)).peerId
  const wrong = await t.throwsAsync(dialer.dialAddr(addr as never, other), {
    instanceOf: DialAllFailedError
  })
  t.true(wrong.attempts[0]?.cause instanceof UnexpectedPeerError)
  const refused = await t.throwsAsync(dialer.dialPeer(other, { addresses: [gone] }), {
    instanceOf: DialAllFailedError
  })
  t.is(refused.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  t.is(refused.peerId, other.toString())
  t.is(dialer.getTotalConnections(), 0)
})

async function closedListener(t: Parameters<typeof createNode>[0]): Promise<string[]> {
  const swarm = await createNode(t)
  await swarm.listen(LOCAL)
  const addresses = swarm.getListenAddrs().map(String)
  await swarm.close()
  return addresses
}

// go 3
test('a dial of an address learns the peer and its address', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen(LOCAL)
  const [addr] = listener.getListenAddrs()
  const connection = await dialer.dialAddr(`${addr}`)
  t.true(connection.remotePeer.equals(listener.peerId))
  await connection.close()
  t.deepEqual(dialer.peerstore.addrs(listener.peerId).map(String), [`${addr}`])
  t.true((await dialer.dialPeer(listener.peerId)).remotePeer.equals(listener.peerId))
})

// S1
test('refuses impossible dials', async (t) => {
  const swarm = await createNode(t)
  const peer = (await createNode(t)).peerId
  await t.throwsAsync(swarm.dialPeer(swarm.peerId), { instanceOf: SelfDialError })
  await t.throwsAsync(swarm.dialPeer(peer), { instanceOf: NoRemoteAddrsError })
  await t.throwsAsync(swarm.dialPeer(peer, { noDial: true }), { instanceOf: NoConnectionError })
  await t.throwsAsync(swarm.newStream(peer, '/a', { noDial: true }), {
    instanceOf: NoConnectionError
  })
  t.throws(() => swarm.dialPeer('nobody'), { instanceOf: InvalidParametersError })
  t.throws(() => swarm.dialAddr('nowhere'), { instanceOf: InvalidParametersError })
  t.throws(() => swarm.listen('nowhere'), { instanceOf: InvalidParametersError })
})

test("a dial ends with its caller's signal or timeout", async (t) => {
  const swarm = await createNode(t)
  const peer = (await createNode(t)).peerId
  // TEST-NET-1 never answers; if the host has no route, the dial fails at once instead.
  const addresses = ['/ip4/192.0.2.1/tcp/9']
  const signal = AbortSignal.timeout(50)
  const aborted = await t.throwsAsync(swarm.dialPeer(peer, { addresses, signal }))
  t.true(aborted instanceof AbortError || aborted instanceof DialAllFailedError)
  const late = await t.throwsAsync(swarm.dialPeer(peer, { addresses, timeout: 50 }))
  t.true(late instanceof TimeoutError || late instanceof DialAllFailedError)
})

test('the stack of a dial error includes the awaiting caller', async (t) => {
  const [swarm, { peerId: peer }] = await Promise.all([createNode(t), createNode(t)])
  const nowhere = '/ip4/127.0.0.1/tcp/1'
  const dials = {
    refused: () => swarm.dialAddr(nowhere),
    late: () => swarm.dialAddr(nowhere, { timeout: 0 }),
    together: () => Promise.all([swarm.dialAddr(nowhere), swarm.dialAddr(nowhere)]),
    stream: () => swarm.newStream(peer, '/echo', { addresses: [nowhere] })
  }
  for (const [which, dial] of Object.entries(dials)) {
    async function theCaller(): Promise<void> {
      await dial()
    }
    const err = await t.throwsAsync(theCaller())
    t.regex(err.stack ?? '', /\n.*async theCaller/, which)
  }
})

// S3
test('newStream dials, opens and reuses the connection', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen(LOCAL)
  listener.handle('/echo', async (stream) => {
    for await (const chunk of stream) await stream.write(chunk)
    await stream.close()
  })
  for (let count = 0; count < 3; count += 1) {
    const stream = await dialer.newStream(listener.peerId, '/echo', {
      addresses: listener.getListenAddrs()
    })
    await stream.write(pattern(10_000, count))
    await stream.closeWrite()
    t.deepEqual(await stream.read(), pattern(10_000, count))
  }
  t.is(dialer.getTotalConnections(), 1)
})

// C7
test('a handler that throws resets its own stream only', async (t) => {
  const { outbound, listener } = await createPair(t)
  listener.handle('/bad', () => {
    throw new Error('no')
  })
  listener.handle('/good', async (stream) => {
    await stream.write(pattern(1))
    await stream.close()
  })
  const bad = await outbound.newStream('/bad')
  await t.throwsAsync(bad.read(1), { instanceOf: StreamResetError })
  const good = await outbound.newStream('/good')
  t.deepEqual(await good.read(), pattern(1))
})

// L1
test('events arrive in order, at notifiees and listeners alike', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const seen: string[] = []
  const events = ['connected', 'openedStream', 'closedStream', 'disconnected'] as const
  const notifiee = Object.fromEntries(events.map((name) => [name, () => seen.push(name)]))
  t.true(listener.notify(notifiee))
  t.false(listener.notify(notifiee))
  let delivered = 0
  for (const name of events) listener.addEventListener(name, () => (delivered += 1))
  listener.handle('/a', (stream) => {
    seen.push('handler')
    return stream.close()
  })
  await listener.listen(LOCAL)
  const connection = await dialer.dialPeer(listener.peerId, {
    addresses: listener.getListenAddrs()
  })
  const stream = await connection.newStream('/a')
  await stream.read()
  await stream.close()
  await until(() => seen.includes('closedStream'))
  await connection.close()
  await until(() => seen.includes('disconnected'))
  t.deepEqual(seen, ['connected', 'openedStream', 'handler', 'closedStream', 'disconnected'])
  t.is(delivered, 4)
})

// L5
test('a notifiee that throws affects nothing else', async (t) => {
  const errors: unknown[] = []
  const logger = { error: (_: string, err: unknown) => void errors.push(err) }
  const [dialer, listener] = await Promise.all([createNode(t, { logger }), createNode(t)])
  dialer.notify({
    connected: () => {
      throw new Error('thrown')
    }
  })
  dialer.notify({ connected: () => Promise.reject(new Error('rejected')) })
  await listener.listen(LOCAL)
  await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  await until(() => errors.length === 2)
  t.pass()
})

test('closing a connection ends its streams on both sides', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const waiting = [near.read(1), far.read(1)]
  await pair.dialer.closePeer(pair.listener.peerId)
  for (const read of waiting) await t.throwsAsync(read, { instanceOf: StreamResetError })
  await pair.inbound.closed
  t.true(pair.inbound.closeReason?.remote)
  await t.throwsAsync(pair.outbound.newStream(PAIR_PROTOCOL), {
    instanceOf: ConnectionClosedError
  })
  t.is(pair.dialer.getTotalConnections() + pair.listener.getTotalConnections(), 0)
})

// L7
test('a closed swarm has reported every end and refuses every call', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  let listenCloses = 0
  listener.addEventListener('listenClose', () => (listenCloses += 1))
  await Promise.all([listener.close(), listener.close()])
  t.is(listenCloses, 1)
  t.is(listener.getTotalConnections(), 0)
  t.false(listener.isStarted())
  await outbound.closed
  t.throws(() => listener.dialPeer(dialer.peerId), { instanceOf: StateError })
  await t.throwsAsync(listener.start(), { instanceOf: StateError })
})

test('only handlers and notifiees are accepted before the start', async (t) => {
  const swarm = new Swarm()
  swarm.handle('/a', () => {})
  t.throws(() => swarm.listen(LOCAL), { instanceOf: StateError })
  t.throws(() => swarm.dialPeer(swarm.peerId), { instanceOf: StateError })
  await t.notThrowsAsync(swarm.close())
})

// S20
test('an identity follows from its key', (t) => {
  const privateKey = generatePrivateKey()
  const one = new Swarm({ privateKey })
  const two = new Swarm({ privateKey: one.privateKey, peerId: one.peerId })
  t.true(two.peerId.equals(one.peerId))
  t.deepEqual(one.privateKey.publicKey.raw, one.peerId.publicKey?.raw)
  const other = new Swarm()
  t.throws(() => new Swarm({ privateKey, peerId: other.peerId }), {
    instanceOf: InvalidParametersError
  })
  t.throws(() => new Swarm({ privateKey: new Uint8Array(3) }), {
    instanceOf: InvalidParametersError
  })
})

// U3
test('the engine of the muxer is an option of either end', async (t) => {
  const { outbound, inbound } = await createPair(t, { dialer: { muxers: ['yamux-crate'] } })
  t.is(outbound.state.muxerEngine, 'yamux-crate')
  t.is(inbound.state.muxerEngine, 'yamux')
  for (const { state } of [outbound, inbound]) t.is(state.muxer, '/yamux/1.0.0')
  t.throws(() => new Swarm({ muxers: ['yamux', 'yamux-crate'] }), {
    message: /one muxer of each protocol/
  })
})

test('refuses invalid options', (t) => {
  const wrong = [
    { security: [] },
    { security: ['plaintext'] },
    { muxers: ['mplex'] },
    { muxers: [] },
    { muxers: ['yamux', 'yamux-crate'] },
    { security: ['tls', 'tls'] },
    { ioThreads: 0 },
    { ioThreads: 65 },
    { busyPoll: -1 },
    { busyPoll: 1_001 },
    { busyPoll: 0.5 },
    { busyPoll: '100' },
    { limits: { acceptBacklog: 0 } },
    { limits: { unknown: 1 } }
  ]
  for (const options of wrong) {
    t.throws(() => new Swarm(options as never), { instanceOf: InvalidParametersError })
  }
})

test('maxInbound of a handler bounds the inbound streams of its protocol', async (t) => {
  const { listener, outbound } = await createPair(t)
  const held: Stream[] = []
  listener.handle('/scarce', (stream) => void held.push(stream), { maxInbound: 1 })
  const first = await outbound.newStream('/scarce')
  await first.write(pattern(1))
  const second = await outbound.newStream('/scarce')
  const err = await t.throwsAsync(second.read(1), { instanceOf: StreamResetError })
  t.is(err.errorCode, StreamErrorCode.ResourceLimitExceeded)
  t.is(held.length, 1)
})
