// Peers that violate the protocol, byte by byte. A violation ends that peer's own connection or stream, with a reason
// on request, and affects nobody else: every test has a bystander that echoes before and after.
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls'
import test from 'ava'
import {
  changed,
  createDialer,
  flipped,
  PING,
  pong,
  putOut,
  SHORT,
  SYN
} from '../support/bad-input.ts'
import { seeded } from '../support/random.ts'
import type { Misconduct } from '../support/raw-noise.ts'
import { varint } from '../support/raw-noise.ts'
import { frameBytes, line, MULTISTREAM, RawPeer } from '../support/raw-peer.ts'
import { createStand } from '../support/stand.ts'

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

test('endless proposals close the connection (A008)', async (t) => {
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

test('endless listings close the connection (A009)', async (t) => {
  await putOut(t, (peer) => {
    peer.send(line(MULTISTREAM))
    for (let count = 0; count < 1_000; count += 1) peer.send(line('ls'))
  })
})

test('ls before security lists no application protocol (A010)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  peer.send(line(MULTISTREAM), line('ls'), line('/noise'))
  let text = ''
  for (let last = ''; last !== '/noise'; text += last) last = await peer.line()
  t.false(text.includes('ferroswarm'), text)
  await stand.echo()
})

test('a handshake sent one byte at a time connects (A015)', async (t) => {
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

test('a silent peer is disconnected at the upgrade deadline (A012)', async (t) => {
  await putOut(t, () => {}, SHORT)
})

test('a peer that stalls in its handshake is disconnected at the upgrade deadline (A028)', async (t) => {
  await putOut(
    t,
    (peer) => peer.send(line(MULTISTREAM), line('/noise'), Buffer.from('0020aa', 'hex')),
    SHORT
  )
})

test('a trickle of bytes does not extend the upgrade deadline (A011)', async (t) => {
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

// Points of small order on curve25519: every shared secret with them is zero, so a peer that sends one knows all keys.
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
].map((hex) => Buffer.from(hex, 'hex'))

// Identity errors that either role can make.
const IMPOSTORS: Readonly<Record<string, readonly Misconduct[]>> = {
  'a signature with a flipped bit (A031)': [0, 31, 32, 63].map((at) => ({
    signature: (signature) => flipped(signature, at)
  })),
  'an empty signature (A030)': [{ signature: () => Buffer.alloc(0) }],
  'a payload without an identity (A030)': [{ payload: (payload) => payload.subarray(38) }],
  'an empty payload (A030)': [{ payload: () => Buffer.alloc(0) }],
  'an identity key of an unknown type (A034)': [{ payload: (payload) => changed(payload, 3, 9) }],
  'a truncated identity key (A035)': [{ payload: (payload) => changed(payload, 1, 35) }],
  'a payload beyond the limit (A029)': [
    { payload: (payload) => Buffer.concat([payload, Buffer.alloc(60_000)]) }
  ],
  'an ephemeral key of small order (A025)': LOW_ORDER.map((ephemeral) => ({ ephemeral })),
  'a static key of small order (A026)': LOW_ORDER.map((point) => ({ static: point })),
  'a flipped bit in its encrypted payload': [
    { frame: (frame, message) => (message === 1 ? frame : flipped(frame, frame.length - 20)) }
  ],
  'a message of length zero (A027)': [{ frame: () => Buffer.of(0, 0) }],
  'an oversized message length (A028)': [{ frame: () => Buffer.of(0xff, 0xff) }]
}

for (const [what, misconducts] of Object.entries(IMPOSTORS)) {
  test(`a dialler with ${what} is disconnected`, async (t) => {
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
  test(`a dialler whose first message ${what} is disconnected`, async (t) => {
    await putOut(t, (peer) => peer.dial({ frame }))
  })
}

test('a dialler that leaves mid-handshake leaves no state behind (A050)', async (t) => {
  const stand = await createStand(t)
  for (const message of [1, 3]) {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const peer = await RawPeer.connect(t, stand.port)
      const frame = (whole: Buffer, number: number): Buffer =>
        number === message ? whole.subarray(0, 20) : whole
      const dialling = peer.dial({ frame }).catch(() => {})
      // When the third message is the truncated one, the answer to the first has arrived.
      if (message === 3) await dialling
      peer.socket[leave]()
      await t.notThrowsAsync(peer.closedWithin())
    }
  }
  await stand.echo()
  t.deepEqual(stand.strangers, [])
})

// TLS, with the client of node:tls.

for (const [what, { maxVersion, ALPNProtocols }] of Object.entries({
  'without a certificate (A053)': { maxVersion: 'TLSv1.3', ALPNProtocols: ['libp2p'] },
  'of version 1.2 (A052)': { maxVersion: 'TLSv1.2', ALPNProtocols: ['libp2p'] },
  'of another application (A060)': { maxVersion: 'TLSv1.3', ALPNProtocols: ['h2'] }
})) {
  test(`a tls client ${what} is disconnected`, async (t) => {
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
