/** Results of reads, and their order, over a live connection. */

import { StreamState } from '../../ts/constants.ts'
import {
  InvalidParametersError,
  MessageTooLargeError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError
} from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { outcomeOf, PAIR_PROTOCOL, pattern, turns, until } from '../support/pair.ts'
import { overPairs } from '../support/stacks.ts'

/** Exactly `count` bytes. */
async function readCount(stream: Stream, count: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (let left = count; left > 0; ) {
    const part = await stream.read(left)
    parts.push(part)
    left -= part.length
  }
  return Buffer.concat(parts)
}

// N1, go 143
overPairs('both ends read what the other wrote and name the same protocol', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.write(pattern(1_000, 1))
  await far.write(pattern(1_000, 2))
  t.deepEqual(new Uint8Array(await readCount(far, 1_000)), pattern(1_000, 1))
  t.deepEqual(new Uint8Array(await readCount(near, 1_000)), pattern(1_000, 2))
  t.deepEqual([near.protocol, far.protocol], [PAIR_PROTOCOL, PAIR_PROTOCOL])
})

// N2
overPairs('a read without a size waits for the end and returns everything', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const reading = far.read()
  for (const seed of [1, 2, 3]) {
    await near.write(pattern(30_000, seed))
    t.is(await outcomeOf(reading), 'waits')
  }
  await near.closeWrite()
  const expected = Buffer.concat([1, 2, 3].map((seed) => pattern(30_000, seed)))
  t.deepEqual(Buffer.from(await reading), expected)
})

// N3
overPairs(
  'data comes first, then the end, and the state changes with its report',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    await near.write(pattern(10))
    await near.closeWrite()
    t.deepEqual(await far.read(4), pattern(10).subarray(0, 4))
    t.is(far.state, StreamState.OPEN)
    t.deepEqual(await far.read(100), pattern(10).subarray(4))
    await turns()
    t.is(far.state, StreamState.OPEN)
    await t.throwsAsync(far.read(1), { instanceOf: StreamEOFError })
    t.is(far.state, StreamState.CLOSE_READ)
    await t.throwsAsync(far.read(), { instanceOf: StreamEOFError })
  }
)

// N5
overPairs('a reset after unread data discards the data', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.write(pattern(5_000))
  t.is((await far.read(1)).length, 1)
  await near.reset()
  await until(() => far.state === StreamState.RESET)
  await t.throwsAsync(far.read(1), { instanceOf: StreamResetError })
})

// N6
overPairs('a reset after the end keeps the data and the end', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.write(pattern(5_000))
  await near.closeWrite()
  t.is((await far.read(1)).length, 1)
  let closes = 0
  far.addEventListener('close', () => {
    closes += 1
  })
  await near.reset(42)
  await until(() => closes === 1)
  // The remote reads no more, so writes are rejected.
  await t.throwsAsync(far.write(pattern(10)), { instanceOf: StreamClosedError })
  t.throws(() => far.send(pattern(10)), { instanceOf: StreamClosedError })
  t.is(far.state, StreamState.CLOSE_WRITE)
  t.deepEqual(new Uint8Array(await readCount(far, 4_999)), pattern(5_000).subarray(1))
  await t.throwsAsync(far.read(1), { instanceOf: StreamEOFError })
  t.is(far.state, StreamState.CLOSE_BOTH)
  t.is(far.error, undefined)
  t.is(closes, 1)
})

// N6
overPairs('data followed by its end survives the loss of its connection', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.write(pattern(70_000))
  await near.closeWrite()
  t.is((await far.read(1)).length, 1)
  await pair.outbound.close()
  await until(() => pair.inbound.closeReason !== undefined)
  t.deepEqual(new Uint8Array(await readCount(far, 69_999)), pattern(70_000).subarray(1))
  await t.throwsAsync(far.read(1), { instanceOf: StreamEOFError })
})

// N4, N27
overPairs('after closeRead or reset nothing buffered is returned', async (t, pair) => {
  const closed = await pair.openStreams()
  await closed.far.write(pattern(100))
  t.is((await closed.near.read(1)).length, 1)
  await closed.near.closeRead()
  await t.throwsAsync(closed.near.read(1), { instanceOf: StreamClosedError })
  t.throws(() => closed.near.tryRead(), { instanceOf: StreamClosedError })
  const reset = await pair.openStreams()
  await reset.far.write(pattern(100))
  t.is((await reset.near.read(1)).length, 1)
  await reset.near.reset()
  await t.throwsAsync(reset.near.read(1), { instanceOf: StreamResetError })
})

// N27
overPairs(
  'data buffered before a remote end is read before the end is reported',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    await near.write(pattern(200_000))
    await near.close()
    await far.closeWrite()
    t.is((await far.read()).length, 200_000)
    t.is(far.state, StreamState.CLOSE_BOTH)
  }
)

overPairs(
  'a read of everything has a bound, consumes nothing past it, and may lift it',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    await near.write(pattern(50_000))
    await near.closeWrite()
    await t.throwsAsync(far.read(undefined, { maxBytes: 0 }), { instanceOf: MessageTooLargeError })
    await t.throwsAsync(far.read(undefined, { maxBytes: 49_999 }), {
      instanceOf: MessageTooLargeError
    })
    const all = await far.read(undefined, { maxBytes: Number.POSITIVE_INFINITY })
    t.deepEqual(all, pattern(50_000))
  }
)

overPairs(
  'a read of 0 bytes resolves at once, in every state, and invalid sizes are refused',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    t.is((await near.read(0)).length, 0)
    for (const size of [-1, Number.NaN, 1.5]) {
      t.throws(() => near.read(size), { instanceOf: InvalidParametersError })
    }
    t.throws(() => near.read(undefined, { maxBytes: -1 }), { instanceOf: InvalidParametersError })
    await far.reset()
    await until(() => near.state === StreamState.RESET)
    t.is((await near.read(0)).length, 0)
  }
)

overPairs('a loop over a stream ends at the end and throws at a reset', async (t, pair) => {
  const ended = await pair.openStreams()
  await ended.near.write(pattern(10_000))
  await ended.near.closeWrite()
  let bytes = 0
  for await (const chunk of ended.far) bytes += chunk.length
  t.is(bytes, 10_000)
  const reset = await pair.openStreams()
  const loop = (async () => {
    for await (const _ of reset.far);
  })()
  await reset.near.reset(3)
  const err = await t.throwsAsync(loop, { instanceOf: StreamResetError })
  t.true(err.remote)
})

overPairs('a stream that leaves its scope is closed', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  {
    await using stream = near
    await stream.write(pattern(3))
  }
  t.is(near.state, StreamState.CLOSE_BOTH)
  t.deepEqual(await far.read(), pattern(3))
})

overPairs('a reset reaches unread Web streams and Duplexes', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const reader = near.readable.getReader()
  const writer = near.writable.getWriter()
  const duplex = near.toDuplex()
  const failed = new Promise<Error>((resolve) => duplex.once('error', resolve))
  await far.reset(8)
  await t.throwsAsync(reader.closed, { instanceOf: StreamResetError })
  await t.throwsAsync(writer.closed, { instanceOf: StreamResetError })
  t.true((await failed) instanceof StreamResetError)
})

overPairs('a Duplex that is destroyed half-way does not look complete', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const duplex = near.toDuplex()
  duplex.write(pattern(1_000))
  t.is((await far.read(1)).length, 1)
  duplex.destroy()
  await t.throwsAsync(far.read(), { instanceOf: StreamResetError })
})
