import test from 'ava'
import {
  ACK,
  codeOf,
  DATA,
  FIN,
  flipped,
  GO_AWAY,
  OPEN,
  PING,
  pong,
  RST,
  SYN,
  WINDOW,
  WINDOW_UPDATE
} from '../support/bad-input.ts'
import { until } from '../support/pair.ts'
import { varint } from '../support/raw-noise.ts'
import { frameBytes, line, MULTISTREAM, type RawFrame, RawPeer } from '../support/raw-peer.ts'
import { createStand } from '../support/stand.ts'

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

const VIOLATIONS: Readonly<Record<string, readonly RawFrame[]>> = {
  'of another version (A065)': [{ version: 1, type: PING, flags: SYN }],
  'of an unknown type (A065)': [{ type: 4 }],
  'with unknown flags (A065)': [{ type: PING, flags: 0xffff }],
  'for stream 0 (A082)': [{ type: DATA, flags: SYN, id: 0 }],
  'for a stream that is ours to open (A083)': [{ ...OPEN, id: 2 }],
  'that pings on a stream (A082)': [{ type: PING, flags: SYN, id: 7 }],
  'that sends GoAway on a stream (A082)': [{ type: GO_AWAY, id: 9 }],
  'that opens a stream twice (A084)': [OPEN, OPEN],
  'that opens with more data than the window (A066)': [
    { type: DATA, flags: SYN, id: 1, length: WINDOW + 1 }
  ],
  'with one byte more than the window (A067)': [
    { type: DATA, flags: SYN, id: 1, body: line(MULTISTREAM) },
    { type: DATA, id: 1, length: WINDOW - line(MULTISTREAM).length + 1 }
  ],
  'that announces four gigabytes (A071)': [OPEN, { type: DATA, id: 1, length: 0xffffffff }],
  'that announces a mebibyte (A072)': [OPEN, { type: DATA, id: 1, length: 1 << 20 }],
  'that announces four gigabytes for a stream that never existed (A071)': [
    { type: DATA, id: 9, length: 0xffffffff }
  ],
  'that opens with too much credit (A069)': [{ ...OPEN, length: 0xfffc0001 }],
  'with credit that overflows (A068)': [OPEN, { type: WINDOW_UPDATE, id: 1, length: 0xffff0000 }]
}

for (const [what, frames] of Object.entries(VIOLATIONS)) {
  test(`a frame ${what} ends the connection with GoAway and a typed error`, async (t) => {
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
  'an unsolicited pong (A081)': [{ type: PING, flags: ACK, length: 5 }],
  'a stream opened with FIN (A089)': [{ ...OPEN, flags: SYN | FIN }],
  'a stream opened with RST (A089)': [{ ...OPEN, flags: SYN | RST }],
  'a repeated FIN (A089)': [OPEN, { ...OPEN, flags: FIN }, { ...OPEN, flags: FIN }],
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
  'a stream without multistream-select': [OPEN, { type: DATA, id: 1, body: Buffer.alloc(100) }],
  'an oversized line on a stream': [OPEN, { type: DATA, id: 1, body: varint(4_000) }]
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
