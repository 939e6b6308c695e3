/** Peers that take more than a limit allows. Addresses of 127.0.0.0/8 count as hosts of their own here. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import { StreamErrorCode } from '../../ts/constants.ts'
import {
  DialAllFailedError,
  ResourceLimitExceededError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import type { LimitConfig } from '../../ts/resource-manager/limit-config.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { times } from '../support/bad-input.ts'
import { portOf } from '../support/echo.ts'
import { createNode, pattern, until } from '../support/pair.ts'
import { programUrl } from '../support/program.ts'
import type { BlockedReport } from '../support/programs/blocked-listener.ts'
import { line, MULTISTREAM, RawPeer } from '../support/raw-peer.ts'
import { usageOf } from '../support/scopes.ts'
import { ECHO_PROTOCOL, UNREAD_PROTOCOL } from '../support/stand.ts'

const HOST = '127.0.0.2'
const OTHER_HOST = '127.0.0.3'
const KIB = 1024
const MIB = KIB * KIB
/** Loopback counts as any network. */
const REAL: LimitConfig = { loopbackExempt: false }
/** No deadline of an upgrade ends a connection within a test. */
const PATIENT = { inboundUpgradeTimeout: 600_000, outboundUpgradeTimeout: 600_000 }

// A150
test('the ninth connection of a host is refused before a byte of the handshake, another host is served', async (t) => {
  const { port } = await listening(t, { ...REAL, rates: [] })
  const held = await all(8, () => admitted(t, port, HOST))
  const ninth = await RawPeer.connect(t, port, HOST)
  await ninth.closedWithin()
  t.is(ninth.socket.bytesRead, 0)
  const other = await RawPeer.connect(t, port, OTHER_HOST)
  await t.notThrowsAsync(other.dial())
  // One leaves, and its place is free.
  held[0]?.socket.destroy()
  await eventually(() => admitted(t, port, HOST))
  t.true(held.slice(1).every(({ socket }) => !socket.destroyed))
})

// A161
test('a host that reconnects is held to its rate, our dials to it and other hosts are not', async (t) => {
  // Nothing is refilled within the test.
  const rates = [{ family: 4, prefix: 32, perSecond: 0.0001, burst: 16 }] as const
  const { port, swarm } = await listening(t, { ...REAL, subnets: [], rates })
  const outcomes: boolean[] = []
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const peer = await RawPeer.connect(t, port, '127.0.0.1')
    outcomes.push(await isServed(peer))
    peer.socket.destroy()
  }
  t.deepEqual(
    outcomes,
    times(40, (attempt) => attempt < 16)
  )
  const remote = await listening(t)
  for (let dials = 0; dials < 20; dials += 1) {
    const connection = await swarm.dialAddr(`${remote.swarm.getListenAddrs()[0]}`, { force: true })
    await connection.close()
  }
  await t.notThrowsAsync(admitted(t, port, OTHER_HOST))
})

// A171
test('a peer that uses up its memory has streams reset, another peer is unaffected, and all is released', async (t) => {
  const memory = MIB
  const { swarm, port } = await listening(t, { peerDefault: { memory } })
  const [greedy, modest] = await Promise.all([createNode(t), createNode(t)])
  const address = `/ip4/127.0.0.1/tcp/${port}`
  const [connection, bystander] = [await greedy.dialAddr(address), await modest.dialAddr(address)]
  const scope = `peer:${greedy.peerId}`
  // A window each, which fits in every stream's and in the connection's limits, but four times in the peer's.
  const streams = await all(16, () => connection.newStream(UNREAD_PROTOCOL))
  for (const stream of streams) stream.write(pattern(256 * KIB)).catch(() => {})
  const err = await t.throwsAsync(Promise.race(streams.map((stream) => stream.read(1))), {
    instanceOf: StreamResetError
  })
  t.like(err, { errorCode: StreamErrorCode.ResourceLimitExceeded, remote: true })
  t.true(usageOf(swarm, scope).memory > 0)
  t.true(usageOf(swarm, scope).memory <= memory)

  const echo = await bystander.newStream(ECHO_PROTOCOL)
  const sent = pattern(512 * KIB)
  const [back] = await Promise.all([echo.read(), echo.write(sent).then(() => echo.closeWrite())])
  t.is(Buffer.compare(back, sent), 0)
  t.false(connection.isClosed)

  await connection.close()
  await until(() => usageOf(swarm, scope).connections === 0)
  t.deepEqual(new Set(Object.values(usageOf(swarm, scope))), new Set([0]))
  await until(() => usageOf(swarm, 'system').streams === 0)
  t.is(usageOf(swarm, 'system').memory, 0)
  t.is(usageOf(swarm, 'system').connections, 1)
})

test('limits hold while the event loop is blocked: a flood of connections is refused meanwhile', async (t) => {
  const child = fork(programUrl('blocked-listener'), [JSON.stringify({ ...REAL, rates: [] })], {
    stdio: ['pipe', 'inherit', 'inherit', 'ipc']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const reports: BlockedReport[] = []
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  child.on('message', (report: BlockedReport) => reports.push(report))
  child.send('block')
  await until(() => reports.length === 1)
  // From here until the byte below, JavaScript does not run there.
  const held = await all(8, () => admitted(t, port, HOST))
  const flood = await all(100, () => RawPeer.connect(t, port, HOST))
  await Promise.all(flood.map((peer) => peer.closedWithin()))
  t.deepEqual(new Set(flood.map(({ socket }) => socket.bytesRead)), new Set([0]))
  const other = await RawPeer.connect(t, port, OTHER_HOST)
  await t.notThrowsAsync(other.dial())
  t.deepEqual(reports, [{ connected: 0, refused: 0 }])
  t.true(held.every(({ socket }) => !socket.destroyed))

  child.stdin?.write('x')
  await until(() => reports.length === 2)
  t.deepEqual(reports[1], { connected: 1, refused: 100 })
})

// go 130
test('a dial that the listener refuses fails with the end of the connection, not at a deadline', async (t) => {
  const { swarm: listener } = await listening(t, { transient: { connectionsInbound: 0 } })
  const dialer = await createNode(t, { connections: PATIENT })
  const address = `${listener.getListenAddrs()[0]}`
  const err = await t.throwsAsync(dialer.dialAddr(address, { timeout: 600_000 }), {
    instanceOf: DialAllFailedError
  })
  t.is(err.attempts.length, 1)
  t.is(err.attempts[0]?.stage, 'security')
  t.false(err.attempts[0]?.cause instanceof TimeoutError)
  t.is(listener.getTotalConnections(), 0)
})

// go 130
test('a dial beyond our own limit fails with that limit, and the remote is not connected', async (t) => {
  const { swarm: listener } = await listening(t)
  listener.addEventListener('connected', () => t.fail('the remote was connected'))
  const dialer = await createNode(t, { limits: { system: { connectionsOutbound: 0 } } })
  const err = await t.throwsAsync(dialer.dialAddr(`${listener.getListenAddrs()[0]}`), {
    instanceOf: ResourceLimitExceededError
  })
  t.like(err, { scope: 'system', resource: 'connectionsOutbound', limit: 0, current: 0 })
})

interface Listening {
  readonly swarm: Swarm
  readonly port: number
}

async function listening(t: ExecutionContext, limits: LimitConfig = {}): Promise<Listening> {
  const swarm = await createNode(t, { limits, connections: PATIENT })
  swarm.handle(UNREAD_PROTOCOL, () => {})
  swarm.handle(ECHO_PROTOCOL, async (stream) => {
    for await (const bytes of stream) await stream.write(bytes)
    await stream.close()
  })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  return { swarm, port: portOf(swarm) }
}

/** Connects; rejects if the connection is refused. It stays at the first step of its upgrade. */
async function admitted(t: ExecutionContext, port: number, host: string): Promise<RawPeer> {
  const peer = await RawPeer.connect(t, port, host)
  if (await isServed(peer)) return peer
  throw new Error(`a connection of ${host} was refused`)
}

/** Resolves to whether the header of multistream-select is answered. */
async function isServed(peer: RawPeer): Promise<boolean> {
  peer.send(line(MULTISTREAM))
  return peer.line().then(
    (answer) => answer === MULTISTREAM,
    () => false
  )
}

/** Repeats an operation until it succeeds: a place is free once the listener has seen its connection end. */
async function eventually<T>(operation: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + 10_000; ; ) {
    try {
      return await operation()
    } catch (err) {
      if (Date.now() > end) throw err
    }
  }
}

function all<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  return Promise.all(times(count, make))
}
