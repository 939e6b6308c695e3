import test from 'ava'
import { StreamErrorCode, StreamState } from '../../ts/constants.ts'
import {
  type Libp2pError,
  StreamClosedError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { createPair, heard, type Pair, until } from '../support/pair.ts'

const wait = 'wait' as const
const ok = undefined
type ErrorClass = new (message: string) => Libp2pError
type Outcome = typeof ok | typeof wait | ErrorClass

const OPERATIONS: Record<string, (stream: Stream) => Promise<unknown>> = {
  read: (stream) => stream.read(1),
  write: (stream) => stream.write(Uint8Array.of(1)),
  closeRead: (stream) => stream.closeRead(),
  closeWrite: (stream) => stream.closeWrite(),
  close: (stream) => stream.close(),
  reset: (stream) => stream.reset()
}

async function fresh(pair: Pair): Promise<Stream> {
  return (await pair.openStreams()).near
}

// How a live stream gets into each state; the answer is the stream under test.
const INTO: Record<string, (pair: Pair) => Promise<Stream>> = {
  OPEN: fresh,
  'CLOSE_READ by us': async (pair) => {
    const stream = await fresh(pair)
    await stream.closeRead()
    return stream
  },
  'CLOSE_READ by the remote': async (pair) => {
    const { near, far } = await pair.openStreams()
    await far.closeWrite()
    await near.read(1).catch(() => {})
    return near
  },
  CLOSE_WRITE: async (pair) => {
    const stream = await fresh(pair)
    await stream.closeWrite()
    return stream
  },
  CLOSE_BOTH: async (pair) => {
    const stream = await fresh(pair)
    await stream.close()
    return stream
  },
  'RESET by us': async (pair) => {
    const stream = await fresh(pair)
    await stream.reset()
    return stream
  },
  'RESET by the remote': async (pair) => {
    const { near, far } = await pair.openStreams()
    await far.reset()
    await until(() => near.state === StreamState.RESET)
    return near
  },
  'RESET by the loss of its connection': async (pair) => {
    const { near } = await pair.openStreams()
    await pair.outbound.close()
    return near
  },
  ERROR: async (pair) => {
    const stream = await pair.outbound.newStream('/nobody/speaks/this')
    await stream.read(1).catch(() => {})
    return stream
  }
}

const OPEN_ROW = { read: wait, write: ok, closeRead: ok, closeWrite: ok, close: ok, reset: ok }
const RESET_ROW = {
  read: StreamResetError,
  write: StreamResetError,
  closeRead: StreamResetError,
  closeWrite: StreamResetError,
  close: ok,
  reset: ok
}

const TABLE: Record<string, Record<string, Outcome>> = {
  OPEN: OPEN_ROW,
  'CLOSE_READ by us': { ...OPEN_ROW, read: StreamClosedError },
  'CLOSE_READ by the remote': { ...OPEN_ROW, read: StreamEOFError },
  CLOSE_WRITE: { ...OPEN_ROW, write: StreamClosedError },
  CLOSE_BOTH: { ...OPEN_ROW, read: StreamClosedError, write: StreamClosedError },
  'RESET by us': RESET_ROW,
  'RESET by the remote': RESET_ROW,
  'RESET by the loss of its connection': RESET_ROW,
  ERROR: {
    read: StreamError,
    write: StreamError,
    closeRead: StreamError,
    closeWrite: StreamError,
    close: ok,
    reset: ok
  }
}

for (const [state, row] of Object.entries(TABLE)) {
  test(`every operation in ${state} does what the table says`, async (t) => {
    const pair = await createPair(t)
    for (const [operation, outcome] of Object.entries(row)) {
      // A connection of its own where the state ends it.
      const over = state.includes('connection') ? await createPair(t) : pair
      const stream = await INTO[state]?.(over)
      if (stream === undefined) throw new Error(`no way into ${state}`)
      const before = stream.state
      const call = OPERATIONS[operation]?.(stream) ?? Promise.reject(new Error(operation))
      if (outcome === wait) {
        const settled = await Promise.race([
          call.then(
            () => 'resolved',
            (err: Error) => err.name
          ),
          new Promise((resolve) => setTimeout(() => resolve(wait), 20))
        ])
        t.is(settled, wait, operation)
        await stream.reset()
      } else if (outcome === ok) {
        await t.notThrowsAsync(call, operation)
      } else {
        const err = await t.throwsAsync(call, { instanceOf: outcome }, operation)
        t.true(err.constructor === outcome, operation)
      }
      if (before >= StreamState.RESET) t.is(stream.state, before, operation)
    }
  })
}

test('a lazily negotiated stream that the remote refuses ends in ERROR', async (t) => {
  const { outbound } = await createPair(t)
  const stream = await outbound.newStream('/nobody/speaks/this')
  t.is(stream.state, StreamState.OPEN)
  const err = await t.throwsAsync(stream.read(1), { instanceOf: StreamError })
  t.is(stream.state, StreamState.ERROR)
  t.true(stream.error instanceof UnsupportedProtocolError)
  t.is(err.cause, stream.error)
  await until(() => outbound.streams.length === 0)
})

test('a choice among several settles, or rejects', async (t) => {
  const { outbound, listener } = await createPair(t)
  listener.handle('/second', () => {})
  const stream = await outbound.newStream(['/first', '/second'])
  t.is(stream.protocol, '/second')
  await t.throwsAsync(outbound.newStream(['/first', '/third']), {
    instanceOf: UnsupportedProtocolError
  })
})

test('a reset carries its code and tells who did it', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const waiting = near.read(1)
  await far.reset(StreamErrorCode.RateLimited)
  const err = await t.throwsAsync(waiting, { instanceOf: StreamResetError })
  t.is(err.errorCode, heard(pair.outbound, StreamErrorCode.RateLimited))
  t.true(err.remote)
  const own = await t.throwsAsync(far.read(1), { instanceOf: StreamResetError })
  t.false(own.remote)
})

test('two half-closes free the stream on both sides', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  let closes = 0
  near.addEventListener('close', () => (closes += 1))
  far.addEventListener('close', () => (closes += 1))
  await near.closeWrite()
  await far.closeWrite()
  await t.throwsAsync(near.read(1), { instanceOf: StreamEOFError })
  await t.throwsAsync(far.read(1), { instanceOf: StreamEOFError })
  t.is(near.state, StreamState.CLOSE_BOTH)
  await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
  t.is(closes, 2)
})
