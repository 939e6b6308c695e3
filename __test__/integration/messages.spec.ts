import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import {
  AbortError,
  IncompleteReadError,
  InvalidParametersError,
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  MsgioError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import type { Messages, MessagesOptions } from '../../ts/stream/messages.ts'
import type { Stream } from '../../ts/stream.ts'
import { turn } from '../support/fake-connection.ts'
import { FRAMINGS, wireOf } from '../support/framers.ts'
import { createPair, type Pair, pattern, until } from '../support/pair.ts'
import { bytesOf, textOf } from '../support/readers.ts'
import { type FramingVector, framingVectors } from '../support/vectors.ts'

/** Raw bytes of one end as messages at the other. */
async function reading(pair: Pair, options: MessagesOptions): Promise<[Stream, Messages]> {
  const { near, far } = await pair.openStreams()
  return [near, far.messages(options)]
}

/** Reads every message; returns them with the kind of end as the vectors name it. */
async function cut(messages: Messages): Promise<[Uint8Array[], FramingVector['end']]> {
  const seen: Uint8Array[] = []
  try {
    for await (const message of messages) seen.push(message.slice())
    return [seen, 'clean']
  } catch (err) {
    if (err instanceof MissingLengthError) return [seen, 'missing-length']
    if (err instanceof MissingMessageError) return [seen, 'missing-message']
    if (err instanceof MessageTooLargeError) return [seen, 'too-large']
    if (err instanceof MsgioError) return [seen, 'invalid']
    throw err
  }
}

async function send(stream: Stream, ...parts: readonly Uint8Array[]): Promise<void> {
  for (const part of parts) {
    await stream.write(part)
    // So that each part goes out by itself.
    await turn()
  }
}

// V2, V3, V4, A105, A107, A108, A109, A111
test('agrees with the vectors that drive the framers', async (t) => {
  const pair = await createPair(t)
  for (const { line, framing, limit, wire, messages, end } of framingVectors()) {
    const [near, far] = await reading(pair, { framing, maxMessageBytes: limit })
    await near.write(wire)
    await near.closeWrite()
    t.deepEqual(await cut(far), [[...messages], end], line)
  }
})

// A112
test('three messages split at every byte are the same messages', async (t) => {
  const pair = await createPair(t)
  const sent = [bytesOf('first'), new Uint8Array(0), bytesOf('and the third of them')]
  for (const framing of ['varint', 'fixed32'] as const) {
    const wire = wireOf(framing, sent)
    for (let split = 0; split <= wire.length; split += 1) {
      const [near, far] = await reading(pair, { framing })
      const read = cut(far)
      await send(near, wire.subarray(0, split), wire.subarray(split))
      await near.closeWrite()
      t.deepEqual(await read, [sent, 'clean'], `${framing} at ${split}`)
    }
  }
})

// A113
test('forty thousand small messages at once arrive in order, and do not block the event loop', async (t) => {
  const pair = await createPair(t)
  const [near, far] = await reading(pair, { framing: 'varint' })
  const sent = Array.from({ length: 40_000 }, (_, index) => bytesOf(String(index).padEnd(100)))
  let seen = 0
  let batches = 0
  let turns = 0
  let over = false
  const watch = (): void => {
    turns += 1
    if (!over) setImmediate(watch)
  }
  setImmediate(watch)
  const done = far.onBatch((batch) => {
    batches += 1
    for (const message of batch) {
      if (textOf(message) !== String(seen).padEnd(100))
        t.fail(`message ${seen} is ${textOf(message)}`)
      seen += 1
    }
  })
  await near.write(wireOf('varint', sent))
  await near.closeWrite()
  await done
  over = true
  t.is(seen, 40_000)
  t.true(batches < 1_000, `${batches} batches: many messages an event`)
  // One turn handles about twelve thousand.
  t.true(turns > 1)
})

// A110. Serial: it measures the memory of the process.
test.serial('a million empty messages are delivered, and memory stays flat', async (t) => {
  const pair = await createPair(t)
  const [near, far] = await reading(pair, { framing: 'varint' })
  const block = new Uint8Array(100_000)
  const before = process.memoryUsage()
  let seen = 0
  const done = far.onBatch((batch) => {
    seen += batch.count
    if (batch.bytes.length > 64 * 1024) t.fail('a batch is larger than its memory')
  })
  for (let sent = 0; sent < 10; sent += 1) await near.write(block)
  await near.closeWrite()
  await done
  t.is(seen, 1_000_000)
  t.true(process.memoryUsage().arrayBuffers - before.arrayBuffers < 8 * 1024 * 1024)
})

// A115
test('a read aborted anywhere resumes where it stopped', async (t) => {
  const pair = await createPair(t)
  const sent = [bytesOf('before'), pattern(300_000), bytesOf('after')]
  for (const framing of ['varint', 'fixed32', 'fixed64'] as const) {
    const wire = wireOf(framing, sent)
    for (const split of [1, 3, 7, 9, 12, 70_000, wire.length - 1]) {
      const [near, far] = await reading(pair, { framing })
      const seen: Uint8Array[] = []
      const abort = new AbortController()
      const first = (async () => {
        for (;;) seen.push(await far.readMsg({ signal: abort.signal }))
      })()
      await send(near, wire.subarray(0, split))
      await turn()
      abort.abort()
      await t.throwsAsync(first, { instanceOf: AbortError })
      const rest = send(near, wire.subarray(split))
      while (seen.length < 3) seen.push(await far.readMsg())
      await rest
      t.deepEqual(seen.map(Buffer.from), sent.map(Buffer.from), `${framing} at ${split}`)
      await near.reset()
    }
  }
})

// A116
test('concurrent reads and writes keep their order and never interleave', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const [out, back] = [near.messages(), far.messages()]
  const sent = Array.from({ length: 60 }, (_, index) => pattern((index % 7) * 9_000, index))
  const reads = sent.map(() => back.readMsg())
  const writes = sent.map((message) => out.writeMsg(message))
  t.deepEqual((await Promise.all(reads)).map(Buffer.from), sent.map(Buffer.from))
  await Promise.all(writes)
})

test('an aborted write is sent whole, and the next message follows it', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const [out, back] = [near.messages(), far.messages()]
  const abort = new AbortController()
  const large = pattern(3_000_000)
  const kept = large.slice()
  const first = out.writeMsg(large, { signal: abort.signal })
  const second = out.writeMsg(bytesOf('second'))
  await turn()
  abort.abort()
  const err = await t.throwsAsync(first, { instanceOf: AbortError })
  t.is(err.bytesAccepted, large.length)
  // The memory is the caller's again.
  large.fill(0)
  t.is(Buffer.compare(await back.readMsg(), kept), 0)
  t.is(textOf(await back.readMsg()), 'second')
  await second
  const never = out.writeMsg(bytesOf('never'), { signal: abort.signal })
  t.is((await t.throwsAsync(never, { instanceOf: AbortError })).bytesAccepted, 0)
  await out.writeMsg(bytesOf('third'))
  t.is(textOf(await back.readMsg()), 'third')
})

test('a deadline that passes inside a message makes it the last', async (t) => {
  const pair = await createPair(t)
  const { near } = await pair.openStreams()
  const out = near.messages()
  const write = out.writeMsg(pattern(5_000_000))
  await turn()
  near.setWriteDeadline(Date.now() - 1)
  await t.throwsAsync(write, { instanceOf: TimeoutError })
  near.setWriteDeadline(null)
  await t.throwsAsync(out.writeMsg(bytesOf('a')), { instanceOf: MsgioError })
  t.throws(() => out.sendMessage(bytesOf('a')), { instanceOf: MsgioError })
})

// A118. Serial: it measures the memory of the process.
test.serial('memory follows the bytes received of a message, not its stated length', async (t) => {
  const pair = await createPair(t)
  const before = process.memoryUsage().arrayBuffers
  const aborts: AbortController[] = []
  const reads: Promise<unknown>[] = []
  for (let index = 0; index < 100; index += 1) {
    const [near, far] = await reading(pair, { framing: 'fixed32' })
    await near.write(Uint8Array.of(0, 0x7f, 0xff, 0xff, 1))
    const abort = new AbortController()
    aborts.push(abort)
    reads.push(t.throwsAsync(far.readMsg({ signal: abort.signal }), { instanceOf: AbortError }))
  }
  await until(() => pair.listener.counters().streamsOpened >= 100)
  for (let index = 0; index < 10; index += 1) await turn()
  const grown = process.memoryUsage().arrayBuffers - before
  t.true(grown < 32 * 1024 * 1024, `${grown} bytes for 100 messages of 8 MiB with one byte each`)
  for (const abort of aborts) abort.abort()
  await Promise.all(reads)
})

// I2, A114
test('a message over the limit is refused before a byte is written, and an invalid limit is refused', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const out = near.messages({ maxMessageBytes: 10 })
  await t.throwsAsync(out.writeMsg(new Uint8Array(11)), { instanceOf: MessageTooLargeError })
  const logical = Object.create(Uint8Array.prototype, { length: { value: 3 * 2 ** 30 } })
  await t.throwsAsync(out.writeMsg(logical), { instanceOf: MessageTooLargeError })
  t.throws(() => out.sendMessage(logical), { instanceOf: MessageTooLargeError })
  await out.writeMsg(bytesOf('fits'))
  t.is(textOf(await far.messages().readMsg()), 'fits')
  const other = await pair.openStreams()
  for (const maxMessageBytes of [0, -1, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => other.near.messages({ maxMessageBytes }), { instanceOf: InvalidParametersError })
  }
})

test('a message over the limit fails the stream, so that its sender is notified', async (t) => {
  const pair = await createPair(t)
  const [near, far] = await reading(pair, { maxMessageBytes: 10 })
  await near.write(Uint8Array.of(11))
  await t.throwsAsync(far.readMsg(), { instanceOf: MessageTooLargeError })
  await t.throwsAsync(near.read(1), { instanceOf: StreamResetError })
})

// A112, A113
test('everything written is read, however it is split', async (t) => {
  const pair = await createPair(t)
  const property = fc.asyncProperty(
    fc.constantFrom(...FRAMINGS),
    fc.array(fc.uint8Array({ maxLength: 255 }), { maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 4 }),
    async (framing, sent, sizes) => {
      const [near, far] = await reading(pair, { framing })
      const wire = wireOf(framing, sent)
      const read = cut(far)
      for (let at = 0, count = 0; at < wire.length; count += 1) {
        const size = sizes[count % sizes.length] as number
        await send(near, wire.subarray(at, at + size))
        at += size
      }
      await near.closeWrite()
      t.deepEqual(await read, [sent, 'clean'])
      await near.close()
    }
  )
  await fc.assert(property, { numRuns: 30 })
})

// I8
test('an end inside a message reports the bytes received, over a live connection', async (t) => {
  const pair = await createPair(t)
  const check = async (t: ExecutionContext, size: number, received: number): Promise<void> => {
    const [near, far] = await reading(pair, { framing: 'fixed32' })
    const read = far.readMsg()
    await near.write(wireOf('fixed32', [pattern(size)]).subarray(0, 4 + received))
    await near.closeWrite()
    const err = await t.throwsAsync(read, { instanceOf: MissingMessageError })
    const cause = err.cause as IncompleteReadError
    t.true(cause instanceof IncompleteReadError)
    t.deepEqual([cause.expectedBytes, cause.receivedBytes], [size, received])
  }
  await check(t, 10, 3)
  await check(t, 3_000_000, 2_000_000)
})
