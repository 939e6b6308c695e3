// Teardown and the cost of an idle node: terminated workers, exiting processes, callbacks that throw.
// Serial, because time, memory and descriptors are measured.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { StreamErrorCode } from '../../ts/constants.ts'
import { StreamResetError } from '../../ts/errors.ts'
import { ROOT } from '../support/cli.ts'
import { createNode, createPair, PAIR_PROTOCOL, pattern, until } from '../support/pair.ts'
import { ENVIRONMENT, lastLine, programUrl, run } from '../support/program.ts'
import type { ConnectionsReport } from '../support/programs/connections.ts'
import type { IdleReport } from '../support/programs/idle.ts'
import type { PairsReport } from '../support/programs/pairs.ts'
import type { TerminationsReport } from '../support/programs/terminations.ts'
import { seeded } from '../support/random.ts'

const MIB = 1024 * 1024
const TERMINATIONS = 200
const EXITS = 200
const AT_ONCE = 3
/** Bytes at both ends together: a connection, its peer's identify data, and the lists that hold it. */
const HEAP_OF_CONNECTION_MAX = 3_500

// A174, A176
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
    t.true(grown < 24, `${grown}`)
    t.true(flowing > TERMINATIONS / 4)
  }
)

// A175
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

test.serial('an idle node with ten connections is not woken and uses no CPU', async (t) => {
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

test.serial('an idle connection takes little heap', async (t) => {
  const ended = await run('connections')
  t.is(ended.code, 0, ended.err)
  const { bytesEach } = lastLine<ConnectionsReport>(ended)
  t.log(`${(bytesEach / 1024).toFixed(2)} KiB at both ends together`)
  t.true(bytesEach < HEAP_OF_CONNECTION_MAX, `${bytesEach}`)
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
  'several swarms share one hub: closing one of them does not affect the others',
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

/** Records errors that would have killed the process, and warnings. */
function watchProcess(t: ExecutionContext): unknown[] {
  const seen: unknown[] = []
  const note = (err: unknown): void => {
    seen.push(err)
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
  'a handler that throws or rejects ends its own stream and nothing else, and is reported once as a warning',
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
    for (const protocol of ['/throws', '/rejects', '/throws', '/rejects']) {
      const stream = await pair.outbound.newStream(protocol)
      const signal = AbortSignal.timeout(15_000)
      const err = await t.throwsAsync(stream.read(1, { signal }), { instanceOf: StreamResetError })
      t.is(err.errorCode, StreamErrorCode.ProtocolViolation)
    }
    const late = await pair.outbound.newStream('/rejects-late')
    await late.read().catch(() => {})
    await near.write(pattern(10))
    t.deepEqual(new Uint8Array(await far.read(10)), pattern(10))
    await until(() => seen.length === 3)
    const warnings = seen as (Error & { detail?: string })[]
    for (const [index, protocol] of ['/throws', '/rejects'].entries()) {
      const { name, message, detail } = warnings[index] ?? ({} as (typeof warnings)[number])
      t.is(name, 'FerroswarmWarning')
      t.regex(message, new RegExp(`handler of "${protocol}" failed: Error: of the application`))
      // The stack of the throw.
      t.regex(`${detail}`, /environments\.spec\.ts/)
    }
    t.regex(warnings[2]?.message ?? '', /undefined/)
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
