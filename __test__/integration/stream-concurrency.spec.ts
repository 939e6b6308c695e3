/** Concurrent calls on one stream: no deadlock, no lost byte, no byte twice. */

import { StreamState } from '../../ts/constants.ts'
import {
  AbortError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError,
  StreamStateError
} from '../../ts/errors.ts'
import { outcomeOf, pattern, STALLING_BYTES, turns, until } from '../support/pair.ts'
import { seeded } from '../support/random.ts'
import { overPairs } from '../support/stacks.ts'

// N17
overPairs(
  'observers of the state while it changes see only the steps of the table',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const seen: StreamState[] = []
    const watch = async (): Promise<void> => {
      while (near.state !== StreamState.CLOSE_BOTH) {
        seen.push(near.state)
        await turns(1)
      }
      seen.push(near.state)
    }
    const watching = Array.from({ length: 5 }, watch)
    await near.closeWrite()
    await far.closeWrite()
    await t.throwsAsync(near.read(1), { instanceOf: StreamEOFError })
    await Promise.all(watching)
    t.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b)
    )
    t.deepEqual(seen.slice(-5), Array(5).fill(StreamState.CLOSE_BOTH))
  }
)

// N18
overPairs('a read concurrent with closeRead gets data or StreamClosedError', async (t, pair) => {
  const random = seeded(18)
  for (let round = 0; round < 40; round += 1) {
    const { near, far } = await pair.openStreams()
    const writing = far.write(pattern(10))
    const reading = near.read(10)
    await turns(random(4))
    await near.closeRead()
    await writing
    const outcome = await reading.catch((err: unknown) => err)
    if (outcome instanceof Uint8Array) t.deepEqual(outcome, pattern(10))
    else t.true(outcome instanceof StreamClosedError)
    await near.reset()
  }
})

// N19
overPairs('a write concurrent with closeWrite is whole or refused', async (t, pair) => {
  const random = seeded(19)
  for (let round = 0; round < 40; round += 1) {
    const { near, far } = await pair.openStreams()
    const sizes = Array.from({ length: 5 }, () => 1 + random(9_000))
    const writes: Promise<unknown>[] = []
    const closeAt = random(sizes.length)
    for (const [index, size] of sizes.entries()) {
      if (index === closeAt) writes.push(near.closeWrite())
      writes.push(near.write(new Uint8Array(size).fill(index)))
    }
    const outcomes = await Promise.allSettled(writes)
    outcomes.splice(closeAt, 1)
    const accepted = sizes.filter((_, index) => outcomes[index]?.status === 'fulfilled')
    t.deepEqual(accepted, sizes.slice(0, closeAt))
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') t.true(outcome.reason instanceof StreamClosedError)
    }
    const expected = accepted.flatMap((size, index) => Array<number>(size).fill(index))
    t.deepEqual([...(closeAt === 0 ? [] : await far.read())], expected)
    await far.reset()
    await near.reset()
  }
})

// N20
overPairs('a pending read or write does not delay a change of state', async (t, pair) => {
  const { near } = await pair.openStreams()
  const reading = near.read(1)
  const writing = near.write(new Uint8Array(STALLING_BYTES))
  t.is(await outcomeOf(writing), 'waits')
  near.setState(StreamState.CLOSE_WRITE)
  t.is(near.state, StreamState.CLOSE_WRITE)
  const refused = await t.throwsAsync(writing, { instanceOf: StreamClosedError })
  t.true(refused.bytesAccepted > 0)
  t.is(await outcomeOf(reading), 'waits')
  await near.reset()
  await t.throwsAsync(reading, { instanceOf: StreamResetError })
})

// N16
overPairs('setState accepts only the transitions of the table', async (t, pair) => {
  const { OPEN, CLOSE_READ, CLOSE_WRITE, CLOSE_BOTH, RESET, ERROR } = StreamState
  const steps: Record<number, readonly StreamState[]> = {
    [OPEN]: [CLOSE_READ, CLOSE_WRITE, RESET, ERROR],
    [CLOSE_READ]: [CLOSE_BOTH, RESET, ERROR],
    [CLOSE_WRITE]: [CLOSE_BOTH, RESET, ERROR],
    [CLOSE_BOTH]: [],
    [RESET]: [],
    [ERROR]: []
  }
  const ways: Record<number, readonly StreamState[]> = {
    [OPEN]: [],
    [CLOSE_READ]: [CLOSE_READ],
    [CLOSE_WRITE]: [CLOSE_WRITE],
    [CLOSE_BOTH]: [CLOSE_READ, CLOSE_BOTH],
    [RESET]: [RESET],
    [ERROR]: [ERROR]
  }
  for (const [from, allowed] of Object.entries(steps)) {
    for (const to of [OPEN, CLOSE_READ, CLOSE_WRITE, CLOSE_BOTH, RESET, ERROR]) {
      if (Number(from) === to) continue
      const { near } = await pair.openStreams()
      for (const step of ways[Number(from)] ?? []) near.setState(step)
      t.is(near.state, Number(from) as StreamState)
      if (allowed.includes(to)) {
        near.setState(to)
        t.is(near.state, to)
        t.is(near.error === undefined, to < RESET)
      } else {
        t.throws(() => near.setState(to), { instanceOf: StreamStateError }, `${from} to ${to}`)
        t.is(near.state, Number(from) as StreamState)
      }
      await near.reset()
    }
  }
})

// N21
overPairs('an aborted call lets the next one proceed', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const first = new AbortController()
  const aborted = near.read(5, { signal: first.signal })
  const next = near.read(5)
  first.abort(new Error('of the test'))
  await t.throwsAsync(aborted, { instanceOf: AbortError })
  await far.write(pattern(5))
  t.deepEqual(await next, pattern(5))

  const second = new AbortController()
  const writing = near.write(new Uint8Array(STALLING_BYTES).fill(1), { signal: second.signal })
  const after = near.write(Uint8Array.of(2))
  t.is(await outcomeOf(writing), 'waits')
  second.abort()
  const err = await t.throwsAsync(writing, { instanceOf: AbortError })
  const reading = far.read(undefined, { maxBytes: 2 * STALLING_BYTES })
  await after
  await near.closeWrite()
  const bytes = await reading
  // The accepted bytes have arrived, and the next write follows directly.
  t.is(bytes.length, err.bytesAccepted + 1)
  t.is(bytes.at(-1), 2)
})

// N22
overPairs('concurrent reads are served in call order', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const readers = Array.from({ length: 3 }, () => far.read(2))
  await near.write(Uint8Array.of(1, 2, 3, 4, 5, 6))
  t.deepEqual(
    (await Promise.all(readers)).map((bytes) => [...bytes]),
    [
      [1, 2],
      [3, 4],
      [5, 6]
    ]
  )
})

// N23
overPairs('fifty concurrent reads get every byte once', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const readers = Array.from({ length: 50 }, () => far.read(100))
  for (let part = 0; part < 50; part += 1) await near.write(pattern(100, part))
  let bytes = Buffer.concat(await Promise.all(readers))
  await near.closeWrite()
  if (bytes.length < 5_000) bytes = Buffer.concat([bytes, await far.read()])
  const expected = Array.from({ length: 50 }, (_, part) => pattern(100, part))
  t.deepEqual(bytes, Buffer.concat(expected))
})

// go 161
overPairs('closes, resets and calls of both sides interleave in any order', async (t, pair) => {
  const random = seeded(161)
  const rounds = Array.from({ length: 60 }, async () => {
    const { near, far } = await pair.openStreams()
    const calls = [near, far].flatMap((stream) => [
      () => stream.read(10),
      () => stream.write(pattern(random(20_000))),
      () => stream.closeRead(),
      () => stream.closeWrite(),
      () => stream.close(),
      () => stream.reset(5),
      () => stream.close()
    ])
    const started = calls
      .map((call) => ({ call, at: random(1_000) }))
      .sort((a, b) => a.at - b.at)
      .map(async ({ call }) => {
        await turns(random(3))
        await call().catch(() => {})
      })
    await Promise.all(started)
    await near.reset()
    await far.reset()
  })
  await Promise.all(rounds)
  await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
  const { near, far } = await pair.openStreams()
  await near.write(pattern(3))
  t.deepEqual(await far.read(3), pattern(3))
})

// N29
overPairs('a closedStream notifiee may inspect the stream and call it', async (t, pair) => {
  const states: unknown[] = []
  pair.dialer.notify({
    closedStream: (_, stream) => {
      states.push(stream.state, stream.isOperational())
      void stream.close()
      void stream.reset()
      stream.remove()
    }
  })
  const { near } = await pair.openStreams()
  await near.close()
  await until(() => states.length > 0)
  t.deepEqual(states, [StreamState.CLOSE_BOTH, false])
})
