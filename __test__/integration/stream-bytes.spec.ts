import { pipeline } from 'node:stream/promises'
import {
  AbortError,
  MessageTooLargeError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError
} from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { outcomeOf, pattern, STALLING_BYTES, until } from '../support/pair.ts'
import { overPairs } from '../support/stacks.ts'

const MIB = 1024 * 1024

/** All bytes up to the end. */
async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

overPairs('bytes arrive whole and in order, whatever the sizes of the writes', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const received = collect(far)
  const sent: Uint8Array[] = []
  const sizes = [1, 100, 4_095, 4_096, 16_384, 65_536, 300_000, 7, 4_000, 5_000]
  for (const [seed, size] of sizes.entries()) {
    const bytes = pattern(size, seed)
    sent.push(bytes)
    await near.write(bytes)
  }
  await near.closeWrite()
  t.deepEqual(await received, Buffer.concat(sent))
})

// go 163
overPairs('concurrent writes never interleave', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const received = collect(far)
  const writes = Array.from({ length: 40 }, (_, index) => {
    return near.write(new Uint8Array(index % 2 === 0 ? 50_000 : 100).fill(index))
  })
  await Promise.all(writes)
  await near.closeWrite()
  const bytes = await received
  const order = [...new Set(bytes)]
  t.deepEqual(
    order,
    order.toSorted((a, b) => a - b)
  )
  t.is(bytes.length, 20 * 50_100)
})

// N30, go 62
overPairs('a slow reader holds the writer back, and gets everything', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  let accepted = 0
  const writing = (async () => {
    for (let count = 0; count < 32; count += 1) {
      await near.write(pattern(MIB / 4, count))
      accepted += 1
    }
    await near.closeWrite()
  })()
  t.is(await outcomeOf(writing), 'waits')
  t.true(accepted < 32, `${accepted} accepted unread`)
  const received = await collect(far)
  await writing
  t.is(received.length, 8 * MIB)
})

overPairs('an unread stream does not hold up its neighbour', async (t, pair) => {
  const unread = await pair.openStreams()
  const stuck = unread.near.write(new Uint8Array(STALLING_BYTES))
  stuck.catch(() => {})
  const { near, far } = await pair.openStreams()
  const received = collect(far)
  await near.write(pattern(2 * MIB))
  await near.closeWrite()
  t.is((await received).length, 2 * MIB)
  await unread.near.reset()
  await t.throwsAsync(stuck, { instanceOf: StreamResetError })
})

// Y2
overPairs('both sides may write without reading at first', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const run = async (stream: Stream): Promise<Buffer> => {
    const writing = stream.write(pattern(2 * MIB)).then(() => stream.closeWrite())
    const received = await collect(stream)
    await writing
    return received
  }
  const [one, two] = await Promise.all([run(near), run(far)])
  t.is(one.length, 2 * MIB)
  t.is(two.length, 2 * MIB)
})

// N2
overPairs('read() gathers to the end within its bound', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.write(pattern(100_000))
  await near.closeWrite()
  await t.throwsAsync(far.read(undefined, { maxBytes: 99_999 }), {
    instanceOf: MessageTooLargeError
  })
  t.deepEqual(await far.read(), pattern(100_000))
  await t.throwsAsync(far.read(), { instanceOf: StreamEOFError })
})

// N3
overPairs(
  'bytes that came before the end are read after the sender has closed',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    await near.write(pattern(50_000))
    await near.close()
    await far.closeWrite()
    t.deepEqual(await far.read(), pattern(50_000))
    await until(() => pair.inbound.streams.length === 0)
  }
)

overPairs('send, drain and readInto move the same bytes', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const total = 8 * MIB
  const chunk = pattern(60_000)
  let sent = 0
  const sending = new Promise<void>((resolve) => {
    const go = (): void => {
      while (sent < total) {
        const bytes = chunk.subarray(0, Math.min(chunk.length, total - sent))
        sent += bytes.length
        if (!near.send(bytes)) return
      }
      near.removeEventListener('drain', go)
      near.closeWrite().then(resolve)
    }
    near.addEventListener('drain', go)
    go()
  })
  const into = new Uint8Array(100_000)
  let received = 0
  for (;;) {
    try {
      received += await far.readInto(into)
    } catch (err) {
      t.true(err instanceof StreamEOFError)
      break
    }
  }
  await sending
  t.is(received, total)
})

overPairs('web streams carry bytes and the end both ways', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  void far.readable.pipeTo(far.writable)
  const writer = near.writable.getWriter()
  const back = collect(near.readable as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>)
  await writer.write(pattern(300_000))
  await writer.close()
  t.deepEqual(await back, Buffer.from(pattern(300_000)))
})

overPairs('a Duplex carries bytes and the end both ways', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const echo = far.toDuplex()
  const echoing = pipeline(echo, echo)
  const duplex = near.toDuplex()
  duplex.end(pattern(300_000))
  t.deepEqual(await collect(duplex), Buffer.from(pattern(300_000)))
  await echoing
})

overPairs('an aborted read loses nothing', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await t.throwsAsync(near.read(1, { signal: AbortSignal.timeout(20) }), { instanceOf: AbortError })
  await far.write(pattern(3))
  t.deepEqual(await near.read(3), pattern(3))
})

// go 64
overPairs('closing our reading half leaves the peer free to write', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  await near.closeRead()
  await t.notThrowsAsync(far.write(new Uint8Array(4 * MIB)))
  await t.throwsAsync(near.read(1), { instanceOf: StreamClosedError })
})

overPairs('a raw stream carries bytes without a negotiation', async (t, { outbound, listener }) => {
  listener.setStreamHandler(async (stream) => {
    await stream.write(await stream.read(3))
    await stream.close()
  })
  const stream = await outbound.newStream()
  await stream.write(pattern(3))
  t.deepEqual(await stream.read(), pattern(3))
  t.is(stream.protocol, undefined)
})
