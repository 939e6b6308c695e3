import test from 'ava'
import { StreamState } from '../../ts/constants.ts'
import {
  AbortError,
  InvalidParametersError,
  StreamClosedError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { fakeConnection, turn } from '../support/fake-connection.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const large = (size: number, fill = 1): Uint8Array => new Uint8Array(size).fill(fill)

test('stages small writes of a tick and submits them in one call', async (t) => {
  const { fake, open } = fakeConnection()
  const one = await open()
  const two = await open()
  await turn()
  fake.calls.length = 0
  void one.stream.write(bytes(1, 2))
  void one.stream.write(bytes(3))
  void two.stream.write(bytes(4))
  t.deepEqual(fake.calls, [])
  await turn()
  t.deepEqual(fake.calls, ['submit 1:3 2:1', 'flush'])
  t.deepEqual(fake.stream(1).sent, [1, 2, 3])
})

test('keeps the order of small and large writes', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream } = await open()
  void stream.write(bytes(1))
  void stream.write(large(5_000, 2))
  void stream.write(bytes(3))
  await turn()
  const { sent } = fake.stream(1)
  t.is(sent.length, 5_002)
  t.is(sent[0], 1)
  t.is(sent[1], 2)
  t.is(sent.at(-1), 3)
})

test('the caller may reuse its memory at once', async (t) => {
  const { fake, open } = fakeConnection({ room: 1 })
  const { stream, handle } = await open()
  const memory = bytes(1, 2, 3)
  stream.send(memory)
  memory.fill(9)
  stream.send(large(5_000, 4))
  await turn()
  t.deepEqual(fake.stream(handle).sent.slice(0, 3), [1, 2, 3])
})

test('waits for room and never interleaves', async (t) => {
  const { fake, open } = fakeConnection({ room: 6_000 })
  const { stream, handle } = await open()
  const first = stream.write(large(10_000, 1))
  const second = stream.write(bytes(2, 2))
  await turn()
  t.is(fake.stream(handle).sent.length, 6_000)
  fake.writable(handle, 100_000)
  await Promise.all([first, second])
  await turn()
  const { sent } = fake.stream(handle)
  t.is(sent.length, 10_002)
  t.deepEqual(sent.slice(-2), [2, 2])
  t.true(sent.slice(0, 10_000).every((byte) => byte === 1))
})

test('stops staging when the credit is used up', async (t) => {
  const { fake, open } = fakeConnection({ room: 70_000 })
  const { stream, handle } = await open()
  let accepted = 0
  const writes: Promise<void>[] = []
  for (let count = 0; count < 100; count += 1) {
    writes.push(
      stream.write(large(1_000)).then(() => {
        accepted += 1
      })
    )
  }
  await turn()
  t.true(accepted >= 65 && accepted <= 72, `${accepted}`)
  fake.writable(handle, 100_000)
  await Promise.all(writes)
  await turn()
  t.is(fake.stream(handle).sent.length, 100_000)
})

test('send returns false when the stream is full, accepts the bytes all the same, and drains', async (t) => {
  const { fake, open } = fakeConnection({ room: 5_000 })
  const { stream, handle } = await open()
  let drains = 0
  stream.addEventListener('drain', () => (drains += 1))
  t.true(stream.send(large(4_500)))
  t.false(stream.send(large(4_500)))
  t.false(stream.send(bytes(7)))
  t.true(stream.writableNeedsDrain)
  fake.writable(handle, 100_000)
  await turn()
  t.is(drains, 1)
  t.false(stream.writableNeedsDrain)
  t.is(fake.stream(handle).sent.length, 9_001)
})

test('reports how much of an aborted write was accepted, and continues after it', async (t) => {
  const { fake, open } = fakeConnection({ room: 5_000 })
  const { stream, handle } = await open()
  const controller = new AbortController()
  const write = stream.write(large(8_000, 1), { signal: controller.signal })
  const next = stream.write(bytes(2))
  controller.abort(new Error('enough'))
  const err = await t.throwsAsync(write, { instanceOf: AbortError })
  t.is(err.bytesAccepted, 5_000)
  t.is((err.cause as Error).message, 'enough')
  fake.writable(handle, 10)
  await next
  await turn()
  t.deepEqual(fake.stream(handle).sent.slice(-1), [2])
  t.is(fake.stream(handle).sent.length, 5_001)
})

test('times out a pending write and stays usable', async (t) => {
  const { fake, clock, open } = fakeConnection({ room: 5_000 })
  const { stream, handle } = await open()
  stream.setWriteDeadline(new Date(clock.now() + 10))
  const write = stream.write(large(8_000))
  clock.advance(10)
  const err = await t.throwsAsync(write, { instanceOf: TimeoutError })
  t.is(err.bytesAccepted, 5_000)
  await t.throwsAsync(stream.write(large(5_000)), { instanceOf: TimeoutError })
  stream.setWriteDeadline(null)
  const later = stream.write(large(5_000))
  fake.writable(handle, 100_000)
  await later
  t.is(stream.state, StreamState.OPEN)
})

test('closes the write half after all accepted and pending writes', async (t) => {
  const { fake, open } = fakeConnection({ room: 5_000 })
  const { stream, handle } = await open()
  const write = stream.write(large(8_000))
  const closed = stream.closeWrite()
  await t.throwsAsync(stream.write(bytes(1)), { instanceOf: StreamClosedError })
  t.is(stream.state, StreamState.CLOSE_WRITE)
  fake.writable(handle, 100_000)
  await Promise.all([write, closed])
  await turn()
  t.is(stream.state, StreamState.CLOSE_WRITE)
  t.is(fake.stream(handle).sent.length, 8_000)
  t.deepEqual(fake.calls.slice(-2), [`submit ${handle}:3000 closeWrite`, 'flush'])
})

test('a call that ends a half changes the state at once, even with pending writes', async (t) => {
  const closings: readonly [(stream: Stream) => unknown, StreamState][] = [
    [(stream) => stream.closeWrite(), StreamState.CLOSE_WRITE],
    [(stream) => [stream.closeRead(), stream.closeWrite()], StreamState.CLOSE_BOTH],
    [(stream) => [stream.closeWrite(), stream.closeRead()], StreamState.CLOSE_BOTH],
    [(stream) => stream.close(), StreamState.CLOSE_BOTH]
  ]
  for (const [close, state] of closings) {
    const { fake, open } = fakeConnection({ room: 5_000 })
    const { stream, handle } = await open()
    t.false(stream.send(large(8_000)))
    close(stream)
    t.is(stream.state, state)
    fake.writable(handle, 100_000)
    await turn()
    t.is(stream.state, state)
    t.is(fake.stream(handle).sent.length, 8_000)
    t.is(fake.stream(handle).state, state)
  }
})

test('writes pending at the end of a half can still be aborted, closed and timed out, and a write that has begun is not cut', async (t) => {
  const { fake, clock, open } = fakeConnection({ room: 5_000 })
  const aborted = await open()
  void aborted.stream.closeRead()
  const writing = t.throwsAsync(aborted.stream.write(large(8_000)), {
    instanceOf: StreamResetError
  })
  const ending = t.throwsAsync(aborted.stream.closeWrite(), { instanceOf: StreamResetError })
  aborted.stream.abort(new Error('mine'))
  await Promise.all([writing, ending])
  t.true(fake.calls.includes(`reset ${aborted.handle} 0`))

  const closed = await open()
  const begun = closed.stream.write(large(8_000))
  const given = t.throwsAsync(closed.stream.write(large(9_000)), { instanceOf: StreamClosedError })
  void closed.stream.closeWrite()
  await closed.stream.close()
  await Promise.all([begun, given])
  t.is(fake.stream(closed.handle).sent.length, 8_000)

  const late = await open()
  const timed = t.throwsAsync(late.stream.write(large(8_000)), { instanceOf: TimeoutError })
  const end = late.stream.closeWrite()
  late.stream.setWriteDeadline(new Date(clock.now() + 10))
  clock.advance(10)
  await timed
  await t.notThrowsAsync(end.catch(() => {}))
})

test('the end of the stream is submitted in one call with the staged bytes', async (t) => {
  for (const name of ['closeWrite', 'close'] as const) {
    const { fake, open } = fakeConnection()
    const { stream, handle } = await open()
    void stream.write(bytes(1))
    await stream[name]()
    await turn()
    t.deepEqual(fake.calls.slice(-2), [`submit ${handle}:1 ${name}`, 'flush'])
  }
})

test('close rejects pending writes, and delivers the bytes accepted by send', async (t) => {
  const { fake, open } = fakeConnection({ room: 5_000 })
  const { stream, handle } = await open()
  stream.send(large(6_000, 1))
  const write = stream.write(large(5_000, 2))
  const closed = stream.close()
  const err = await t.throwsAsync(write, { instanceOf: StreamClosedError })
  t.is(err.bytesAccepted, 0)
  fake.writable(handle, 100_000)
  await closed
  await turn()
  t.is(fake.stream(handle).sent.length, 6_000)
  t.is(stream.state, StreamState.CLOSE_BOTH)
})

test('rejects pending writes when the remote resets', async (t) => {
  const { fake, open } = fakeConnection({ room: 5_000 })
  const { stream, handle } = await open()
  const write = stream.write(large(8_000))
  fake.remoteReset(handle, 0x1003)
  const err = await t.throwsAsync(write, { instanceOf: StreamResetError })
  t.is(err.errorCode, 0x1003)
  t.throws(() => stream.send(bytes(1)), { instanceOf: StreamResetError })
})

test('waits for the record if a native call reports a reset first', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.stream(handle).state = StreamState.RESET
  const write = stream.write(large(8_000))
  const read = stream.read(1)
  fake.remoteReset(handle, 0x1002)
  t.is((await t.throwsAsync(write, { instanceOf: StreamResetError })).errorCode, 0x1002)
  t.is((await t.throwsAsync(read, { instanceOf: StreamResetError })).errorCode, 0x1002)
})

test('fails if the native side refuses and no record arrives', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.stream(handle).state = StreamState.RESET
  await t.throwsAsync(stream.write(large(8_000)), { code: 'ERR_STREAM_RESET' })
  t.is(stream.state, StreamState.ERROR)
})

test('refuses values that are not bytes', async (t) => {
  const { open } = fakeConnection()
  const { stream } = await open()
  t.throws(() => stream.write('text' as never), { instanceOf: InvalidParametersError })
  await t.notThrowsAsync(stream.write(new Uint8Array(0)))
})
