import { once } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import { StreamState } from '../../ts/constants.ts'
import {
  ConnectionClosedError,
  InvalidParametersError,
  StateError,
  StreamClosedError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import { wrapMuxedStream } from '../../ts/index.ts'
import type { Stream } from '../../ts/stream.ts'
import { type MemoryStream, memoryStreams } from '../support/memory-muxer.ts'
import { createPair, pattern, until } from '../support/pair.ts'

interface Wrapped {
  readonly stream: Stream
  /** The wrapped stream, and its other end. */
  readonly muxed: MemoryStream
  readonly far: MemoryStream
  /** `close` events so far. */
  readonly closes: () => number
}

function wrapped(t: ExecutionContext, window?: number): Wrapped {
  const { near, far } = memoryStreams(window)
  const stream = wrapMuxedStream(near)
  let closes = 0
  stream.addEventListener('close', () => {
    closes += 1
  })
  t.teardown(() => stream.reset())
  return { stream, muxed: near, far, closes: () => closes }
}

async function collect(stream: Stream): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

// N1, N14
test("a user's own muxed stream carries bytes and ends both ways", async (t) => {
  const { stream, muxed, far, closes } = wrapped(t)
  t.is(stream.state, StreamState.OPEN)
  t.is(stream.muxedStream, muxed)
  t.is(stream.direction, 'outbound')
  const sent = pattern(300_000)
  const echo = (async () => {
    for (;;) {
      const bytes = await far.read(10_000).catch((err) => {
        if (err instanceof StreamEOFError) return undefined
        throw err
      })
      if (bytes === undefined) return far.closeWrite()
      await far.write(bytes)
    }
  })()
  const received = collect(stream)
  await stream.write(sent)
  await stream.closeWrite()
  t.deepEqual(await received, Buffer.from(sent))
  await echo
  t.is(stream.state, StreamState.CLOSE_BOTH)
  await until(() => muxed.calls.includes('close'))
  t.deepEqual(
    muxed.calls.filter((call) => !call.startsWith('write')),
    ['closeWrite', 'close']
  )
  await until(() => closes() === 1)
})

test('both ends of a wrapped pair exchange messages', async (t) => {
  const { near, far } = memoryStreams()
  const one = wrapMuxedStream(near).messages()
  const other = wrapMuxedStream(far).messages()
  t.is(other.stream.direction, 'inbound')
  for (const size of [0, 3, 20_000]) {
    await one.writeMsg(pattern(size))
    t.deepEqual(new Uint8Array(await other.readMsg()), pattern(size))
  }
  await one.stream.close()
  await other.stream.close()
})

// N12, N10, N15
for (const operation of ['read', 'write'] as const) {
  test(`a muxer that fails to ${operation} puts its stream in ERROR, with the cause kept`, async (t) => {
    const { stream, muxed, far, closes } = wrapped(t)
    const cause = new Error('out of paper')
    const reading = stream.read(1)
    if (operation === 'write') {
      // Only the write sees it: the pending read began before.
      muxed.failure = cause
      await stream.write(Uint8Array.of(1))
    } else {
      muxed.fail(cause)
    }
    const err = await t.throwsAsync(reading, { instanceOf: StreamError })
    t.is(err.constructor, StreamError)
    t.regex(err.message, new RegExp(`${operation} operation failed: out of paper`))
    t.is(stream.state, StreamState.ERROR)
    t.is(stream.error?.cause, cause)
    for (const call of [
      () => stream.read(1),
      () => stream.write(Uint8Array.of(1)),
      () => stream.closeRead(),
      () => stream.closeWrite()
    ]) {
      t.is((await t.throwsAsync(call(), { instanceOf: StreamError })).constructor, StreamError)
    }
    await stream.close()
    await stream.reset()
    t.is(stream.state, StreamState.ERROR)
    await until(() => closes() === 1)
    // The other end is reset.
    await t.throwsAsync(far.read(), { instanceOf: StreamResetError })
  })
}

// N9, go 69
test('a reset crosses a foreign muxer with its code, both ways', async (t) => {
  const here = wrapped(t)
  await here.stream.write(pattern(10))
  await here.stream.reset(42)
  t.is(here.stream.state, StreamState.RESET)
  const seen = await t.throwsAsync(here.far.read(), { instanceOf: StreamResetError })
  t.is(seen.errorCode, 42)
  const own = await t.throwsAsync(here.stream.read(1), { instanceOf: StreamResetError })
  t.deepEqual([own.errorCode, own.remote], [42, false])

  const there = wrapped(t)
  const reading = there.stream.read(1)
  await there.far.reset(43)
  const err = await t.throwsAsync(reading, { instanceOf: StreamResetError })
  t.deepEqual([err.errorCode, err.remote], [43, true])
  await until(() => there.closes() === 1)
})

test('a reset does not wait for a write that the muxer does not accept', async (t) => {
  const { stream, muxed, far } = wrapped(t)
  await stream.write(pattern(100_000))
  await until(() => far.held === 4_096)
  await stream.reset(7)
  await until(() => muxed.calls.at(-1) === 'reset 7')
  await t.throwsAsync(far.read(), { instanceOf: StreamResetError })
})

test('an unread foreign stream holds 256 KiB and leaves the rest to its muxer', async (t) => {
  const { stream, far } = wrapped(t, 16_384)
  let written = 0
  const writing = (async () => {
    for (; written < 64; written += 1) await far.write(new Uint8Array(16_384))
    await far.closeWrite()
  })()
  await until(() => written >= 16)
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve))
  // The bound, the bytes in flight when it was reached, and the muxer's own window.
  t.true(written <= 16 + 4 + 2, `${written} chunks of 16 KiB`)
  t.is((await stream.read()).length, 64 * 16_384)
  await writing
})

// N28
test('a deadline leaves a foreign stream usable', async (t) => {
  const { stream, far } = wrapped(t)
  stream.setReadDeadline(Date.now() - 1)
  await t.throwsAsync(stream.read(1), { instanceOf: TimeoutError })
  t.is(stream.state, StreamState.OPEN)
  stream.setReadDeadline(null)
  await far.write(Uint8Array.of(9))
  t.deepEqual(new Uint8Array(await stream.read(1)), Uint8Array.of(9))
})

test('a muxer that returns no bytes or throws no error puts its stream in ERROR', async (t) => {
  const answers = [
    () => Promise.reject(),
    () => Promise.reject('text'),
    async () => 'text',
    async () => undefined
  ]
  for (const read of answers) {
    const { near } = memoryStreams()
    near.read = read as unknown as MemoryStream['read']
    const stream = wrapMuxedStream(near)
    await until(() => stream.state === StreamState.ERROR)
    await t.throwsAsync(stream.read(1), { instanceOf: StreamError })
    await until(() => !stream.isOperational())
  }
})

test('a muxer that throws when it ends a stream affects no other, and is reported', async (t) => {
  const { stream, muxed } = wrapped(t)
  const own = new Error('of the muxer')
  muxed.reset = () => {
    throw own
  }
  const [other, warning] = [wrapped(t), once(process, 'warning')]
  await stream.reset()
  const [reported] = (await warning) as [Error]
  t.is(reported.cause, own)
  await other.stream.write(Uint8Array.of(1))
  t.deepEqual(new Uint8Array(await other.far.read()), Uint8Array.of(1))
})

test('closing the reading half of a foreign stream notifies its muxer', async (t) => {
  const { stream, muxed, far } = wrapped(t)
  const reading = stream.read(1)
  await stream.closeRead()
  await t.throwsAsync(reading, { instanceOf: StreamClosedError })
  await until(() => muxed.calls.includes('closeRead'))
  await far.write(new Uint8Array(100_000))
  t.is(stream.state, StreamState.CLOSE_READ)
})

test('a muxer that closes a half by itself closes that of the stream', async (t) => {
  const { stream, muxed } = wrapped(t)
  await muxed.closeWrite()
  await stream.write(Uint8Array.of(1))
  await until(() => stream.state === StreamState.CLOSE_WRITE)
  await muxed.closeRead()
  await until(() => stream.state === StreamState.CLOSE_BOTH)
  await t.throwsAsync(stream.write(Uint8Array.of(1)), { instanceOf: StreamClosedError })
})

test('without a connection there are no swarm events and no connection', async (t) => {
  const { stream } = wrapped(t)
  t.throws(() => stream.connection, { instanceOf: StateError })
  t.is(stream.remoteAddress, undefined)
  t.regex(stream.id, /^muxed-\d+$/)
  t.is(stream.protocol, undefined)
  stream.setProtocol('/of/mine')
  t.is(stream.protocol, '/of/mine')
})

// N24
test('with a connection it is on its list, its swarm reports it once, and it ends with it', async (t) => {
  const { dialer, outbound } = await createPair(t)
  const reported: string[] = []
  dialer.notify({
    openedStream: (_, stream) => reported.push(`opened ${stream.id}`),
    closedStream: (_, stream) => reported.push(`closed ${stream.id}`),
    disconnected: () => reported.push('disconnected')
  })
  const first = wrapMuxedStream(memoryStreams().near, outbound)
  const second = wrapMuxedStream(memoryStreams().near, outbound)
  t.is(first.connection, outbound)
  t.true(first.id.startsWith(`${outbound.id}-`))
  t.deepEqual(first.remoteAddress, outbound.remoteAddress)
  t.deepEqual(outbound.streams, [first, second])
  await first.close()
  await until(() => outbound.streams.length === 1)
  const reading = second.read(1)
  await outbound.closeWithError(9)
  const err = await t.throwsAsync(reading, { instanceOf: StreamResetError })
  t.true(err.cause instanceof ConnectionClosedError)
  t.is(err.errorCode, 9)
  t.deepEqual(reported, [
    `opened ${first.id}`,
    `opened ${second.id}`,
    `closed ${first.id}`,
    `closed ${second.id}`,
    'disconnected'
  ])
})

test('a removed foreign stream leaves the muxed one alone', async (t) => {
  const { stream, muxed, closes } = wrapped(t)
  stream.remove()
  await until(() => closes() === 1)
  t.is(stream.state, StreamState.CLOSE_BOTH)
  t.deepEqual(muxed.calls, [])
})

test('an object that is no muxed stream is refused', (t) => {
  t.throws(() => wrapMuxedStream({} as MemoryStream), { instanceOf: InvalidParametersError })
})

test('a stream of ours can be wrapped like any other', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const stream = wrapMuxedStream(near)
  await stream.write(pattern(100_000))
  await stream.closeWrite()
  t.deepEqual(await far.read(), pattern(100_000))
  await far.reset(5)
  const err = await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  t.is(err.errorCode, 5)
})
