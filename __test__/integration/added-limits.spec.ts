/** Limits and accounting of connections over a muxer of the application. */
import { duplexPair } from 'node:stream'
import test from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { ConnectionErrorCode, StreamErrorCode } from '../../ts/constants.ts'
import {
  ConnectionClosedError,
  InvalidParametersError,
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  StreamResetError
} from '../../ts/errors.ts'
import { nullResourceManager, RESERVATION_PRIORITY_ALWAYS } from '../../ts/index.ts'
import type { Stream } from '../../ts/stream.ts'
import { addedEnd, addedPair, ask, PEER, upper } from '../support/added.ts'
import { CountingManager } from '../support/counting-manager.ts'
import { refusalsOf } from '../support/limits.ts'
import { memoryConns } from '../support/memory-muxer.ts'
import { createNode, createPair, listening, outcomeOf, turns, until } from '../support/pair.ts'
import { line } from '../support/raw-peer.ts'
import { usageOf } from '../support/scopes.ts'

const OTHER = 'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC'

/** A scope that records its end. */
function aScope(calls: string[], name = 'scope') {
  return {
    ...nullResourceManager.openConnection('inbound', false),
    done: () => void calls.push(`${name} done`)
  }
}

// go 23
test('a connection over TCP takes a descriptor at both ends; one over a duplex, or that is added, takes none', async (t) => {
  const [swarm, listener] = await Promise.all([createNode(t), listening(t)])
  const descriptors = (): number[] => [swarm, listener].map((node) => usageOf(node, 'system').fds)
  await swarm.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  await until(() => listener.getTotalConnections() === 1)
  t.deepEqual(descriptors(), [1, 1])
  const [near, far] = duplexPair()
  await Promise.all([swarm.upgradeOutbound(near, listener.peerId), listener.upgradeInbound(far)])
  swarm.addConnection(memoryConns(PEER).near)
  t.is(swarm.getTotalConnections(), 3)
  t.deepEqual(descriptors(), [1, 1])
})

// S27
test('added connections are charged like others, and released once', async (t) => {
  const swarm = await createNode(t)
  const { near } = memoryConns(PEER)
  const inbound = swarm.addConnection(near, 'inbound')
  const unknown = swarm.addConnection(memoryConns(OTHER).near)
  t.is(usageOf(swarm, 'system').connectionsInbound, 1)
  t.is(usageOf(swarm, 'system').connectionsOutbound, 1)
  t.is(usageOf(swarm, `peer:${PEER}`).connections, 1)
  t.is(usageOf(swarm, 'transient').connections, 0)
  t.is(usageOf(swarm, 'system').fds, 0)
  inbound.scope.reserveMemory(1_000, RESERVATION_PRIORITY_ALWAYS)
  t.is(inbound.scope.stat.memory, 1_000)
  t.is(
    swarm.resourceManager.viewPeer(PEER, ({ stat }) => stat.memory),
    1_000
  )
  await Promise.all([inbound.close(), inbound.closeWithError(1), unknown.close()])
  t.is(usageOf(swarm, 'system').connections, 0)
  t.is(usageOf(swarm, 'system').memory, 0)
  t.throws(() => inbound.scope.reserveMemory(1, RESERVATION_PRIORITY_ALWAYS), {
    instanceOf: ResourceScopeClosedError
  })
})

// S27
test('a connection beyond a limit is refused and stays the application’s, whoever made the others', async (t) => {
  const { dialer, listener } = await createPair(t, {
    dialer: { limits: { system: { connections: 2 } } }
  })
  const first = dialer.addConnection(memoryConns(PEER).near)
  const { near, far } = memoryConns(OTHER)
  const err = t.throws(() => dialer.addConnection(near), {
    instanceOf: ResourceLimitExceededError
  })
  t.is(err.option, 'limits.system.connections')
  t.false(near.isClosed)
  t.is(near.accepting, 0)
  t.is(dialer.getTotalConnections(), 2)
  await first.close()
  const second = dialer.addConnection(near)
  await t.throwsAsync(
    dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs(), force: true }),
    { instanceOf: ResourceLimitExceededError }
  )
  await far.close()
  await second.closed
})

test('a peer’s limit of connections holds for added ones', async (t) => {
  const swarm = await createNode(t, { limits: { peerDefault: { connections: 1 } } })
  swarm.addConnection(memoryConns(PEER).near)
  t.throws(() => swarm.addConnection(memoryConns(PEER).near), {
    instanceOf: ResourceLimitExceededError
  })
  t.is(usageOf(swarm, 'system').connections, 1)
})

test('a connection beyond maxPerPeer closes the oldest, with the code and the rule', async (t) => {
  const swarm = await createNode(t, { connections: { maxPerPeer: 1 } })
  const { near, far } = memoryConns(PEER)
  const oldest = swarm.addConnection(near, 'inbound')
  const newest = swarm.addConnection(memoryConns(PEER).near)
  t.deepEqual(swarm.getMetrics(), { total: 2, inbound: 1, outbound: 1, peers: 1 })
  await oldest.closed
  t.is(oldest.closeReason?.closeCode, ConnectionErrorCode.GarbageCollected)
  t.regex(oldest.closeReason?.rule ?? '', /maxPerPeer/)
  const err = await t.throwsAsync(far.acceptStream(), { instanceOf: ConnectionClosedError })
  t.is(err.closeCode, ConnectionErrorCode.GarbageCollected)
  t.deepEqual(swarm.getConnections(PEER), [newest])
})

test('streams of added connections are charged to protocol, service and peer', async (t) => {
  const { dialer, listener, outbound } = await addedPair(t)
  const served = Promise.withResolvers<Stream>()
  listener.handle('/chat/1', served.resolve, { service: 'chat' })
  const stream = await outbound.newStream(['/no', '/chat/1'])
  const other = await served.promise
  t.is(usageOf(dialer, 'protocol:/chat/1').streamsOutbound, 1)
  t.is(usageOf(listener, 'protocol:/chat/1').streamsInbound, 1)
  t.is(usageOf(listener, 'service:chat').streamsInbound, 1)
  t.is(usageOf(dialer, 'transient').streams, 0)
  stream.scope.reserveMemory(500, RESERVATION_PRIORITY_ALWAYS)
  stream.scope.setService('mine')
  t.is(usageOf(dialer, 'service:mine').memory, 500)
  await stream.reset()
  await until(() => usageOf(listener, 'system').streams === 0)
  t.is(usageOf(dialer, 'system').streams, 0)
  t.is(usageOf(dialer, 'system').memory, 0)
  t.throws(() => other.scope.setService('late'))
  const raw = await outbound.newStream()
  t.is(usageOf(dialer, 'transient').streams, 1)
  raw.setProtocol('/mine')
  t.is(usageOf(dialer, 'protocol:/mine').streams, 1)
  t.throws(() => raw.setProtocol('/again'), { instanceOf: InvalidParametersError })
  await raw.reset()
  await turns()
  t.is(usageOf(dialer, 'system').streams, 0)
})

test('the limits of a connection hold for its outbound streams', async (t) => {
  const { listener, outbound } = await addedPair(t, {
    dialer: { limits: { connection: { streamsOutbound: 1 } } }
  })
  listener.handle('/open', () => {})
  const first = await outbound.newStream('/open')
  const err = await t.throwsAsync(outbound.newStream('/open'), {
    instanceOf: ResourceLimitExceededError
  })
  t.is(err.option, 'limits.connection.streamsOutbound')
  await first.reset()
  await turns()
  const second = await outbound.newStream('/open')
  t.true(second.isOperational())
})

test('the limits of a connection hold for its inbound streams, and for both together', async (t) => {
  for (const [resource, limit] of [
    ['streamsInbound', { streamsInbound: 2 }],
    ['streams', { streams: 2 }]
  ] as const) {
    const { swarm, far } = await addedEnd(t, { limits: { connection: limit } })
    const refusals = refusalsOf(swarm)
    swarm.setStreamHandler(() => {})
    const streams = [await far.openStream(), await far.openStream(), await far.openStream()]
    const err = await t.throwsAsync(streams[2]?.read(1) ?? Promise.resolve(), {
      instanceOf: StreamResetError
    })
    t.is(err.errorCode, StreamErrorCode.ResourceLimitExceeded)
    t.deepEqual(
      refusals.map(({ error, direction }) => [error.option, direction]),
      [[`limits.connection.${resource}`, 'inbound']]
    )
    await streams[0]?.reset()
    await until(() => usageOf(swarm, 'system').streams === 1)
    await far.openStream()
    await until(() => usageOf(swarm, 'system').streams === 2)
    t.is(refusals.length, 1)
  }
})

test('the limits of a connection count streams that are being negotiated', async (t) => {
  const { swarm, far } = await addedEnd(t, { limits: { connection: { streamsInbound: 2 } } })
  const refusals = refusalsOf(swarm)
  swarm.handle('/open', () => {})
  const negotiating = [await far.openStream(), await far.openStream()]
  const beyond = await far.openStream()
  await t.throwsAsync(beyond.read(1), { instanceOf: StreamResetError })
  t.deepEqual(
    refusals.map(({ error }) => [error.option, error.current]),
    [['limits.connection.streamsInbound', 2]]
  )
  await negotiating[0]?.reset()
  await until(() => usageOf(swarm, 'system').streams === 1)
  const next = await far.openStream()
  await next.write(Buffer.concat(['/multistream/1.0.0', '/open'].map((text) => line(text))))
  await until(() => usageOf(swarm, 'protocol:/open').streams === 1)
  t.is(refusals.length, 1)
})

test('maxInbound and maxOutbound of a handler hold, and what is refused is reported', async (t) => {
  const { dialer, listener, outbound } = await addedPair(t)
  const refusals = refusalsOf(listener)
  listener.handle('/open', () => {}, { maxInbound: 1 })
  dialer.handle('/out', () => {}, { maxOutbound: 1 })
  listener.handle('/out', () => {})
  const first = await outbound.newStream('/open')
  const beyond = await outbound.newStream('/open')
  const err = await t.throwsAsync(beyond.read(1), { instanceOf: StreamResetError })
  t.is(err.errorCode, StreamErrorCode.ResourceLimitExceeded)
  t.deepEqual(
    refusals.map(({ error, direction }) => [error.option, direction]),
    [['maxInbound', 'inbound']]
  )
  await first.reset()
  await turns()
  const again = await outbound.newStream('/open')
  t.true(again.isOperational())
  await outbound.newStream('/out')
  const full = await t.throwsAsync(outbound.newStream('/out'), {
    instanceOf: ResourceLimitExceededError
  })
  t.is(full.option, 'maxOutbound')
})

test('streams that negotiate at a time are bounded; the others work', async (t) => {
  const { swarm, far, connection } = await addedEnd(t, { limits: { acceptBacklog: 2 } })
  const refusals = refusalsOf(swarm)
  swarm.handle('/upper/1', upper)
  const silent = [await far.openStream(), await far.openStream()]
  const beyond = await far.openStream()
  await t.throwsAsync(beyond.read(1), { instanceOf: StreamResetError })
  t.is(refusals[0]?.error.option, 'limits.acceptBacklog')
  await silent[0]?.reset()
  await until(() => usageOf(swarm, 'transient').streams === 1)
  const request = await far.openStream()
  const proposal = ['/multistream/1.0.0', '/upper/1'].map((text) => line(text))
  await request.write(Buffer.concat([...proposal, Buffer.from('fine')]))
  await request.closeWrite()
  let answer = ''
  while (!answer.endsWith('FINE')) answer += Buffer.from(await request.read()).toString()
  t.is(refusals.length, 1)
  await until(() => connection.streams.length === 0)
})

test('streams of an added connection wait for a place, if the swarm lets them', async (t) => {
  const { dialer, listener, outbound } = await addedPair(t, {
    dialer: { limits: { connection: { streamsOutbound: 1 } } }
  })
  listener.handle('/upper/1', upper)
  dialer.setResourceManager(null, { streamSemaphore: true })
  const first = await outbound.newStream('/upper/1')
  const waiting = outbound.newStream('/upper/1')
  t.is(await outcomeOf(waiting), 'waits')
  t.is(await ask(first, 'one'), 'ONE')
  t.is(await ask(await waiting, 'two'), 'TWO')
})

test('the application’s resource manager admits added connections and their streams, and is told of each end once', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, listener, outbound } = await addedPair(t)
  dialer.setResourceManager(manager, { streamSemaphore: false })
  listener.setStreamHandler(() => {})
  t.is(manager.connections, 0)
  const { near } = memoryConns(PEER)
  const connection = dialer.addConnection(near, 'unknown', { remoteAddr: '/ip4/192.0.2.1/tcp/1' })
  t.deepEqual(manager.calls.splice(0), [
    'openConnection outbound true /ip4/192.0.2.1/tcp/1',
    `setPeer ${PEER}`
  ])
  const stream = await outbound.newStream()
  await t.throwsAsync(outbound.newStream(), { instanceOf: ResourceLimitExceededError })
  await stream.reset()
  await turns()
  await connection.closeWithError(0)
  await connection.close()
  t.is(manager.count('done stream'), 1)
  t.is(manager.count('done connection'), 1)
  t.is(manager.streams + manager.connections, 0)
})

test('a connection that the application’s resource manager refuses is not added', async (t) => {
  const swarm = await createNode(t)
  swarm.setResourceManager({
    ...nullResourceManager,
    openConnection() {
      throw new Error('not today')
    }
  })
  const { near } = memoryConns(PEER)
  const err = t.throws(() => swarm.addConnection(near), {
    instanceOf: ResourceLimitExceededError
  })
  t.regex(err.message, /not today/)
  t.is(usageOf(swarm, 'system').connections, 0)
  swarm.setResourceManager(null)
  t.is(swarm.addConnection(near).isClosed, false)
})

// C4
test('a scope of the application accounts for a connection in place of the swarm’s, and ends once with it', async (t) => {
  const swarm = await createNode(t)
  const calls: string[] = []
  const scope = aScope(calls)
  const connection = swarm.addConnection(memoryConns(PEER).near, 'inbound', { scope })
  t.is(connection.scope, scope)
  t.is(usageOf(swarm, 'system').connections, 0)
  t.throws(() => connection.setResourceScope(scope), { instanceOf: InvalidParametersError })
  await connection.close()
  t.deepEqual(calls, ['scope done'])
})

// C4
test('a scope can be set until every connected callback has returned', async (t) => {
  const calls: string[] = []
  const listener = await createNode(t)
  const dialer = await createNode(t)
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const connections: Connection[] = []
  dialer.notify({
    connected: (_, connection) => {
      connections.push(connection)
      t.throws(() => connection.setResourceScope({} as never), {
        instanceOf: InvalidParametersError
      })
      connection.setResourceScope(aScope(calls, `${connections.length}`))
    }
  })
  dialer.addConnection(memoryConns(PEER).near)
  t.is(usageOf(dialer, 'system').connections, 0)
  await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  t.is(usageOf(dialer, 'system').connections, 1)
  for (const connection of connections) {
    t.throws(() => connection.setResourceScope(aScope([])), { instanceOf: InvalidParametersError })
    await connection.close()
  }
  t.deepEqual(calls, ['1 done', '2 done'])
})

// C4
test('a scope that throws at its end is reported and breaks no close', async (t) => {
  const swarm = await createNode(t, { logger: QUIET })
  const scope = {
    ...aScope([]),
    done() {
      throw new Error('already done')
    }
  }
  const connection = swarm.addConnection(memoryConns(PEER).near, 'inbound', { scope })
  await connection.close()
  t.is(swarm.getTotalConnections(), 0)
})

const QUIET = { debug() {}, info() {}, warn() {}, error() {} }
