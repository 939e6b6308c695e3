// Peers that break the rules, byte by byte. Whatever they do ends their own connection or stream, with a reason
// where somebody asks, and nobody else notices: every test has a bystander that echoes before and after.
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import {
  DialAllFailedError,
  Libp2pError,
  TimeoutError,
  UnexpectedPeerError
} from '../../ts/errors.ts'
import { createNode, until } from '../support/pair.ts'
import { processFigures } from '../support/process-figures.ts'
import { seeded } from '../support/random.ts'
import type { Misconduct } from '../support/raw-noise.ts'
import { varint } from '../support/raw-noise.ts'
import {
  FrameFlags,
  FrameType,
  frameBytes,
  line,
  MULTISTREAM,
  type RawFrame,
  RawPeer,
  type RawSession
} from '../support/raw-peer.ts'
import { createStand, UNREAD_PROTOCOL } from '../support/stand.ts'

const MIB = 1024 * 1024
const WINDOW = 262_144
const { syn: SYN, ack: ACK, fin: FIN, rst: RST } = FrameFlags
const { data: DATA, windowUpdate: WINDOW_UPDATE, ping: PING, goAway: GO_AWAY } = FrameType

// A flood may make a node grow by what it holds for one connection, not by what it is sent. The flooder lives in the
// same process, so JavaScript's own memory is left out.
const FLOOD_GROWTH_MAX = 48 * MIB

/** Someone who speaks first and badly: put out at once, long before the upgrade's deadline, and never seen. */
async function putOut(
  t: ExecutionContext,
  misbehave: (peer: RawPeer) => unknown,
  limits: Parameters<typeof createStand>[1] = {}
): Promise<void> {
  const stand = await createStand(t, limits)
  const peer = await RawPeer.connect(t, stand.port)
  // What is sent to a closed socket, or read from it, is the misbehaviour's own affair.
  await Promise.resolve(misbehave(peer)).catch(() => {})
  await t.notThrowsAsync(peer.closedWithin())
  await stand.echo()
  t.deepEqual(stand.strangers, [])
}

const GARBAGE: Readonly<Record<string, Buffer>> = {
  'an empty line (A001)': Buffer.of(0),
  'a line without its newline (A002)': Buffer.from(`\x13${MULTISTREAM}X`),
  'a line longer than 1,024 bytes (A003)': Buffer.concat([varint(1_025), Buffer.alloc(1_025, 'x')]),
  'only the length of such a line (A003)': varint(1_025),
  'a length of ten bytes (A004)': Buffer.from('ffffffffffffffffff01', 'hex'),
  'a length that is not minimal (A005)': Buffer.concat([
    Buffer.from('9300', 'hex'),
    line(MULTISTREAM).subarray(1)
  ]),
  'another version (A006)': line('/multistream/2.0.0'),
  'an http request (A007)': Buffer.from('GET / HTTP/1.1\r\nhost: example.org\r\n\r\n'),
  'a tls client hello': Buffer.from('160301007a01000076030300', 'hex'),
  'a line of control characters (A022)': line('\x00\r\x1b[2J'),
  'yamux without a handshake': frameBytes({ type: PING, flags: SYN })
}

for (const [what, bytes] of Object.entries(GARBAGE)) {
  test(`${what} instead of multistream closes the connection`, async (t) => {
    await putOut(t, (peer) => peer.send(bytes))
  })
}

test('random bytes close the connection', async (t) => {
  const random = seeded(4)
  const stand = await createStand(t)
  for (let round = 0; round < 50; round += 1) {
    const peer = await RawPeer.connect(t, stand.port)
    peer.send(Buffer.from(Array.from({ length: 1_100 }, () => random(256))))
    await t.notThrowsAsync(peer.closedWithin())
  }
  await stand.echo()
  t.deepEqual(stand.strangers, [])
})

test('proposals without end close the connection (A008)', async (t) => {
  let refusals = 0
  await putOut(t, async (peer) => {
    peer.send(line(MULTISTREAM))
    for (let count = 0; count < 65; count += 1) peer.send(line(`/unknown/${count}`))
    await peer.line()
    for (;;) {
      t.is(await peer.line(), 'na')
      refusals += 1
    }
  })
  t.true(refusals <= 32, `${refusals}`)
})

test('listings without end close the connection (A009)', async (t) => {
  await putOut(t, (peer) => {
    peer.send(line(MULTISTREAM))
    for (let count = 0; count < 1_000; count += 1) peer.send(line('ls'))
  })
})

test('a listing before security names no application protocol (A010)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  peer.send(line(MULTISTREAM), line('ls'), line('/noise'))
  let text = ''
  for (let last = ''; last !== '/noise'; text += last) last = await peer.line()
  t.false(text.includes('ferroswarm'), text)
  await stand.echo()
})

test('one byte at a time connects (A015)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  const { socket } = peer
  const write = socket.write.bind(socket)
  socket.write = ((bytes: Uint8Array) => {
    let flushed = true
    for (const byte of bytes) flushed = write(Uint8Array.of(byte))
    return flushed
  }) as typeof socket.write
  const session = await peer.dial()
  session.send({ type: PING, flags: SYN, length: 77 })
  await pong(session, 77)
  await stand.echo()
})

const SHORT = { upgradeTimeoutMs: 400 }

test('a peer that says nothing is put out at the deadline of the upgrade (A012)', async (t) => {
  await putOut(t, () => {}, SHORT)
})

test('a peer that stops in its handshake is put out at the deadline of the upgrade (A028)', async (t) => {
  await putOut(
    t,
    (peer) => peer.send(line(MULTISTREAM), line('/noise'), Buffer.from('0020aa', 'hex')),
    SHORT
  )
})

test('a byte now and then does not put the deadline of the upgrade off (A011)', async (t) => {
  await putOut(
    t,
    (peer) => {
      const bytes = Buffer.concat([line(MULTISTREAM), line('/noise'), Buffer.alloc(34)])
      let sent = 0
      const drip = setInterval(() => {
        peer.send(bytes.subarray(sent, sent + 1))
        sent += 1
        if (sent === bytes.length) clearInterval(drip)
      }, 60)
      peer.closed.then(() => clearInterval(drip))
    },
    SHORT
  )
})

// The points of small order on curve25519: every shared secret with them is zero, so who shows one knows all keys.
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
].map((hex) => Buffer.from(hex, 'hex'))

// What either role can get wrong about who it is.
const IMPOSTORS: Readonly<Record<string, readonly Misconduct[]>> = {
  'a signature with a flipped bit (A031)': [0, 31, 32, 63].map((at) => ({
    signature: (signature) => flipped(signature, at)
  })),
  'an empty signature (A030)': [{ signature: () => Buffer.alloc(0) }],
  'a payload without an identity (A030)': [{ payload: (payload) => payload.subarray(38) }],
  'an empty payload (A030)': [{ payload: () => Buffer.alloc(0) }],
  'an identity key of an unknown type (A034)': [{ payload: (payload) => changed(payload, 3, 9) }],
  'an identity key that is cut (A035)': [{ payload: (payload) => changed(payload, 1, 35) }],
  'a payload beyond the limit (A029)': [
    { payload: (payload) => Buffer.concat([payload, Buffer.alloc(60_000)]) }
  ],
  'an ephemeral key of small order (A025)': LOW_ORDER.map((ephemeral) => ({ ephemeral })),
  'a static key of small order (A026)': LOW_ORDER.map((point) => ({ static: point })),
  'a flipped bit in what vouches for it': [
    { frame: (frame, message) => (message === 1 ? frame : flipped(frame, frame.length - 20)) }
  ],
  'a message of length zero (A027)': [{ frame: () => Buffer.of(0, 0) }],
  'a message that announces too much (A028)': [{ frame: () => Buffer.of(0xff, 0xff) }]
}

for (const [what, misconducts] of Object.entries(IMPOSTORS)) {
  test(`a dialler with ${what} is put out`, async (t) => {
    const stand = await createStand(t)
    for (const misconduct of misconducts) {
      const peer = await RawPeer.connect(t, stand.port)
      await peer.dial(misconduct).catch(() => {})
      await t.notThrowsAsync(peer.closedWithin())
    }
    await stand.echo()
    t.deepEqual(stand.strangers, [])
  })

  test(`a listener with ${what} fails the dial`, async (t) => {
    const dialer = await createDialer(t)
    for (const misconduct of misconducts) {
      await dialer.failsOn((peer) => peer.accept(misconduct))
    }
  })
}

const FIRST_MESSAGES: Readonly<Record<string, (frame: Buffer) => Buffer>> = {
  'is too short (A023)': (frame) => Buffer.concat([Buffer.of(0, 31), frame.subarray(2, 33)]),
  'carries a payload (A024)': (frame) =>
    Buffer.concat([Buffer.of(0, 35), frame.subarray(2), Buffer.of(8, 1, 2)])
}

for (const [what, frame] of Object.entries(FIRST_MESSAGES)) {
  test(`a dialler whose first message ${what} is put out`, async (t) => {
    await putOut(t, (peer) => peer.dial({ frame }))
  })
}

test('a dialler that leaves in the middle of its handshake is forgotten (A050)', async (t) => {
  const stand = await createStand(t)
  for (const message of [1, 3]) {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const peer = await RawPeer.connect(t, stand.port)
      const frame = (whole: Buffer, number: number): Buffer =>
        number === message ? whole.subarray(0, 20) : whole
      const dialling = peer.dial({ frame }).catch(() => {})
      // The answer to the first message has come where the third is the one that is cut.
      if (message === 3) await dialling
      peer.socket[leave]()
      await t.notThrowsAsync(peer.closedWithin())
    }
  }
  await stand.echo()
  t.deepEqual(stand.strangers, [])
})

for (const [what, spoil] of Object.entries({
  'with a flipped bit (A040)': (record: Buffer) => flipped(record, 7),
  'shorter than its tag (A044)': () => Buffer.concat([Buffer.of(0, 3), Buffer.alloc(3)]),
  'sent twice (A042)': (record: Buffer) => Buffer.concat([record, record])
})) {
  test(`a record ${what} ends the connection with a typed error`, async (t) => {
    const stand = await createStand(t)
    const peer = await RawPeer.connect(t, stand.port)
    const session = await peer.dial()
    const connection = await stand.stranger()
    peer.send(spoil(session.record(frameBytes({ type: PING, flags: SYN }))))
    await t.notThrowsAsync(peer.closedWithin())
    await until(() => connection.isClosed)
    t.is(codeOf(connection), 'ERR_DECRYPTION_FAILED')
    await stand.echo()
  })
}

/** Opens a stream by the book. */
const OPEN: RawFrame = { type: WINDOW_UPDATE, flags: SYN, id: 1 }

const VIOLATIONS: Readonly<Record<string, readonly RawFrame[]>> = {
  'of another version (A065)': [{ version: 1, type: PING, flags: SYN }],
  'of an unknown type (A065)': [{ type: 4 }],
  'with unknown flags (A065)': [{ type: PING, flags: 0xffff }],
  'for stream 0 (A082)': [{ type: DATA, flags: SYN, id: 0 }],
  'for a stream that is ours to open (A083)': [{ ...OPEN, id: 2 }],
  'that pings on a stream (A082)': [{ type: PING, flags: SYN, id: 7 }],
  'that says goodbye on a stream (A082)': [{ type: GO_AWAY, id: 9 }],
  'that opens a stream twice (A084)': [OPEN, OPEN],
  'that opens with more data than the window (A066)': [
    { type: DATA, flags: SYN, id: 1, length: WINDOW + 1 }
  ],
  'with one byte more than the window (A067)': [
    { type: DATA, flags: SYN, id: 1, body: line(MULTISTREAM) },
    { type: DATA, id: 1, length: WINDOW - line(MULTISTREAM).length + 1 }
  ],
  'that announces four gigabytes (A071)': [OPEN, { type: DATA, id: 1, length: 0xffffffff }],
  'that opens with too much credit (A069)': [{ ...OPEN, length: 0xfffc0001 }],
  'with credit that overflows (A068)': [OPEN, { type: WINDOW_UPDATE, id: 1, length: 0xffff0000 }]
}

for (const [what, frames] of Object.entries(VIOLATIONS)) {
  test(`a frame ${what} ends the connection with a goodbye and a typed error`, async (t) => {
    const stand = await createStand(t)
    const peer = await RawPeer.connect(t, stand.port)
    const session = await peer.dial()
    const connection = await stand.stranger()
    session.send(...frames)
    t.is(await session.goAway(), 1)
    await t.notThrowsAsync(peer.closedWithin())
    await until(() => connection.isClosed)
    t.is(codeOf(connection), 'ERR_MUXER_PROTOCOL')
    t.is(connection.streams.length, 0)
    await stand.echo()
  })
}

const TOLERATED: Readonly<Record<string, readonly RawFrame[]>> = {
  'a pong that nobody asked for (A081)': [{ type: PING, flags: ACK, length: 5 }],
  'a stream that ends as it begins (A089)': [{ ...OPEN, flags: SYN | FIN }],
  'a stream that is reset as it begins (A089)': [{ ...OPEN, flags: SYN | RST }],
  'an end told twice (A089)': [OPEN, { ...OPEN, flags: FIN }, { ...OPEN, flags: FIN }],
  'frames after a reset (A088)': [
    OPEN,
    { ...OPEN, flags: RST },
    { type: DATA, id: 1, body: Buffer.alloc(100) },
    { ...OPEN, flags: FIN }
  ],
  'data after the end (A087)': [
    OPEN,
    { ...OPEN, flags: FIN },
    { type: DATA, id: 1, body: Buffer.alloc(100) }
  ],
  'an acknowledgement of nothing (A091)': [{ type: WINDOW_UPDATE, flags: ACK, id: 2 }],
  'a stream that speaks no multistream': [OPEN, { type: DATA, id: 1, body: Buffer.alloc(100) }],
  'a line too long on a stream': [OPEN, { type: DATA, id: 1, body: varint(4_000) }]
}

for (const [what, frames] of Object.entries(TOLERATED)) {
  test(`a connection outlives ${what}`, async (t) => {
    const stand = await createStand(t)
    const peer = await RawPeer.connect(t, stand.port)
    const session = await peer.dial()
    const connection = await stand.stranger()
    session.send(...frames, { type: PING, flags: SYN, length: 42 })
    await pong(session, 42)
    t.false(connection.isClosed)
    t.is(connection.streams.length, 0)
    await stand.echo()
  })
}

// The floods measure memory, so they come one at a time and, as serial tests do, before the others.

interface Flood {
  /** Frames of one record. */
  readonly frames: (round: number) => readonly RawFrame[]
  readonly rounds: number
  /** Whether the flooder is put out, or may go on. */
  readonly ends: boolean
}

const FLOODS: Readonly<Record<string, Flood>> = {
  'pings (A080)': {
    frames: () => times(5_000, (index) => ({ type: PING, flags: SYN, length: index })),
    rounds: 200,
    ends: false
  },
  'empty frames (A075)': {
    frames: () => times(4_000, () => ({ type: DATA, id: 1 })),
    rounds: 250,
    ends: true
  },
  'streams (A076)': {
    frames: (round) => times(4_000, (index) => ({ ...OPEN, id: (round * 4_000 + index) * 2 + 1 })),
    rounds: 25,
    ends: true
  },
  'streams that are reset at once (A077)': {
    frames: (round) =>
      times(2_000, (index) => (round * 2_000 + index) * 2 + 1).flatMap((id) => [
        { ...OPEN, id },
        { ...OPEN, id, flags: RST }
      ]),
    rounds: 50,
    ends: true
  },
  'data for streams that never were (A092)': {
    frames: (round) => [{ type: DATA, id: round * 2 + 1, body: Buffer.alloc(60_000) }],
    rounds: 2_000,
    ends: true
  },
  'credit in single bytes': {
    frames: () => times(5_000, () => ({ type: WINDOW_UPDATE, id: 1, length: 1 })),
    rounds: 200,
    ends: true
  }
}

for (const [what, { frames, rounds, ends }] of Object.entries(FLOODS)) {
  const fate = ends ? 'puts the flooder out' : 'costs no memory'
  test.serial(`a flood of ${what} that reads nothing ${fate} and disturbs nobody`, async (t) => {
    const stand = await createStand(t)
    const peer = await RawPeer.connect(t, stand.port)
    const session = await peer.dial()
    const connection = await stand.stranger()
    session.send(OPEN)
    await stand.echo()
    const before = processFigures().nativeBytes
    for (let round = 0; round < rounds && !peer.socket.destroyed; round += 1) {
      if (!session.send(...frames(round))) await drained(peer)
      if (round % 20 === 0) await stand.echo()
    }
    if (ends) {
      await t.notThrowsAsync(peer.closedWithin())
      await until(() => connection.isClosed)
      t.true(connection.closeReason?.error instanceof Libp2pError)
    }
    await stand.echo()
    const grown = processFigures().nativeBytes - before
    t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
    t.true(grown < FLOOD_GROWTH_MAX, `${grown}`)
    t.true(stand.taken.count <= 1_000)
  })
}

test.serial('single bytes that nobody reads cost no more than their window (A073)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  const session = await peer.dial()
  const opening = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])
  session.send(OPEN, { type: DATA, id: 1, body: opening })
  await until(() => stand.taken.count === 1)
  const before = processFigures().nativeBytes
  // The credit of the negotiation may have come back or not.
  let left = WINDOW - opening.length
  while (left > 0) {
    const count = Math.min(left, 4_000)
    left -= count
    const frames = times(count, () => ({ type: DATA, id: 1, body: Buffer.of(7) }))
    if (!session.send(...frames)) await drained(peer)
  }
  session.send({ type: PING, flags: SYN, length: 11 })
  await pong(session, 11)
  await stand.echo()
  const grown = processFigures().nativeBytes - before
  t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
  t.true(grown < FLOOD_GROWTH_MAX, `${grown}`)
})

test.serial('more unread streams than a connection may hold cost one of them (A074)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  const session = await peer.dial()
  const opening = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])
  const chunk = Buffer.alloc(50_000)
  const before = processFigures().nativeBytes
  const resets = stand.node.counters().memoryResets
  for (let stream = 0; stream < 250; stream += 1) {
    const id = stream * 2 + 1
    session.send({ ...OPEN, id }, { type: DATA, id, body: opening })
    for (let sent = 0; sent < 5; sent += 1) {
      if (!session.send({ type: DATA, id, body: chunk })) await drained(peer)
    }
    if (stream % 25 === 0) await stand.echo()
  }
  session.send({ type: PING, flags: SYN, length: 11 })
  await pong(session, 11)
  t.true(stand.node.counters().memoryResets > resets)
  t.is((await stand.stranger()).isClosed, false)
  await stand.echo()
  const grown = processFigures().nativeBytes - before
  t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
  t.true(grown < 2 * FLOOD_GROWTH_MAX, `${grown}`)
})

test.serial('connections that are reset at once leave nothing', async (t) => {
  const stand = await createStand(t)
  const before = processFigures()
  for (let round = 0; round < 20; round += 1) {
    const peers = await Promise.all(times(25, () => RawPeer.connect(t, stand.port)))
    for (const [index, peer] of peers.entries()) {
      if (index % 3 === 1) peer.send(line(MULTISTREAM))
      if (index % 3 === 2) peer.send(line(MULTISTREAM), line('/noise'), Buffer.from('0020', 'hex'))
      peer.socket.resetAndDestroy()
    }
    await stand.echo()
  }
  await until(() => processFigures().descriptors <= before.descriptors)
  t.deepEqual(stand.strangers, [])
  t.is(processFigures().threads, before.threads)
})

test.serial('peers that say nothing, as many as there is room for, are let go of', async (t) => {
  const stand = await createStand(t, SHORT)
  const before = processFigures()
  const peers = await Promise.all(times(200, () => RawPeer.connect(t, stand.port)))
  await stand.echo()
  await Promise.all(peers.map((peer) => peer.closedWithin()))
  await until(() => processFigures().descriptors <= before.descriptors)
  const grown = processFigures().nativeBytes - before.nativeBytes
  t.true(grown < FLOOD_GROWTH_MAX, `${grown}`)
  await stand.echo()
})

// TLS, by the client of node:tls.

for (const [what, { maxVersion, ALPNProtocols }] of Object.entries({
  'without a certificate (A053)': { maxVersion: 'TLSv1.3', ALPNProtocols: ['libp2p'] },
  'of version 1.2 (A052)': { maxVersion: 'TLSv1.2', ALPNProtocols: ['libp2p'] },
  'of another application (A060)': { maxVersion: 'TLSv1.3', ALPNProtocols: ['h2'] }
})) {
  test(`a tls client ${what} is put out`, async (t) => {
    await putOut(t, async (peer) => {
      peer.send(line(MULTISTREAM), line('/tls/1.0.0'))
      t.is(await peer.line(), MULTISTREAM)
      t.is(await peer.line(), '/tls/1.0.0')
      const client: TLSSocket = connectTls({
        socket: peer.socket,
        rejectUnauthorized: false,
        maxVersion: maxVersion as SecureVersion,
        ALPNProtocols
      })
      client.on('error', () => {})
      client.resume()
    })
  })
}

// Servers for our dialler.

interface DialerStand {
  /** A dial of a server that does this fails with one attempt; answers with the attempt's cause. */
  failsOn(serve: (peer: RawPeer) => unknown): Promise<Libp2pError>
}

async function createDialer(
  t: ExecutionContext,
  options: { upgradeTimeoutMs?: number; security?: readonly ('tls' | 'noise')[] } = {}
): Promise<DialerStand> {
  const { security = ['noise'], ...limits } = options
  const [stand, dialer] = await Promise.all([createStand(t), createNode(t, { limits, security })])
  return {
    async failsOn(serve) {
      const address = await RawPeer.serve(t, serve)
      const err = await t.throwsAsync(dialer.dialAddr(address), { instanceOf: DialAllFailedError })
      const [attempt, ...others] = err.attempts
      t.deepEqual(others, [])
      t.is(attempt?.address, address)
      t.true(attempt?.cause instanceof Libp2pError)
      t.not(attempt?.cause.kind, 'bug')
      t.is(dialer.getTotalConnections(), 0)
      await stand.echo()
      return attempt?.cause as Libp2pError
    }
  }
}

test('a listener that is another peer than the one dialled is told apart (A038)', async (t) => {
  const [stand, dialer, other] = await Promise.all([createStand(t), createNode(t), createNode(t)])
  const address = await RawPeer.serve(t, (peer) => peer.accept())
  const err = await t.throwsAsync(dialer.dialAddr(`${address}/p2p/${other.peerId}`), {
    instanceOf: DialAllFailedError
  })
  t.is(err.attempts.length, 1)
  t.true(err.attempts[0]?.cause instanceof UnexpectedPeerError)
  t.is(dialer.getTotalConnections(), 0)
  await stand.echo()
})

const SERVERS: Readonly<Record<string, (peer: RawPeer) => unknown>> = {
  'closes at once (A018)': (peer) => peer.socket.end(),
  'resets at once': (peer) => peer.socket.resetAndDestroy(),
  'closes after the header (A018)': (peer) => peer.socket.end(line(MULTISTREAM)),
  'speaks http': (peer) => peer.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
  'sends a line that is too long': (peer) => peer.send(varint(70_000)),
  'chooses what was not proposed (A016)': (peer) =>
    peer.send(line(MULTISTREAM), line('/plaintext')),
  'says no to everything and goes on (A017)': (peer) => {
    peer.send(line(MULTISTREAM))
    for (let count = 0; count < 1_000; count += 1) peer.send(line('na'))
  },
  'cuts the second message': (peer) =>
    peer.accept({
      frame: (frame) => {
        setImmediate(() => peer.socket.end())
        return frame.subarray(0, 50)
      }
    })
}

for (const [what, serve] of Object.entries(SERVERS)) {
  test(`a dial of a listener that ${what} fails with its reason`, async (t) => {
    const dialer = await createDialer(t)
    await dialer.failsOn(serve)
  })
}

test('a dial of a listener that says nothing fails at the deadline of the upgrade', async (t) => {
  const dialer = await createDialer(t, SHORT)
  const started = performance.now()
  t.true((await dialer.failsOn(() => {})) instanceof TimeoutError)
  // Before the deadline of an address, which is the next one.
  t.true(performance.now() - started < 4_500)
})

test('a listener that breaks yamux ends the connection with a typed error', async (t) => {
  const [stand, dialer] = await Promise.all([
    createStand(t),
    createNode(t, { security: ['noise'] })
  ])
  const address = await RawPeer.serve(t, async (peer) => {
    const session = await peer.accept()
    session.send({ ...OPEN, id: 1 })
  })
  const connection = await dialer.dialAddr(address)
  await until(() => connection.isClosed)
  t.is(codeOf(connection), 'ERR_MUXER_PROTOCOL')
  await t.throwsAsync(connection.newStream('/late'), { instanceOf: Libp2pError })
  await stand.echo()
})

function codeOf({ closeReason }: Connection): string | undefined {
  const error = closeReason?.error
  return error instanceof Libp2pError ? error.code : undefined
}

function flipped(bytes: Buffer, at: number): Buffer {
  return changed(bytes, at, (bytes[at] ?? 0) ^ 1)
}

function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = value
  return copy
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

/** The socket takes more, or will never. */
function drained(peer: RawPeer): Promise<unknown> {
  const room = new Promise((resolve) => peer.socket.once('drain', resolve))
  return Promise.race([room, peer.closed])
}

/** The answer to our ping, whatever comes before it. */
async function pong(session: RawSession, value: number): Promise<void> {
  for (;;) {
    const { type, flags, length } = await session.frame()
    if (type === PING && flags === ACK && length === value) return
  }
}
