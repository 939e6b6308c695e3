// What holds whatever happens: how often JavaScript is woken, what is copied, what waits, in which order things are
// told, and how everything ends. The tests are serial because counters are those of the whole environment, and
// because wakes, memory and time are measured.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { type Ended, program, ROOT, running } from '../support/cli.ts'
import { createNode, createPair, PAIR_PROTOCOL, pattern, until } from '../support/pair.ts'
import type { BulkMessage, BulkOptions } from '../support/programs/bulk.ts'
import type { IdleReport } from '../support/programs/idle.ts'
import type { PairsReport } from '../support/programs/pairs.ts'
import type { TerminationsReport } from '../support/programs/terminations.ts'
import type { UnreadReport } from '../support/programs/unread.ts'
import { type Random, seeded } from '../support/random.ts'

const MIB = 1024 * 1024
const BULK_BYTES = 256 * MIB
const WAKES_PER_MIB_MAX = 10
const STREAMS = 2_000
const TERMINATIONS = 200
const EXITS = 200
const AT_ONCE = 3

const cache = mkdtempSync(join(tmpdir(), 'ferroswarm-cache-'))
test.after.always(() => rmSync(cache, { recursive: true, force: true }))

const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  // Hundreds of processes load the same modules.
  NODE_COMPILE_CACHE: cache,
  // As many arenas as threads would have memory that is free look like memory that leaks.
  MALLOC_ARENA_MAX: '2'
}

function programUrl(name: string): URL {
  return new URL(`../support/programs/${name}.ts`, import.meta.url)
}

function run(name: string, ...words: readonly string[]): Promise<Ended> {
  const path = programUrl(name).pathname
  return program(process.execPath, ['--expose-gc', path, ...words], { env: ENVIRONMENT })
}

function lastLine<T>({ out }: { out: string }): T {
  return JSON.parse(out.trim().split('\n').at(-1) ?? '') as T
}

for (const readBytes of [65_536, MIB]) {
  const title = `256 MiB through readInto of ${readBytes} bytes and 64 KiB writes`
  test.serial(`${title} wake each side at most 10 times a MiB and cross once a byte`, async (t) => {
    const options: BulkOptions = { bytes: BULK_BYTES, writeBytes: 65_536, readBytes }
    const bulk = (to?: string): Worker => {
      const worker = new Worker(programUrl('bulk'), { workerData: { ...options, to } })
      t.teardown(() => worker.terminate())
      return worker
    }
    const reader = bulk()
    const [{ address }] = (await once(reader, 'message')) as [{ address: string }]
    const writer = bulk(address)
    const ends = await Promise.all(
      [reader, writer].map((end) => once(end, 'message') as Promise<[BulkMessage]>)
    )
    for (const [index, [message]] of ends.entries()) {
      if (!('counts' in message)) return t.fail('a worker sent no counts')
      const { bytes, counts } = message
      t.is(bytes, BULK_BYTES)
      // One copy: what crosses is the payload, no more and no less.
      t.is(index === 0 ? counts.bytesRead : counts.bytesWritten, BULK_BYTES)
      const perMib = (count: number): number => count / (BULK_BYTES / MIB)
      const side = index === 0 ? 'receiver' : 'sender'
      t.log(
        `${side}: ${perMib(counts.rings).toFixed(2)} wakes, ${perMib(counts.drains + counts.calls).toFixed(2)} crossings a MiB`
      )
      t.true(perMib(counts.rings) <= WAKES_PER_MIB_MAX, side)
      // A call a read or write, its flush, and its wake.
      t.true(perMib(counts.drains + counts.calls) <= 5 * WAKES_PER_MIB_MAX, side)
    }
  })
}

test.serial(
  '200 streams that nobody reads bound the memory of both ends and leave the others to go on',
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
    // What the reader's connection may hold, once over for the window of each stream.
    t.true(bytesWritten < 200 * 2 * 262_144 + 8 * MIB, `${bytesWritten}`)
    t.true(memoryResets > 0)
  }
)

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

/** Ways for a stream to end, each sooner or later final whatever the other side does, if that ends too. */
const ENDINGS: readonly ((stream: Stream) => unknown)[] = [
  (stream) => stream.close(),
  (stream) => stream.reset(7),
  (stream) => stream.abort(new Error('of the test')),
  (stream) => stream.remove(),
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
  async (stream) => {
    await stream.closeWrite()
    for await (const _ of stream);
  },
  async (stream) => {
    await stream.closeRead()
    await stream.closeWrite()
  },
  () => {
    throw new Error('of the handler')
  }
]

async function endSomehow(stream: Stream, random: Random): Promise<void> {
  try {
    await ENDINGS[random(ENDINGS.length)]?.(stream)
  } catch {
    // The other side was quicker, or it is the ending that throws: a reset is the end of it.
  }
  // An ending that leaves it to the other side is helped along, now and then only later.
  if (random(2) === 0) await new Promise((resolve) => setImmediate(resolve))
  if (stream.isOperational()) await stream.reset()
}

test.serial(
  '2,000 random endings on both sides tell in order, each stream once, and leave no count behind',
  async (t) => {
    const random = seeded(20_262)
    const pair = await createPair(t)
    const journals = [journalOf(pair.dialer), journalOf(pair.listener)]
    for (const [index, connection] of [pair.outbound, pair.inbound].entries()) {
      journals[index]?.connections.add(connection)
    }
    const before = pair.dialer.counters()
    pair.listener.handle('/endings', (stream) => endSomehow(stream, random))
    let left = STREAMS
    const lane = async (): Promise<void> => {
      while (left > 0) {
        left -= 1
        // Some end with their connection, taken away under them.
        const connection =
          random(20) === 0
            ? await pair.dialer.dialPeer(pair.listener.peerId, { force: true })
            : pair.outbound
        const stream = await connection.newStream('/endings')
        if (random(2) === 0) stream.send(pattern(random(3_000)))
        if (connection !== pair.outbound) void connection.close()
        await endSomehow(stream, random)
      }
    }
    await Promise.all(Array.from({ length: 40 }, lane))
    await until(() => pair.listener.getTotalConnections() === 1)
    await until(() => pair.dialer.getTotalConnections() === 1)
    await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
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

test.serial(
  '200 workers terminated under traffic leave neither threads nor descriptors nor memory',
  async (t) => {
    t.timeout(110_000)
    const ended = await run('terminations', `${TERMINATIONS}`, `${AT_ONCE}`, '7')
    t.is(ended.code, 0, ended.err)
    const { base, after, flowing, errors } = lastLine<TerminationsReport>(ended)
    t.deepEqual(errors, [])
    t.is(after.threads, base.threads)
    t.is(after.descriptors, base.descriptors)
    const grown = (after.nativeBytes - base.nativeBytes) / MIB
    t.log(`${flowing} of them in the middle of traffic; grown by ${grown.toFixed(1)} MiB`)
    t.true(grown < 16, `${grown}`)
    t.true(flowing > TERMINATIONS / 4)
  }
)

test.serial('200 processes exit under traffic with their own code and no signal', async (t) => {
  t.timeout(110_000)
  const random = seeded(11)
  let left = EXITS
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const words =
        random(3) === 0 ? ['read', `${1 + random(400)}`] : ['timer', `${1 + random(250)}`]
      const child = spawn(process.execPath, [programUrl('traffic').pathname, ...words], {
        cwd: ROOT,
        stdio: ['ignore', 'ignore', 'pipe'],
        env: ENVIRONMENT
      })
      let text = ''
      child.stderr.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
      t.deepEqual({ words, code, signal, text }, { words, code: 7, signal: null, text: '' })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
})

test.serial('an idle node with ten connections is not woken and uses no processor', async (t) => {
  const ended = await run('idle')
  t.is(ended.code, 0, ended.err)
  const report = lastLine<IdleReport>(ended)
  t.log(`${report.processorMs.toFixed(1)} ms of processor in ${report.windowMs} ms`)
  t.is(report.connections, 10)
  t.is(report.rings, 0)
  t.is(report.crossings, 0)
  t.is(report.socketReads, 0)
  t.true(report.processorMs < report.windowMs / 40, `${report.processorMs}`)
})

test.serial(
  'listeners and connections keep the process alive, and nothing else does',
  async (t) => {
    const scenes = {
      listening: 'alive',
      'referenced-again': 'alive',
      connected: 'alive',
      closed: '',
      unlistened: '',
      unreferenced: '',
      'connection-of-an-unreferenced': '',
      disconnected: ''
    }
    for (const [scene, expected] of Object.entries(scenes)) {
      const { code, out, err } = await run('lifetime', scene)
      t.deepEqual({ scene, code, out: out.trim(), err }, { scene, code: 0, out: expected, err: '' })
    }
  }
)

test.serial(
  'environments in several workers run side by side, several swarms in each, and end by themselves',
  async (t) => {
    const here = await createPair(t)
    const workers = Array.from({ length: 4 }, () => {
      const worker = new Worker(programUrl('pairs'), { workerData: { messages: 300 } })
      t.teardown(() => worker.terminate())
      return worker
    })
    const reports = Promise.all(
      workers.map(async (worker) => {
        const exit = once(worker, 'exit') as Promise<[number]>
        const [report] = (await once(worker, 'message')) as [PairsReport]
        return { report, code: (await exit)[0] }
      })
    )
    const { near, far } = await here.openStreams()
    await near.write(pattern(1_000))
    for (const { report, code } of await reports) {
      // Each has counters of its own: one connection, seen from both ends.
      t.deepEqual(report, { echoed: 300, connectionsOpened: 2, openStreams: 0 })
      t.is(code, 0)
    }
    t.deepEqual(new Uint8Array(await far.read(1_000)), pattern(1_000))
  }
)

test.serial(
  'several swarms share one hub: one that closes takes nothing of the others',
  async (t) => {
    const pair = await createPair(t)
    const third = await createNode(t)
    await third.listen('/ip4/127.0.0.1/tcp/0')
    third.handle(PAIR_PROTOCOL, async (stream) => stream.write(await stream.read(5)))
    const addresses = third.getListenAddrs()
    const [toThird] = await Promise.all([
      pair.dialer.newStream(third.peerId, PAIR_PROTOCOL, { addresses }),
      pair.listener.dialPeer(third.peerId, { addresses })
    ])
    const { far } = await pair.openStreams()
    const waiting = far.read(1).catch((err: Error) => err.name)
    await pair.listener.close({ drainTimeout: 0 })
    t.is(await waiting, 'StreamResetError')
    await until(() => third.getTotalConnections() === 1)
    await toThird.write(pattern(5))
    t.deepEqual(new Uint8Array(await toThird.read(5)), pattern(5))
    t.is(pair.dialer.getTotalConnections(), 1)
    t.is(pair.listener.getTotalConnections(), 0)
  }
)

/** Fails the test for what the process would have died of. */
function watchProcess(t: ExecutionContext): string[] {
  const seen: string[] = []
  const note = (err: unknown): void => {
    seen.push(String(err))
  }
  for (const event of ['unhandledRejection', 'uncaughtException', 'warning'] as const) {
    process.on(event, note)
    t.teardown(() => process.off(event, note))
  }
  return seen
}

function throws(): never {
  throw new Error('of the application')
}

async function rejects(): Promise<never> {
  await Promise.resolve()
  throw new Error('of the application')
}

test.serial(
  'a handler that throws or rejects resets its own stream and nothing else',
  async (t) => {
    const seen = watchProcess(t)
    const pair = await createPair(t)
    const { near, far } = await pair.openStreams()
    pair.listener.handle('/throws', throws)
    pair.listener.handle('/rejects', rejects)
    pair.listener.handle('/rejects-late', async (stream) => {
      await stream.close()
      throw undefined
    })
    for (const protocol of ['/throws', '/rejects']) {
      const stream = await pair.outbound.newStream(protocol)
      await t.throwsAsync(stream.read(1), { name: 'StreamResetError' })
    }
    const late = await pair.outbound.newStream('/rejects-late')
    await late.read().catch(() => {})
    await near.write(pattern(10))
    t.deepEqual(new Uint8Array(await far.read(10)), pattern(10))
    t.deepEqual(seen, [])
  }
)

test.serial(
  'notifiees and listeners that throw or reject harm neither streams nor the process',
  async (t) => {
    const seen = watchProcess(t)
    const reported: unknown[] = []
    const logger = { error: (_: string, err: unknown) => reported.push(err) }
    const [dialer, listener] = await Promise.all([
      createNode(t, { logger }),
      createNode(t, { logger })
    ])
    for (const swarm of [dialer, listener]) {
      for (const fails of [throws, rejects]) {
        swarm.notify({
          connected: fails,
          disconnected: fails,
          openedStream: fails,
          closedStream: fails,
          listen: fails,
          listenClose: fails
        })
      }
      swarm.addEventListener('connected', throws)
      swarm.addEventListener('closedStream', rejects)
    }
    listener.handle('/echo', async (stream) => {
      stream.addEventListener('close', throws)
      stream.addEventListener('drain', throws)
      for await (const bytes of stream) await stream.write(bytes)
      await stream.close()
    })
    await listener.listen('/ip4/127.0.0.1/tcp/0')
    const connection = await dialer.dialPeer(listener.peerId, {
      addresses: listener.getListenAddrs()
    })
    connection.addEventListener('close', throws)
    const stream = await connection.newStream('/echo')
    await stream.write(pattern(10))
    await stream.closeWrite()
    t.deepEqual(new Uint8Array(await stream.read()), pattern(10))
    await Promise.all([dialer.close(), listener.close()])
    t.true(reported.length >= 12)
    t.deepEqual(seen, [])
  }
)
