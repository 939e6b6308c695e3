import { StreamState } from '../../ts/constants.ts'
import {
  IOError,
  type Libp2pError,
  StreamClosedError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { createPair, heard, outcomeOf, type Pair, pattern, until } from '../support/pair.ts'
import { overPairs, overStacks } from '../support/stacks.ts'

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

// Paths of a live stream into each state; each returns the stream under test.
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
  'CLOSE_BOTH after the remote': async (pair) => {
    const { near, far } = await pair.openStreams()
    await far.closeWrite()
    await near.read(1).catch(() => {})
    await near.closeWrite()
    return near
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
  'CLOSE_BOTH after the remote': {
    ...OPEN_ROW,
    read: StreamEOFError,
    write: StreamClosedError
  },
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

const { OPEN, CLOSE_READ, CLOSE_WRITE, CLOSE_BOTH, RESET } = StreamState

// States after an operation. A state that is not listed does not change; CLOSE_BOTH, RESET and ERROR never do.
const LEADS_TO: Record<string, Partial<Record<StreamState, StreamState>>> = {
  closeRead: { [OPEN]: CLOSE_READ, [CLOSE_WRITE]: CLOSE_BOTH },
  closeWrite: { [OPEN]: CLOSE_WRITE, [CLOSE_READ]: CLOSE_BOTH },
  close: { [OPEN]: CLOSE_BOTH, [CLOSE_READ]: CLOSE_BOTH, [CLOSE_WRITE]: CLOSE_BOTH },
  reset: { [OPEN]: RESET, [CLOSE_READ]: RESET, [CLOSE_WRITE]: RESET }
}

for (const [state, row] of Object.entries(TABLE)) {
  // N3, N4, N5, N7, N8, N9, N10, N11, N25, N26, N27, Y3, Y4, go 146
  overPairs(`every operation in ${state} matches the table`, async (t, pair, stack) => {
    for (const [operation, outcome] of Object.entries(row)) {
      // A separate connection for a state that ends it.
      const over = state.includes('connection')
        ? await createPair(t, { both: stack.options, listen: stack.listen })
        : pair
      const stream = await INTO[state]?.(over)
      if (stream === undefined) throw new Error(`no way into ${state}`)
      const before = stream.state
      t.is(before, StreamState[state.split(' ')[0] as keyof typeof StreamState], operation)
      const call = OPERATIONS[operation]?.(stream) ?? Promise.reject(new Error(operation))
      // Local transitions are synchronous.
      t.is(stream.state, LEADS_TO[operation]?.[before] ?? before, operation)
      if (outcome === wait) {
        t.is(await outcomeOf(call), 'waits', operation)
        await stream.reset()
      } else if (outcome === ok) {
        await t.notThrowsAsync(call, operation)
      } else {
        const err = await t.throwsAsync(call, { instanceOf: outcome }, operation)
        t.true(err.constructor === outcome, operation)
        t.true(err instanceof StreamError && err instanceof IOError, operation)
      }
      if (before >= StreamState.CLOSE_BOTH) t.is(stream.state, before, operation)
    }
  })
}

// N12, N15
overPairs(
  'a lazily negotiated stream that the remote refuses ends in ERROR',
  async (t, { outbound }) => {
    const stream = await outbound.newStream('/nobody/speaks/this')
    t.is(stream.state, StreamState.OPEN)
    const err = await t.throwsAsync(stream.read(1), { instanceOf: StreamError })
    t.is(stream.state, StreamState.ERROR)
    t.true(stream.error instanceof UnsupportedProtocolError)
    t.is(err.cause, stream.error)
    await until(() => outbound.streams.length === 0)
  }
)

overPairs('a choice among several is agreed on, or rejects', async (t, { outbound, listener }) => {
  listener.handle('/second', () => {})
  const stream = await outbound.newStream(['/first', '/second'])
  t.is(stream.protocol, '/second')
  await t.throwsAsync(outbound.newStream(['/first', '/third']), {
    instanceOf: UnsupportedProtocolError
  })
})

// N24, go 152
overPairs('two half-closes free the stream on both sides', async (t, pair) => {
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

// N13
overPairs('a stream is operational while a half of it is open', async (t, pair) => {
  for (const [state, into] of Object.entries(INTO)) {
    if (state.includes('connection')) continue
    const stream = await into(pair)
    t.is(stream.isOperational(), stream.state < StreamState.CLOSE_BOTH, state)
    await stream.reset()
  }
})

// N14
overStacks('a new stream is open once its protocol is agreed, on both sides', async (t, stack) => {
  const pair = await createPair(t, { both: stack.options, listen: stack.listen })
  const seen: StreamState[] = []
  pair.listener.handle('/agreed', (stream) => {
    seen.push(stream.state)
  })
  const raw = await pair.outbound.newStream()
  const lazy = await pair.outbound.newStream('/agreed')
  const chosen = await pair.outbound.newStream(['/unknown', '/agreed'])
  await until(() => seen.length === 2)
  t.deepEqual([raw.state, lazy.state, chosen.state, ...seen], Array(5).fill(StreamState.OPEN))
})

// N25
overPairs('closing and resetting an ended stream has no further effect', async (t, pair) => {
  let closes = 0
  const closed = await pair.openStreams()
  const reset = await pair.openStreams()
  for (const { near, far } of [closed, reset]) {
    for (const stream of [near, far]) stream.addEventListener('close', () => (closes += 1))
  }
  await closed.near.write(pattern(100_000))
  for (const _ of [1, 2, 3]) await closed.near.close()
  // No accepted bytes are discarded.
  await closed.near.reset(9)
  t.is(closed.near.state, StreamState.CLOSE_BOTH)
  t.is(closed.near.error, undefined)
  t.is((await closed.far.read()).length, 100_000)
  await closed.far.close()
  for (const code of [1, 2, 3]) await reset.near.reset(code)
  await until(() => reset.far.state === StreamState.RESET)
  await reset.far.close()
  await reset.far.reset()
  await until(() => closes === 4)
  const err = await t.throwsAsync(reset.far.read(1), { instanceOf: StreamResetError })
  t.is(err.errorCode, heard(pair.inbound, 1))
  await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
  t.is(closes, 4)
})

// go 147
overPairs(
  'a reset after an end that was read is reported, and so are two that cross',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    await near.closeWrite()
    await t.throwsAsync(far.read(1), { instanceOf: StreamEOFError })
    const reading = near.read(1)
    await far.reset()
    await t.throwsAsync(reading, { instanceOf: StreamResetError })
    const crossing = await pair.openStreams()
    await Promise.all([crossing.near.reset(1), crossing.far.reset(2)])
    for (const [stream, code] of [
      [crossing.near, 1],
      [crossing.far, 2]
    ] as const) {
      const err = await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
      t.deepEqual([err.errorCode, err.remote], [code, false])
    }
  }
)

// go 61
overPairs('a clean end carries no error', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.close()
  await far.close()
  await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
  await pair.outbound.close()
  await pair.inbound.closed
  for (const { error } of [near, far]) t.is(error, undefined)
  for (const { closeReason } of [pair.outbound, pair.inbound]) t.is(closeReason?.error, undefined)
})
