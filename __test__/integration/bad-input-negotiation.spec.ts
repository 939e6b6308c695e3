// Early and dishonest negotiations, of connections and of streams.
import test from 'ava'
import { Libp2pError } from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import {
  ACK,
  codeOf,
  DATA,
  FIN,
  GO_AWAY,
  OPEN,
  PING,
  pong,
  RST,
  SYN,
  times,
  WINDOW_UPDATE
} from '../support/bad-input.ts'
import { createNode, until } from '../support/pair.ts'
import { Handshake, varint } from '../support/raw-noise.ts'
import { frameBytes, line, MULTISTREAM, RawPeer, RawSession } from '../support/raw-peer.ts'
import { answerOn, bytesOn, flagOn, lines, opening } from '../support/raw-stream.ts'
import { createStand, ECHO_PROTOCOL } from '../support/stand.ts'

test('negotiation lines and the first message in one segment connect (A013)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  let first = true
  const split = await new Handshake(
    {
      send: (...bytes) => {
        if (first) peer.send(line(MULTISTREAM), line('/noise'), ...bytes)
        else peer.send(...bytes)
      },
      take: async (count) => {
        if (first) for (const expected of [MULTISTREAM, '/noise']) t.is(await peer.line(), expected)
        first = false
        return peer.take(count)
      }
    },
    {}
  ).initiate()
  const session = new RawSession(peer, split)
  session.send({ type: PING, flags: SYN, length: 5 })
  await pong(session, 5)
  await stand.echo()
})

test('a stream, its protocol and its bytes in one record reach the handler in order (A014)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  // The record goes out in one segment with the last message of the handshake.
  peer.socket.cork()
  const dialling = peer.dial({
    frame: (frame, message) => {
      if (message === 1) peer.socket.uncork()
      if (message === 3) peer.socket.cork()
      return frame
    }
  })
  peer.socket.uncork()
  const session = await dialling
  session.send(
    ...opening(1, ECHO_PROTOCOL, Buffer.from('one ')),
    { type: DATA, id: 1, body: Buffer.from('two ') },
    { type: DATA, id: 1, body: Buffer.from('three') },
    { ...OPEN, flags: FIN }
  )
  peer.socket.uncork()
  t.is(`${await answerOn(session, 1, ECHO_PROTOCOL, 13)}`, 'one two three')
  await stand.echo()
})

// A022
const NAMES: Readonly<Record<string, Buffer>> = {
  'a zero byte': Buffer.from('/a\0b'),
  'a carriage return': Buffer.from('/a\rb'),
  'no valid UTF-8': Buffer.from('2fff80c0', 'hex'),
  '1,023 bytes': Buffer.from(`/${'x'.repeat(1_022)}`)
}

for (const [what, name] of Object.entries(NAMES)) {
  test(`a protocol name with ${what} is refused and the next one is answered (A022)`, async (t) => {
    const stand = await createStand(t)
    const peer = await RawPeer.connect(t, stand.port)
    const proposal = Buffer.concat([varint(name.length + 1), name, Buffer.from('\n')])
    peer.send(line(MULTISTREAM), proposal, line('/noise'))
    for (const expected of [MULTISTREAM, 'na', '/noise']) t.is(await peer.line(), expected)

    const other = await RawPeer.connect(t, stand.port)
    const session = await other.dial()
    session.send(OPEN, { type: DATA, id: 1, body: Buffer.concat([line(MULTISTREAM), proposal]) })
    const refusal = Buffer.concat([line(MULTISTREAM), line('na')])
    t.deepEqual(await bytesOn(session, 1, refusal.length), refusal)
    session.send({ type: DATA, id: 1, body: Buffer.concat([line(ECHO_PROTOCOL), Buffer.of(7)]) })
    const { length } = line(ECHO_PROTOCOL)
    t.is((await bytesOn(session, 1, length + 1)).at(-1), 7)
    await stand.echo()
  })
}

test('a pending-upgrade slot is released exactly once (A012)', async (t) => {
  const stand = await createStand(t, {
    limits: { transient: { connectionsInbound: 4 } },
    connections: { inboundUpgradeTimeout: 1_000 }
  })
  for (let round = 0; round < 3; round += 1) {
    const peers = await Promise.all(times(5, () => RawPeer.connect(t, stand.port)))
    let closed = 0
    const ends = peers.map(async (peer) => {
      await peer.closedWithin()
      closed += 1
    })
    // One of the five is refused at once; the others stay until their deadline.
    await Promise.race(ends)
    t.is(closed, 1)
    await Promise.all(ends)
    await stand.echo()
  }
})

// The node dials a listener that mishandles streams.

test('a megabyte in flight for a refused protocol reaches no other protocol (A019)', async (t) => {
  const [stand, dialer] = await Promise.all([
    createStand(t),
    createNode(t, { security: ['noise'] })
  ])
  const served = Promise.withResolvers<{ received: Buffer; after: Buffer }>()
  const address = await RawPeer.serve(t, async (peer) => {
    const session = await peer.accept()
    const { length } = lines('/lazy')
    const received = await bytesOn(session, 1, length)
    session.send(
      { type: WINDOW_UPDATE, flags: ACK, id: 1, length: 1 << 20 },
      { type: DATA, id: 1, body: Buffer.concat([line(MULTISTREAM), line('na')]) }
    )
    // The rest of the stream is data of the old proposal, then the reset: no second proposal.
    let after = Buffer.alloc(0)
    for (;;) {
      const frame = await session.frame()
      if (frame.id !== 1) continue
      after = Buffer.concat([after, frame.body])
      if ((frame.flags & RST) !== 0) break
    }
    served.resolve({ received, after })
    for (;;) await session.frame()
  })
  const connection = await dialer.dialAddr(address)
  const stream = await connection.newStream('/lazy')
  const bytes = Buffer.alloc(1 << 20, 'a')
  await t.throwsAsync(
    stream.write(bytes).then(() => stream.read(1)),
    {
      code: 'ERR_UNSUPPORTED_PROTOCOL'
    }
  )
  const { received, after } = await served.promise
  t.true(received.subarray(0, lines('/lazy').length).equals(lines('/lazy')))
  t.true(after.every((byte) => byte === 97))
  t.false(connection.isClosed)
  await stand.echo()
})

test('of 300 streams that the remote never acknowledges, 256 are opened and the others can be aborted (A090)', async (t) => {
  const [stand, dialer] = await Promise.all([
    createStand(t),
    createNode(t, { security: ['noise'] })
  ])
  const opened: number[] = []
  const sessions: RawSession[] = []
  const address = await RawPeer.serve(t, async (peer) => {
    const session = await peer.accept()
    sessions.push(session)
    for (;;) {
      const { flags, id, type } = await session.frame()
      if ((type === DATA || type === WINDOW_UPDATE) && (flags & SYN) !== 0) opened.push(id)
    }
  })
  const connection = await dialer.dialAddr(address)
  const streams = await Promise.all(times(256, () => connection.newStream('/slow')))
  for (const stream of streams) stream.send(Uint8Array.of(1))
  const signal = AbortSignal.timeout(300)
  const late = times(44, () =>
    t.throwsAsync(connection.newStream('/slow', { signal }), { name: 'AbortError' })
  )
  await until(() => opened.length === 256)
  const [session] = sessions as [RawSession]
  const [first] = streams as [Stream]
  session.send({
    type: DATA,
    id: opened[0] as number,
    body: Buffer.concat([lines('/slow'), Buffer.of(9)])
  })
  t.deepEqual(await first.read(1), Uint8Array.of(9))
  await Promise.all(late)
  t.is(opened.length, 256)
  // An acknowledgement makes room for one more.
  const next = connection.newStream('/slow')
  session.send({ type: WINDOW_UPDATE, flags: ACK, id: opened[1] as number })
  const stream = await next
  stream.send(Uint8Array.of(1))
  await until(() => opened.length === 257)
  t.false(connection.isClosed)
  await stand.echo()
})

test('after GoAway streams are read to their ends, and none is opened (A098)', async (t) => {
  const [stand, dialer] = await Promise.all([
    createStand(t),
    createNode(t, { security: ['noise'] })
  ])
  const address = await RawPeer.serve(t, async (peer) => {
    const session = await peer.accept()
    const ids = times(50, (index) => index * 2 + 1)
    for (const id of ids) await flagOn(session, id, SYN)
    const body = Buffer.concat([lines('/served'), Buffer.from('in flight')])
    session.send(
      { type: GO_AWAY },
      ...ids.flatMap((id) => [
        { type: DATA, flags: ACK, id, body },
        { type: WINDOW_UPDATE, flags: FIN, id }
      ])
    )
    for (;;) await session.frame()
  })
  const connection = await dialer.dialAddr(address)
  const streams = await Promise.all(times(50, () => connection.newStream('/served')))
  for (const stream of streams) stream.send(Uint8Array.of(1))
  const read = await Promise.all(streams.map((stream) => stream.read()))
  t.true(read.every((bytes) => `${Buffer.from(bytes)}` === 'in flight'))
  await t.throwsAsync(
    async () => {
      const late = await connection.newStream('/served')
      await late.write(Uint8Array.of(1))
      await late.read(1)
    },
    { instanceOf: Libp2pError }
  )
  await stand.echo()
})

const BREACHES = {
  'opens stream 0 (A082)': { ...OPEN, id: 0 },
  'opens a stream with an id of ours (A083)': { ...OPEN, id: 1 },
  'pings on a stream (A082)': { type: PING, flags: SYN, id: 7 },
  'speaks version 1 (A065)': { version: 1, type: PING, flags: SYN }
} as const

for (const [what, frame] of Object.entries(BREACHES)) {
  test(`a listener that ${what} gets GoAway, and the connection a typed error`, async (t) => {
    const [stand, dialer] = await Promise.all([
      createStand(t),
      createNode(t, { security: ['noise'] })
    ])
    const goAway = Promise.withResolvers<number>()
    const address = await RawPeer.serve(t, async (peer) => {
      const session = await peer.accept()
      peer.socket.write(session.record(frameBytes(frame)))
      goAway.resolve(await session.goAway())
    })
    const connection = await dialer.dialAddr(address)
    await connection.closed
    t.is(await goAway.promise, 1)
    t.is(codeOf(connection), 'ERR_MUXER_PROTOCOL')
    await stand.echo()
  })
}
