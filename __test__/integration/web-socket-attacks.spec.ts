/** Hostile and broken peers over WebSocket: before the upgrade, within the frames, and below them. */
import test, { type ExecutionContext } from 'ava'
import { StreamResetError } from '../../ts/errors.ts'
import type { SwarmOptions } from '../../ts/index.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { drained, MIB, OPEN, times } from '../support/bad-input.ts'
import { CERTIFICATE, KEY } from '../support/certificate.ts'
import { addressOf, assertEcho, echoing, portOf } from '../support/echo.ts'
import { createNode, until } from '../support/pair.ts'
import { FrameType, frameBytes, line, MULTISTREAM, RawPeer } from '../support/raw-peer.ts'
import {
  Opcode,
  RawWebSocket,
  UPGRADE_REQUEST,
  type WebSocketFrame,
  webSocketFrame
} from '../support/raw-web-socket.ts'
import { usageOf } from '../support/scopes.ts'
import { createStand, UNREAD_PROTOCOL } from '../support/stand.ts'
import { startVictim } from '../support/victim.ts'

const WS = '/ip4/127.0.0.1/tcp/0/ws'
const WSS = '/ip4/127.0.0.1/tcp/0/tls/ws'
const READ = '/ferroswarm/test/read/1.0.0'
/** Growth of a node during a flood: the noise of a working process. */
const GROWTH_MAX = 4 * MIB
/** A frame of a remote is no longer. */
const FRAME_BYTES_MAX = MIB

const TLS: SwarmOptions = {
  webSocket: { certificate: { cert: CERTIFICATE, key: KEY }, roots: CERTIFICATE }
}

/** A TLS record of the handshake that announces 512 bytes of a ClientHello, and some of these. */
const HALF_HELLO = Buffer.concat([
  Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]),
  Buffer.alloc(200)
])

const pendingOf = (node: Swarm): number => usageOf(node, 'transient').connectionsInbound

async function assertServed(t: ExecutionContext, node: Swarm): Promise<void> {
  const dialer = await createNode(t, TLS)
  const connection = await dialer.dialAddr(addressOf(node), node.peerId)
  await assertEcho(t, connection, 100_000)
  await connection.close()
  await until(() => node.getTotalConnections() === 0)
}

/** Sends bytes one at a time, a few milliseconds apart, until the other side closes. */
function trickle(peer: RawPeer, bytes: Uint8Array): void {
  let at = 0
  const timer = setInterval(() => {
    if (at < bytes.length) peer.socket.write(bytes.subarray(at, at + 1))
    at += 1
  }, 5)
  void peer.closed.then(() => clearInterval(timer))
}

const STALLS: Readonly<Record<string, readonly [listen: string, stall: (peer: RawPeer) => void]>> =
  {
    'says nothing': [WS, () => {}],
    'sends half of a request': [WS, (peer) => peer.socket.write(UPGRADE_REQUEST.subarray(0, 60))],
    'sends its request a byte at a time': [
      WS,
      (peer) => trickle(peer, Buffer.from(`GET / HTTP/1.1\r\nX: ${'x'.repeat(10_000)}`))
    ],
    'upgrades and says nothing': [WS, (peer) => peer.socket.write(UPGRADE_REQUEST)],
    'sends its frames a byte at a time': [
      WS,
      (peer) => {
        peer.socket.write(UPGRADE_REQUEST)
        trickle(peer, webSocketFrame({ body: Buffer.alloc(10_000, line(MULTISTREAM)) }))
      }
    ],
    'says nothing below TLS': [WSS, () => {}],
    'sends half of a ClientHello': [WSS, (peer) => peer.socket.write(HALF_HELLO)],
    'sends its ClientHello a byte at a time': [WSS, (peer) => trickle(peer, HALF_HELLO)]
  }

for (const [what, [listen, stall]] of Object.entries(STALLS)) {
  // A011, A012
  test(`a client that ${what} is closed at the deadline of upgrades, and its place is free`, async (t) => {
    const node = await echoing(t, listen, {
      ...TLS,
      connections: { autoConnectBelow: 0, inboundUpgradeTimeout: 1_000 },
      limits: { transient: { connectionsInbound: 2 } }
    })
    for (let round = 0; round < 2; round += 1) {
      const peers = await Promise.all(times(2, () => RawPeer.connect(t, portOf(node))))
      for (const peer of peers) stall(peer)
      await until(() => pendingOf(node) === 2)
      await Promise.all(peers.map((peer) => peer.closedWithin()))
      await until(() => pendingOf(node) === 0)
    }
    await assertServed(t, node)
    await until(() => Object.values(usageOf(node, 'system')).every((used) => used === 0))
  })

  // A152
  test(`honest peers are served beside clients each of which ${what}`, async (t) => {
    const node = await echoing(t, listen, {
      ...TLS,
      connections: { autoConnectBelow: 0, inboundUpgradeTimeout: 600_000 },
      limits: { transient: { connectionsInbound: 20 } }
    })
    const held = await Promise.all(times(16, () => RawPeer.connect(t, portOf(node))))
    for (const peer of held) stall(peer)
    await until(() => pendingOf(node) === 16)
    for (let peers = 0; peers < 3; peers += 1) await assertServed(t, node)
    t.is(pendingOf(node), 16)
    const more = await Promise.all(times(6, () => RawPeer.connect(t, portOf(node))))
    for (const peer of more) stall(peer)
    await until(() => pendingOf(node) === 20)
    await Promise.race(more.map((peer) => peer.closedWithin()))
    t.is(held.filter(({ socket }) => socket.destroyed).length, 0)
  })
}

// A013
test('a request, frames and the end of a line in one segment lose no byte', async (t) => {
  const node = await echoing(t, WS)
  const peer = await RawWebSocket.open(t, portOf(node))
  const header = line(MULTISTREAM)
  peer.sendRaw(
    UPGRADE_REQUEST,
    webSocketFrame({ body: header.subarray(0, 5), isFinal: false }),
    webSocketFrame({ opcode: Opcode.ping, body: Buffer.from('between') }),
    webSocketFrame({ body: header.subarray(5), opcode: Opcode.continuation }),
    webSocketFrame({ body: line('/none/1.0.0') })
  )
  t.regex(await peer.head(), /^HTTP\/1\.1 101 .*s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/s)
  t.is(await peer.line(), MULTISTREAM)
  t.is(await peer.line(), 'na')
})

// A015
test('a request and frames may be split at every byte', async (t) => {
  const node = await echoing(t, WS)
  const peer = await RawWebSocket.open(t, portOf(node))
  const bytes = Buffer.concat([
    UPGRADE_REQUEST,
    webSocketFrame({ body: line(MULTISTREAM) }),
    webSocketFrame({ body: line('/none/1.0.0') })
  ])
  for (const byte of bytes) {
    // Without Nagle's algorithm, a segment for each.
    await new Promise((resolve) => peer.socket.write(Buffer.of(byte), resolve))
  }
  t.regex(await peer.head(), /^HTTP\/1\.1 101 /)
  t.is(await peer.line(), MULTISTREAM)
  t.is(await peer.line(), 'na')
})

test('headers without an end are refused with 431, and the connection is closed', async (t) => {
  const node = await echoing(t, WS)
  const peer = await RawWebSocket.open(t, portOf(node))
  peer.sendRaw(Buffer.from(`GET / HTTP/1.1\r\n${'X-Y: z\r\n'.repeat(4_000)}`))
  t.regex(await peer.head(), /^HTTP\/1\.1 431 /)
  await t.notThrowsAsync(peer.closedWithin())
  await assertServed(t, node)
})

const VIOLATIONS: Readonly<Record<string, readonly [code: number, frame: WebSocketFrame]>> = {
  'a frame that is not masked': [1002, { isMasked: false, body: Buffer.of(1) }],
  'a reserved bit': [1002, { reserved: 4 }],
  'an unknown type of data': [1002, { opcode: 3 }],
  'an unknown type of control': [1002, { opcode: 11 }],
  'a ping of 126 bytes': [1002, { opcode: Opcode.ping, body: Buffer.alloc(126) }],
  'a ping in pieces': [1002, { opcode: Opcode.ping, isFinal: false }],
  'a continuation of nothing': [1002, { opcode: Opcode.continuation }],
  'a close frame of one byte': [1002, { opcode: Opcode.close, body: Buffer.of(3) }],
  'a close code that must not be sent': [
    1002,
    { opcode: Opcode.close, body: Buffer.from([3, 0xed]) }
  ],
  'a length of 2^63 (A071)': [1009, { length: 1n << 63n }],
  'the greatest length (A071)': [1009, { length: (1n << 64n) - 1n }],
  'a length of 1 MiB and a byte (A071)': [1009, { length: BigInt(FRAME_BYTES_MAX) + 1n }]
}

for (const [what, [code, frame]] of Object.entries(VIOLATIONS)) {
  test(`${what} closes a WebSocket with code ${code}, before and after the handshake`, async (t) => {
    const stand = await createStand(t, { listen: WS })
    const early = await RawWebSocket.upgraded(t, stand.port)
    early.sendRaw(webSocketFrame(frame))
    t.is(await early.closeCode(), code)
    await t.notThrowsAsync(early.closedWithin())
    t.deepEqual(stand.strangers, [])
    const late = await RawWebSocket.upgraded(t, stand.port)
    await late.dial()
    const connection = await stand.stranger()
    late.sendRaw(webSocketFrame(frame))
    t.is(await late.closeCode(), code)
    await t.notThrowsAsync(late.closedWithin())
    await connection.closed
    t.truthy(connection.closeReason?.error)
    await stand.echo()
  })
}

// A072
test('a frame of 1 MiB whose body never arrives costs nothing, and ends with the upgrade if there is one', async (t) => {
  const stand = await createStand(t, {
    listen: WS,
    connections: { autoConnectBelow: 0, inboundUpgradeTimeout: 1_000 }
  })
  const header = webSocketFrame({ length: BigInt(FRAME_BYTES_MAX) })
  const early = await RawWebSocket.upgraded(t, stand.port)
  early.sendRaw(header, Buffer.alloc(2))
  await t.notThrowsAsync(early.closedWithin())
  await until(() => pendingOf(stand.node) === 0)
  const late = await RawWebSocket.upgraded(t, stand.port)
  await late.dial()
  const connection = await stand.stranger()
  const before = usageOf(stand.node, 'system').memory
  late.sendRaw(header)
  await stand.echo()
  await until(() => usageOf(stand.node, 'system').memory <= before)
  t.false(connection.isClosed)
})

const FLOODS: Readonly<Record<string, WebSocketFrame>> = {
  'empty frames (A075)': {},
  'empty pieces of a message (A075)': { opcode: Opcode.continuation, isFinal: false },
  'pings, of whose answers none is read (A080)': {
    opcode: Opcode.ping,
    body: Buffer.alloc(125, 7)
  },
  'pongs (A080)': { opcode: Opcode.pong, body: Buffer.alloc(125, 7) }
}

for (const [what, frame] of Object.entries(FLOODS)) {
  // Serial: memory is measured, in a process of the node's own.
  test.serial(`a flood of ${what} costs no memory and disturbs no other peer`, async (t) => {
    const victim = await startVictim({ keepaliveTimeoutMs: 60_000 }, { over: '/ws' })
    t.teardown(() => victim.close())
    const flood = Buffer.concat(times(2_000, () => webSocketFrame(frame)))
    const first = webSocketFrame({ isFinal: frame.opcode !== Opcode.continuation })
    const flooded = async (rounds: number): Promise<RawWebSocket> => {
      const peer = await RawWebSocket.upgraded(t, victim.port)
      await peer.dial()
      peer.sendRaw(first)
      peer.socket.pause()
      for (let round = 0; round < rounds && !peer.socket.destroyed; round += 1) {
        if (!peer.sendRaw(flood)) await drained(peer)
        if (round % 10 === 0) await victim.echo()
      }
      return peer
    }
    const warm = await flooded(10)
    warm.socket.destroy()
    const before = await victim.figuresWhen(({ connections }) => connections === 1)
    const peer = await flooded(100)
    await victim.echo()
    const after = await victim.figures()
    t.is(after.connections, 2)
    const grown = after.residentBytes - before.residentBytes
    t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
    t.true(grown < GROWTH_MAX, `${grown}`)
    peer.socket.destroy()
    await victim.figuresWhen(({ connections }) => connections === 1)
  })
}

for (const [how, id, end] of [
  ['a reset of its socket', 'A100, A111', (peer: RawWebSocket) => peer.socket.resetAndDestroy()],
  ['the end of its socket', 'A111', (peer: RawWebSocket) => peer.socket.end()],
  [
    'a close frame',
    'A111',
    (peer: RawWebSocket) =>
      peer.sendRaw(webSocketFrame({ opcode: Opcode.close, body: Buffer.from([3, 0xe8]) }))
  ]
] as const) {
  test(`${how} in the middle of a frame of the muxer truncates no stream unnoticed (${id})`, async (t) => {
    const stand = await createStand(t, { listen: WS })
    const taken = new Promise<Stream>((resolve) => stand.node.handle(READ, (s) => resolve(s)))
    const peer = await RawWebSocket.upgraded(t, stand.port)
    const session = await peer.dial()
    const connection = await stand.stranger()
    peer.send(
      session.record(
        Buffer.concat([
          frameBytes(OPEN),
          frameBytes({
            type: FrameType.data,
            id: 1,
            body: Buffer.concat([line(MULTISTREAM), line(READ), Buffer.from('whole')])
          })
        ])
      )
    )
    const stream = await taken
    t.is(Buffer.from(await stream.read(5)).toString(), 'whole')
    const reading = stream.read(5)
    const half = frameBytes({ type: FrameType.data, id: 1, length: 100, body: Buffer.alloc(50) })
    peer.send(session.record(half))
    // It is what has arrived of the frame.
    t.is((await reading).length, 5)
    const rest = stream.read()
    end(peer)
    await t.throwsAsync(rest, { instanceOf: StreamResetError })
    await connection.closed
    await stand.echo()
    await until(() => usageOf(stand.node, 'system').connections === 1)
  })
}

// A144
test('a client without the key of a private network gets a nonce over WebSocket, and the end', async (t) => {
  const node = await echoing(t, WS, { psk: 'a1'.repeat(32) })
  const peer = await RawWebSocket.upgraded(t, portOf(node))
  peer.send(Buffer.alloc(24, 7))
  const nonce = await peer.take(24)
  t.is(new Set(nonce).size > 4, true)
  peer.send(line(MULTISTREAM))
  // No byte follows, whatever ends it.
  await t.throwsAsync(peer.take(1))
  await t.notThrowsAsync(peer.closedWithin())
  t.is(node.getTotalConnections(), 0)
  await until(() => pendingOf(node) === 0)
})

// A150
test('the ninth connection of a host over WebSocket is refused before a byte of HTTP, another host is served', async (t) => {
  const node = await echoing(t, WS, {
    connections: { autoConnectBelow: 0, inboundUpgradeTimeout: 600_000 },
    limits: { loopbackExempt: false, rates: [] }
  })
  const held = await Promise.all(
    times(8, () => RawWebSocket.upgraded(t, portOf(node), '127.0.0.2'))
  )
  const ninth = await RawWebSocket.open(t, portOf(node), '127.0.0.2')
  await ninth.closedWithin()
  t.is(ninth.socket.bytesRead, 0)
  await t.notThrowsAsync(RawWebSocket.upgraded(t, portOf(node), '127.0.0.3'))
  t.is(held.filter(({ socket }) => socket.destroyed).length, 0)
})

// A074
test('unread streams over WebSocket beyond the memory of a connection are reset, and others go on', async (t) => {
  const stand = await createStand(t, {
    listen: WS,
    limits: { connection: { memory: 2 * MIB } }
  })
  const peer = await RawWebSocket.upgraded(t, stand.port)
  const session = await peer.dial()
  const opening = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])
  const resets = stand.node.counters().memoryResets
  for (let stream = 0; stream < 20; stream += 1) {
    const id = 2 * stream + 1
    const frames = [
      { ...OPEN, id },
      { type: FrameType.data, id, body: opening },
      ...times(4, () => ({ type: FrameType.data, id, body: Buffer.alloc(15_000, 7) }))
    ]
    for (const frame of frames) peer.send(session.record(frameBytes(frame)))
    for (let sent = 0; sent < 12; sent += 1) {
      peer.send(
        session.record(frameBytes({ type: FrameType.data, id, body: Buffer.alloc(15_000, 7) }))
      )
    }
  }
  await until(() => stand.node.counters().memoryResets > resets)
  t.true(usageOf(stand.node, 'system').memory <= 4 * MIB)
  t.false((await stand.stranger()).isClosed)
  await stand.echo()
})

for (const over of ['', '/ws'] as const) {
  // A154. Serial: it opens more sockets than the node can.
  test.serial(
    `a listener over ${over || 'tcp'} without a descriptor left serves its peers, and accepts again when there are some`,
    async (t) => {
      const many = { connections: 10_000, connectionsInbound: 10_000, fds: 10_000 }
      const victim = await startVictim(
        { system: many, transient: many },
        { over, descriptors: 192, connections: { inboundUpgradeTimeout: 600_000 } }
      )
      t.teardown(() => victim.close())
      const silent = await Promise.all(times(300, () => RawPeer.connect(t, victim.port)))
      // Those that find no descriptor are closed, not left in the backlog.
      await Promise.race(silent.map((peer) => peer.closedWithin()))
      for (let rounds = 0; rounds < 5; rounds += 1) await victim.echo()
      for (const { socket } of silent) socket.destroy()
      const dialled = async (): Promise<boolean> => {
        const peer =
          over === ''
            ? await RawPeer.connect(t, victim.port)
            : await RawWebSocket.upgraded(t, victim.port)
        await peer.dial()
        return true
      }
      let isServed = false
      for (let tries = 0; tries < 200 && !isServed; tries += 1) {
        isServed = await dialled().catch(() => false)
      }
      t.true(isServed)
      await victim.echo()
      await victim.figuresWhen(({ connections }) => connections >= 2)
    }
  )
}
