/**
 * Hostile and broken peers over QUIC: handshakes that stall, forged addresses, altered datagrams, peers that take more
 * than a limit allows, and many connections that end at once. Addresses of 127.0.0.0/8 count as hosts of their own.
 */
import test, { type ExecutionContext } from 'ava'
import { StreamErrorCode } from '../../ts/constants.ts'
import { AbortError, DialAllFailedError, StreamResetError } from '../../ts/errors.ts'
import type { Connection, Stream, Swarm, SwarmOptions } from '../../ts/index.ts'
import { times } from '../support/bad-input.ts'
import { assertEcho, echoing, portOf } from '../support/echo.ts'
import { refusalsOf } from '../support/limits.ts'
import { createNode, pattern, until } from '../support/pair.ts'
import { firstFlights, sendFlight, udpSocket } from '../support/quic-flights.ts'
import { seeded } from '../support/random.ts'
import { usageOf } from '../support/scopes.ts'
import { udpProxy } from '../support/udp-proxy.ts'

const KIB = 1024
const MIB = KIB * KIB
const UNREAD = '/ferroswarm/test/unread/1.0.0'
/** No handshake ends within a test by itself. */
const PATIENT: SwarmOptions = {
  quic: { handshakeTimeout: 600_000 },
  connections: { autoConnectBelow: 0, inboundUpgradeTimeout: 600_000 }
}
/** One peer may have any number of connections. */
const CROWDED = {
  connections: { autoConnectBelow: 0, max: 1_000, maxPerPeer: 1_000 },
  limits: 'unlimited'
} as const satisfies SwarmOptions

/** A remote that has not proved its address gets no more than this many times what it has sent (RFC 9000, section 8.1). */
const AMPLIFICATION_MAX = 3

/** Streams that nobody reads: what is not referenced is reset when it is collected. */
const held: Stream[] = []

/** A node that listens at a host, from which its dials come too; it echoes, and leaves one protocol unread. */
async function listening(
  t: ExecutionContext,
  options: SwarmOptions = {},
  host = '127.0.0.1'
): Promise<Swarm> {
  const node = await echoing(t, `/ip4/${host}/udp/0/quic-v1`, options)
  node.handle(UNREAD, (stream) => void held.push(stream))
  return node
}

function dial(
  dialer: Swarm,
  listener: Swarm,
  { port = portOf(listener), ...options }: { port?: number; signal?: AbortSignal } = {}
): Promise<Connection> {
  const address = `/ip4/127.0.0.1/udp/${port}/quic-v1`
  return dialer.dialAddr(address, listener.peerId, { force: true, ...options })
}

const pendingOf = (node: Swarm): number => usageOf(node, 'transient').connectionsInbound

/** Resolves when nothing is charged to a node any more. */
const released = (...nodes: readonly Swarm[]): Promise<void> =>
  until(() =>
    nodes.every((node) =>
      ['transient', 'system'].every((scope) =>
        Object.values(usageOf(node, scope)).every((used) => used === 0)
      )
    )
  )

// A012
test('a handshake that stops after its first flight ends at the deadline, and its place is free', async (t) => {
  const listener = await listening(t, {
    quic: { handshakeTimeout: 500 },
    limits: { transient: { connectionsInbound: 3 } }
  })
  const flights = await firstFlights(t, 9)
  for (let round = 0; round < 3; round += 1) {
    for (const flight of flights.slice(3 * round, 3 * round + 3)) {
      await sendFlight(t, flight, portOf(listener))
    }
    await until(() => pendingOf(listener) === 3)
    await until(() => pendingOf(listener) === 0)
    await released(listener)
  }
  await assertEcho(t, await dial(await createNode(t), listener))
})

// A152
test('honest peers are served beside handshakes that stall, and those beyond the limit are refused', async (t) => {
  const listener = await listening(t, {
    ...PATIENT,
    limits: { transient: { connectionsInbound: 16 } }
  })
  const flights = await firstFlights(t, 20)
  for (const flight of flights.slice(0, 12)) await sendFlight(t, flight, portOf(listener))
  await until(() => pendingOf(listener) === 12)
  for (let peers = 0; peers < 3; peers += 1) {
    await assertEcho(t, await dial(await createNode(t), listener))
  }
  t.is(pendingOf(listener), 12)
  const refusals = refusalsOf(listener)
  for (const flight of flights.slice(12)) await sendFlight(t, flight, portOf(listener))
  await until(() => refusals.length >= 4)
  t.is(refusals[0]?.error.scope, 'transient')
  t.is(pendingOf(listener), 16)
  const late = await createNode(t, { retry: { maxRetries: 0 } })
  const err = await t.throwsAsync(dial(late, listener), { instanceOf: DialAllFailedError })
  t.is(err.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  t.is(listener.getTotalConnections(), 3)
})

// A150, A152
test('forged addresses hold half of the places of a host, and the host itself is served', async (t) => {
  const listener = await listening(t, {
    ...PATIENT,
    connections: { ...PATIENT.connections, ...CROWDED.connections },
    limits: {
      loopbackExempt: false,
      rates: [],
      subnets: [{ family: 4, prefix: 32, connections: 8 }]
    }
  })
  const forged = (await firstFlights(t, 30)).map((flight) =>
    sendFlight(t, flight, portOf(listener))
  )
  const answers = new Set<number>()
  for (const socket of await Promise.all(forged)) {
    // Type of a long header: 0 the listener's first flight, 3 a demand to prove the address.
    socket.on('message', ([first = 0]) => answers.add((first >> 4) & 3))
  }
  await until(() => answers.has(3))
  t.is(pendingOf(listener), 4)
  const host = await createNode(t, CROWDED)
  for (let connections = 0; connections < 4; connections += 1) {
    await assertEcho(t, await dial(host, listener), 100)
  }
  t.is(pendingOf(listener), 4)
  t.is(listener.getTotalConnections(), 4)
})

test('a remote that stays silent gets at most three times the bytes that it has sent', async (t) => {
  const listener = await listening(t, { quic: { handshakeTimeout: 2_500 } })
  const flights = await firstFlights(t, 4)
  let received = 0
  for (const flight of flights) {
    const socket = await sendFlight(t, flight, portOf(listener))
    socket.on('message', (bytes) => {
      received += bytes.length
    })
  }
  await until(() => pendingOf(listener) === 4)
  // Retransmissions included.
  await until(() => pendingOf(listener) === 0)
  t.true(received > 0)
  const sent = flights.flat().reduce((sum, { length }) => sum + length, 0)
  t.true(received <= AMPLIFICATION_MAX * sent, `${received} for ${sent}`)
})

test('a first packet that is too short, or of an unknown version, opens nothing', async (t) => {
  const listener = await listening(t)
  const [flight] = await firstFlights(t, 1)
  const [first = Buffer.alloc(0)] = flight ?? []
  const unknown = Buffer.from(first)
  unknown.writeUInt32BE(0x1a2a3a4a, 1)
  const socket = await udpSocket(t)
  const answers: Buffer[] = []
  socket.on('message', (bytes: Buffer) => answers.push(bytes))
  for (const bytes of [first.subarray(0, 1_199), first.subarray(0, 20), unknown]) {
    socket.send(bytes, portOf(listener), '127.0.0.1')
  }
  await until(() => answers.length > 0)
  await assertEcho(t, await dial(await createNode(t), listener), 100)
  // Version negotiation, with version 1 among those that there are (RFC 9000, section 17.2.1).
  t.is(answers.length, 1)
  t.is(answers[0]?.readUInt32BE(1), 0)
  t.true(answers[0]?.toString('hex').includes('00000001'))
  t.is(pendingOf(listener), 0)
})

test('datagrams with altered bits are dropped, and the bytes arrive whole', async (t) => {
  const listener = await listening(t)
  const proxy = await udpProxy(t, portOf(listener))
  const random = seeded(5)
  let altered = 0
  proxy.alter((bytes) => {
    if (random(12) > 0) return bytes
    const copy = Buffer.from(bytes)
    const at = random(copy.length)
    copy[at] = (copy[at] ?? 0) ^ (1 << random(8))
    altered += 1
    return copy
  })
  const connection = await dial(await createNode(t), listener, { port: proxy.port })
  await assertEcho(t, connection, 512 * KIB)
  t.true(altered > 10, `${altered}`)
  t.false(connection.isClosed)
  t.is(listener.getTotalConnections(), 1)
})

test('datagrams of a connection that are sent again from elsewhere neither move nor end it', async (t) => {
  const listener = await listening(t)
  const proxy = await udpProxy(t, portOf(listener))
  const connection = await dial(await createNode(t), listener, { port: proxy.port })
  await assertEcho(t, connection)
  const thief = await udpSocket(t)
  let stolen = 0
  thief.on('message', () => {
    stolen += 1
  })
  for (let round = 0; round < 10; round += 1) {
    for (const bytes of proxy.sent) thief.send(bytes, portOf(listener), '127.0.0.1')
    await assertEcho(t, connection)
  }
  t.is(stolen, 0)
  t.is(listener.getTotalConnections(), 1)
  t.false(connection.isClosed)
})

// A171
test('a peer that uses up its memory over QUIC has streams reset, another is unaffected, and all is released', async (t) => {
  const memory = MIB
  const listener = await listening(t, { limits: { peerDefault: { memory } } })
  const [greedy, modest] = await Promise.all([createNode(t), createNode(t)])
  const [connection, bystander] = await Promise.all([
    dial(greedy, listener),
    dial(modest, listener)
  ])
  const scope = `peer:${greedy.peerId}`
  const streams = await Promise.all(times(16, () => connection.newStream(UNREAD)))
  for (const stream of streams) stream.write(pattern(256 * KIB)).catch(() => {})
  const err = await t.throwsAsync(Promise.race(streams.map((stream) => stream.read(1))), {
    instanceOf: StreamResetError
  })
  t.like(err, { errorCode: StreamErrorCode.ResourceLimitExceeded, remote: true })
  t.true(usageOf(listener, scope).memory > 0)
  t.true(usageOf(listener, scope).memory <= memory)
  await assertEcho(t, bystander, 512 * KIB)
  t.false(connection.isClosed)
  await connection.close()
  await until(() => usageOf(listener, scope).connections === 0)
  t.deepEqual(new Set(Object.values(usageOf(listener, scope))), new Set([0]))
  await bystander.close()
  await released(listener)
})

// A073, A074
test('unread single bytes over QUIC cost at most twice their number and a chunk a stream', async (t) => {
  const listener = await listening(t)
  const connection = await dial(await createNode(t), listener)
  const streams = await Promise.all(times(64, () => connection.newStream(UNREAD)))
  const bytes = 64
  for (let written = 0; written < bytes; written += 1) {
    // A write of each stream for itself: a frame of one byte.
    for (const stream of streams) await stream.write(pattern(1))
  }
  const { peerId } = [...listener.getConnections()].map(({ remotePeer }) => ({
    peerId: remotePeer
  }))[0] as { peerId: unknown }
  const scope = `peer:${peerId}`
  await until(() => usageOf(listener, scope).streams === streams.length)
  await until(() => listener.getConnections()[0]?.streams.length === streams.length)
  const idle = usageOf(listener, scope).memory
  t.true(idle <= streams.length * (2 * bytes + 1_024), `${idle}`)
  await connection.close()
  await released(listener)
})

// A150
test('the ninth connection of a host over QUIC is refused, another host is served, and a place that is left is free', async (t) => {
  const listener = await listening(t, {
    ...CROWDED,
    limits: {
      loopbackExempt: false,
      rates: [],
      peerDefault: { connections: 100, connectionsInbound: 100 }
    }
  })
  const host = await listening(t, { ...CROWDED, retry: { maxRetries: 0 } }, '127.0.0.2')
  const open: Connection[] = []
  for (let count = 0; count < 8; count += 1) open.push(await dial(host, listener))
  const err = await t.throwsAsync(dial(host, listener), { instanceOf: DialAllFailedError })
  t.is(err.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  await assertEcho(t, await dial(await listening(t, {}, '127.0.0.3'), listener))
  await open[0]?.close()
  await until(() => usageOf(listener, 'system').connections === 8)
  await assertEcho(t, await dial(host, listener))
  t.is(open.slice(1).filter(({ isClosed }) => isClosed).length, 0)
})

// A151
test('connections of one network of IPv6 over QUIC are counted together', async (t) => {
  const listener = await createNode(t, {
    limits: {
      loopbackExempt: false,
      rates: [],
      subnets: [{ family: 6, prefix: 56, connections: 2 }]
    }
  })
  await listener.listen('/ip6/::1/udp/0/quic-v1')
  const [address] = listener.getListenAddrs().map(String)
  const outcomes: string[] = []
  for (let count = 0; count < 3; count += 1) {
    const dialer = await createNode(t, { retry: { maxRetries: 0 } })
    outcomes.push(
      await dialer.dialAddr(`${address}`).then(
        () => 'connected',
        (err) => err.attempts[0].cause.code
      )
    )
  }
  t.deepEqual(outcomes, ['connected', 'connected', 'ERR_CONNECTION_REFUSED'])
})

// A161
test('a host that reconnects over QUIC is held to its rate, and other hosts are not', async (t) => {
  const listener = await listening(t, {
    ...CROWDED,
    limits: {
      loopbackExempt: false,
      peerDefault: { connections: 100, connectionsInbound: 100 },
      subnets: [],
      rates: [{ family: 4, prefix: 32, perSecond: 0.0001, burst: 16 }]
    }
  })
  const host = await listening(t, { ...CROWDED, retry: { maxRetries: 0 } }, '127.0.0.2')
  const outcomes: boolean[] = []
  for (let attempt = 0; attempt < 24; attempt += 1) {
    const connection = await dial(host, listener).catch(() => undefined)
    outcomes.push(connection !== undefined)
    await connection?.close()
  }
  t.deepEqual(
    outcomes,
    times(24, (attempt) => attempt < 16)
  )
  await assertEcho(t, await dial(await listening(t, {}, '127.0.0.3'), listener))
})

// A139
test('a dial over QUIC that is aborted at any datagram leaves nothing at either end', async (t) => {
  const listener = await listening(t)
  const dialer = await createNode(t)
  let aborted = 0
  for (const at of times(30, (index) => (index % 10) + 1)) {
    const proxy = await udpProxy(t, portOf(listener))
    const controller = new AbortController()
    let datagrams = 0
    proxy.treat(() => {
      datagrams += 1
      if (datagrams === at) controller.abort()
      return 'deliver'
    })
    const { signal } = controller
    const outcome = await dial(dialer, listener, { port: proxy.port, signal }).catch((err) => err)
    if (outcome instanceof Error) {
      t.true(outcome instanceof AbortError, `${at}: ${outcome}`)
      aborted += 1
    } else {
      await outcome.close()
    }
    await until(() => dialer.getTotalConnections() + listener.getTotalConnections() === 0)
    await released(dialer, listener)
  }
  t.true(aborted >= 6, `${aborted}`)
  await assertEcho(t, await dial(dialer, listener))
})

/** Connects two nodes many times, with open streams on each connection; counts what each is told of. */
async function crowd(t: ExecutionContext, connections: number, streams: number) {
  const options: SwarmOptions = { ...CROWDED, quic: { idleTimeout: 3_000 } }
  const [listener, dialer] = [await listening(t, options), await createNode(t, options)]
  const proxy = await udpProxy(t, portOf(listener))
  const told = new Map<Swarm, string[]>([
    [listener, []],
    [dialer, []]
  ])
  for (const [node, ends] of told) {
    node.addEventListener('disconnected', ({ detail }) => ends.push(detail.id))
  }
  const open: { connection: Connection; opened: Stream[] }[] = []
  // One after the other, as calls at once share a dial.
  while (open.length < connections) {
    const connection = await dial(dialer, listener, { port: proxy.port })
    const opened = await Promise.all(times(streams, () => connection.newStream(UNREAD)))
    await Promise.all(opened.map((stream) => stream.write(pattern(10))))
    open.push({ connection, opened })
  }
  await until(() => usageOf(listener, 'system').streams === connections * streams)
  return { listener, dialer, proxy, told, open }
}

// A157
test('a swarm that closes with 60 connections and 600 streams over QUIC ends each once', async (t) => {
  const { listener, dialer, told, open } = await crowd(t, 60, 10)
  const reads = open.flatMap(({ opened }) => opened.map((stream) => stream.read(1)))
  const settled = Promise.allSettled(reads)
  await listener.close({ drainTimeout: 0 })
  t.deepEqual(new Set((await settled).map(({ status }) => status)), new Set(['rejected']))
  await until(() => dialer.getTotalConnections() === 0)
  for (const ends of told.values()) {
    t.is(ends.length, 60)
    t.is(new Set(ends).size, 60)
  }
  await released(dialer)
})

// A163, A168
test('60 connections over QUIC that are cut at once end once each, at the idle timeout', async (t) => {
  const { listener, dialer, proxy, told, open } = await crowd(t, 60, 2)
  proxy.treat(() => 'drop')
  await Promise.all(open.map(({ connection }) => connection.closed))
  await until(() => listener.getTotalConnections() + dialer.getTotalConnections() === 0)
  for (const ends of told.values()) {
    t.is(ends.length, 60)
    t.is(new Set(ends).size, 60)
  }
  for (const { connection, opened } of open) {
    t.is(connection.closeReason?.remote, false)
    await t.throwsAsync(opened[0]?.read(1) ?? Promise.resolve(), { instanceOf: StreamResetError })
  }
  await released(dialer, listener)
})
