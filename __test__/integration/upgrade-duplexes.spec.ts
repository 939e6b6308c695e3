/** Connections over duplexes of the application: what can be upgraded, and that it is a connection like others. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { duplexPair } from 'node:stream'
import test from 'ava'
import {
  type Connection,
  type RawConnection,
  type Stream,
  StreamState,
  type Upgrader
} from '../../ts/index.ts'
import { fromDuplex } from '../../ts/io/index.ts'
import {
  DUPLEXES,
  type Ends,
  tcpSockets,
  unixSockets,
  upgradedPair,
  webStreams
} from '../support/duplexes.ts'
import { ECHO, echo, exchanged, hashOf } from '../support/echo.ts'
import { createNode, pattern, turns, until } from '../support/pair.ts'

for (const [kind, make] of Object.entries(DUPLEXES)) {
  test(`${kind} carry 16 MiB each way at once, on streams that both ends open`, async (t) => {
    const { dialer, listener, outbound, inbound } = await upgradedPair(t, await make(t))
    for (const swarm of [dialer, listener]) swarm.handle(ECHO, echo)
    const sent = [pattern(8 << 20, 1), pattern(8 << 20, 2)] as const
    const received = await Promise.all([exchanged(outbound, sent[0]), exchanged(inbound, sent[1])])
    t.deepEqual(received.map(hashOf), sent.map(hashOf))
    t.deepEqual([outbound.direction, inbound.direction], ['outbound', 'inbound'])
    t.true(outbound.remotePeer.equals(listener.peerId))
    t.true(inbound.remotePeer.equals(dialer.peerId))
    const ended = Promise.all([outbound.closed, inbound.closed])
    await outbound.close()
    await ended
    t.deepEqual([outbound.closeReason?.error, inbound.closeReason?.error], [undefined, undefined])
    t.deepEqual([dialer.getTotalConnections(), listener.getTotalConnections()], [0, 0])
  })
}

test('a connection and its streams are announced as others are', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
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
  t.deepEqual(await exchanged(outbound, pattern(10)), pattern(10))
  await outbound.close()
  await inbound.closed
  t.deepEqual(heard, ['connected', 'openedStream', 'closedStream', 'disconnected'])
  t.like(inbound.state, { security: '/tls/1.0.0', muxer: '/yamux/1.0.0', transport: '' })
})

test('an upgraded socket talks to an ordinary listener, and an ordinary dial to an upgraded one', async (t) => {
  const [plain, upgrading] = await Promise.all([createNode(t), createNode(t)])
  for (const swarm of [plain, upgrading]) swarm.handle(ECHO, echo)
  await plain.listen('/ip4/127.0.0.1/tcp/0')
  const [address] = plain.getListenAddrs()
  const port = Number(`${address}`.split('/').at(-1))
  // Not connected yet: its address is known once the connection is made.
  const out = await upgrading.upgradeOutbound(connect(port, '127.0.0.1'), plain.peerId)
  t.is(`${out.remoteAddr}`, `${address}`)
  t.is(out.state.transport, 'tcp')
  t.deepEqual(await exchanged(out, pattern(100_000)), pattern(100_000))

  const inbound = Promise.withResolvers<Connection>()
  const server = createServer((socket) => {
    upgrading.upgradeInbound(socket).then(inbound.resolve, inbound.reject)
  })
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const place = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  const back = await plain.dialAddr(place, upgrading.peerId, { force: true })
  t.deepEqual(await exchanged(back, pattern(100_000)), pattern(100_000))
  const accepted = await inbound.promise
  t.is(`${accepted.localAddr}`, place)
  t.is(`${accepted.remoteAddr}`, `${back.localAddr}`)
})

test('the address of a duplex is the one given, that of its socket, or the empty one', async (t) => {
  const { outbound, inbound } = await upgradedPair(t, await unixSockets(t))
  t.deepEqual([`${outbound.remoteAddr}`, `${inbound.localAddr}`], ['/', '/'])
  t.deepEqual([outbound.state.transport, outbound.remoteAddress], ['', undefined])

  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const [near, far] = await tcpSockets(t)
  const addr = `/dns4/example.org/tcp/443/tls/ws/p2p/${listener.peerId}`
  const [named, ofSocket] = await Promise.all([
    dialer.upgradeOutbound(near, undefined, { addr }),
    listener.upgradeInbound(far)
  ])
  t.is(`${named.remoteAddr}`, '/dns4/example.org/tcp/443/tls/ws')
  t.is(named.state.transport, 'ws')
  t.is(`${ofSocket.remoteAddr}`, `/ip4/127.0.0.1/tcp/${near.localPort}`)
})

test('a RawConnection has its own addresses, and a side', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const { localAddr, remoteAddr } = (await upgradedPair(t, await tcpSockets(t))).outbound
  const [near, far] = duplexPair()
  const raw: RawConnection = Object.assign(fromDuplex(near), {
    isInitiator: true,
    localAddr,
    remoteAddr
  })
  t.throws(() => listener.upgradeInbound(raw), {
    code: 'ERR_INVALID_PARAMETERS',
    message: 'expected duplex.isInitiator to be false for this direction, received true'
  })
  const [connection] = await Promise.all([
    dialer.upgradeOutbound(raw, listener.peerId),
    listener.upgradeInbound(far)
  ])
  t.is(`${connection.remoteAddr}`, `${remoteAddr}`)
  t.is(`${connection.localAddr}`, `${localAddr}`)
})

test('swarm.upgrader is all that a component needs to upgrade', async (t) => {
  const upgrade = async (near: Upgrader, far: Upgrader): Promise<Connection[]> => {
    const ends = webStreams()
    return Promise.all([near.upgradeOutbound(ends[0]), far.upgradeInbound(ends[1])])
  }
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const [outbound, inbound] = await upgrade(dialer.upgrader, listener.upgrader)
  t.true(outbound?.remotePeer.equals(listener.peerId))
  t.true(inbound?.remotePeer.equals(dialer.peerId))
})

test('a security protocol of the call is the one negotiated', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const [near, far] = duplexPair()
  const [outbound] = await Promise.all([
    dialer.upgradeOutbound(near, listener.peerId, { security: ['noise'] }),
    listener.upgradeInbound(far)
  ])
  t.is(outbound.state.security, '/noise')
})

test('a stream carries a connection, which carries streams', async (t) => {
  const { dialer, listener, outbound } = await upgradedPair(t, webStreams())
  const inner = Promise.withResolvers<Connection>()
  listener.handle('/tunnel', (stream) => {
    listener.upgradeInbound(stream).then(inner.resolve, inner.reject)
  })
  listener.handle(ECHO, echo)
  const tunnel = await outbound.newStream('/tunnel')
  const connection = await dialer.upgradeOutbound(tunnel, listener.peerId)
  const received = await exchanged(connection, pattern(1 << 20))
  t.is(hashOf(received), hashOf(pattern(1 << 20)))
  await connection.close()
  await (await inner.promise).closed
  await until(() => tunnel.state === StreamState.CLOSE_BOTH)
})

test('a slow reader holds the writer back, within the bounds of the buffers', async (t) => {
  const options = { limits: { windowMaxBytes: 256 << 10 } }
  const ends = duplexPair() as unknown as Ends
  const { dialer, inbound } = await upgradedPair(t, ends, { dialer: options, listener: options })
  const { promise: opened, resolve } = Promise.withResolvers<Stream>()
  dialer.handle(ECHO, resolve)
  const near = await inbound.newStream(ECHO)
  let written = 0
  const writing = (async () => {
    for (; written < 16 << 20; written += 64 << 10) await near.write(new Uint8Array(64 << 10))
    await near.closeWrite()
  })()
  const far = await opened
  let read = 0
  let ahead = 0
  for await (const bytes of far) {
    ahead = Math.max(ahead, written - read)
    read += bytes.length
    await turns(1)
  }
  await writing
  t.is(read, 16 << 20)
  // The stream's pipe and window, the connection's output, and 64 KiB at each step between them.
  t.true(ahead < 2 << 20, `${ahead} bytes ahead`)
})
