/** A logger receives each diagnostic fact at its level, with the details of docs/diagnostics.md. */
import { spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import test, { type ExecutionContext } from 'ava'
import { type Clock, systemClock } from '../../ts/base/clock.ts'
import type { Connection } from '../../ts/connection.ts'
import type { LogLevel } from '../../ts/diagnostics/codes.ts'
import type { LimitConfig } from '../../ts/resource-manager/limit-config.ts'
import type { Stream } from '../../ts/stream.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import {
  DATA,
  drained,
  flipped,
  MIB,
  OPEN,
  PING,
  RST,
  SYN,
  times,
  WINDOW
} from '../support/bad-input.ts'
import { program } from '../support/cli.ts'
import { portOf } from '../support/echo.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type HeardFact, Hearing } from '../support/hearing.ts'
import { createNode, pattern, until } from '../support/pair.ts'
import { lastLine, programUrl } from '../support/program.ts'
import { createRawPair } from '../support/raw-pair.ts'
import { frameBytes, RawPeer, type RawSession } from '../support/raw-peer.ts'
import { flagOn, lines, opening } from '../support/raw-stream.ts'

const PROTOCOL = '/ferroswarm/test/facts/1.0.0'

interface Fixture {
  readonly node: Swarm
  readonly connection: Connection
  readonly session: RawSession
  readonly hearing: Hearing
}

/** A node with a recorded log, and a raw peer that has dialled it. */
async function dialled(
  t: ExecutionContext,
  limits: LimitConfig = {},
  clock: Clock = systemClock
): Promise<Fixture> {
  const hearing = new Hearing()
  const { logger } = hearing
  const node = await createNode(t, { limits, logger, clock, security: ['noise'] })
  await node.listen('/ip4/127.0.0.1/tcp/0')
  const connected = new Promise<Connection>((resolve) => {
    node.addEventListener('connected', ({ detail }) => resolve(detail), { once: true })
  })
  const port = portOf(node)
  const session = await (await RawPeer.connect(t, port)).dial()
  return { node, connection: await connected, session, hearing }
}

/** Asserts the parts common to all facts about a connection. */
function isAbout(t: ExecutionContext, entry: HeardFact, level: LogLevel, of: Connection): void {
  const { fact, message } = entry
  t.is(entry.level, level)
  t.is(fact.level, level)
  t.is(fact.connection, of.id)
  t.is(fact.address, `${of.remoteAddr}`)
  t.true(message.includes(`${of.id} (${of.remoteAddr})`), message)
  t.is(fact.suppressed, 0)
  t.true(Math.abs(Date.now() - fact.time) < 60_000)
}

test('a stream beyond acceptBacklog is reported with the bound', async (t) => {
  const { connection, session, hearing } = await dialled(t, { acceptBacklog: 2 })
  // Streams still negotiating cannot be accepted.
  session.send(...[1, 3, 5].map((id) => ({ ...OPEN, id })))
  const entry = await hearing.fact('streamRefused')
  isAbout(t, entry, 'warn', connection)
  t.is(entry.fact.cause, 'limits.acceptBacklog')
  t.deepEqual(entry.fact.details, { scope: '', resource: 'acceptBacklog', limit: 2, current: 2 })
  t.regex(entry.message, /a stream of connection .* was refused: limits\.acceptBacklog is 2$/)
})

test('a stream beyond the limit of its connection is reported with scope and option', async (t) => {
  const limits = { connection: { streamsInbound: 2 } }
  const { connection, session, hearing } = await dialled(t, limits)
  session.send(...[1, 3, 5].map((id) => ({ ...OPEN, id })))
  const entry = await hearing.fact('streamRefused')
  isAbout(t, entry, 'warn', connection)
  t.is(entry.fact.cause, 'limits.connection.streamsInbound')
  const { scope, ...figures } = entry.fact.details
  t.regex(`${scope}`, /^connection-\d+$/)
  t.deepEqual(figures, { resource: 'streamsInbound', limit: 2, current: 2 })
  t.true(
    entry.message.endsWith(
      `was refused: ${scope} has 2 of 2 streamsInbound (limits.connection.streamsInbound)`
    ),
    entry.message
  )
})

test('a stream beyond the maxInbound of its handler is reported with the bound', async (t) => {
  const { node, connection, session, hearing } = await dialled(t)
  node.handle(PROTOCOL, () => new Promise(() => {}), { maxInbound: 1 })
  session.send(...opening(1, PROTOCOL), ...opening(3, PROTOCOL))
  const entry = await hearing.fact('streamRefused')
  isAbout(t, entry, 'warn', connection)
  t.is(entry.fact.cause, 'maxInbound')
  t.deepEqual(entry.fact.details, { scope: '', resource: 'maxInbound', limit: 1, current: 1 })
  t.regex(entry.message, /was refused: maxInbound is 1$/)
})

test('repeated stream refusals are logged once a second, and all are counted', async (t) => {
  const clock = new FakeClock()
  const { connection, session, hearing } = await dialled(t, { acceptBacklog: 1 }, clock)
  const opened = (count: number, from: number): Promise<unknown> => {
    session.send(...times(count, (index) => ({ ...OPEN, id: from + 2 * index })))
    return flagOn(session, from + 2 * (count - 1), RST)
  }
  // The first one stays.
  await opened(201, 1)
  await hearing.fact('streamRefused')
  clock.advance(1_000)
  await opened(100, 403)
  await connection.close()
  const entries = hearing.facts('streamRefused')
  t.is(entries.length, 3)
  t.is(entries.length + entries.reduce((sum, { fact }) => sum + fact.suppressed, 0), 300)
  for (const { fact, message } of entries.slice(1)) {
    t.true(message.endsWith(`acceptBacklog is 1 (and ${fact.suppressed} more)`), message)
  }
  // The end of the connection is logged after all of them.
  t.regex(`${hearing.lines.at(-1)?.message}`, /is closed by us/)
})

test('writers that are held back for lack of memory are reported, once for as long as it lasts', async (t) => {
  const limits = { connection: { memory: 128 * 1024 } }
  const { node, connection, session, hearing } = await dialled(t, limits)
  const served = new Promise<Stream>((resolve) => node.handle(PROTOCOL, resolve))
  session.send(...opening(1, PROTOCOL))
  const stream = await served
  // More than the window, so that some is not sent: the peer grants no credit.
  const written = stream.write(Buffer.alloc(WINDOW + 200 * 1024)).catch(() => {})
  const entry = await hearing.fact('writesHeld')
  isAbout(t, entry, 'warn', connection)
  t.is(entry.fact.cause, 'limits.connection.memory')
  t.like(entry.fact.details, { resource: 'memory', limit: 128 * 1024 })
  t.regex(
    entry.message,
    /^writers of connection .* are held back: connection-\d+ holds \d+ of 131072 bytes/
  )
  // What arrives is not reset for it.
  const bytes = 20 * 1024
  session.send({ type: DATA, id: 1, body: Buffer.alloc(bytes) })
  for (let received = 0; received < bytes; ) {
    received += (await stream.read(bytes - received)).length
  }
  t.is(hearing.facts('writesHeld').length, 1)
  t.false(connection.isClosed)
  await stream.reset()
  await written
})

test('a stream reset to free connection memory is reported with the bytes', async (t) => {
  const limit = MIB
  const limits = { connection: { memory: limit } }
  const { node, connection, session, hearing } = await dialled(t, limits)
  node.handle(PROTOCOL, () => new Promise(() => {}))
  const bytes = Buffer.alloc(16 * 1024)
  const whole = Math.floor((WINDOW - lines(PROTOCOL).length) / bytes.length)
  for (const id of times(6, (index) => 2 * index + 1)) {
    session.send(...opening(id, PROTOCOL))
    for (let count = 0; count < whole; count += 1) session.send({ type: DATA, id, body: bytes })
  }
  const entry = await hearing.fact('memoryShed')
  isAbout(t, entry, 'warn', connection)
  t.is(entry.fact.cause, 'limits.connection.memory')
  const { scope, current, ...figures } = entry.fact.details
  t.regex(`${scope}`, /^connection-\d+$/)
  t.deepEqual(figures, { resource: 'memory', limit })
  t.true(Number(current) > limit - limit / 8, `${current}`)
  t.true(
    entry.message.endsWith(
      `was reset: ${scope} holds ${current} of ${limit} bytes (limits.connection.memory)`
    ),
    entry.message
  )
  t.false(connection.isClosed)
})

test('a remote that exhausts its budget is reported with the code sent to it', async (t) => {
  const { connection, session, hearing } = await dialled(t)
  session.send(OPEN)
  const idle = times(4_000, () => ({ type: DATA, id: 1 }))
  for (let round = 0; round < 250 && !session.peer.socket.destroyed; round += 1) {
    if (!session.send(...idle)) await drained(session.peer)
  }
  const entry = await hearing.fact('budgetSpent')
  isAbout(t, entry, 'warn', connection)
  t.is(entry.fact.cause, 'too many frames without effect')
  // `RateLimited`.
  t.deepEqual(entry.fact.details, { closeCode: 0x1002 })
  t.regex(entry.message, /is closed: too many frames without effect$/)
})

test("a remote that violates the muxer's protocol is reported with the violation", async (t) => {
  const { connection, session, hearing } = await dialled(t)
  session.send({ version: 1, type: PING, flags: SYN })
  const entry = await hearing.fact('muxerFailed')
  isAbout(t, entry, 'info', connection)
  t.regex(entry.fact.cause, /version/)
  t.deepEqual(entry.fact.details, { closeCode: 1 })
  t.true(entry.message.includes(`broke the muxer's protocol: ${entry.fact.cause}`), entry.message)
})

test('a record that cannot be decrypted is reported', async (t) => {
  const { connection, session, hearing } = await dialled(t)
  session.peer.send(flipped(session.record(frameBytes({ type: PING, flags: SYN })), 7))
  const entry = await hearing.fact('recordFailed')
  isAbout(t, entry, 'info', connection)
  t.deepEqual(entry.fact.details, {})
  t.not(entry.fact.cause, '')
  t.true(entry.message.endsWith(`ended: ${entry.fact.cause}`), entry.message)
})

test('a remote that takes no bytes in time is reported', async (t) => {
  const hearing = new Hearing()
  const { logger } = hearing
  const raw = await createRawPair(t, { limits: { writeStallTimeoutMs: 1_000 }, logger })
  raw.session.send({ ...OPEN, length: 0x4000_0000 })
  const stream = await raw.stream()
  raw.peer.socket.pause()
  await t.throwsAsync(stream.write(pattern(64 * MIB)))
  const entry = await hearing.fact('connectionStalled')
  isAbout(t, entry, 'info', raw.connection)
  t.is(entry.fact.cause, 'write')
  t.regex(entry.message, /ended: the remote accepts no bytes$/)
})

test('a remote that answers no keepalive ping is reported', async (t) => {
  // Long enough to report the connection to this thread first: the fact would lack its id otherwise.
  const limits = { keepaliveIntervalMs: 1_000, keepaliveTimeoutMs: 1_000 }
  const { connection, hearing } = await dialled(t, limits)
  const entry = await hearing.fact('connectionStalled')
  isAbout(t, entry, 'info', connection)
  t.is(entry.fact.cause, 'keepalive')
  t.regex(entry.message, /ended: no answer to a keepalive ping$/)
})

test('a socket reset by its remote is reported with the end of its connection, at debug', async (t) => {
  const { connection, session, hearing } = await dialled(t)
  session.peer.socket.resetAndDestroy()
  const { level, message } = await hearing.line(/is closed/)
  t.is(level, 'debug')
  t.is(message, `connection ${connection.id} is closed by the remote: connection reset by the peer`)
  t.deepEqual(hearing.facts('socketFailed'), [])
})

test('a socket failed by the system is reported with its errno', async (t) => {
  if (!canLoseLink()) {
    t.pass('this user may not create network namespaces')
    return
  }
  const setUp = 'ip link set lo up && echo 1 >/proc/sys/net/ipv4/tcp_retries2'
  const ended = await program('unshare', ['-rn', ...shell(setUp, 'lost-link')])
  t.is(ended.code, 0, ended.err)
  const { message, fact } = lastLine<HeardFact>(ended)
  t.like(fact, { level: 'info', code: 305, details: { errno: constants.errno.ETIMEDOUT } })
  t.true(message.includes(`the socket of connection ${fact.connection} (${fact.address}) failed`))
  t.regex(message, /ETIMEDOUT/)
})

test('a lack of descriptors for connections is reported with the errno', async (t) => {
  const ended = await program('sh', shell('ulimit -n 128', 'descriptors').slice(1))
  t.is(ended.code, 0, ended.err)
  const { level, message, fact } = lastLine<HeardFact>(ended)
  t.is(level, 'error')
  t.like(fact, { level: 'error', code: 101, connection: undefined })
  t.deepEqual(fact.details, { errno: constants.errno.EMFILE, failures: 1 })
  t.regex(`${fact.address}`, /^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
  t.true(message.startsWith(`connections to ${fact.address} cannot be accepted: EMFILE`), message)
  t.true(message.endsWith('(once)'), message)
})

test.serial('a connection that waits for a busy thread is reported with the bytes', async (t) => {
  const hearing = new Hearing()
  const { logger } = hearing
  const options: SwarmOptions = { limits: 'unlimited', connections: { maxPerPeer: Infinity } }
  const [listener, dialer] = await Promise.all([
    createNode(t, { logger, ...options }),
    createNode(t, options)
  ])
  let readers = 0
  listener.handle(PROTOCOL, async (stream) => {
    readers += 1
    await stream.read(1)
  })
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const [address] = listener.getListenAddrs()
  const streams: Stream[] = []
  for (let count = 0; count < 20; count += 1) {
    const connection = await dialer.dialAddr(`${address}`, undefined, { force: true })
    for (let of = 0; of < 16; of += 1) streams.push(await connection.newStream(PROTOCOL))
  }
  await until(() => readers === streams.length)
  const bytes = new Uint8Array(WINDOW - 1_024)
  const written = streams.map((stream) => stream.write(bytes))
  // They go out at the end of the tick; from then on this thread reads nothing.
  await new Promise<void>((resolve) => process.nextTick(resolve))
  const cell = new Int32Array(new SharedArrayBuffer(4))
  const end = Date.now() + 10_000
  while (listener.counters().readPauses === 0 && Date.now() < end) Atomics.wait(cell, 0, 0, 1)
  const entry = await hearing.fact('readPaused')
  const connection = listener.getConnections().find(({ id }) => id === entry.fact.connection)
  isAbout(t, entry, 'warn', connection as Connection)
  const { current, limit } = entry.fact.details
  t.is(limit, 64 * MIB)
  t.true(Number(current) > 64 * MIB, `${current}`)
  const bound = `is not read: ${current} bytes are pending, the limit is ${limit}`
  t.true(entry.message.endsWith(bound), entry.message)
  await Promise.all(written)
})

/** Arguments that run one of our programs after shell commands. */
function shell(setUp: string, name: string): string[] {
  return ['sh', '-c', `${setUp} && exec "$0" "$1"`, process.execPath, programUrl(name).pathname]
}

/** Whether a process may create a network namespace. */
function canLoseLink(): boolean {
  return spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up']).status === 0
}
