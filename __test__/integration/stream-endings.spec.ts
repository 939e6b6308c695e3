/** Streams end in many ways, each once, and leave nothing behind. */
import { StreamEOFError } from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { type Pair, pattern, until } from '../support/pair.ts'
import { seeded } from '../support/random.ts'
import { overPairs } from '../support/stacks.ts'

const STREAMS = 10_000
const AT_ONCE = 64

const ENDINGS: readonly ((stream: Stream) => unknown)[] = [
  (stream) => stream.close(),
  (stream) => stream.reset(7),
  (stream) => stream.abort(new Error('mine')),
  (stream) => stream.closeWrite().then(() => stream.read()),
  (stream) => stream.closeRead().then(() => stream.closeWrite()),
  (stream) => Promise.all([stream.reset(), stream.remove()]),
  (stream) => Promise.all([stream.write(pattern(5_000)), stream.read(1), stream.close()]),
  (stream) => Promise.all([stream.read(1), stream.reset()]),
  (stream) => stream.setState(6),
  async (stream) => {
    stream.send(pattern(300))
    for await (const _ of stream) break
    await stream.close()
  }
]

/** Opened and closed events so far, by stream; each must come once. */
function journal(swarm: Swarm): { opened: Set<string>; closed: Set<string>; faults: string[] } {
  const events = { opened: new Set<string>(), closed: new Set<string>(), faults: [] as string[] }
  const note = (set: Set<string>, { id }: Stream): void => {
    if (set.has(id)) events.faults.push(id)
    set.add(id)
  }
  swarm.notify({
    openedStream: (_, stream) => note(events.opened, stream),
    closedStream: (_, stream) => note(events.closed, stream)
  })
  return events
}

function isQuiet({ dialer, outbound, inbound }: Pair): boolean {
  const { streamsOpened, streamsClosed } = dialer.counters()
  return streamsOpened === streamsClosed && outbound.streams.length + inbound.streams.length === 0
}

overPairs(
  'ten thousand random endings are each reported once, and every count returns to 0',
  async (t, pair) => {
    const random = seeded(20_261)
    const journals = [journal(pair.dialer), journal(pair.listener)]
    const closes: number[] = []
    const watch = (stream: Stream): void => {
      const index = closes.push(0) - 1
      stream.addEventListener('close', () => {
        closes[index] = (closes[index] ?? 0) + 1
      })
    }
    const end = async (stream: Stream): Promise<void> => {
      try {
        await ENDINGS[random(ENDINGS.length)]?.(stream)
      } catch {
        // The other end was quicker.
      }
      // Ends the halves that are left.
      await stream.reset()
    }
    pair.listener.handle('/endings', (stream) => {
      watch(stream)
      return end(stream)
    })
    let left = STREAMS
    const worker = async (): Promise<void> => {
      while (left > 0) {
        left -= 1
        const stream = await pair.outbound.newStream('/endings')
        watch(stream)
        // A byte, so that the other side sees the stream, which it may have ended already.
        await stream.write(Uint8Array.of(1)).catch(() => {})
        await end(stream)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    await until(() => isQuiet(pair))
    await until(() => closes.every((count) => count > 0))
    t.true(closes.length >= STREAMS)
    t.true(closes.every((count) => count === 1))
    for (const { opened, closed, faults } of journals) {
      t.deepEqual(faults, [])
      t.is(closed.size, opened.size)
    }
    t.is(journals[0]?.opened.size, STREAMS)
    t.false(pair.outbound.isClosed)
    t.false(pair.inbound.isClosed)
    // The connection still carries streams.
    const { near, far } = await pair.openStreams()
    await near.write(pattern(10))
    t.deepEqual(await far.read(10), pattern(10))
  },
  { serial: true }
)

// Y17
overPairs(
  'ten thousand streams one after the other leave no stream and no count behind',
  async (t, pair) => {
    pair.listener.handle('/one-by-one', async (stream) => {
      await stream.write(await stream.read(1))
      await stream.close()
    })
    for (let index = 0; index < 10_000; index += 1) {
      const stream = await pair.outbound.newStream('/one-by-one')
      stream.send(Uint8Array.of(index & 0xff))
      await stream.closeWrite()
      const [byte] = await stream.read()
      if (byte !== (index & 0xff)) t.fail(`stream ${index} answered ${byte}`)
    }
    await until(() => isQuiet(pair))
    t.is(pair.outbound.stat.numStreams + pair.inbound.stat.numStreams, 0)
  },
  { serial: true }
)

// go 145
overPairs(
  'five lanes open, end and see the end ten thousand times each',
  async (t, pair) => {
    let served = 0
    pair.listener.handle('/ends', async (stream) => {
      await t.throwsAsync(stream.read(1), { instanceOf: StreamEOFError })
      await stream.closeWrite()
      served += 1
    })
    const lane = async (): Promise<void> => {
      for (let round = 0; round < 10_000; round += 1) {
        const stream = await pair.outbound.newStream('/ends')
        await stream.closeWrite()
        const rest = await stream.read()
        if (rest.length > 0) t.fail(`${rest.length} unexpected bytes`)
      }
    }
    await Promise.all(Array.from({ length: 5 }, lane))
    await until(() => served === 50_000)
    await until(() => isQuiet(pair))
    t.false(pair.outbound.isClosed)
  },
  { serial: true }
)
