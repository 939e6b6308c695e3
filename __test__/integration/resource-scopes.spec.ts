/** Scopes: of connections and streams, of the application's own, and spans. */
import { inspect } from 'node:util'
import test from 'ava'
import {
  InvalidParametersError,
  nullScope,
  ping,
  RESERVATION_PRIORITY_ALWAYS,
  RESERVATION_PRIORITY_HIGH,
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  wrapMuxedStream
} from '../../ts/index.ts'
import { fieldsOf, full } from '../support/limits.ts'
import { memoryStreams } from '../support/memory-muxer.ts'
import { createNode, createPair, PAIR_PROTOCOL, until } from '../support/pair.ts'

const SERVICE = 'ferroswarm.test'
const ALWAYS = RESERVATION_PRIORITY_ALWAYS

// go 114, go 115
test('spans nest, count in their owner, and release everything when they are done', async (t) => {
  const { outbound } = await createPair(t)
  const { scope } = outbound
  const outer = scope.beginSpan()
  outer.reserveMemory(100, ALWAYS)
  const inner = outer.beginSpan()
  inner.reserveMemory(10, ALWAYS)
  t.deepEqual([inner.stat.memory, outer.stat.memory, scope.stat.memory], [10, 110, 110])
  inner.done()
  inner.done()
  t.deepEqual([inner.stat.memory, outer.stat.memory, scope.stat.memory], [0, 100, 100])
  t.throws(() => inner.reserveMemory(1, ALWAYS), { instanceOf: ResourceScopeClosedError })
  t.throws(() => inner.beginSpan(), { instanceOf: ResourceScopeClosedError })
  const orphan = outer.beginSpan()
  outer.done()
  t.throws(() => orphan.reserveMemory(1, ALWAYS), { instanceOf: ResourceScopeClosedError })
  t.notThrows(() => orphan.done())
  t.is(scope.stat.memory, 0)
})

test('`using` ends a span with its block, also by an error', async (t) => {
  const { outbound } = await createPair(t)
  const failure = new Error('of the block')
  const thrown = t.throws(() => {
    using span = outbound.scope.beginSpan()
    span.reserveMemory(1_000, ALWAYS)
    t.is(outbound.scope.stat.memory, 1_000)
    throw failure
  })
  t.is(thrown, failure)
  t.is(outbound.scope.stat.memory, 0)
})

// go 113
test('more than reserved releases what is reserved, with a warning', async (t) => {
  const warnings: string[] = []
  const logger = { warn: (message: string) => void warnings.push(message) }
  const { outbound } = await createPair(t, { dialer: { logger } })
  const { scope } = outbound
  scope.reserveMemory(10, ALWAYS)
  scope.releaseMemory(11)
  t.is(scope.stat.memory, 0)
  t.is(warnings.length, 1)
  t.regex(
    warnings[0] ?? '',
    /^more memory of connection-\d+ was released than is reserved: 11 bytes$/
  )
})

// C4
test('the scope of a connection is made on first use, counts its streams, and ends with it', async (t) => {
  const pair = await createPair(t)
  const { dialer, listener, outbound, inbound } = pair
  t.is(outbound.scope, outbound.scope)
  const { near, far } = await pair.openStreams()
  t.like(outbound.scope.stat, { numConnsOutbound: 1, numConnsInbound: 0, numFD: 1 })
  t.like(inbound.scope.stat, { numConnsInbound: 1, numStreamsInbound: 1 })
  t.is(outbound.scope.stat.numStreamsOutbound, 1)
  t.regex(inspect(outbound.scope), /connection-\d+.*connectionsOutbound: '1 of 1'/s)
  near.scope.reserveMemory(100, ALWAYS)
  outbound.scope.reserveMemory(1_000, ALWAYS)
  t.is(dialer.resourceManager.stat().system.memory, 1_100)
  await outbound.close()
  await Promise.all([outbound.closed, inbound.closed])
  t.deepEqual(outbound.scope.stat, nullScope.stat)
  t.deepEqual(near.scope.stat, nullScope.stat)
  for (const { scope } of [outbound, near, far, inbound]) {
    t.throws(() => scope.reserveMemory(1, ALWAYS), { instanceOf: ResourceScopeClosedError })
    t.throws(() => scope.beginSpan(), { instanceOf: ResourceScopeClosedError })
    t.notThrows(() => scope.releaseMemory(1))
  }
  t.throws(() => near.scope.setService(SERVICE), { instanceOf: ResourceScopeClosedError })
  t.deepEqual(dialer.resourceManager.stat().system, nullScope.stat)
  await until(() => listener.resourceManager.stat().system.numConnsInbound === 0)
})

// go 118, go 119
test('a stream is assigned to a service once, after its protocol', async (t) => {
  const pair = await createPair(t, {
    dialer: { limits: { services: { full: { streamsOutbound: 0 } } } }
  })
  const { dialer, outbound } = pair
  const raw = await outbound.newStream()
  t.throws(() => raw.scope.setService(SERVICE), { instanceOf: InvalidParametersError })
  raw.setProtocol(PAIR_PROTOCOL)
  t.is(
    dialer.resourceManager.viewProtocol(PAIR_PROTOCOL, ({ stat }) => stat.numStreamsOutbound),
    1
  )
  const err = t.throws(() => raw.scope.setService('full'), {
    instanceOf: ResourceLimitExceededError
  }) as ResourceLimitExceededError | undefined
  const option = 'limits.services["full"].streamsOutbound'
  t.deepEqual(fieldsOf(err), full('service:full', 'streamsOutbound', 0, option))
  raw.scope.setService(SERVICE)
  t.throws(() => raw.scope.setService(SERVICE), { instanceOf: InvalidParametersError })
  t.throws(() => raw.scope.setService(''), { instanceOf: InvalidParametersError })
  t.is(
    dialer.resourceManager.viewService(SERVICE, ({ stat }) => stat.numStreamsOutbound),
    1
  )
  await raw.reset()
  await until(() => dialer.resourceManager.stat().system.numStreamsOutbound === 0)
})

// go 119
test('setProtocol of a raw stream is refused by the limit of the protocol, and the stream stays raw', async (t) => {
  const protocols = { [PAIR_PROTOCOL]: { streams: 0 } }
  const { outbound } = await createPair(t, { dialer: { limits: { protocols } } })
  const raw = await outbound.newStream()
  t.throws(() => raw.setProtocol(PAIR_PROTOCOL), { instanceOf: ResourceLimitExceededError })
  t.is(raw.protocol, undefined)
  t.notThrows(() => raw.setProtocol('/another/1.0.0'))
})

test('scopes of the connections and streams of a swarm show no other scopes', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  for (const scope of [pair.outbound.scope, near.scope, far.scope]) {
    for (const name of ['peerScope', 'protocolScope', 'serviceScope']) t.false(name in scope)
  }
})

// go 116, go 118, R6
test('a stream of the application shows its scopes as they are set, and counts once in each', async (t) => {
  const { dialer, listener } = await createPair(t)
  const manager = dialer.resourceManager
  const before = manager.stat().system.numStreamsInbound
  const stream = manager.openStream(listener.peerId, 'inbound')
  t.true(stream.peerScope?.peer.equals(listener.peerId))
  t.is(stream.protocolScope, undefined)
  t.is(stream.serviceScope, undefined)
  t.throws(() => stream.setService(SERVICE), { instanceOf: InvalidParametersError })
  stream.setProtocol('/own/1.0.0')
  t.is(stream.protocolScope?.protocol, '/own/1.0.0')
  t.throws(() => stream.setProtocol('/own/2.0.0'), { instanceOf: InvalidParametersError })
  stream.setService(SERVICE)
  t.is(stream.serviceScope?.name, SERVICE)
  t.throws(() => stream.setService(SERVICE), { instanceOf: InvalidParametersError })
  stream.reserveMemory(64, RESERVATION_PRIORITY_HIGH)
  for (const stat of [
    stream.peerScope?.stat,
    stream.protocolScope?.stat,
    stream.serviceScope?.stat,
    manager.stat().system
  ]) {
    t.like(stat, { numStreamsInbound: before + 1, memory: 64 })
  }
  stream.done()
  stream[Symbol.dispose]()
  t.like(manager.stat().system, { numStreamsInbound: before, memory: 0 })
})

// go 117, R2
test('a connection of the application leaves transient for its peer, or stays if the peer refuses', async (t) => {
  const stranger = await createNode(t)
  const peer = stranger.peerId.toString()
  const node = await createNode(t, { limits: { peers: { [peer]: { connections: 1 } } } })
  const manager = node.resourceManager
  const places = (): number[] => [
    manager.viewTransient(({ stat }) => stat.numConnsInbound),
    manager.viewPeer(peer, ({ stat }) => stat.numConnsInbound),
    manager.stat().system.numConnsInbound
  ]
  const first = manager.openConnection('inbound', false)
  t.deepEqual(places(), [1, 0, 1])
  first.setPeer(peer)
  t.deepEqual(places(), [0, 1, 1])
  t.throws(() => first.setPeer(peer), { instanceOf: InvalidParametersError })
  {
    using second = manager.openConnection('inbound', true, '/ip4/192.0.2.1/tcp/1')
    t.throws(() => second.setPeer(peer), { instanceOf: ResourceLimitExceededError })
    t.is(second.peerScope, undefined)
    t.deepEqual(places(), [1, 1, 2])
  }
  first.done()
  t.deepEqual(places(), [0, 0, 0])
})

test('ping charges its stream to its service on both sides', async (t) => {
  const { dialer, listener, outbound } = await createPair(t, { both: { services: { ping: true } } })
  const service = 'libp2p.ping'
  for await (const _ of ping(outbound, { count: 1 })) {
    t.is(
      dialer.resourceManager.viewService(service, ({ stat }) => stat.numStreamsOutbound),
      1
    )
    t.is(
      listener.resourceManager.viewService(service, ({ stat }) => stat.numStreamsInbound),
      1
    )
  }
  dialer.resourceManager.viewService(service, (scope) => scope.setLimit({ streamsOutbound: 0 }))
  const err = await t.throwsAsync(ping(outbound, { count: 1 }).next(), {
    instanceOf: ResourceLimitExceededError
  })
  t.is((err as ResourceLimitExceededError).scope, `service:${service}`)
  await until(() => dialer.resourceManager.stat().system.numStreamsOutbound === 0)
})

test('an inbound stream shows the service of its handler', async (t) => {
  const { listener, outbound } = await createPair(t)
  const seen = Promise.withResolvers<unknown[]>()
  listener.handle(
    '/served/1.0.0',
    ({ scope }) => {
      const of = listener.resourceManager.viewService(SERVICE, ({ stat }) => stat.numStreamsInbound)
      seen.resolve([inspect(scope), of])
    },
    { service: SERVICE }
  )
  const stream = await outbound.newStream('/served/1.0.0')
  await stream.write(Buffer.from('x'))
  const [text, count] = await seen.promise
  t.regex(String(text), /stream-\d+/)
  t.is(count, 1)
})

test('a stream over a muxer of the application has the null scope', async (t) => {
  const { outbound } = await createPair(t)
  t.is(wrapMuxedStream(memoryStreams().near, outbound).scope, nullScope)
})
