/** Connections over a muxer of the application: streams, notifications, views and ends. */
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { Connectedness, StreamState } from '../../ts/constants.ts'
import {
  ConnectionClosedError,
  InvalidParametersError,
  MuxerClosedError,
  StateError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  TimeoutError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import { identify, ping, wrapMuxedStream } from '../../ts/index.ts'
import type { Stream } from '../../ts/stream.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { createSwarm, Swarm } from '../../ts/swarm.ts'
import { addedEnd, addedPair, ask, PEER, upper } from '../support/added.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Hearing } from '../support/hearing.ts'
import { MemoryConn, memoryConns, memoryStreams } from '../support/memory-muxer.ts'
import { createNode, createPair, outcomeOf, pattern, turns, until } from '../support/pair.ts'

// C1, C2
test('an added connection is listed, carries negotiated streams both ways, and ends at both ends', async (t) => {
  const { dialer, listener, near, outbound, inbound } = await addedPair(t)
  for (const swarm of [dialer, listener]) swarm.handle('/upper/1', upper)
  t.deepEqual(dialer.getConnections(), [outbound])
  t.deepEqual(dialer.getConnections(listener.peerId), [outbound])
  t.is(dialer.getConnection(listener.peerId), outbound)
  t.is(dialer.connectedness(listener.peerId), Connectedness.Connected)
  t.is(dialer.getTotalConnections(), 1)
  t.deepEqual(dialer.getPeers().map(String), [`${listener.peerId}`])
  t.is(await ask(await outbound.newStream('/upper/1'), 'there'), 'THERE')
  t.is(await ask(await inbound.newStream(['/no', '/upper/1']), 'back'), 'BACK')
  const named = await dialer.newStream(listener.peerId, '/upper/1')
  t.is(named.connection, outbound)
  t.is(named.protocol, '/upper/1')
  t.is(await ask(named, 'x'), 'X')
  await until(() => outbound.streams.length === 0 && inbound.streams.length === 0)
  await outbound.close()
  t.deepEqual(outbound.closeReason, { closeCode: 0, remote: false, error: undefined, rule: '' })
  await inbound.closed
  t.deepEqual(inbound.closeReason, { closeCode: 0, remote: true, error: undefined, rule: '' })
  t.deepEqual(near.calls, ['close'])
  t.is(dialer.getTotalConnections() + listener.getTotalConnections(), 0)
  t.is(dialer.connectedness(listener.peerId), Connectedness.CanConnect)
  await t.throwsAsync(outbound.newStream('/upper/1'), { instanceOf: ConnectionClosedError })
})

test('the arguments are checked before anything is listed', async (t) => {
  const swarm = await createNode(t)
  const misuse = { instanceOf: InvalidParametersError }
  const { near } = memoryConns(PEER)
  const add = (muxed: unknown, ...rest: unknown[]) =>
    t.throws(() => swarm.addConnection(muxed as never, ...(rest as [])), misuse)
  t.regex(add(new MemoryConn()).message, /remotePeer/)
  t.regex(add({}).message, /openStream/)
  add(undefined)
  add(near, 'sideways')
  add(near, 'inbound', { remotePear: PEER })
  t.regex(add(near, 'inbound', { remotePeer: swarm.peerId }).message, /expected the remote peer/)
  t.regex(add(new MemoryConn(swarm.peerId)).message, /this swarm/)
  add(near, 'inbound', { remotePeer: 'nobody' })
  add(near, 'inbound', { remoteAddr: 'nowhere' })
  add(near, 'inbound', { scope: {} })
  add(near, 'inbound', { muxer: 1 })
  const closed = new MemoryConn(PEER)
  await closed.close()
  t.throws(() => swarm.addConnection(closed), { instanceOf: MuxerClosedError })
  t.throws(() => new Swarm().addConnection(near), { instanceOf: StateError })
  t.is(swarm.getTotalConnections(), 0)
  t.is(near.accepting, 0)
})

test('the same muxed connection is the same connection, of one swarm', async (t) => {
  const { swarm, near, connection } = await addedEnd(t)
  t.is(swarm.addConnection(near, 'inbound'), connection)
  t.is(swarm.getTotalConnections(), 1)
  const other = await createNode(t)
  t.throws(() => other.addConnection(near), { instanceOf: InvalidParametersError })
  const closed = connection.close()
  t.throws(() => swarm.addConnection(near), { instanceOf: MuxerClosedError })
  await closed
  t.throws(() => swarm.addConnection(near), { instanceOf: MuxerClosedError })
  t.is(swarm.getTotalConnections(), 0)
})

test('a removed connection is listed again when its muxed connection is added again', async (t) => {
  const { swarm, near, connection } = await addedEnd(t, { connections: { maxPerPeer: 1 } })
  const events: string[] = []
  swarm.notify({
    connected: () => events.push('connected'),
    disconnected: () => events.push('disconnected')
  })
  swarm.addEventListener('connectedness', ({ detail: { previous, connectedness } }) =>
    events.push(`${previous} > ${connectedness}`)
  )
  swarm.removeConnection(connection)
  t.is(swarm.addConnection(near), connection)
  const { NotConnected, CanConnect, Connected } = Connectedness
  t.deepEqual(swarm.getConnections(PEER), [connection])
  t.deepEqual(events.splice(0), [`${Connected} > ${CanConnect}`, `${CanConnect} > ${Connected}`])
  swarm.removeConnection(connection)
  const other = swarm.addConnection(memoryConns(PEER).near)
  swarm.addConnection(near)
  await other.closed
  await connection.close()
  t.is(swarm.getTotalConnections(), 0)
  t.not(swarm.connectedness(PEER), NotConnected)
})

test('every connected callback has returned before the first stream is handed out', async (t) => {
  const swarm = await createNode(t)
  const { near, far } = memoryConns(PEER)
  await far.openStream()
  await far.openStream()
  const events: string[] = []
  swarm.setStreamHandler(() => void events.push('handled'))
  for (const name of ['one', 'two']) {
    swarm.notify({
      connected: (_, connection) => {
        events.push(`connected ${name} ${connection.streams.length}`)
        t.is(near.accepting, 0)
      },
      openedStream: () => events.push(`opened ${name}`)
    })
  }
  const connection = swarm.addConnection(near)
  t.deepEqual(events, ['connected one 0', 'connected two 0'])
  await until(() => connection.streams.length === 2)
  const opened = ['opened one', 'opened two', 'handled']
  t.deepEqual(events.slice(2), [...opened, ...opened])
  t.is(near.accepting, 1)
})

test('handlers are chosen by name, then by predicate, and a raw handler sees every stream', async (t) => {
  const { listener, outbound } = await addedPair(t)
  const served: string[] = []
  const serve = (name: string) => (stream: Stream) => {
    served.push(`${name} ${stream.protocol} ${stream.direction}`)
    return stream.close()
  }
  listener.handle('/a/1', serve('name'))
  listener.handle((protocol) => protocol.startsWith('/a/'), serve('predicate'))
  await outbound.newStream('/a/1')
  await outbound.newStream('/a/2')
  const refused = await t.throwsAsync(outbound.newStream('/b'), {
    instanceOf: UnsupportedProtocolError
  })
  t.deepEqual(refused.protocols, ['/b'])
  await t.throwsAsync(outbound.newStream(['/b', '/c']), { instanceOf: UnsupportedProtocolError })
  t.deepEqual(served, ['name /a/1 inbound', 'predicate /a/2 inbound'])
  listener.setStreamHandler(async (stream) => {
    t.is(stream.protocol, undefined)
    await stream.write(await stream.read(5))
    await stream.close()
  })
  const raw = await outbound.newStream()
  t.is(raw.protocol, undefined)
  t.is(await ask(raw, 'bytes'), 'bytes')
})

test('a predicate that throws is reported and skipped', async (t) => {
  const hearing = new Hearing()
  const { listener, outbound } = await addedPair(t, { listener: { logger: hearing.logger } })
  listener.handle(() => {
    throw new Error('no opinion')
  }, upper)
  listener.handle(() => true, upper)
  t.is(await ask(await outbound.newStream('/any'), 'a'), 'A')
  await hearing.line(/a predicate failed/)
})

test('a handler that fails resets its own stream only', async (t) => {
  const { listener, outbound } = await addedPair(t, { listener: { logger: new Hearing().logger } })
  listener.handle('/upper/1', upper)
  listener.handle('/fails', () => {
    throw new Error('out of order')
  })
  listener.handle('/rejects', () => Promise.reject(new Error('out of order')))
  const good = await outbound.newStream('/upper/1')
  for (const protocol of ['/fails', '/rejects']) {
    const stream = await outbound.newStream(protocol)
    await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  }
  t.is(await ask(good, 'still'), 'STILL')
  t.false(outbound.isClosed)
})

test('a bulk transfer arrives whole, with its end', async (t) => {
  const { listener, outbound } = await addedPair(t)
  listener.handle('/echo', (stream) => stream.readable.pipeTo(stream.writable))
  const stream = await outbound.newStream('/echo')
  const sent = pattern(300_000)
  const received = stream.read({ maxBytes: 1_000_000 })
  await stream.write(sent)
  await stream.closeWrite()
  t.deepEqual(Buffer.from(await received), Buffer.from(sent))
  t.is(stream.state, StreamState.CLOSE_BOTH)
})

// C3
test('streams of an added connection have deadlines, and can be removed', async (t) => {
  const { listener, outbound } = await addedPair(t)
  listener.handle('/open', () => {})
  const stream = await outbound.newStream('/open')
  stream.setReadDeadline(Date.now() + 5)
  await t.throwsAsync(stream.read(1), { instanceOf: TimeoutError })
  t.is(stream.state, StreamState.OPEN)
  outbound.removeStream(stream)
  outbound.removeStream(stream)
  t.deepEqual(outbound.streams, [])
  const other = await addedPair(t)
  t.throws(() => other.outbound.removeStream(stream), { instanceOf: InvalidParametersError })
})

// C6
test('a close delivers what streams closed for writing have accepted, and resets the others', async (t) => {
  const { dialer, listener, near, outbound } = await addedPair(t)
  const received = Promise.withResolvers<Uint8Array>()
  const lost = Promise.withResolvers<unknown>()
  listener.handle('/take', (stream) => void stream.read().then(received.resolve, received.reject))
  listener.handle('/open', (stream) => void stream.read().then(lost.reject, lost.resolve))
  const open = await outbound.newStream('/open')
  await open.write(pattern(10))
  const written = await outbound.newStream('/take')
  await written.write(pattern(100_000))
  void written.closeWrite()
  const events: string[] = []
  dialer.notify({
    closedStream: () => events.push(`closed, listed ${dialer.getTotalConnections()}`),
    disconnected: () => events.push(`disconnected, ${near.calls.join()}`)
  })
  const closed = outbound.close()
  t.true(outbound.isClosed)
  t.is(dialer.getTotalConnections(), 0)
  await t.throwsAsync(outbound.newStream(), { instanceOf: ConnectionClosedError })
  await closed
  t.deepEqual(Buffer.from(await received.promise), Buffer.from(pattern(100_000)))
  t.true((await lost.promise) instanceof StreamError)
  t.is(open.state, StreamState.RESET)
  t.deepEqual(events, ['closed, listed 0', 'closed, listed 0', 'disconnected, close'])
  await Promise.all([outbound.close(), outbound.closeWithError(3)])
  t.deepEqual(near.calls, ['close'])
})

test('a muxer is closed when it has accepted what was written, however slow its remote reads', async (t) => {
  const { near, far, connection } = await addedEnd(t)
  const open = await connection.newStream()
  const written = await connection.newStream()
  await written.write(pattern(20_000))
  await written.close()
  const closing = connection.close()
  const [reset, slow] = [await far.acceptStream(), await far.acceptStream()]
  const err = await t.throwsAsync(reset.read(1), { instanceOf: StreamResetError })
  t.is(err.errorCode, 0)
  t.is(open.state, StreamState.RESET)
  await turns(5)
  t.deepEqual(near.calls, [])
  const received: Uint8Array[] = []
  for (let left = 20_000; left > 0; left -= received.at(-1)?.length ?? 0) {
    received.push(await slow.read(1_000))
  }
  t.deepEqual(Buffer.concat(received), Buffer.from(pattern(20_000)))
  await t.throwsAsync(slow.read(1), { instanceOf: StreamEOFError })
  await closing
  t.deepEqual(near.calls, ['close'])
})

/** Adds a connection whose muxer has accepted two streams, and ends in good order when `end` is called. */
async function endingInOrder(t: ExecutionContext, options: SwarmOptions) {
  const swarm = await createNode(t, options)
  const ending = Promise.withResolvers<never>()
  const [whole, open] = [memoryStreams(), memoryStreams()]
  const accepted = [whole.near, open.near]
  const { near } = memoryConns(PEER)
  near.acceptStream = async () => accepted.shift() ?? ending.promise
  const streams: Stream[] = []
  swarm.setStreamHandler((stream) => void streams.push(stream))
  const connection = swarm.addConnection(near)
  await until(() => streams.length === 2)
  const end = () => ending.reject(new MuxerClosedError())
  return { swarm, near, connection, whole: whole.far, open: open.far, streams, end }
}

test('what the remote has sent before an orderly end is read to its end; streams without one are reset', async (t) => {
  const clock = new FakeClock()
  const { swarm, near, connection, whole, open, streams, end } = await endingInOrder(t, { clock })
  const events: string[] = []
  swarm.notify({
    closedStream: (_, stream) => events.push(`closed ${streams.indexOf(stream)}`),
    disconnected: () => events.push('disconnected')
  })
  // More than is read ahead.
  void whole.write(pattern(400_000)).then(() => whole.closeWrite())
  await open.write(pattern(10))
  end()
  await turns(5)
  await t.throwsAsync(connection.newStream(), { instanceOf: MuxerClosedError })
  t.deepEqual([connection.closeReason, near.calls, events], [undefined, [], []])
  t.deepEqual(Buffer.from((await streams[0]?.read()) ?? []), Buffer.from(pattern(400_000)))
  t.deepEqual(Buffer.from((await streams[1]?.read(10)) ?? []), Buffer.from(pattern(10)))
  const cut = streams[1]?.read(1) ?? Promise.resolve()
  t.is(await outcomeOf(cut), 'waits')
  clock.advance(30_000)
  await t.throwsAsync(cut, { instanceOf: StreamResetError })
  await connection.closed
  t.deepEqual(connection.closeReason, { closeCode: 0, remote: true, error: undefined, rule: '' })
  t.deepEqual(events, ['closed 0', 'closed 1', 'disconnected'])
  t.deepEqual(near.calls, ['close 0'])
})

test('bytes that arrived with their end stay readable after the end of the connection', async (t) => {
  const { connection, whole, open, streams, end } = await endingInOrder(t, {})
  await whole.write(pattern(4_000))
  await whole.closeWrite()
  await open.reset()
  end()
  await connection.closed
  t.deepEqual(Buffer.from((await streams[0]?.read()) ?? []), Buffer.from(pattern(4_000)))
  t.is(streams[0]?.error, undefined)
})

test('a connection that reads what its remote has left can be closed at once', async (t) => {
  const { near, connection, whole, streams, end } = await endingInOrder(t, {})
  await whole.write(pattern(10))
  end()
  await turns()
  await connection.closeWithError(5)
  t.is(connection.closeReason?.closeCode, 5)
  t.true(streams[0]?.error instanceof StreamResetError)
  t.deepEqual(near.calls, ['close 5'])
})

test('a muxer that was closed at once during a close is not called again', async (t) => {
  const { near, connection } = await addedEnd(t)
  void connection.close()
  await connection.closeWithError(7)
  await turns()
  t.deepEqual(near.calls, ['close 7'])
  t.is(connection.closeReason?.closeCode, 7)
})

test('a close with a code resets every stream at once, and the remote reads the code', async (t) => {
  const { listener, outbound, inbound } = await addedPair(t)
  listener.handle('/open', () => {})
  const stream = await outbound.newStream('/open')
  const reading = stream.read(1)
  const closed = outbound.closeWithError(42)
  await t.throwsAsync(reading, { instanceOf: StreamResetError })
  await Promise.all([closed, inbound.closed])
  t.is(outbound.closeReason?.closeCode, 42)
  t.is(inbound.closeReason?.closeCode, 42)
  t.true(inbound.closeReason?.remote)
  t.true(inbound.closeReason?.error instanceof ConnectionClosedError)
})

test('a close in a connected callback is notified once, after every connected', async (t) => {
  const swarm = await createNode(t)
  const events: string[] = []
  for (const name of ['one', 'two']) {
    swarm.notify({
      connected: (_, connection) => {
        events.push(`connected ${name}`)
        void connection.closeWithError(0)
      },
      disconnected: () => events.push(`disconnected ${name}`)
    })
  }
  const { near } = memoryConns(PEER)
  await swarm.addConnection(near).closed
  t.deepEqual(events, ['connected one', 'connected two', 'disconnected one', 'disconnected two'])
  t.is(near.accepting, 0)
})

test('a swarm closes its added connections, after what their handlers have written', async (t) => {
  const { listener, outbound, inbound } = await addedPair(t)
  listener.handle('/bulk', async (stream) => {
    await stream.write(pattern(50_000))
    await stream.closeWrite()
  })
  const stream = await outbound.newStream('/bulk')
  await stream.closeWrite()
  const received = stream.read()
  await until(() => inbound.streams.length === 1)
  await listener.close()
  t.is((await received).length, 50_000)
  t.is(inbound.closeReason?.error, undefined)
  await outbound.closed
  t.is(listener.getTotalConnections(), 0)
})

test('a swarm that closes resets streams that are opened meanwhile, with the code Shutdown', async (t) => {
  const { listener, far, outbound } = await addedPair(t)
  const running = Promise.withResolvers<void>()
  listener.handle('/slow', () => running.promise)
  await outbound.newStream('/slow')
  const closing = listener.close()
  await turns()
  const late = await t.throwsAsync(outbound.newStream('/slow'), { instanceOf: Error })
  t.regex(`${late}`, /reset|negotiation/)
  t.true(far.streams.at(-1)?.calls.includes(`reset ${0x1007}`))
  running.resolve()
  await closing
})

// S8
test('a removed connection is in no view, stays open, and is notified as disconnected when it closes', async (t) => {
  const pair = await createPair(t)
  const added = await addedPair(t)
  for (const { dialer, listener, outbound } of [pair, added]) {
    listener.handle('/upper/1', upper)
    const events: unknown[] = []
    dialer.notify({ disconnected: (_, connection) => void events.push(connection) })
    dialer.removeConnection(outbound)
    dialer.removeConnection(outbound)
    t.deepEqual(dialer.getConnections(), [])
    t.deepEqual(dialer.getPeers(), [])
    t.is(dialer.getConnection(listener.peerId), undefined)
    t.is(dialer.connectedness(listener.peerId), Connectedness.CanConnect)
    t.is(await ask(await outbound.newStream('/upper/1'), 'open'), 'OPEN')
    t.false(outbound.isClosed)
    t.deepEqual(events, [])
    await outbound.close()
    t.deepEqual(events, [outbound])
    dialer.removeConnection(outbound)
  }
  t.throws(() => added.dialer.removeConnection(pair.outbound), {
    instanceOf: InvalidParametersError
  })
  t.throws(() => added.dialer.removeConnection({} as Connection), {
    instanceOf: InvalidParametersError
  })
})

test('a swarm closes removed connections with itself', async (t) => {
  const pair = await createPair(t)
  const added = await addedPair(t)
  for (const { dialer, outbound } of [pair, added]) {
    dialer.removeConnection(outbound)
    await dialer.close()
    t.not(outbound.closeReason, undefined)
  }
})

test('a connection tells what its application has told', async (t) => {
  const swarm = await createNode(t)
  const { near } = memoryConns(PEER)
  const connection = swarm.addConnection(near)
  t.is(connection.direction, 'unknown')
  const other = swarm.addConnection(memoryConns().near, { remotePeer: PEER })
  t.is(other.direction, 'unknown')
  t.is(connection.stat.direction, 'unknown')
  t.is(connection.muxedConn, near)
  t.is(`${connection.remotePeer}`, PEER)
  t.is(`${connection.remotePublicKey}`.length > 0, true)
  t.is(`${connection.remoteAddr} ${connection.localAddr}`, '/ /')
  t.is(connection.remoteAddress, undefined)
  t.deepEqual(connection.getTransportAddresses(), [])
  t.is(connection.connectionType, 'direct')
  t.deepEqual(connection.state, {
    transport: '',
    security: '',
    muxer: '',
    muxerEngine: '',
    usedEarlyMuxerNegotiation: false
  })
  const { bytesSent, framesSent, roundTripMs } = connection.stats()
  t.deepEqual([bytesSent, framesSent, roundTripMs], [0, 0, undefined])
  connection.setTransportInfo({ type: 'relayed', addresses: ['/ip4/192.0.2.1/tcp/1'] })
  t.is(connection.connectionType, 'relayed')
  t.deepEqual(connection.getTransportAddresses().map(String), ['/ip4/192.0.2.1/tcp/1'])
  for (const info of [
    undefined,
    { type: 'direct' },
    { type: 'odd', addresses: [] },
    { type: 'direct', addresses: ['odd'] },
    { type: 'direct', addresses: [], more: 1 }
  ]) {
    t.throws(() => connection.setTransportInfo(info as never), {
      instanceOf: InvalidParametersError
    })
  }

  const hashed = 'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC'
  const told = swarm.addConnection(memoryConns().near, 'inbound', {
    remoteAddr: `/ip4/192.0.2.2/tcp/2/p2p/${hashed}`,
    localAddr: '/ip4/192.0.2.3/tcp/3',
    security: '/noise',
    muxer: '/mplex/6.7.0'
  })
  t.is(`${told.remotePeer}`, hashed)
  t.throws(() => told.remotePublicKey, { instanceOf: StateError })
  t.is(`${told.remoteAddr} ${told.localAddr}`, '/ip4/192.0.2.2/tcp/2 /ip4/192.0.2.3/tcp/3')
  t.deepEqual(told.getTransportAddresses().map(String), ['/ip4/192.0.2.2/tcp/2'])
  t.deepEqual(told.remoteAddress, { host: '192.0.2.2', port: 2 })
  const { transport, security, muxer } = told.state
  t.deepEqual([transport, security, muxer], ['tcp', '/noise', '/mplex/6.7.0'])
})

test('the transport of a native connection is known, and its muxer is not an object', async (t) => {
  const { outbound } = await createPair(t)
  t.is(outbound.muxedConn, undefined)
  t.deepEqual(outbound.getTransportAddresses().map(String), [`${outbound.remoteAddr}`])
  t.throws(() => outbound.setTransportInfo({ type: 'direct', addresses: [] }), {
    instanceOf: InvalidParametersError
  })
})

test('ping and identify work over an added connection', async (t) => {
  const dialer = await createSwarm({ ioThreads: 1 })
  const listener = await createSwarm({ ioThreads: 1 })
  t.teardown(() => Promise.all([dialer.close(), listener.close()]))
  const { near, far } = memoryConns(listener.peerId, dialer.peerId)
  listener.addConnection(far, 'inbound')
  const connection = dialer.addConnection(near, 'outbound')
  const { protocols, observedAddr } = await identify(connection)
  t.true(protocols.includes('/ipfs/ping/1.0.0'))
  t.is(observedAddr, undefined)
  for await (const ms of ping(connection, { count: 2 })) t.true(ms >= 0)
})

test('streams wrapped by the application are notified once, on request', async (t) => {
  const swarm = await createNode(t)
  const events: string[] = []
  swarm.notify({
    openedStream: (_, { id }) => events.push(`opened ${id}`),
    closedStream: (_, { id }) => events.push(`closed ${id}`)
  })
  const one = wrapMuxedStream(memoryStreams().near)
  const two = wrapMuxedStream(memoryStreams().near)
  swarm.notifyClosedStream(one)
  for (const stream of [one, one, two]) swarm.notifyOpenedStream(stream)
  t.deepEqual(events.splice(0), [`opened ${one.id}`, `opened ${two.id}`])
  swarm.notifyClosedStream(one)
  swarm.notifyClosedStream(one)
  t.deepEqual(events.splice(0), [`closed ${one.id}`])
  await Promise.all([one.reset(), two.reset()])
  await until(() => events.length > 0)
  await turns()
  t.deepEqual(events, [`closed ${two.id}`])
  swarm.notifyOpenedStream(one)
  t.is(events.length, 1)
  t.throws(() => swarm.notifyOpenedStream({} as Stream), { instanceOf: InvalidParametersError })
  const { outbound } = await createPair(t)
  const foreign = await outbound.newStream()
  t.throws(() => swarm.notifyOpenedStream(foreign), { instanceOf: InvalidParametersError })
})

test('a stream of a connection is announced by it, and its end can be notified early', async (t) => {
  const { dialer, listener, outbound } = await addedPair(t)
  listener.setStreamHandler(() => {})
  const events: string[] = []
  dialer.notify({
    openedStream: () => events.push('opened'),
    closedStream: () => events.push('closed')
  })
  const stream = await outbound.newStream()
  dialer.notifyOpenedStream(stream)
  t.deepEqual(events, ['opened'])
  dialer.notifyClosedStream(stream)
  dialer.notifyClosedStream(stream)
  t.deepEqual(outbound.streams, [])
  await stream.reset()
  await turns()
  t.deepEqual(events, ['opened', 'closed'])
})
