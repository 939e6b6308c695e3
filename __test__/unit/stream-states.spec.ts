import test from 'ava'
import { StreamState } from '../../ts/constants.ts'
import {
  ERROR_CODES,
  InvalidParametersError,
  type Libp2pError,
  StreamClosedError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  StreamStateError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import { RecordKind } from '../../ts/native/record.ts'
import type { Stream } from '../../ts/stream.ts'
import { fakeConnection, turn } from '../support/fake-connection.ts'

type Setup = ReturnType<typeof fakeConnection>

// Transitions of a stream into each state.
const INTO: Record<string, (stream: Stream, handle: number, setup: Setup) => unknown> = {
  OPEN: () => {},
  'CLOSE_READ by us': (stream) => stream.closeRead(),
  'CLOSE_READ by the remote': async (stream, handle, { fake }) => {
    fake.end(handle)
    await stream.read(1).catch(() => {})
  },
  CLOSE_WRITE: (stream) => stream.closeWrite(),
  CLOSE_BOTH: (stream) => stream.close(),
  RESET: (_, handle, { fake }) => fake.remoteReset(handle, 5),
  ERROR: (_, handle, { fake }) => {
    fake.put(RecordKind.streamReset, handle, 0, ERROR_CODES.ERR_UNSUPPORTED_PROTOCOL)
    fake.put(RecordKind.streamClosed, handle)
    fake.ring()
  }
}

// Outcome of each operation there: an error class, undefined if it resolves, or `wait` if it stays pending.
const wait = 'wait'
const ok = undefined
type Outcome = typeof ok | typeof wait | (new (message: string) => Libp2pError)
const TABLE: Record<string, Record<string, Outcome>> = {
  OPEN: { read: wait, write: ok, closeRead: ok, closeWrite: ok, close: ok, reset: ok },
  'CLOSE_READ by us': {
    read: StreamClosedError,
    write: ok,
    closeRead: ok,
    closeWrite: ok,
    close: ok,
    reset: ok
  },
  'CLOSE_READ by the remote': {
    read: StreamEOFError,
    write: ok,
    closeRead: ok,
    closeWrite: ok,
    close: ok,
    reset: ok
  },
  CLOSE_WRITE: {
    read: wait,
    write: StreamClosedError,
    closeRead: ok,
    closeWrite: ok,
    close: ok,
    reset: ok
  },
  CLOSE_BOTH: {
    read: StreamClosedError,
    write: StreamClosedError,
    closeRead: ok,
    closeWrite: ok,
    close: ok,
    reset: ok
  },
  RESET: {
    read: StreamResetError,
    write: StreamResetError,
    closeRead: StreamResetError,
    closeWrite: StreamResetError,
    close: ok,
    reset: ok
  },
  ERROR: {
    read: StreamError,
    write: StreamError,
    closeRead: StreamError,
    closeWrite: StreamError,
    close: ok,
    reset: ok
  }
}

const CALLS: Record<string, (stream: Stream) => Promise<unknown>> = {
  read: (stream) => stream.read(1),
  write: (stream) => stream.write(Uint8Array.of(1)),
  closeRead: (stream) => stream.closeRead(),
  closeWrite: (stream) => stream.closeWrite(),
  close: (stream) => stream.close(),
  reset: (stream) => stream.reset(7)
}

for (const [state, row] of Object.entries(TABLE)) {
  for (const [operation, outcome] of Object.entries(row)) {
    const description =
      outcome === wait ? 'waits' : outcome === ok ? 'resolves' : `rejects with ${outcome.name}`
    test(`${operation} in ${state} ${description}`, async (t) => {
      const setup = fakeConnection()
      const { stream, handle } = await setup.open()
      await INTO[state]?.(stream, handle, setup)
      const call = (CALLS[operation] as (stream: Stream) => Promise<unknown>)(stream)
      if (outcome === wait) {
        const settled = await Promise.race([call, turn().then(() => wait)])
        t.is(settled, wait)
        call.catch(() => {})
      } else if (outcome === ok) {
        await t.notThrowsAsync(call)
      } else {
        const err = await t.throwsAsync(call, { instanceOf: outcome })
        t.is(err.constructor, outcome)
      }
    })
  }
}

test('terminal states are final', async (t) => {
  for (const state of ['RESET', 'ERROR'] as const) {
    const setup = fakeConnection()
    const { stream, handle } = await setup.open()
    await INTO[state]?.(stream, handle, setup)
    const before = setup.fake.calls.length
    await stream.close()
    await stream.reset(1)
    stream.abort(new Error('again'))
    t.is(stream.state, StreamState[state])
    t.is(setup.fake.calls.length, before)
  }
})

test('an unsupported protocol is in stream.error and is the cause of failed calls', async (t) => {
  const setup = fakeConnection()
  const { stream, handle } = await setup.open()
  INTO.ERROR?.(stream, handle, setup)
  t.true(stream.error instanceof UnsupportedProtocolError)
  const err = await t.throwsAsync(stream.read(1), { instanceOf: StreamError })
  t.is(err.cause, stream.error)
  t.is(err.code, 'ERR_UNSUPPORTED_PROTOCOL')
  t.deepEqual((stream.error as UnsupportedProtocolError).protocols, ['/test/1.0.0'])
})

test('half-closes on both sides leave CLOSE_BOTH and free the stream', async (t) => {
  const { fake, connection, open, engine } = fakeConnection()
  const { stream, handle } = await open()
  await stream.closeWrite()
  t.is(stream.state, StreamState.CLOSE_WRITE)
  fake.end(handle)
  await t.throwsAsync(stream.read(1), { instanceOf: StreamEOFError })
  t.is(stream.state, StreamState.CLOSE_BOTH)
  t.is(connection.streams.length, 1)
  await turn()
  engine.drain()
  t.is(connection.streams.length, 0)
})

test('notifies of its end exactly once, however it ends', async (t) => {
  const ends: ((stream: Stream, handle: number, setup: Setup) => unknown)[] = [
    (stream) => stream.close(),
    (stream) => stream.reset(),
    (stream) => stream.abort(new Error('mine')),
    (stream) => stream.remove(),
    (_, handle, { fake }) => fake.remoteReset(handle, 1)
  ]
  for (const end of ends) {
    const setup = fakeConnection()
    const { stream, handle } = await setup.open()
    let closes = 0
    stream.addEventListener('close', () => (closes += 1))
    await end(stream, handle, setup)
    await turn()
    setup.fake.ring()
    stream.remove()
    await stream.close()
    setup.fake.ring()
    t.is(closes, 1)
    t.deepEqual(setup.notified.filter((line) => line.startsWith('closedStream')).length, 1)
    t.is(setup.connection.streams.length, 0)
    t.false(stream.isOperational())
  }
})

test('an abort keeps its cause', async (t) => {
  const { open } = fakeConnection()
  const { stream } = await open()
  const read = stream.read(1)
  const cause = new Error('no more')
  stream.abort(cause)
  const err = await t.throwsAsync(read, { instanceOf: StreamResetError })
  t.is(err.cause, cause)
  t.is(stream.error?.cause, cause)
})

test('changes state only as the table allows', async (t) => {
  const { open } = fakeConnection()
  const { stream } = await open()
  stream.setState(StreamState.CLOSE_WRITE)
  t.is(stream.state, StreamState.CLOSE_WRITE)
  t.throws(() => stream.setState(StreamState.OPEN), { instanceOf: StreamStateError })
})

test('accepts a protocol once', async (t) => {
  const { connection } = fakeConnection()
  const stream = await connection.newStream()
  t.is(stream.protocol, undefined)
  stream.setProtocol('/named/1.0.0')
  t.is(stream.protocol, '/named/1.0.0')
  t.throws(() => stream.setProtocol('/other'), { instanceOf: InvalidParametersError })
})

test('refuses a reset code that does not fit the wire', async (t) => {
  const { open } = fakeConnection()
  const { stream } = await open()
  t.throws(() => stream.reset(2 ** 32), { instanceOf: InvalidParametersError })
  t.throws(() => stream.reset(-1), { instanceOf: InvalidParametersError })
})
