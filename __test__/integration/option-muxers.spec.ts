/** Muxers of the application in the option `muxers`: they carry the connections of a swarm, over duplexes and TCP. */
import { duplexPair } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  type Connection,
  DialAllFailedError,
  InvalidParametersError,
  ListenError,
  type NamedMultiplexer,
  type ResourceLimitExceededError,
  type Stream,
  StreamResetError,
  Swarm,
  type SwarmOptions
} from '../../ts/index.ts'
import { readAll } from '../../ts/io/index.ts'
import { type Ends, type UpgradedPair, unixSockets, upgradedPair } from '../support/duplexes.ts'
import { ECHO, echo, exchanged, hashOf } from '../support/echo.ts'
import { frameMuxer } from '../support/frame-muxer.ts'
import { createNode, pattern, until } from '../support/pair.ts'

const FRAMES = '/frames/1.0.0'

/** What `swarm` is charged for in all: connections, streams, memory. */
function charged(swarm: Swarm): readonly number[] {
  const { system } = swarm.resourceManager.stat()
  const { numConnsInbound, numConnsOutbound, numStreamsInbound, numStreamsOutbound } = system
  return [numConnsInbound + numConnsOutbound, numStreamsInbound + numStreamsOutbound, system.memory]
}

function nothingIsCharged(...swarms: readonly Swarm[]): boolean {
  return swarms.every((swarm) => charged(swarm).every((count) => count === 0))
}

function pairOf(
  t: ExecutionContext,
  dialer: SwarmOptions['muxers'],
  listener: SwarmOptions['muxers'],
  ends: Ends = duplexPair() as unknown as Ends
): Promise<UpgradedPair> {
  const optionsOf = (muxers: SwarmOptions['muxers']): SwarmOptions =>
    muxers === undefined ? {} : { muxers }
  return upgradedPair(t, ends, { dialer: optionsOf(dialer), listener: optionsOf(listener) })
}

async function carriesAll(t: ExecutionContext, pair: UpgradedPair): Promise<void> {
  const { dialer, listener, outbound, inbound } = pair
  for (const swarm of [dialer, listener]) swarm.handle(ECHO, echo)
  const sent = [pattern(1 << 20, 1), pattern(1 << 20, 2), pattern(10, 3), pattern(0)]
  const received = await Promise.all([
    exchanged(outbound, sent[0] as Uint8Array),
    exchanged(inbound, sent[1] as Uint8Array),
    exchanged(outbound, sent[2] as Uint8Array),
    exchanged(inbound, sent[3] as Uint8Array)
  ])
  t.deepEqual(received.map(hashOf), sent.map(hashOf))
  await until(() => [...outbound.streams, ...inbound.streams].length === 0)
  await outbound.close()
  await inbound.closed
  t.deepEqual([outbound.closeReason?.error, inbound.closeReason?.error], [undefined, undefined])
  await until(() => nothingIsCharged(dialer, listener))
}

for (const [kind, make] of [
  ['a pair of Duplexes', () => duplexPair() as unknown as Ends],
  ['a Unix socket', unixSockets]
] as const) {
  test(`a muxer of the application replaces yamux: 1 MiB each way over ${kind}, and nothing is left`, async (t) => {
    const [near, far] = [frameMuxer(), frameMuxer()]
    const pair = await pairOf(t, [near], [far], await make(t))
    const { dialer, listener, outbound, inbound } = pair
    for (const { state } of [outbound, inbound]) {
      t.deepEqual(state, {
        transport: '',
        security: '/tls/1.0.0',
        muxer: FRAMES,
        muxerEngine: '',
        usedEarlyMuxerNegotiation: false
      })
    }
    t.deepEqual([outbound.direction, inbound.direction], ['outbound', 'inbound'])
    t.true(outbound.remotePeer.equals(listener.peerId))
    t.true(inbound.remotePeer.equals(dialer.peerId))
    t.true(outbound.remotePublicKey.equals(listener.privateKey.publicKey))
    t.deepEqual(
      [...near.inits, ...far.inits].map(({ isServer }) => isServer),
      [false, true]
    )
    t.is(near.inits[0]?.scope?.stat.numConnsOutbound, 1)
    await carriesAll(t, pair)
  })
}

test('a muxer of the application carries the connections of listen and dialPeer', async (t) => {
  const muxers = [frameMuxer()]
  const [dialer, listener] = await Promise.all([
    createNode(t, { muxers }),
    createNode(t, { muxers })
  ])
  const connected = new Promise<Connection>((resolve) => {
    listener.addEventListener('connected', ({ detail }) => resolve(detail), { once: true })
  })
  await listener.listen('/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0')
  const addresses = listener.getListenAddrs()
  t.is(addresses.length, 2)
  for (const address of addresses) t.notRegex(`${address}`, /\/tcp\/0$/)
  const outbound = await dialer.dialPeer(listener.peerId, { addresses: addresses.slice(0, 1) })
  const inbound = await connected
  t.like(outbound.state, { transport: 'tcp', muxer: FRAMES })
  t.is(`${outbound.remoteAddr}`, `${addresses[0]}`)
  t.is(`${inbound.remoteAddr}`, `${outbound.localAddr}`)
  await carriesAll(t, { dialer, listener, outbound, inbound })
})

test('TCP with a muxer of the application fails as native TCP does, and frees its port', async (t) => {
  const muxers = [frameMuxer()]
  const swarm = await createNode(t, { muxers, retry: { maxRetries: 0 } })
  const other = await createNode(t, { muxers })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  const address = `${swarm.getListenAddrs()[0]}`
  await t.throwsAsync(other.listen(address), { instanceOf: ListenError, message: /EADDRINUSE/ })
  t.true(await swarm.unlisten(address))
  await other.listen(address)
  await other.unlisten(address)
  const failure = await t.throwsAsync(swarm.dialAddr(address), { instanceOf: DialAllFailedError })
  t.is(failure?.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  for (const wrong of ['/ip4/0.0.0.0/tcp/1', '/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/1/ws']) {
    const refusal = await t.throwsAsync(swarm.dialAddr(wrong), { instanceOf: DialAllFailedError })
    t.is(refusal?.attempts[0]?.cause.code, 'ERR_NO_TRANSPORT')
  }
  t.true(nothingIsCharged(swarm, other))
})

// go 123
test('connections that a listener accepts count in their subnet', async (t) => {
  const muxers = [frameMuxer(FRAMES)]
  const [dialer, listener] = await Promise.all([
    createNode(t, { muxers }),
    createNode(t, {
      muxers,
      limits: { loopbackExempt: false, subnets: [{ family: 4, prefix: 32, connections: 1 }] }
    })
  ])
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const refusal = new Promise<ResourceLimitExceededError>((resolve) => {
    listener.addEventListener('limit', ({ detail }) => resolve(detail.error), { once: true })
  })
  const dial = (): Promise<Connection> =>
    dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs(), force: true })
  const connection = await dial()
  await t.throwsAsync(dial(), { instanceOf: DialAllFailedError })
  t.is((await refusal).scope, 'subnet:127.0.0.1/32')
  await connection.close()
  await until(() => nothingIsCharged(listener))
  await t.notThrowsAsync(dial())
})

// U3
test('the dialler decides by the order of its list, among what the listener has', async (t) => {
  const one = frameMuxer('/one')
  const two = frameMuxer('/two')
  const chosen = async (dialer: SwarmOptions['muxers'], listener: SwarmOptions['muxers']) => {
    const { outbound, inbound } = await pairOf(t, dialer, listener)
    t.is(outbound.state.muxer, inbound.state.muxer)
    return outbound.state.muxer
  }
  t.is(await chosen([one, two], [two, one]), '/one')
  t.is(await chosen([two, one], [one, two]), '/two')
  t.is(await chosen([one, two], [two]), '/two')
  t.is(await chosen([one, 'yamux'], ['yamux', one]), '/one')
})

for (const [which, dialer, listener] of [
  ['a dialler without other muxers', undefined, [frameMuxer(), 'yamux']],
  ['a listener without other muxers', [frameMuxer(), 'yamux'], undefined],
  ['both ends that prefer it', ['yamux', frameMuxer()], ['yamux', frameMuxer()]]
] as const) {
  test(`yamux beside a muxer of the application is native: ${which}`, async (t) => {
    const pair = await pairOf(t, dialer, listener)
    for (const { state } of [pair.outbound, pair.inbound]) {
      t.like(state, { muxer: '/yamux/1.0.0', muxerEngine: 'yamux' })
    }
    await carriesAll(t, pair)
  })
}

test('a security protocol of the call is the one negotiated', async (t) => {
  const muxers = [frameMuxer()]
  const [dialer, listener] = await Promise.all([
    createNode(t, { muxers }),
    createNode(t, { muxers })
  ])
  const [near, far] = duplexPair()
  const [outbound] = await Promise.all([
    dialer.upgradeOutbound(near, listener.peerId, { security: ['noise'] }),
    listener.upgradeInbound(far)
  ])
  t.is(outbound.state.security, '/noise')
})

test('half-closes, resets with their codes and the limits of streams are those of other connections', async (t) => {
  const muxers = [frameMuxer()]
  const { listener, outbound, inbound } = await upgradedPair(t, duplexPair() as unknown as Ends, {
    dialer: { muxers },
    listener: { muxers, limits: { connection: { streamsInbound: 2 } } }
  })
  const taken: Stream[] = []
  listener.handle(ECHO, (stream) => void taken.push(stream))
  const streams = [await outbound.newStream(ECHO), await outbound.newStream(ECHO)]
  await until(() => taken.length === 2)
  await t.throwsAsync(outbound.newStream(ECHO))

  await streams[0]?.closeWrite()
  t.deepEqual(await readAll(taken[0] as Stream), new Uint8Array(0))
  await taken[0]?.write(Buffer.from('still open'))
  await taken[0]?.closeWrite()
  t.is(Buffer.from(await readAll(streams[0] as Stream)).toString(), 'still open')
  await taken[1]?.reset(77)
  const lost = await t.throwsAsync((streams[1] as Stream).read(), {
    instanceOf: StreamResetError
  })
  t.like(lost, { errorCode: 77, remote: true })
  await until(() => inbound.streams.length === 0)
})

test('a connection and its streams are announced as others are', async (t) => {
  const muxers = [frameMuxer()]
  const [dialer, listener] = await Promise.all([
    createNode(t, { muxers }),
    createNode(t, { muxers })
  ])
  const heard: string[] = []
  for (const name of ['connected', 'openedStream', 'closedStream', 'disconnected'] as const) {
    listener.addEventListener(name, () => void heard.push(name))
  }
  listener.handle(ECHO, echo)
  const [near, far] = duplexPair()
  const [outbound, inbound] = await Promise.all([
    dialer.upgradeOutbound(near, listener.peerId),
    listener.upgradeInbound(far)
  ])
  t.is(listener.getConnection(dialer.peerId), inbound)
  t.deepEqual(await exchanged(outbound, pattern(10)), pattern(10))
  await outbound.close()
  await inbound.closed
  t.deepEqual(heard, ['connected', 'openedStream', 'closedStream', 'disconnected'])
})

test('the option refuses what is no muxer, and two of one protocol', (t) => {
  const muxer = frameMuxer()
  const refused = (muxers: readonly unknown[], message: RegExp): void => {
    t.throws(() => new Swarm({ muxers: muxers as readonly NamedMultiplexer[] }), {
      instanceOf: InvalidParametersError,
      message
    })
  }
  refused([], /muxers to be a list/)
  refused(['mplex'], /muxers\[0\] to be yamux, yamux-crate or a muxer/)
  refused([muxer, {}], /muxers\[1\] to be an object with newConnection\(\)/)
  refused([{ newConnection() {} }], /muxers\[0\]\.protocol to be a protocol name/)
  refused([{ newConnection() {}, protocol: 'na' }], /muxers\[0\]\.protocol to be a protocol name/)
  refused([muxer, frameMuxer()], /one muxer of each protocol/)
  refused(['yamux', frameMuxer('/yamux/1.0.0')], /one muxer of each protocol/)
  refused(['yamux-crate', muxer], /yamux beside muxers of the application/)
})
