/** The option `connections` on real nodes, and the views of a swarm's connections. */
import { once } from 'node:events'
import { connect } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import {
  Connectedness,
  type ConnectednessDetail,
  type Connection,
  ConnectionClosedError,
  ConnectionErrorCode,
  DialAllFailedError,
  toString as nameOf,
  type ResourceLimitExceededError,
  type Stream,
  type Swarm,
  type SwarmOptions,
  wrapMuxedStream
} from '../../ts/index.ts'
import { addressOf, ECHO, echoing, portOf } from '../support/echo.ts'
import { Hearing } from '../support/hearing.ts'
import { memoryStreams } from '../support/memory-muxer.ts'
import { createNode, createPair, pattern, until } from '../support/pair.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { overPairs } from '../support/stacks.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'

const listening = (t: ExecutionContext, options: SwarmOptions = {}): Promise<Swarm> =>
  echoing(t, LOCAL, options)

function dial(from: Swarm, to: Swarm, force = true): Promise<Connection> {
  return from.dialPeer(to.peerId, { addresses: to.getListenAddrs(), force })
}

// S9
test('every view of the connections agrees, is a copy, and is empty before any', async (t) => {
  const [dialer, one, two] = await Promise.all([createNode(t), listening(t), listening(t)])
  const views = (swarm: Swarm) => ({
    all: swarm.getConnections(),
    map: [...swarm.getConnectionsMap()],
    legacy: [...swarm.connectionsLegacy],
    peers: swarm.getPeers().map(String),
    metrics: swarm.getMetrics()
  })
  t.deepEqual(views(dialer), {
    all: [],
    map: [],
    legacy: [],
    peers: [],
    metrics: { total: 0, inbound: 0, outbound: 0, peers: 0 }
  })
  t.is(dialer.getConnection(one.peerId), undefined)
  t.deepEqual(dialer.getConnections(one.peerId), [])
  const first = await dial(dialer, one)
  const other = await dial(dialer, two)
  const second = await dial(dialer, one)
  await until(() => one.getTotalConnections() === 2)
  t.deepEqual(views(dialer), {
    all: [first, other, second],
    map: [
      [`${one.peerId}`, [first, second]],
      [`${two.peerId}`, [other]]
    ],
    legacy: [
      [`${one.peerId}`, first],
      [`${two.peerId}`, other]
    ],
    peers: [`${one.peerId}`, `${two.peerId}`],
    metrics: { total: 3, inbound: 0, outbound: 3, peers: 2 }
  })
  t.deepEqual(dialer.getConnections(one.peerId), [first, second])
  t.is(dialer.getConnection(two.peerId), other)
  t.is(dialer.getTotalConnections(), 3)
  t.deepEqual(one.getMetrics(), { total: 2, inbound: 2, outbound: 0, peers: 1 })
  dialer.getConnectionsMap().get(`${one.peerId}`)?.pop()
  dialer.getConnectionsMap().clear()
  dialer.connectionsLegacy.clear()
  dialer.getConnections().pop()
  t.is(dialer.getConnectionsMap().get(`${one.peerId}`)?.length, 2)
  t.is(dialer.connectionsLegacy.size, 2)
})

// S10
test('a connection beyond maxPerPeer closes the oldest: the two newest remain, at both ends', async (t) => {
  const dialer = await createNode(t, { connections: { maxPerPeer: 2 } })
  const listener = await listening(t)
  const first = await dial(dialer, listener)
  const stream = await first.newStream(ECHO)
  const written = pattern(300_000)
  await stream.write(written)
  await stream.closeWrite()
  const unended = await first.newStream(ECHO)
  const [inbound] = listener.getConnections()
  const second = await dial(dialer, listener)
  const third = await dial(dialer, listener)
  t.is(dialer.getTotalConnections(), 3)
  await first.closed
  t.deepEqual(dialer.getConnections(), [second, third])
  const rule = 'it was the oldest of more than 2 with the peer, see connections.maxPerPeer'
  t.deepEqual(first.closeReason, {
    closeCode: ConnectionErrorCode.GarbageCollected,
    remote: false,
    error: undefined,
    rule
  })
  const err = await t.throwsAsync(first.newStream(ECHO), { instanceOf: ConnectionClosedError })
  t.is(err.closeReason, rule)
  t.like(unended.error, { cause: { closeReason: rule } })
  await until(() => inbound?.isClosed === true)
  await inbound?.closed
  t.like(inbound?.closeReason, {
    closeCode: ConnectionErrorCode.GarbageCollected,
    remote: true,
    rule: ''
  })
  await until(() => listener.getTotalConnections() === 2)
  const next = await dialer.newStream(listener.peerId, ECHO)
  await next.write(pattern(9))
  t.deepEqual(new Uint8Array(await next.read(9)), pattern(9))
})

test('inbound connections count towards maxPerPeer as well', async (t) => {
  const listener = await listening(t, { connections: { maxPerPeer: 1 } })
  const dialer = await createNode(t)
  const ended: Connection[] = []
  dialer.addEventListener('disconnected', ({ detail }) => void ended.push(detail))
  const first = await dial(dialer, listener)
  const second = await dial(dialer, listener)
  await first.closed
  t.deepEqual(ended, [first])
  t.is(first.closeReason?.closeCode, ConnectionErrorCode.GarbageCollected)
  t.false(second.isClosed)
})

test('connections that are dialled at once are all handed over before one is closed', async (t) => {
  const dialer = await createNode(t, { connections: { maxPerPeer: 1 } })
  const listener = await listening(t)
  const states: boolean[] = []
  const dials = Array.from({ length: 5 }, async (_, index) => {
    // Different keys, so that the dials are not joined.
    const addr = `${addressOf(listener)}${index % 2 === 0 ? '' : `/p2p/${listener.peerId}`}`
    const security = index < 2 ? undefined : index < 4 ? (['noise'] as const) : (['tls'] as const)
    const connection = await dialer.dialAddr(addr, security === undefined ? {} : { security })
    states.push(connection.isClosed)
    return connection
  })
  const connections = await Promise.all(dials)
  t.deepEqual(states, [false, false, false, false, false])
  await until(() => connections.filter(({ isClosed }) => isClosed).length === 4)
  t.deepEqual(dialer.getConnections(), [
    connections.toSorted((a, b) => a.stat.opened - b.stat.opened).find((one) => !one.isClosed)
  ] as Connection[])
})

// S27
test('inbound connections beyond max are refused before a byte is spent, with the option', async (t) => {
  const listener = await listening(t, { connections: { max: 1 } })
  const refusals: ResourceLimitExceededError[] = []
  listener.addEventListener('limit', ({ detail }) => void refusals.push(detail.error))
  const dialer = await createNode(t)
  const first = await dial(dialer, listener)
  const socket = connect(portOf(listener), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'close')
  t.is(socket.bytesRead, 0)
  await t.throwsAsync(dial(dialer, listener), { instanceOf: DialAllFailedError })
  await until(() => refusals.length >= 2)
  for (const error of refusals) {
    t.like(error, { scope: 'system', resource: 'connections', limit: 1, option: 'connections.max' })
    t.regex(error.message, /1 of 1 connections are in use; connections\.max sets the limit/)
  }
  t.regex(
    listener.resourceManager.explain(refusals[0] as ResourceLimitExceededError),
    /set by +connections\.max\n/
  )
  t.notRegex(
    listener.resourceManager.explain(refusals[0] as ResourceLimitExceededError),
    /limits\.system/
  )
  await first.close()
  await until(() => listener.getTotalConnections() === 0)
  await t.notThrowsAsync(dial(dialer, listener))
})

// S27
test('our own connections count towards max, whoever opened the others', async (t) => {
  const node = await listening(t, { connections: { max: 2 } })
  const [one, two] = await Promise.all([listening(t), listening(t)])
  await dial(one, node)
  await dial(node, two)
  const err = await t.throwsAsync<ResourceLimitExceededError>(node.dialAddr(addressOf(one)))
  t.like(err, { code: 'ERR_RESOURCE_LIMIT_EXCEEDED', limit: 2, option: 'connections.max' })
  t.is(
    node.resourceManager.viewSystem((scope) => scope.stat.numConnsInbound),
    1
  )
})

test('each direction has its timeout for the upgrade', async (t) => {
  const node = await listening(t, {
    connections: { inboundUpgradeTimeout: 50, outboundUpgradeTimeout: 600_000 }
  })
  const peer = await RawPeer.connect(t, portOf(node))
  await t.notThrowsAsync(peer.closedWithin())
  // A server that says nothing is waited for until the dial gives up.
  const silent = await RawPeer.serve(t, () => {})
  await t.throwsAsync(node.dialAddr(silent, { timeout: 300 }), { name: 'TimeoutError' })
  const hasty = await createNode(t, {
    connections: { inboundUpgradeTimeout: 600_000, outboundUpgradeTimeout: 50 },
    retry: { maxRetries: 0 }
  })
  const err = await t.throwsAsync(hasty.dialAddr(silent), { instanceOf: DialAllFailedError })
  t.like(err.attempts[0], { stage: 'security', cause: { code: 'ERR_TIMEOUT' } })
  t.true((err.attempts[0]?.elapsed ?? 0) < 5_000)
})

// S13, S14
for (const [strategy, expected] of [
  ['best', [2, 2, 2, 2, 2]],
  ['round_robin', [0, 1, 2, 0, 1]],
  ['least_loaded', [2, 1, 0, 2, 1]],
  ['latency_based', [0, 0, 0, 0, 0]],
  ['health_based', [0, 0, 0, 0, 0]]
] as const) {
  test(`newStream and getConnection follow the strategy ${strategy}`, async (t) => {
    const dialer = await createNode(t, { connections: { strategy } })
    const listener = await listening(t)
    const connections: Connection[] = []
    for (let count = 0; count < 3; count += 1) connections.push(await dial(dialer, listener))
    if (strategy === 'latency_based' || strategy === 'health_based') {
      // Round trips of this machine vary: the first is the only one that is known, or good.
      for (const [index, connection] of connections.entries()) {
        const roundTripMs = index === 0 ? 1 : undefined
        Object.defineProperty(connection, 'counters', { value: () => ({ roundTripMs }) })
      }
    }
    const used: number[] = []
    for (let count = 0; count < 5; count += 1) {
      const preferred = dialer.getConnection(listener.peerId)
      const stream = await dialer.newStream(listener.peerId, ECHO)
      t.true(stream.connection === preferred)
      used.push(connections.indexOf(stream.connection))
    }
    t.deepEqual(used, [...expected])
    t.is(dialer.connectionConfig.strategy, strategy)
  })
}

test('health_based counts the ends of the streams of connections, and of no others', async (t) => {
  const hearing = new Hearing()
  const connections = { strategy: 'health_based' } as const
  const dialer = await createNode(t, { connections, logger: hearing.logger })
  const listener = await listening(t)
  listener.handle('/reset', (stream) => stream.reset(1))
  for (const connection of [await dial(dialer, listener), await dial(dialer, listener)]) {
    Object.defineProperty(connection, 'counters', { value: () => ({ roundTripMs: 1 }) })
  }
  const { near } = memoryStreams()
  const standalone = wrapMuxedStream(near)
  dialer.notifyOpenedStream(standalone)
  await standalone.reset()
  const stream = await dialer.newStream(listener.peerId, '/reset')
  const { connection } = stream
  t.true(dialer.getConnection(listener.peerId) === connection)
  await t.throwsAsync(stream.read(1))
  await until(() => connection.streams.length === 0)
  t.false(dialer.getConnection(listener.peerId) === connection)
  t.deepEqual(
    hearing.lines.filter(({ level }) => level === 'error'),
    []
  )
})

test('a strategy of the application decides, and its order is that of the fallbacks', async (t) => {
  const asked: number[] = []
  const dialer = await createNode(t, {
    connections: {
      strategy: (connections) => {
        asked.push(connections.length)
        return connections.toSorted((a, b) => a.stat.opened - b.stat.opened)
      }
    }
  })
  const listener = await listening(t)
  const first = await dial(dialer, listener)
  t.is((await dialer.newStream(listener.peerId, ECHO)).connection, first)
  t.deepEqual(asked, [])
  const second = await dial(dialer, listener)
  t.is(dialer.getConnection(listener.peerId), first)
  t.is(await dial(dialer, listener, false), first)
  // It has ended, which this side has not been told of yet.
  const [inbound] = listener.getConnections()
  await inbound?.closeWithError(1)
  const stream = await dialer.newStream(listener.peerId, [ECHO, '/other'])
  t.is(stream.connection, second)
  t.deepEqual(new Set(asked), new Set([2]))
})

test('a strategy that throws is reported, and harms no stream, dial or event', async (t) => {
  const errors: unknown[] = []
  const dialer = await createNode(t, {
    logger: { error: (_: string, err: unknown) => void errors.push(err) },
    connections: {
      strategy: () => {
        throw new Error('of the application')
      }
    }
  })
  const listener = await listening(t)
  const connections = [await dial(dialer, listener), await dial(dialer, listener)]
  t.is(dialer.getConnection(listener.peerId), connections[1])
  const { connection } = await dialer.newStream(listener.peerId, ECHO)
  t.true(connection === connections[1])
  t.true(errors.length >= 2)
})

test('connectedness is told once for each change, in order, with what it was before', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), listening(t)])
  const told: string[] = []
  const name = (value: Connectedness): string => nameOf('Connectedness', value)
  const tell = ({ detail }: CustomEvent<ConnectednessDetail>): void => {
    t.true(detail.peer.equals(listener.peerId))
    told.push(`${name(detail.previous)} > ${name(detail.connectedness)}`)
  }
  dialer.addEventListener('connectedness', (event) => {
    tell(event)
    t.is(dialer.connectedness(listener.peerId), event.detail.connectedness)
  })
  dialer.addEventListener('connected', () => told.push('connected'))
  dialer.addEventListener('disconnected', () => told.push('disconnected'))
  const first = await dial(dialer, listener)
  const second = await dial(dialer, listener)
  await first.close()
  const closed = second.close()
  t.deepEqual(told.splice(0), [
    'NotConnected > Connected',
    'connected',
    'connected',
    'disconnected',
    'Connected > CanConnect'
  ])
  await closed
  const third = await dial(dialer, listener)
  await until(() => listener.getTotalConnections() === 1)
  const socketOf = listener.getConnections()
  t.deepEqual(told.splice(0), ['disconnected', 'CanConnect > Connected', 'connected'])
  await Promise.all(socketOf.map((connection) => connection.closeWithError(7)))
  await third.closed
  t.is(told.splice(0).at(-1), 'disconnected')
  await dial(dialer, listener)
  told.splice(0)
  await dialer.close({ drainTimeout: 0 })
  t.deepEqual(told, ['Connected > CanConnect', 'disconnected'])
})

// go 77
test('a listener that closes the connection it is told of is told of that after the others', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), listening(t)])
  const told: string[] = []
  dialer.addEventListener('connectedness', ({ detail: { peer, connectedness } }) => {
    told.push(`first ${connectedness}`)
    if (connectedness === Connectedness.Connected) void dialer.closePeer(peer)
  })
  dialer.addEventListener('connectedness', ({ detail: { connectedness } }) => {
    told.push(`second ${connectedness}`)
  })
  const connection = await dial(dialer, listener)
  await connection.closed
  t.deepEqual(told, ['first 1', 'second 1', 'first 2', 'second 2'])
})

// S7, C1
overPairs(
  'either side may close: only that peer is gone, at both ends, and comes back',
  async (t, pair, stack) => {
    const { dialer, listener, outbound, inbound } = pair
    const other = await createNode(t, stack.options)
    await other.listen(stack.listen)
    const kept = await dial(dialer, other)
    await listener.closePeer(dialer.peerId)
    await Promise.all([outbound.closed, inbound.closed])
    t.true(outbound.isClosed && inbound.isClosed)
    t.deepEqual([dialer.getConnections(), listener.getConnections()], [[kept], []])
    const again = await dial(dialer, listener, false)
    await dialer.closePeer(listener.peerId)
    await again.closed
    await until(() => listener.getTotalConnections() === 0)
    t.deepEqual(dialer.getConnections(), [kept])
  }
)

// C6
test('a connection that is closed twice at once is disconnected once', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  let ends = 0
  dialer.addEventListener('disconnected', () => (ends += 1))
  listener.addEventListener('disconnected', () => (ends += 1))
  await Promise.all([outbound.close(), outbound.close(), dialer.closePeer(listener.peerId)])
  await until(() => ends === 2)
  await outbound.close()
  t.is(ends, 2)
})

// S16
test('a failed inbound upgrade leaves the listener as it was', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), listening(t)])
  const peer = await RawPeer.connect(t, portOf(listener))
  peer.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  await peer.closedWithin()
  await t.notThrowsAsync(dial(dialer, listener))
})

// S14
test('streams that are opened at once all succeed', async (t) => {
  const { dialer, listener } = await createPair(t)
  listener.handle(ECHO, (stream) => stream.close())
  const streams = await Promise.all(
    Array.from({ length: 5 }, () => dialer.newStream(listener.peerId, ECHO))
  )
  t.is(new Set(streams.map(({ id }) => id)).size, 5)
})

// C2, C3, C5
test('both ends list the streams, each can be removed twice, and all are reset before disconnected', async (t) => {
  const { dialer, outbound, inbound, openStreams } = await createPair(t)
  const streams = [await openStreams(), await openStreams(), await openStreams()]
  t.deepEqual(
    outbound.streams,
    streams.map(({ near }) => near)
  )
  t.deepEqual(
    inbound.streams,
    streams.map(({ far }) => far)
  )
  const [first] = streams
  const told: string[] = []
  dialer.notify({
    closedStream: (_, stream) => told.push(nameOf('StreamState', stream.state)),
    disconnected: () => told.push('disconnected')
  })
  for (let twice = 0; twice < 2; twice += 1) {
    await outbound.removeStream(first?.near as Stream)
    t.is(outbound.streams.length, 2)
  }
  told.splice(0)
  await outbound.close()
  t.deepEqual(told, ['RESET', 'RESET', 'disconnected'])
})
