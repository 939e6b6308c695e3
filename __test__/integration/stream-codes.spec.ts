/** Codes of resets and of connections' ends, as both sides see them. */
import { ConnectionErrorCode, StreamErrorCode, StreamState } from '../../ts/constants.ts'
import { ConnectionClosedError, StreamEOFError, StreamResetError } from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { PAIR_PROTOCOL, pattern, until } from '../support/pair.ts'
import { overPairs } from '../support/stacks.ts'

const CODES = { needs: ['reset codes'] } as const
const MAX = 0xffffffff

/** Errors of every call on a reset stream. */
async function resetsOf(stream: Stream): Promise<StreamResetError[]> {
  const calls = [
    stream.read(1),
    stream.write(pattern(1)),
    stream.closeRead(),
    stream.closeWrite()
  ].map((call) => call.catch((err: unknown) => err))
  return (await Promise.all(calls)) as StreamResetError[]
}

// go 69, go 73, go 162, Y4
overPairs(
  'a reset reports its code, and the side it came from, to both sides',
  async (t, pair) => {
    for (const code of [42, StreamErrorCode.RateLimited, MAX]) {
      const { near, far } = await pair.openStreams()
      const waiting = far.read(1)
      const writing = far.write(new Uint8Array(4 * 1024 * 1024))
      await near.reset(code)
      const seen = [
        await t.throwsAsync(waiting, { instanceOf: StreamResetError }),
        await t.throwsAsync(writing, { instanceOf: StreamResetError }),
        ...(await resetsOf(far))
      ]
      for (const err of seen) t.deepEqual([err.errorCode, err.remote], [code, true])
      const own = await resetsOf(near)
      for (const err of own) t.deepEqual([err.errorCode, err.remote], [code, false])
      t.true([...seen, ...own].every((err) => err instanceof StreamResetError))
    }
  },
  CODES
)

// go 70
overPairs('a plain reset has code 0', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.reset()
  await until(() => far.state === StreamState.RESET)
  const [err] = await resetsOf(far)
  t.deepEqual([err?.errorCode, err?.remote], [0, true])
})

// go 69
overPairs('an abort keeps its cause locally and resets the remote', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const cause = new Error('of the test')
  near.abort(cause)
  const own = await t.throwsAsync(near.read(1), { instanceOf: StreamResetError })
  t.is(own.cause, cause)
  const seen = await t.throwsAsync(far.read(1), { instanceOf: StreamResetError })
  t.is(seen.cause, undefined)
})

// go 71, go 72, go 73, Y5
overPairs(
  'a connection closed with a code gives it to its streams, with the end of the connection as the cause',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const reading = [near, far].map((stream) => stream.read(1))
    await pair.outbound.closeWithError(42)
    await pair.inbound.closed
    const ends = [
      { stream: near, remote: false },
      { stream: far, remote: true }
    ]
    for (const [index, { stream, remote }] of ends.entries()) {
      const waited = await t.throwsAsync(reading[index] as Promise<Uint8Array>)
      for (const err of [waited as StreamResetError, ...(await resetsOf(stream))]) {
        t.true(err instanceof StreamResetError)
        t.deepEqual([err.errorCode, err.remote], [42, remote])
        t.true(err.cause instanceof ConnectionClosedError)
        t.is((err.cause as ConnectionClosedError).closeCode, 42)
        t.is((err.cause as ConnectionClosedError).transport, pair.outbound.state.transport)
      }
    }
    t.like(pair.outbound.closeReason, { closeCode: 42, remote: false })
    t.like(pair.inbound.closeReason, { closeCode: 42, remote: true })
    for (const connection of [pair.outbound, pair.inbound]) {
      const err = await t.throwsAsync(connection.newStream(PAIR_PROTOCOL), {
        instanceOf: ConnectionClosedError
      })
      t.is(err.closeCode, 42)
    }
  },
  CODES
)

// Y5
overPairs('a connection closed without a code resets its streams with code 0', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await pair.inbound.close()
  await pair.outbound.closed
  for (const stream of [near, far]) {
    const [err] = await resetsOf(stream)
    t.is(err?.errorCode, ConnectionErrorCode.NoError)
  }
  t.is(pair.outbound.closeReason?.remote, true)
})

// go 64, go 152, Y3
overPairs('a half that is closed leaves the other half open both ways', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.closeWrite()
  await t.throwsAsync(far.read(1), { instanceOf: StreamEOFError })
  const sent = pattern(600_000)
  const reading = near.read()
  await far.write(sent)
  await far.closeWrite()
  t.is(Buffer.compare(await reading, sent), 0)

  const other = await pair.openStreams()
  await other.near.closeRead()
  // More than a window, all of it unread.
  await other.far.write(new Uint8Array(2 * 1024 * 1024))
  await other.far.closeWrite()
  await other.near.write(pattern(10))
  await other.near.closeWrite()
  t.deepEqual(await other.far.read(), pattern(10))
  await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
})

overPairs('a handler that throws resets its stream with a code, and no other', async (t, pair) => {
  pair.listener.handle('/throws', async (stream) => {
    await stream.read(1)
    throw new Error('of the handler')
  })
  const { near, far } = await pair.openStreams()
  const stream = await pair.outbound.newStream('/throws')
  await stream.write(pattern(1))
  await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  await near.write(pattern(2))
  t.deepEqual(await far.read(2), pattern(2))
})
