/** Deadlines over live connections, on a fake clock. */
import type { ExecutionContext } from 'ava'
import { StreamState } from '../../ts/constants.ts'
import { InvalidParametersError, StreamEOFError, TimeoutError } from '../../ts/errors.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  createPair,
  outcomeOf,
  type Pair,
  pattern,
  STALLING_BYTES,
  turns,
  until
} from '../support/pair.ts'
import { overStacks, type Stack } from '../support/stacks.ts'

interface Timed extends Pair {
  /** The clock of both nodes. */
  readonly clock: FakeClock
}

function overTime(title: string, body: (t: ExecutionContext, pair: Timed) => Promise<void>): void {
  overStacks(title, async (t, stack: Stack) => {
    const clock = new FakeClock()
    const pair = await createPair(t, {
      both: { ...stack.options, clock },
      listen: stack.listen
    })
    await body(t, { ...pair, clock })
  })
}

// N28, go 63, Y16
overTime('a read past its deadline times out, and later reads go on', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  near.setReadDeadline(pair.clock.now() + 100)
  const reading = near.read(10)
  t.is(await outcomeOf(reading), 'waits')
  pair.clock.advance(100)
  await t.throwsAsync(reading, { instanceOf: TimeoutError })
  t.is(near.state, StreamState.OPEN)
  t.true(near.isOperational())
  // Past the deadline a read still returns buffered bytes, but does not wait.
  await t.throwsAsync(near.read(1), { instanceOf: TimeoutError })
  await far.write(pattern(3))
  await until(() => near.tryRead(1) !== undefined)
  near.setReadDeadline(new Date(pair.clock.now() + 100))
  t.deepEqual(await near.read(2), pattern(3).subarray(1))
  near.setReadDeadline(null)
  pair.clock.advance(1_000_000)
  await far.closeWrite()
  await t.throwsAsync(near.read(1), { instanceOf: StreamEOFError })
})

// go 63, go 160
overTime(
  'a write past its deadline reports the bytes accepted, and later writes go on',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    near.setWriteDeadline(pair.clock.now() + 100)
    const sent = pattern(STALLING_BYTES)
    const writing = near.write(sent)
    const queued = near.write(pattern(1))
    t.is(await outcomeOf(writing), 'waits')
    pair.clock.advance(100)
    const err = await t.throwsAsync(writing, { instanceOf: TimeoutError })
    const none = await t.throwsAsync(queued, { instanceOf: TimeoutError })
    t.true(err.bytesAccepted > 0 && err.bytesAccepted < sent.length)
    t.is(none.bytesAccepted, 0)
    t.is(near.state, StreamState.OPEN)
    near.setWriteDeadline(null)
    const reading = far.read(undefined, { maxBytes: STALLING_BYTES })
    await near.write(sent.subarray(err.bytesAccepted))
    await near.closeWrite()
    t.is(Buffer.compare(await reading, sent), 0)
  }
)

// go 160
overTime(
  'a deadline that passes while a call waits ends it; one that moved does not',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    near.setDeadline(pair.clock.now() + 100)
    const reading = near.read(1)
    pair.clock.advance(60)
    near.setDeadline(pair.clock.now() + 100)
    pair.clock.advance(60)
    t.is(await outcomeOf(reading), 'waits')
    near.setDeadline(null)
    pair.clock.advance(1_000_000)
    t.is(await outcomeOf(reading), 'waits')
    near.setDeadline(pair.clock.now() - 1)
    await t.throwsAsync(reading, { instanceOf: TimeoutError })
    near.setDeadline(null)
    const again = near.read(1)
    await far.write(Uint8Array.of(1))
    t.is((await again).length, 1)
  }
)

overTime(
  'bytes that arrived before the deadline are delivered before the rest times out',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const reads = [near.read(2), near.read(2), near.read(2)]
    await far.write(pattern(4))
    // The end follows the bytes, so all of them have arrived with it.
    await far.closeWrite()
    t.deepEqual(await reads[0], pattern(4).subarray(0, 2))
    near.setReadDeadline(pair.clock.now() - 1)
    t.deepEqual(await reads[1], pattern(4).subarray(2))
    await t.throwsAsync(reads[2] as Promise<Uint8Array>, { instanceOf: StreamEOFError })
  }
)

overTime(
  'a deadline has no effect on the wire, and no timer is left when the stream has ended',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    // Each swarm has a timer that checks its streams once they are some seconds old.
    const others = pair.clock.timers
    near.setDeadline(pair.clock.now() + 100)
    far.setDeadline(pair.clock.now() + 100)
    t.is(pair.clock.timers, others + 2)
    await near.closeWrite()
    await t.throwsAsync(far.read(1), { instanceOf: StreamEOFError })
    await far.close()
    await t.throwsAsync(near.read(1), { instanceOf: StreamEOFError })
    await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
    t.is(pair.clock.timers, others)
    near.setDeadline(pair.clock.now() + 100)
    t.is(pair.clock.timers, others)
    t.is(near.error, undefined)
  }
)

overTime('a deadline that ends the wait of closeWrite does not undo it', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const writing = near.write(pattern(STALLING_BYTES))
  const closing = near.closeWrite()
  near.setWriteDeadline(pair.clock.now() + 100)
  t.is(await outcomeOf(closing), 'waits')
  pair.clock.advance(100)
  const { bytesAccepted } = await t.throwsAsync(writing, { instanceOf: TimeoutError })
  await t.throwsAsync(closing, { instanceOf: TimeoutError })
  const read = await far.read(undefined, { maxBytes: STALLING_BYTES })
  t.is(read.length, bytesAccepted)
  t.is(near.state, StreamState.CLOSE_WRITE)
})

overTime('a deadline is a date, a number or null', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  t.throws(() => near.setDeadline(Number.NaN), { instanceOf: InvalidParametersError })
  near.setDeadline(Number.POSITIVE_INFINITY)
  const reading = near.read(1)
  pair.clock.advance(1_000_000)
  t.is(await outcomeOf(reading), 'waits')
  near.setDeadline(null)
  await turns()
  await near.reset()
  await t.throwsAsync(reading)
  // Referenced until here: an abandoned stream is reset.
  await far.close()
})

// N30
overTime('a writer whose peer does not read waits, for as long as it takes', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const sent = pattern(STALLING_BYTES)
  const writing = near.write(sent)
  for (let minutes = 0; minutes < 10; minutes += 1) {
    pair.clock.advance(60_000)
    t.is(await outcomeOf(writing), 'waits')
  }
  t.is(near.state, StreamState.OPEN)
  const reading = far.read(undefined, { maxBytes: STALLING_BYTES })
  await writing
  await near.closeWrite()
  t.is(Buffer.compare(await reading, sent), 0)
})
