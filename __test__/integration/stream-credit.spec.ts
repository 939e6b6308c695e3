/** Credit and timeouts as seen by a raw peer. */
import test from 'ava'
import { ConnectionClosedError, StreamEOFError } from '../../ts/errors.ts'
import { codeOf, DATA, FIN, OPEN, RST, WINDOW, WINDOW_UPDATE } from '../support/bad-input.ts'
import { pattern } from '../support/pair.ts'
import { createRawPair } from '../support/raw-pair.ts'

// Y13, go 154
test('credit is returned for bytes read, a quarter window at a time, and never for none', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN)
  for (let sent = 0; sent < 200_000; sent += 50_000) {
    raw.session.send({ type: DATA, id: 1, body: Buffer.alloc(50_000) })
  }
  const stream = await raw.stream()
  const updates = async (): Promise<number[]> =>
    (await raw.said())
      .filter(({ type, flags }) => type === WINDOW_UPDATE && (flags & (FIN | RST)) === 0)
      .map(({ length }) => length)
  const read = async (bytes: number): Promise<void> => {
    for (let left = bytes; left > 0; ) left -= (await stream.read(left)).length
  }
  // Unread bytes return no credit; an update of 0 acknowledges the stream.
  t.deepEqual(
    (await updates()).filter((length) => length > 0),
    []
  )
  await read(WINDOW / 4 - 1)
  t.deepEqual(
    (await updates()).filter((length) => length > 0),
    []
  )
  await read(1)
  const [credit = 0, ...more] = (await updates()).filter((length) => length > 0)
  // The window may have grown by then.
  t.true(credit >= WINDOW / 4, `${credit}`)
  t.deepEqual(more, [])
  await read(WINDOW / 4)
  const second = await updates()
  t.true(second.every((length) => length > 0))
})

// Y14
test('buffered bytes of a lost connection are read without an error', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN)
  for (let sent = 0; sent < 250_000; sent += 50_000) {
    raw.session.send({ type: DATA, id: 1, body: Buffer.alloc(50_000) })
  }
  raw.session.send({ ...OPEN, flags: FIN })
  const stream = await raw.stream()
  t.is((await stream.read(1)).length, 1)
  raw.peer.socket.destroy()
  await raw.connection.closed
  t.is((await stream.read()).length, 249_999)
  await t.throwsAsync(stream.read(1), { instanceOf: StreamEOFError })
  await t.throwsAsync(raw.connection.newStream(), { instanceOf: ConnectionClosedError })
})

// go 153
test('a peer that answers no keepalive is disconnected', async (t) => {
  const raw = await createRawPair(t, {
    limits: { keepaliveIntervalMs: 100, keepaliveTimeoutMs: 100 }
  })
  raw.session.send(OPEN)
  const stream = await raw.stream()
  const reading = stream.read(1)
  // The raw peer does not read the ping, so it does not answer.
  await raw.peer.closedWithin()
  await t.throwsAsync(reading)
  await raw.connection.closed
  t.is(codeOf(raw.connection), 'ERR_TIMEOUT')
  t.like(raw.connection.closeReason?.error, { name: 'TimeoutError', clock: 'keepalive' })
})

// Y15
test('a peer that announces data and withholds it is disconnected by the keepalive', async (t) => {
  const raw = await createRawPair(t, {
    limits: { keepaliveIntervalMs: 100, keepaliveTimeoutMs: 100 }
  })
  raw.session.send(OPEN, { type: DATA, id: 1, length: 1_000 })
  const stream = await raw.stream()
  await t.throwsAsync(stream.read(1))
  await raw.connection.closed
  t.is(codeOf(raw.connection), 'ERR_TIMEOUT')
})

// go 153
test('a peer whose socket takes nothing is disconnected', async (t) => {
  const raw = await createRawPair(t, { limits: { writeStallTimeoutMs: 300 } })
  raw.session.send({ ...OPEN, length: 0x4000_0000 })
  const stream = await raw.stream()
  raw.peer.socket.pause()
  const writing = stream.write(pattern(64 * 1024 * 1024))
  await t.throwsAsync(writing)
  await raw.connection.closed
  t.is(codeOf(raw.connection), 'ERR_TIMEOUT')
  t.like(raw.connection.closeReason?.error, { clock: 'writeStall' })
})
