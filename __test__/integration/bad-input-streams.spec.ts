// Streams of peers that obey the letter of yamux only. Their misuse ends their stream or their connection; a
// neighbouring stream and the bystander of the stand go on.
import test, { type ExecutionContext } from 'ava'
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
  WINDOW,
  WINDOW_UPDATE
} from '../support/bad-input.ts'
import { pattern, until } from '../support/pair.ts'
import { frameBytes, type RawFrame, RawPeer, type RawSession } from '../support/raw-peer.ts'
import { answerOn, bytesOn, endOn, flagOn, lines, opening } from '../support/raw-stream.ts'
import { createStand, ECHO_PROTOCOL, type Stand, UNREAD_PROTOCOL } from '../support/stand.ts'

const LIMIT_EXCEEDED = 0x1002
const KEPT = '/ferroswarm/test/kept/1.0.0'
const COUNTED = '/ferroswarm/test/counted/1.0.0'

async function raw(t: ExecutionContext): Promise<{
  stand: Stand
  peer: RawPeer
  session: RawSession
  /** Streams of {@link KEPT} in the order the node accepted them. */
  kept: Stream[]
}> {
  const stand = await createStand(t)
  const kept: Stream[] = []
  stand.node.handle(KEPT, (stream) => {
    kept.push(stream)
  })
  const peer = await RawPeer.connect(t, stand.port)
  return { stand, peer, session: await peer.dial(), kept }
}

/** Asserts that a stream of this connection echoes, like the bystander's. */
async function echoes(t: ExecutionContext, session: RawSession, id: number): Promise<void> {
  const bytes = pattern(100, id)
  session.send(...opening(id, ECHO_PROTOCOL, bytes), { ...OPEN, id, flags: FIN })
  t.deepEqual(new Uint8Array(await answerOn(session, id, ECHO_PROTOCOL, 100)), bytes)
}

const LAST_STRAWS: Readonly<Record<string, readonly [RawFrame[], RawFrame]>> = {
  'one byte after a window of them (A067)': [
    [
      { type: DATA, flags: SYN, id: 1, body: Buffer.concat([lines(UNREAD_PROTOCOL)]) },
      { type: DATA, id: 1, body: Buffer.alloc(50_000) },
      { type: DATA, id: 1, body: Buffer.alloc(50_000) },
      { type: DATA, id: 1, body: Buffer.alloc(50_000) }
    ],
    { type: DATA, id: 1, length: WINDOW - 150_000 + 1 }
  ],
  'credit of one after 2^32 - 1 (A070)': [
    [
      { ...OPEN, length: 0x7fffffff },
      { type: WINDOW_UPDATE, id: 1, length: 0x7ffc0000 }
    ],
    { type: WINDOW_UPDATE, id: 1, length: 1 }
  ]
}

for (const [what, [good, bad]] of Object.entries(LAST_STRAWS)) {
  test(`${what} ends a connection that was valid until then`, async (t) => {
    const { stand, peer, session } = await raw(t)
    const connection = await stand.stranger()
    for (const frame of good) session.send(frame)
    session.send({ type: PING, flags: SYN, length: 1 })
    await pong(session, 1)
    t.false(connection.isClosed)
    session.send(bad)
    t.is(await session.goAway(), 1)
    await t.notThrowsAsync(peer.closedWithin())
    await until(() => connection.isClosed)
    t.is(codeOf(connection), 'ERR_MUXER_PROTOCOL')
    await stand.echo()
  })
}

test('of 300 streams that nobody accepts, 256 wait and work and the others are reset (A076)', async (t) => {
  const { stand, session } = await raw(t)
  const ids = times(300, (index) => index * 2 + 1)
  session.send(...ids.map((id) => ({ ...OPEN, id })))
  const refused = []
  while (refused.length < 44) {
    const { id, length } = await flagOn(session, ids[256 + refused.length] ?? 0, RST)
    t.is(length, LIMIT_EXCEEDED)
    refused.push(id)
  }
  t.deepEqual(refused, ids.slice(256))
  const body = lines(UNREAD_PROTOCOL)
  session.send(...ids.slice(0, 256).map((id) => ({ type: DATA, id, body })))
  await until(() => stand.taken.count === 256)
  await echoes(t, session, 1_001)
  await stand.echo()
})

test('an id reused after its stream is a new stream (A085)', async (t) => {
  const { stand, session } = await raw(t)
  for (let turn = 0; turn < 3; turn += 1) {
    await echoes(t, session, 1)
    t.is(await endOn(session, 1), 'end')
  }
  await stand.echo()
})

test('ids may come in any order, including the largest (A086)', async (t) => {
  const { stand, session } = await raw(t)
  for (const id of [0xffffffff, 1_001, 5, 3, 1]) await echoes(t, session, id)
  await stand.echo()
})

test('streams are opened, credited and ended by data frames of length zero (A104)', async (t) => {
  const { stand, session } = await raw(t)
  const bytes = pattern(100)
  session.send({ type: DATA, flags: SYN, id: 1 })
  session.send({ type: DATA, id: 1, body: Buffer.concat([lines(ECHO_PROTOCOL), bytes]) })
  t.deepEqual(new Uint8Array(await answerOn(session, 1, ECHO_PROTOCOL, 100)), bytes)
  session.send({ type: DATA, flags: FIN, id: 1 })
  t.is(await endOn(session, 1), 'end')
  await stand.echo()
})

test('nothing is delivered after FIN, and the stream is reset (A087)', async (t) => {
  const { stand, session, kept } = await raw(t)
  session.send(
    ...opening(1, KEPT, Buffer.from('before')),
    { ...OPEN, flags: FIN },
    { type: DATA, id: 1, body: Buffer.from('behind') }
  )
  t.is(await endOn(session, 1), 'reset')
  await until(() => kept.length === 1)
  const [stream] = kept as [Stream]
  const read: Uint8Array[] = []
  await (async () => {
    for await (const bytes of stream) read.push(bytes)
  })().catch(() => {})
  t.false(Buffer.concat(read).includes('behind'))
  await echoes(t, session, 3)
  await stand.echo()
})

const ENDS: Readonly<Record<string, readonly RawFrame[]>> = {
  'two FINs': [
    { ...OPEN, flags: FIN },
    { ...OPEN, flags: FIN }
  ],
  'two RSTs': [
    { ...OPEN, flags: RST },
    { ...OPEN, flags: RST }
  ],
  'FIN and RST in one frame': [{ ...OPEN, flags: FIN | RST }],
  'FIN, then RST': [
    { ...OPEN, flags: FIN },
    { ...OPEN, flags: RST }
  ],
  'RST, then data, credit and FIN (A088)': [
    { ...OPEN, flags: RST },
    { type: DATA, id: 1, body: Buffer.alloc(10) },
    { type: WINDOW_UPDATE, id: 1, length: 10 },
    { ...OPEN, flags: FIN }
  ],
  'an unsolicited ACK, then RST (A091)': [
    { ...OPEN, flags: ACK },
    { ...OPEN, flags: RST }
  ]
}

for (const [what, frames] of Object.entries(ENDS)) {
  test(`a stream that ends by ${what} ends once (A089)`, async (t) => {
    const { stand, session } = await raw(t)
    let [opened, closed] = [0, 0]
    stand.node.handle(COUNTED, (stream) => {
      opened += 1
      stream.addEventListener('close', () => {
        closed += 1
      })
      // Its own half ends when the other one does.
      void stream.read().then(
        () => stream.close(),
        () => {}
      )
    })
    session.send(...opening(1, COUNTED))
    await until(() => opened === 1)
    session.send(...frames, { type: PING, flags: SYN, length: 9 })
    await pong(session, 9)
    await until(() => closed > 0)
    await echoes(t, session, 3)
    t.is(closed, 1)
    t.false((await stand.stranger()).isClosed)
    await stand.echo()
  })
}

test('a peer that grants no credit is sent one window, and its other streams go on (A093)', async (t) => {
  const { stand, session, kept } = await raw(t)
  session.send(...opening(1, KEPT))
  await until(() => kept.length === 1)
  const [stream] = kept as [Stream]
  const bytes = pattern(1 << 20)
  stream.setWriteDeadline(Date.now() + 1_500)
  const writing = t.throwsAsync(stream.write(bytes), { name: 'TimeoutError' })
  const { length } = lines(KEPT)
  const sent = await bytesOn(session, 1, WINDOW)
  t.is(sent.length, WINDOW)
  t.deepEqual(new Uint8Array(sent.subarray(length)), bytes.subarray(0, WINDOW - length))
  for (let id = 3; id < 103; id += 2) await echoes(t, session, id)
  await writing
  await echoes(t, session, 103)
  await stand.echo()
})

test('an unread stream does not block a hundred others (A096)', async (t) => {
  const { stand, session, kept } = await raw(t)
  const { length } = lines(KEPT)
  const bytes = pattern(WINDOW - length)
  session.send(...opening(1, KEPT))
  for (let at = 0; at < bytes.length; at += 50_000) {
    session.send({ type: DATA, id: 1, body: bytes.subarray(at, at + 50_000) })
  }
  const ids = times(100, (index) => index * 2 + 3)
  session.send(
    ...ids.flatMap((id) => [
      ...opening(id, ECHO_PROTOCOL, pattern(100, id)),
      { ...OPEN, id, flags: FIN }
    ])
  )
  // Every one of them is answered in full while the first waits.
  const answers = new Map(ids.map((id) => [id, Buffer.alloc(0)]))
  const whole = lines(ECHO_PROTOCOL).length + 100
  while ([...answers.values()].some((answer) => answer.length < whole)) {
    const { type, id, body } = await session.frame()
    if (type === DATA && id !== 1) {
      answers.set(id, Buffer.concat([answers.get(id) ?? Buffer.of(), body]))
    }
  }
  for (const [id, answer] of answers) {
    t.deepEqual(new Uint8Array(answer.subarray(-100)), pattern(100, id))
  }
  await until(() => kept.length === 1)
  const [stream] = kept as [Stream]
  const read = Buffer.alloc(bytes.length)
  for (let at = 0; at < read.length; ) at += await stream.readInto(read.subarray(at))
  t.deepEqual(new Uint8Array(read), bytes)
  await stand.echo()
})

test('credit of single bytes is used as it comes (A094)', async (t) => {
  const { stand, session, kept } = await raw(t)
  session.send(...opening(1, KEPT))
  await until(() => kept.length === 1)
  const [stream] = kept as [Stream]
  const bytes = pattern(WINDOW + 100_000)
  const writing = stream.write(bytes)
  await bytesOn(session, 1, WINDOW)
  const { length } = lines(KEPT)
  const trickle = 5_000
  let frames = 0
  let at = WINDOW - length
  for (let round = 0; round < 10; round += 1) {
    session.send(...times(trickle, () => ({ type: WINDOW_UPDATE, id: 1, length: 1 })))
    for (let got = 0; got < trickle; ) {
      const frame = await session.frame()
      if (frame.type !== DATA || frame.id !== 1) continue
      frames += 1
      got += frame.body.length
      t.deepEqual(new Uint8Array(frame.body), bytes.subarray(at, at + frame.body.length))
      at += frame.body.length
    }
  }
  t.true(frames <= 10 * trickle, `${frames}`)
  session.send({ type: WINDOW_UPDATE, id: 1, length: 1 << 20 })
  await writing
  await echoes(t, session, 3)
  await stand.echo()
})

test('a connection that is reset in the middle of a frame ends each of its streams once (A100)', async (t) => {
  const { stand, peer, session, kept } = await raw(t)
  const ids = times(50, (index) => index * 2 + 1)
  session.send(...ids.flatMap((id) => opening(id, KEPT)))
  await until(() => kept.length === ids.length)
  let closed = 0
  const reads = kept.map((stream) => {
    stream.addEventListener('close', () => {
      closed += 1
    })
    return t.throwsAsync(stream.read(1), { name: 'StreamResetError' })
  })
  const connection = await stand.stranger()
  const record = session.record(frameBytes({ type: DATA, id: 1, body: Buffer.alloc(1_000) }))
  peer.send(record.subarray(0, 500))
  await stand.echo()
  peer.socket.resetAndDestroy()
  await Promise.all(reads)
  await until(() => connection.isClosed)
  t.is(closed, ids.length)
  t.is(connection.streams.length, 0)
  await stand.echo()
})

test('a GoAway of any code is reported, and ends no stream by itself (A099)', async (t) => {
  const { stand, peer, session } = await raw(t)
  const connection = await stand.stranger()
  session.send(...opening(1, ECHO_PROTOCOL, Buffer.from('after the GO_AWAY')))
  session.send({ type: GO_AWAY, length: 0xdeadbeef })
  const echo = await answerOn(session, 1, ECHO_PROTOCOL, 17)
  t.is(`${echo}`, 'after the GO_AWAY')
  peer.socket.end()
  await until(() => connection.isClosed)
  t.is(connection.closeReason?.closeCode, 0xdeadbeef)
  t.true(connection.closeReason?.remote)
  await stand.echo()
})
