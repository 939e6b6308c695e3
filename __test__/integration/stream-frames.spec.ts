/** Streams as seen by a raw peer, frame by frame: opening, ending, and the frames of each state. */
import test from 'ava'
import { ConnectionErrorCode, StreamState } from '../../ts/constants.ts'
import {
  AbortError,
  ConnectionClosedError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError
} from '../../ts/errors.ts'
import {
  ACK,
  codeOf,
  DATA,
  FIN,
  GO_AWAY,
  OPEN,
  PING,
  RST,
  SYN,
  times,
  WINDOW,
  WINDOW_UPDATE
} from '../support/bad-input.ts'
import { outcomeOf, pattern, until } from '../support/pair.ts'
import { createRawPair } from '../support/raw-pair.ts'
import type { RawFrame } from '../support/raw-peer.ts'

/** Number of frames of stream `id` with FIN or RST. */
const endings = (frames: readonly RawFrame[], id: number): number =>
  frames.filter((frame) => frame.id === id && ((frame.flags ?? 0) & (FIN | RST)) !== 0).length

// Y1, Y11
for (const dials of [true, false]) {
  test(`a node that ${dials ? 'dialled' : 'accepted'} opens ${dials ? 'odd' : 'even'} streams by empty window updates`, async (t) => {
    const raw = await createRawPair(t, { dials })
    const first = dials ? 1 : 2
    for (const id of [first, first + 2, first + 4]) {
      await raw.connection.newStream()
      t.like(await raw.frame(), { type: WINDOW_UPDATE, flags: SYN, id, length: 0 })
    }
    raw.session.send({ ...OPEN, id: dials ? 2 : 1 })
    const inbound = await raw.stream()
    t.is(inbound.direction, 'inbound')
    const ack = await raw.frame()
    t.like(ack, { type: WINDOW_UPDATE, flags: ACK, id: dials ? 2 : 1, length: 0 })
  })
}

// Y9
const OPENINGS: Readonly<Record<string, RawFrame>> = {
  'a window update': OPEN,
  'a window update with credit': { ...OPEN, length: 100_000 },
  'an empty data frame': { type: DATA, flags: SYN, id: 1 },
  'a kibibyte of data': { type: DATA, flags: SYN, id: 1, body: Buffer.alloc(1_024, 7) },
  'data that ends it': { type: DATA, flags: SYN | FIN, id: 1, body: Buffer.alloc(10, 7) },
  'a window update that ends it': { ...OPEN, flags: SYN | FIN }
}
for (const [what, frame] of Object.entries(OPENINGS)) {
  test(`a stream may be opened by ${what}`, async (t) => {
    const raw = await createRawPair(t)
    raw.session.send(frame)
    const stream = await raw.stream()
    const bytes = frame.body ?? new Uint8Array(0)
    if (bytes.length > 0) t.is((await stream.read(bytes.length)).length, bytes.length)
    if (((frame.flags ?? 0) & FIN) !== 0) {
      await t.throwsAsync(stream.read(1), { instanceOf: StreamEOFError })
    }
    const window = WINDOW + (frame.length ?? 0)
    // Credit that comes with the opening counts on top of the first window.
    const writing = stream.write(pattern(3 * window))
    t.is((await raw.data(1, window)).length, window)
    t.is(await outcomeOf(writing), 'waits')
    raw.session.send({ type: WINDOW_UPDATE, id: 1, length: 2 * window })
    // The kernel may buffer any amount ahead of its reader.
    const rest = raw.data(1, 2 * window)
    await writing
    await rest
  })
}

// Y9
for (const type of [DATA, WINDOW_UPDATE]) {
  test(`a stream that frame type ${type} opens and resets at once is never reported`, async (t) => {
    const raw = await createRawPair(t)
    raw.session.send({ type, flags: SYN | RST, id: 1 }, { ...OPEN, id: 3 })
    const stream = await raw.stream()
    await stream.write(pattern(1))
    t.is((await raw.data(3, 1)).length, 1)
    t.is(raw.connection.streams.length, 1)
  })
}

// Y10, go 156
test('an acknowledgement may carry data or credit', async (t) => {
  const raw = await createRawPair(t, { dials: true })
  const [one, two] = [await raw.connection.newStream(), await raw.connection.newStream()]
  t.is((await raw.said()).length, 2)
  raw.session.send(
    { type: DATA, flags: ACK, id: 1, body: pattern(5) },
    { type: WINDOW_UPDATE, flags: ACK, id: 3, length: 50_000 }
  )
  t.deepEqual(await one.read(5), pattern(5))
  const writing = two.write(pattern(WINDOW + 60_000))
  t.is((await raw.data(3, WINDOW + 50_000)).length, WINDOW + 50_000)
  raw.session.send({ type: WINDOW_UPDATE, id: 3, length: 50_000 })
  await writing
})

// Y8, Y3, Y4
for (const type of [DATA, WINDOW_UPDATE]) {
  test(`frame type ${type} may end or reset a stream`, async (t) => {
    const raw = await createRawPair(t)
    raw.session.send(OPEN, { type: DATA, id: 1, body: pattern(3) }, { type, flags: FIN, id: 1 })
    const ended = await raw.stream()
    t.deepEqual(await ended.read(), pattern(3))
    t.is(ended.state, StreamState.CLOSE_READ)
    // The other direction goes on.
    await ended.write(pattern(4))
    t.is((await raw.data(1, 4)).length, 4)

    raw.session.send({ ...OPEN, id: 3 }, { type, flags: RST, id: 3, length: 0 })
    const reset = await raw.stream()
    await t.throwsAsync(reset.read(1), { instanceOf: StreamResetError })
    await t.throwsAsync(reset.write(pattern(1)), { instanceOf: StreamResetError })
  })
}

// go 162, go 69
test('the length of a reset is its code, both ways', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN, { ...OPEN, flags: RST, length: 42 }, { ...OPEN, id: 3 })
  const [theirs, ours] = [await raw.stream(), await raw.stream()]
  const err = await t.throwsAsync(theirs.read(1), { instanceOf: StreamResetError })
  t.deepEqual([err.errorCode, err.remote], [42, true])
  await ours.reset(43)
  const frames = await raw.said()
  t.like(
    frames.find(({ id, flags }) => id === 3 && (flags & RST) !== 0),
    { length: 43 }
  )
})

// N25, go 64
test('closes and resets of one stream put at most one FIN and one RST on the wire', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(...times(4, (index) => ({ ...OPEN, id: 1 + 2 * index })))
  const streams = await Promise.all(times(4, () => raw.stream()))
  const [closed, reset, both, halves] = streams
  for (const _ of [1, 2]) await closed?.close()
  await closed?.reset()
  await closed?.closeWrite()
  for (const _ of [1, 2]) await reset?.reset()
  await reset?.close()
  await both?.closeWrite()
  for (const _ of [1, 2]) await both?.reset()
  for (const _ of [1, 2]) await halves?.closeWrite()
  // Not signalled: the remote may go on writing.
  await halves?.closeRead()
  const frames = await raw.said()
  const count = (flag: number): number[] =>
    [1, 3, 5, 7].map(
      (id) => frames.filter((frame) => frame.id === id && (frame.flags & flag) !== 0).length
    )
  t.deepEqual(count(FIN), [1, 0, 0, 1])
  t.deepEqual(count(RST), [0, 1, 1, 0])
  // Nothing follows a reset, whatever is called and whatever arrives.
  raw.session.send({ type: DATA, id: 3, body: pattern(10) }, { ...OPEN, id: 5, flags: FIN })
  t.deepEqual(await raw.said(), [])
})

test('a removed stream sends no end, and its incoming bytes are still accepted', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN, { ...OPEN, id: 3 })
  const [stream, other] = [await raw.stream(), await raw.stream()]
  await stream.write(pattern(3))
  stream.remove()
  t.is((await raw.data(1, 3)).length, 3)
  t.deepEqual(raw.connection.streams, [other])
  for (let sent = 0; sent < WINDOW; sent += 16_384) {
    raw.session.send({ type: DATA, id: 1, body: Buffer.alloc(16_384) })
  }
  raw.session.send({ ...OPEN, flags: FIN })
  t.is(endings(await raw.said(), 1), 0)
  raw.session.send({ type: DATA, id: 3, body: pattern(2) })
  t.deepEqual(await other.read(2), pattern(2))
})

// go 152
test('a stream closed for reading returns its credit', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN)
  const stream = await raw.stream()
  await stream.closeRead()
  let credit = WINDOW
  for (let sent = 0; sent < 4 * WINDOW; ) {
    const count = Math.min(credit, 60_000)
    if (count > 0) raw.session.send({ type: DATA, id: 1, body: Buffer.alloc(count) })
    sent += count
    credit -= count
    for (const { type, id, length } of await raw.said()) {
      if (type === WINDOW_UPDATE && id === 1) credit += length
    }
  }
  await t.throwsAsync(stream.read(1), { instanceOf: StreamClosedError })
})

// go 151, Y5
test('after GoAway nothing is opened, and the connection ends with its code', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN)
  const stream = await raw.stream()
  const reading = stream.read(1)
  raw.session.send({ type: GO_AWAY, length: ConnectionErrorCode.Shutdown })
  raw.peer.socket.end()
  const err = await t.throwsAsync(reading, { instanceOf: StreamResetError })
  t.deepEqual([err.errorCode, err.remote], [ConnectionErrorCode.Shutdown, true])
  await raw.connection.closed
  t.like(raw.connection.closeReason, { closeCode: ConnectionErrorCode.Shutdown, remote: true })
  await t.throwsAsync(raw.connection.newStream(), { instanceOf: ConnectionClosedError })
})

// go 151
test('a stream that waits to be opened is rejected when the remote sends GoAway', async (t) => {
  const raw = await createRawPair(t, { dials: true })
  const opened = await Promise.all(times(256, () => raw.connection.newStream()))
  const waiting = raw.connection.newStream()
  t.is(await outcomeOf(waiting), 'waits')
  raw.session.send({ type: GO_AWAY, length: 0 })
  await t.throwsAsync(waiting, { instanceOf: StreamResetError })
  // Open ones stay open.
  t.true(opened.every((stream) => stream.state === StreamState.OPEN))
})

// go 162, go 71
test('the code of a closed connection is that of its GoAway', async (t) => {
  const raw = await createRawPair(t)
  const closing = raw.connection.closeWithError(42)
  t.is(await raw.session.goAway(), 42)
  await raw.peer.closedWithin()
  await closing
})

// go 150, Y18
test('the 257th unacknowledged stream waits, can be aborted, and goes on', async (t) => {
  const limits = { connection: { streamsOutbound: 1_000 } }
  const raw = await createRawPair(t, { dials: true, limits })
  const opened = await Promise.all(times(256, () => raw.connection.newStream()))
  const frames = await raw.said()
  t.is(frames.filter(({ flags }) => (flags & SYN) !== 0).length, 256)
  const controller = new AbortController()
  const aborted = raw.connection.newStream(undefined, { signal: controller.signal })
  const next = raw.connection.newStream()
  t.is(await outcomeOf(next), 'waits')
  controller.abort()
  await t.throwsAsync(aborted, { instanceOf: AbortError })
  t.deepEqual(await raw.said(), [])
  raw.session.send({ type: WINDOW_UPDATE, flags: ACK, id: 1 })
  t.is((await next).state, StreamState.OPEN)
  t.is((await raw.said()).filter(({ flags }) => (flags & SYN) !== 0).length, 1)
  t.true(opened.every((stream) => stream.isOperational()))
})

// go 150, go 155
const VIOLATIONS: Readonly<Record<string, readonly RawFrame[]>> = {
  'opens a stream with an id of ours': [{ ...OPEN, id: 2 }],
  'opens a stream twice': [OPEN, OPEN],
  'sends more than its window': [
    OPEN,
    ...times(17, () => ({ type: DATA, id: 1, body: Buffer.alloc(16_384) }))
  ],
  // Y15
  'announces more than 16 MiB': [OPEN, { type: DATA, id: 1, length: 17 * 1024 * 1024 }],
  // go 162
  'sends a frame of unknown type': [{ type: 9 }]
}
for (const [what, frames] of Object.entries(VIOLATIONS)) {
  test(`a peer that ${what} gets GoAway and is disconnected`, async (t) => {
    const raw = await createRawPair(t)
    for (const frame of frames) raw.session.send(frame)
    t.is(await raw.session.goAway(), 1)
    await raw.peer.closedWithin()
    await until(() => raw.connection.isClosed)
    t.is(codeOf(raw.connection), 'ERR_MUXER_PROTOCOL')
  })
}

// Y12, go 158
test('pings are answered in their order, also in the middle of a transfer', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN)
  const stream = await raw.stream()
  void stream.write(pattern(WINDOW))
  const pongs: number[] = []
  const bytes: Buffer[] = []
  let pings = 0
  while (pongs.length < 40 || Buffer.concat(bytes).length < WINDOW) {
    // A few at a time, as pings beyond those an honest peer has in flight are not answered.
    for (; pings < Math.min(pongs.length + 4, 40); pings += 1) {
      raw.session.send({ type: PING, flags: SYN, length: pings })
    }
    const frame = await raw.frame()
    if (frame.type === PING) pongs.push(frame.length)
    if (frame.type !== DATA) continue
    // No frame of a size that any implementation refuses.
    t.true(frame.body.length <= 65_536)
    bytes.push(Buffer.from(frame.body))
  }
  t.deepEqual(
    pongs,
    times(40, (index) => index)
  )
  t.is(Buffer.compare(Buffer.concat(bytes), pattern(WINDOW)), 0)
})
