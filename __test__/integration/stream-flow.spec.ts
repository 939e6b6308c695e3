/** Throughput and backpressure. */
import type { ExecutionContext } from 'ava'
import { StreamErrorCode } from '../../ts/constants.ts'
import { ResourceLimitExceededError, StreamResetError } from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import {
  createPair,
  outcomeOf,
  type Pair,
  pattern,
  STALLING_BYTES,
  until
} from '../support/pair.ts'
import { overPairs, overStacks } from '../support/stacks.ts'

const KIB = 1024
const MIB = 1024 * KIB
const ECHO = '/ferroswarm/test/echo/1.0.0'

function serveEcho(pair: Pair): void {
  pair.listener.handle(ECHO, async (stream) => {
    for await (const chunk of stream) await stream.write(chunk)
    await stream.close()
  })
}

/** Writes `messages` of `bytes` each, in turn, and reads each back. */
async function converse(stream: Stream, messages: number, bytes: number): Promise<boolean> {
  let isRight = true
  for (let message = 0; message < messages; message += 1) {
    const sent = pattern(bytes, message)
    await stream.write(sent)
    const back: Uint8Array[] = []
    for (let left = bytes; left > 0; left -= back.at(-1)?.length ?? 0) {
      back.push(await stream.read(left))
    }
    isRight &&= Buffer.compare(Buffer.concat(back), sent) === 0
  }
  await stream.closeWrite()
  return isRight && (await stream.read()).length === 0
}

// go 144
for (const [connections, streams, messages, bytes] of [
  [1, 1, 1, 100],
  [1, 1, 100, 100],
  [1, 100, 100, 100],
  [10, 100, 100, 100],
  [1, 100, 100, 10_000],
  [10, 100, 10, 10_000]
] as const) {
  const title = `${connections} connections of ${streams} streams echo ${messages} messages of ${bytes} bytes`
  overStacks(
    title,
    async (t, stack) => {
      const pair = await createPair(t, {
        both: {
          ...stack.options,
          limits: 'unlimited',
          connections: { maxPerPeer: Infinity }
        },
        listen: stack.listen
      })
      serveEcho(pair)
      const all = [pair.outbound]
      // Sequential, as concurrent dials of one peer are joined.
      while (all.length < connections) {
        all.push(await pair.dialer.dialPeer(pair.listener.peerId, { force: true }))
      }
      const runs = all.flatMap((connection) =>
        Array.from({ length: streams }, async () =>
          converse(await connection.newStream(ECHO), messages, bytes)
        )
      )
      t.true((await Promise.all(runs)).every(Boolean))
      t.is(pair.dialer.getTotalConnections(), connections)
    },
    { serial: true }
  )
}

// go 159: beyond what 32 bits count
overStacks(
  'more than four gigabytes go through one stream',
  async (t, stack) => {
    const pair = await createPair(t, { both: stack.options, listen: stack.listen })
    const block = pattern(MIB)
    const total = 4 * 1024 + 16
    const { near, far } = await pair.openStreams()
    const sending = (async () => {
      for (let sent = 0; sent < total; sent += 1) await near.write(block)
      await near.closeWrite()
    })()
    const into = new Uint8Array(MIB)
    let received = 0
    let wrong = 0
    for (;;) {
      const count = await far.readInto(into).catch(() => 0)
      if (count === 0) break
      // The pattern depends on the offset: a gap or a swap shows.
      if (into[0] !== block[received % MIB]) wrong += 1
      if (into[count - 1] !== block[(received + count - 1) % MIB]) wrong += 1
      received += count
    }
    await sending
    t.is(received, total * MIB)
    t.is(wrong, 0)
  },
  { serial: true }
)

// go 62, go 154, Y6
overPairs(
  'a writer stops with its reader and goes on with it, window by window',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const sent = pattern(STALLING_BYTES)
    const writing = near.write(sent)
    t.is(await outcomeOf(writing), 'waits')
    const parts: Uint8Array[] = []
    for (let bytes = 0; bytes < sent.length; bytes += parts.at(-1)?.length ?? 0) {
      parts.push(await far.read(100 * KIB))
    }
    await writing
    t.is(Buffer.compare(Buffer.concat(parts), sent), 0)
  }
)

// Y2, Y7
overPairs('twenty streams carry data both ways at once and mix nothing up', async (t, pair) => {
  const exchange = async (from: Stream, to: Stream, seed: number): Promise<boolean> => {
    const sent = pattern(500_000, seed)
    const writing = from.write(sent).then(() => from.closeWrite())
    const received = await to.read()
    await writing
    return Buffer.compare(received, sent) === 0
  }
  const runs = Array.from({ length: 20 }, async (_, index) => {
    const { near, far } = await pair.openStreams()
    return Promise.all([exchange(near, far, index), exchange(far, near, index + 100)])
  })
  t.deepEqual((await Promise.all(runs)).flat(), Array(40).fill(true))
})

/** Opens `max` streams that the listener keeps open; returns the dialer's ends. */
async function limited(t: ExecutionContext, pair: Pair, max: number): Promise<Stream[]> {
  const held: Stream[] = []
  pair.listener.handle('/held', (stream) => {
    held.push(stream)
  })
  const opened: Stream[] = []
  for (let index = 0; index < max; index += 1) opened.push(await pair.outbound.newStream('/held'))
  await until(() => held.length === max)
  t.is(pair.inbound.streams.length, max)
  return opened
}

// go 157
overStacks(
  'past the inbound limit a stream is reset, and one that ends makes room',
  async (t, stack) => {
    const pair = await createPair(t, {
      both: stack.options,
      listen: stack.listen,
      listener: { limits: { connection: { streamsInbound: 5 } } }
    })
    const [first, ...others] = await limited(t, pair, 5)
    const sixth = await pair.outbound.newStream('/held')
    const err = await t.throwsAsync(sixth.read(1), { instanceOf: StreamResetError })
    t.true(err.remote)
    if (stack.lacks['reset codes'] === undefined) {
      t.is(err.errorCode, StreamErrorCode.ResourceLimitExceeded)
    }
    await first?.reset()
    await until(() => pair.inbound.streams.length === 4)
    const seventh = await pair.outbound.newStream('/held')
    await until(() => pair.inbound.streams.length === 5)
    t.is(await outcomeOf(seventh.read(1)), 'waits')
    for (const stream of others) t.true(stream.isOperational())
  }
)

// go 163
overStacks('more streams than the limit all succeed with retries', async (t, stack) => {
  const pair = await createPair(t, {
    both: stack.options,
    listen: stack.listen,
    dialer: { limits: { connection: { streamsOutbound: 64 } } }
  })
  serveEcho(pair)
  let refused = 0
  const run = async (): Promise<boolean> => {
    for (;;) {
      try {
        return await converse(await pair.outbound.newStream(ECHO), 1, 100)
      } catch (err) {
        if (!(err instanceof ResourceLimitExceededError)) throw err
        refused += 1
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
  }
  const runs = await Promise.all(Array.from({ length: 1_024 }, run))
  t.true(runs.every(Boolean))
  t.true(refused > 0)
})

// go 163
overPairs('64 streams echo 64 KiB each, and 500 do, eight at a time', async (t, pair) => {
  serveEcho(pair)
  const one = async (): Promise<boolean> =>
    converse(await pair.outbound.newStream(ECHO), 1, 64 * KIB)
  t.true((await Promise.all(Array.from({ length: 64 }, one))).every(Boolean))
  let left = 500
  const lane = async (): Promise<boolean> => {
    let isRight = true
    while (left > 0) {
      left -= 1
      isRight &&= await one()
    }
    return isRight
  }
  t.true((await Promise.all(Array.from({ length: 8 }, lane))).every(Boolean))
})

// go 163
overPairs('128 streams opened in advance are all usable', async (t, pair) => {
  serveEcho(pair)
  const opening = Array.from({ length: 128 }, () => pair.outbound.newStream(ECHO))
  const opened = await Promise.all(opening)
  t.is(pair.outbound.stat.numStreams, 128)
  const runs = await Promise.all(opened.map((stream) => converse(stream, 1, 1_000)))
  t.true(runs.every(Boolean))
})
