import test from 'ava'
import { StreamState } from '../../ts/constants.ts'
import {
  AbortError,
  InvalidParametersError,
  MessageTooLargeError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import { RecordKind } from '../../ts/native/record.ts'
import { fakeConnection, turn } from '../support/fake-connection.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

test('resolves to the bytes available, up to max', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, [1, 2, 3])
  t.deepEqual(await stream.read(2), bytes(1, 2))
  t.deepEqual(await stream.read(9), bytes(3))
})

test('waits for the first byte', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const read = stream.read(9)
  fake.deliver(handle, [1, 2])
  t.deepEqual(await read, bytes(1, 2))
})

test('resolves concurrent reads in call order, each byte once', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const reads = [stream.read(2), stream.read(1), stream.read(5)]
  fake.deliver(handle, [1, 2, 3, 4])
  t.deepEqual(await Promise.all(reads), [bytes(1, 2), bytes(3), bytes(4)])
})

test('reads nothing for a size of 0 and refuses an invalid size', async (t) => {
  const { open } = fakeConnection()
  const { stream } = await open()
  t.deepEqual(await stream.read(0), bytes())
  for (const size of [-1, Number.NaN, 1.5]) {
    t.throws(() => stream.read(size), { instanceOf: InvalidParametersError })
  }
})

test('reports the end once everything is consumed, and changes the state then', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, [1])
  fake.end(handle)
  t.is(stream.state, StreamState.OPEN)
  t.deepEqual(await stream.read(9), bytes(1))
  t.is(stream.state, StreamState.OPEN)
  await t.throwsAsync(stream.read(9), { instanceOf: StreamEOFError })
  t.is(stream.state, StreamState.CLOSE_READ)
  await t.throwsAsync(stream.read(9), { instanceOf: StreamEOFError })
})

test('reads to the end without a size', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const all = stream.read()
  fake.deliver(handle, [1, 2])
  fake.deliver(handle, [3])
  fake.end(handle)
  t.deepEqual(await all, bytes(1, 2, 3))
  await t.throwsAsync(stream.read(), { instanceOf: StreamEOFError })
})

test('reads nothing from a stream that ends at once', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.end(handle)
  t.deepEqual(await stream.read(), bytes())
})

test('consumes nothing when there is more than maxBytes', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const all = stream.read(undefined, { maxBytes: 3 })
  fake.deliver(handle, [1, 2])
  fake.deliver(handle, [3, 4])
  await t.throwsAsync(all, { instanceOf: MessageTooLargeError })
  t.deepEqual(await stream.read(9), bytes(1, 2))
  t.deepEqual(await stream.read(9), bytes(3, 4))
})

test('gives back the bytes that an aborted read had collected', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const controller = new AbortController()
  const all = stream.read(undefined, { signal: controller.signal })
  const next = stream.read(9)
  fake.deliver(handle, [1, 2])
  controller.abort()
  await t.throwsAsync(all, { instanceOf: AbortError })
  t.deepEqual(await next, bytes(1, 2))
})

test('rejects at once for a signal that is already aborted', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, [1])
  await t.throwsAsync(stream.read(1, { signal: AbortSignal.abort() }), { instanceOf: AbortError })
  t.deepEqual(await stream.read(1), bytes(1))
})

test('tryRead returns the bytes available without waiting', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  t.is(stream.tryRead(), undefined)
  fake.deliver(handle, [1, 2, 3])
  t.deepEqual(stream.tryRead(2), bytes(1, 2))
  fake.end(handle)
  t.deepEqual(stream.tryRead(), bytes(3))
  t.throws(() => stream.tryRead(), { instanceOf: StreamEOFError })
})

test("fills the caller's memory", async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const into = new Uint8Array(4)
  const read = stream.readInto(into)
  fake.deliver(handle, [7, 8])
  t.is(await read, 2)
  t.deepEqual(into, bytes(7, 8, 0, 0))
  t.is(await stream.readInto(new Uint8Array(0)), 0)
})

test('iterates until the end', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const chunks: number[] = []
  const loop = (async () => {
    for await (const chunk of stream) chunks.push(...chunk)
  })()
  fake.deliver(handle, [1, 2])
  await turn()
  fake.deliver(handle, [3])
  await turn()
  fake.end(handle)
  await loop
  t.deepEqual(chunks, [1, 2, 3])
})

test('iterates over all available bytes in one chunk', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const iterator = stream[Symbol.asyncIterator]()
  const first = iterator.next()
  fake.deliver(handle, new Uint8Array(100_000).fill(5))
  const { value } = await first
  t.is(value.length, 100_000)
  t.is(value.buffer.byteLength, 100_000)
})

test('ends iteration on a local close, and throws from it on a reset by the remote', async (t) => {
  const { fake, open } = fakeConnection()
  const one = await open()
  const ended = one.stream[Symbol.asyncIterator]().next()
  await one.stream.close()
  t.true((await ended).done)
  const two = await open()
  const broken = two.stream[Symbol.asyncIterator]().next()
  fake.remoteReset(two.handle, 0x1005)
  const err = await t.throwsAsync(broken, { instanceOf: StreamResetError })
  t.is(err.errorCode, 0x1005)
  t.true(err.remote)
})

test('leaving the iteration does not change the stream', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, [1])
  for await (const _ of stream) break
  fake.deliver(handle, [2])
  t.deepEqual(await stream.read(1), bytes(2))
})

test('rejects a pending read on closeRead, close and reset', async (t) => {
  const { open } = fakeConnection()
  const expected = {
    closeRead: StreamClosedError,
    close: StreamClosedError,
    reset: StreamResetError
  }
  for (const [name, error] of Object.entries(expected)) {
    const { stream } = await open()
    const read = stream.read(1)
    await stream[name as 'close']()
    await t.throwsAsync(read, { instanceOf: error as typeof StreamClosedError }, name)
  }
})

test("an error of a remote reset has no stack frames of ours, a later call has the caller's", async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const limit = Error.stackTraceLimit
  const waiting = t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  fake.remoteReset(handle, 3)
  const text = 'StreamResetError: stream reset: by the remote, code 3'
  t.is((await waiting).stack, text)
  t.is(stream.error?.stack, text)
  t.is(Error.stackTraceLimit, limit)
  const later = await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  t.regex(later.stack ?? '', /stream-reading\.spec/)
})

test('drops unread bytes on a reset', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, [1, 2])
  fake.remoteReset(handle, 3)
  await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  t.is(stream.state, StreamState.RESET)
})

test('reads the rest of a stream that the native side has released, then its end', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, [1, 2, 3])
  fake.put(RecordKind.streamClosed, handle, 3)
  fake.ring()
  t.deepEqual(await stream.read(2), bytes(1, 2))
  t.deepEqual(await stream.read(2), bytes(3))
  await t.throwsAsync(stream.write(bytes(1)), { instanceOf: StreamClosedError })
  await t.throwsAsync(stream.read(2), { instanceOf: StreamEOFError })
  t.is(stream.state, StreamState.CLOSE_BOTH)
})

test('times out a pending read, after bytes that had arrived', async (t) => {
  const { fake, clock, open } = fakeConnection()
  const { stream, handle } = await open()
  stream.setReadDeadline(clock.now() + 100)
  const first = stream.read(1)
  const second = stream.read(1)
  // It has arrived, but has not been drained yet.
  fake.stream(handle).inbox.push(9)
  fake.put(RecordKind.streamReadable, handle, 1)
  clock.advance(100)
  t.deepEqual(await first, bytes(9))
  await t.throwsAsync(second, { instanceOf: TimeoutError })
  t.is(stream.state, StreamState.OPEN)
  await t.throwsAsync(stream.read(1), { instanceOf: TimeoutError })
  stream.setReadDeadline(null)
  const later = stream.read(1)
  fake.deliver(handle, [4])
  t.deepEqual(await later, bytes(4))
})

test('times out at once for a deadline in the past, but delivers the bytes available', async (t) => {
  const { fake, clock, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, [1])
  stream.setReadDeadline(clock.now() - 1)
  t.deepEqual(await stream.read(1), bytes(1))
  await t.throwsAsync(stream.read(1), { instanceOf: TimeoutError })
  t.is(clock.timers, 0)
})

test('two reads at the end both reject, whichever reaches it first', async (t) => {
  for (const sizes of [
    [1, 1],
    [1, undefined],
    [1, 9]
  ] as const) {
    for (const before of [true, false]) {
      const { fake, open } = fakeConnection()
      const { stream, handle } = await open()
      if (before) fake.end(handle)
      const reads = sizes.map((size) => stream.read(size))
      if (!before) fake.end(handle)
      for (const read of reads) await t.throwsAsync(read, { instanceOf: StreamEOFError })
    }
  }
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const [first, second] = [stream.read(), stream.read()]
  fake.deliver(handle, [1])
  fake.end(handle)
  t.deepEqual(await first, bytes(1))
  await t.throwsAsync(second, { instanceOf: StreamEOFError })
})

test('bytes that a timed-out read had collected go to the next pending read', async (t) => {
  const { fake, clock, open } = fakeConnection()
  const { stream, handle } = await open()
  stream.setReadDeadline(new Date(clock.now() + 10))
  const all = stream.read()
  const next = stream.read(2)
  const last = stream.read(9)
  const none = stream.read(1)
  fake.deliver(handle, [1, 2, 3])
  clock.advance(10)
  await t.throwsAsync(all, { instanceOf: TimeoutError })
  t.deepEqual(await next, bytes(1, 2))
  t.deepEqual(await last, bytes(3))
  await t.throwsAsync(none, { instanceOf: TimeoutError })
})

test('tryRead returns the bytes available, regardless of how much this turn has read', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const size = 700
  fake.deliver(handle, new Uint8Array(size).fill(7))
  for (let taken = 0; taken < size; taken += 1) t.deepEqual(stream.tryRead(1), bytes(7))
  t.is(stream.tryRead(1), undefined)
  fake.deliver(handle, [1, 2, 3])
  const waiting = stream.read(1)
  t.deepEqual(stream.tryRead(), bytes(2, 3))
  t.deepEqual(await waiting, bytes(1))
})

test('yields to the event loop while a stream always has data', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  fake.deliver(handle, new Uint8Array(2_000))
  let turned = false
  setImmediate(() => (turned = true))
  let readBefore = 0
  for (let count = 0; count < 2_000; count += 1) {
    await stream.read(1)
    if (!turned) readBefore += 1
  }
  t.true(turned)
  t.true(readBefore < 300)
})

test('leaves no listener on a signal', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const { signal } = new AbortController()
  let listeners = 0
  signal.addEventListener = () => (listeners += 1)
  signal.removeEventListener = () => (listeners -= 1)
  const read = stream.read(1, { signal })
  t.is(listeners, 1)
  fake.deliver(handle, [1, 2])
  await read
  await stream.read(1, { signal })
  t.is(listeners, 0)
})
