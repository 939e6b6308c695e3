import { once } from 'node:events'
import test from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { running } from '../support/cli.ts'
import { createPair, pattern, until } from '../support/pair.ts'
import { lastLine, programUrl, run } from '../support/program.ts'
import type { UnreadReport } from '../support/programs/unread.ts'
import { type Random, seeded } from '../support/random.ts'

const MIB = 1024 * 1024
const STREAMS = 2_000

test.serial(
  '200 unread streams keep the memory of both ends bounded and do not block the others',
  async (t) => {
    const reader = await running(t, [programUrl('unread').pathname, 'read'])
    const writer = await run('unread', 'write', reader.firstLine)
    t.is(writer.code, 0, writer.err)
    reader.child.stdin?.end()
    await once(reader.child, 'exit')
    const reports = [
      ['writer', lastLine<UnreadReport>(writer)],
      ['reader', lastLine<UnreadReport>({ out: reader.lines.join('\n') })]
    ] as const
    for (const [end, { before, after }] of reports) {
      const grown = (after.residentBytes - before.residentBytes) / MIB
      t.log(`${end}: grown by ${grown.toFixed(1)} MiB`)
      t.true(grown < 96, `${end}: ${grown}`)
    }
    const [[, { echoes, bytesWritten }], [, { memoryResets }]] = reports
    t.is(echoes, 200)
    // A window per stream, and as much again that the reader's connection may hold.
    t.true(bytesWritten < 200 * 2 * 262_144 + 8 * MIB, `${bytesWritten}`)
    t.true(memoryResets > 0)
  }
)

test.serial('a request on a busy connection wakes JavaScript, and no other thread', async (t) => {
  const { dialer, openStreams } = await createPair(t)
  const { near, far } = await openStreams()
  const answers = (async () => {
    for await (const request of far) await far.write(request)
  })()
  const request = pattern(32)
  const exchange = async (count: number): Promise<void> => {
    for (let sent = 0; sent < count; sent += 1) {
      await near.write(request)
      t.deepEqual(await near.read(32), request)
    }
  }
  // Both ends move to this thread's event loop.
  await exchange(100)
  const before = dialer.counters()
  await exchange(1_000)
  const after = dialer.counters()
  await near.closeWrite()
  await answers
  const counted = (name: keyof typeof after): number => after[name] - before[name]
  if (process.platform !== 'linux') return
  // One per message, unless an answer has already arrived.
  t.true(counted('inlineReads') >= 1_500, `${counted('inlineReads')} reads`)
  t.true(counted('kicks') <= 100, `${counted('kicks')} kicks`)
  t.true(counted('rings') <= 100, `${counted('rings')} rings`)
})

interface Journal {
  /** Ids of streams that are opened and not closed. */
  readonly open: Set<string>
  readonly ended: Set<string>
  readonly faults: string[]
  readonly connections: Set<Connection>
}

/** Watches the order of a swarm's events. */
function journalOf(swarm: Swarm): Journal {
  const open = new Set<string>()
  const ended = new Set<string>()
  const faults: string[] = []
  const connections = new Set<Connection>()
  swarm.notify({
    connected: (_, connection) => {
      if (connections.has(connection)) faults.push(`${connection.id} connected twice`)
      connections.add(connection)
    },
    openedStream: (_, stream) => {
      if (!connections.has(stream.connection)) faults.push(`${stream.id} before its connection`)
      if (open.has(stream.id) || ended.has(stream.id)) faults.push(`${stream.id} opened twice`)
      open.add(stream.id)
    },
    closedStream: (_, stream) => {
      if (!open.delete(stream.id)) faults.push(`${stream.id} closed twice or never opened`)
      ended.add(stream.id)
    },
    disconnected: (_, connection) => {
      if (!connections.delete(connection)) faults.push(`${connection.id} disconnected twice`)
      for (const id of open) {
        if (id.startsWith(`${connection.id}-`)) faults.push(`${id} after its connection`)
      }
    }
  })
  return { open, ended, faults, connections }
}

type Ending = (stream: Stream) => unknown

/** Sends nothing: the other end notices after a minute, or when it ends by itself. */
const remove: Ending = (stream) => stream.remove()

/** Final when the other end is. */
const readToTheEnd: Ending = async (stream) => {
  await stream.closeWrite()
  for await (const _ of stream);
}

/** Ways to end a stream. Each becomes final whatever the other side does, provided that ends too. */
const ENDINGS: readonly Ending[] = [
  (stream) => stream.close(),
  (stream) => stream.reset(7),
  (stream) => stream.abort(new Error('of the test')),
  remove,
  (stream) => {
    void stream.closeWrite()
    return stream.close()
  },
  async (stream) => {
    await stream.write(pattern(300))
    await stream.close()
  },
  async (stream) => {
    stream.send(pattern(10_000))
    await stream.reset()
  },
  readToTheEnd,
  async (stream) => {
    await stream.closeRead()
    await stream.closeWrite()
  },
  () => {
    throw new Error('of the handler')
  }
]

function pick(random: Random, endings = ENDINGS): Ending {
  return endings[random(endings.length)] as Ending
}

async function endBy(ending: Ending, stream: Stream, random: Random): Promise<void> {
  try {
    await ending(stream)
  } catch {
    // The other side was quicker, or the ending itself throws: the reset below ends the stream.
  }
  // An ending that depends on the other side is completed by a reset, sometimes a turn later.
  if (random(2) === 0) await new Promise((resolve) => setImmediate(resolve))
  if (stream.isOperational()) await stream.reset()
}

// L6
test.serial(
  '2,000 random endings on both sides are reported in order, once per stream, and leave no count behind',
  async (t) => {
    const random = seeded(20_262)
    const pair = await createPair(t, { both: { connections: { maxPerPeer: Infinity } } })
    const journals = [journalOf(pair.dialer), journalOf(pair.listener)]
    for (const [index, connection] of [pair.outbound, pair.inbound].entries()) {
      journals[index]?.connections.add(connection)
    }
    const before = pair.dialer.counters()
    let removals = 0
    const handle = (protocol: string, endings: readonly Ending[]): void =>
      pair.listener.handle(protocol, (stream) => endBy(pick(random, endings), stream, random))
    handle('/endings', ENDINGS)
    handle(
      '/final',
      ENDINGS.filter((ending) => ending !== remove)
    )
    let left = STREAMS
    const lane = async (): Promise<void> => {
      while (left > 0) {
        left -= 1
        // Some are lost with their connection.
        const connection =
          random(20) === 0
            ? await pair.dialer.dialPeer(pair.listener.peerId, { force: true })
            : pair.outbound
        const ending = pick(random)
        if (ending === remove) removals += 1
        const stream = await connection.newStream(ending === readToTheEnd ? '/final' : '/endings')
        if (random(2) === 0) stream.send(pattern(random(3_000)))
        if (connection !== pair.outbound) void connection.close()
        await endBy(ending, stream, random)
      }
    }
    await Promise.all(Array.from({ length: 40 }, lane))
    await until(() => pair.listener.getTotalConnections() === 1)
    await until(() => pair.dialer.getTotalConnections() === 1)
    const open = (): Stream[] => [...pair.outbound.streams, ...pair.inbound.streams]
    // All end by themselves, except those removed by the other end while they were read: those are not waited for.
    await until(() => open().length <= removals)
    await Promise.all(open().map((stream) => stream.reset()))
    await until(() => open().length === 0)
    await until(() => {
      const { streamsOpened, streamsClosed } = pair.dialer.counters()
      return streamsOpened === streamsClosed
    })
    for (const { open, faults } of journals) {
      t.deepEqual(faults, [])
      t.is(open.size, 0)
    }
    t.is(journals[0]?.ended.size, STREAMS)
    const after = pair.dialer.counters()
    t.true(after.streamsOpened - before.streamsOpened >= STREAMS)
    // Both connections still work, and end in order.
    const { near, far } = await pair.openStreams()
    await near.write(pattern(100))
    t.deepEqual(new Uint8Array(await far.read(100)), pattern(100))
    await pair.dialer.close({ drainTimeout: 0 })
    await until(() => pair.listener.getTotalConnections() === 0)
    for (const { open, faults, connections } of journals) {
      t.deepEqual(faults, [])
      t.is(open.size + connections.size, 0)
    }
  }
)
