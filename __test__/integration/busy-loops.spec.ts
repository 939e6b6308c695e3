/** Busy event loops, local or remote: pending work is neither lost nor late. */
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { MuxerName } from '../../ts/constants.ts'
import { ResourceLimitExceededError } from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { running } from '../support/cli.ts'
import { createNode } from '../support/pair.ts'
import { programUrl } from '../support/program.ts'

const AT_ONCE = 5_000

/** Longer than the timeouts that expire meanwhile. */
const BUSY_MS = 2_500
const TIMEOUT_MS = 2_000

async function busyListener(t: ExecutionContext, muxer: MuxerName = 'yamux') {
  const { firstLine: addr } = await running(t, [programUrl('busy-listener').pathname, muxer])
  const dialer = await createNode(t, {
    muxers: [muxer],
    limits: 'unlimited',
    connections: { maxPerPeer: Infinity }
  })
  return { addr, dialer, connection: await dialer.dialAddr(addr) }
}

/** Blocks the listener for `ms`, starting shortly after this resolves. */
async function makeBusy(connection: Connection, ms: number): Promise<void> {
  const stream = await connection.newStream('/test/busy')
  await stream.write(Buffer.from(String(ms)))
  await stream.closeWrite()
  await stream.read()
}

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

for (const muxer of ['yamux', 'yamux-crate'] as const) {
  test.serial(
    `5,000 streams opened at once to a busy listener are all served, over ${muxer}`,
    async (t) => {
      const { connection } = await busyListener(t, muxer)
      await makeBusy(connection, 300)
      const message = Uint8Array.of(1, 2, 3, 4)
      const echo = async (): Promise<void> => {
        const stream = await connection.newStream('/test/echo')
        await stream.write(message)
        await stream.closeWrite()
        t.deepEqual(await stream.read(), message)
      }
      const outcomes = await Promise.allSettled(Array.from({ length: AT_ONCE }, echo))
      const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
      t.deepEqual(failed.slice(0, 3), [])
      t.is(failed.length, 0)
    }
  )
}

test.serial('connections not yet reported to a busy listener occupy their places', async (t) => {
  const { addr, connection, dialer } = await busyListener(t)
  await makeBusy(connection, BUSY_MS)
  await sleep(100)
  const until = Date.now() + BUSY_MS - 500
  const worker = async (): Promise<void> => {
    while (Date.now() < until) {
      try {
        const one = await dialer.dialAddr(addr, undefined, { force: true })
        await one.close()
      } catch {
        // Refused: the bound is reached.
        await sleep(5)
      }
    }
  }
  await Promise.all(Array.from({ length: 32 }, worker))
  const query = await connection.newStream('/test/opened')
  const opened = Number(Buffer.from(await query.read()).toString())
  t.log(`reported: ${opened}`)
  t.true(opened > 200, `${opened}`)
  // 256 of their peer, and those that arrived by the next poll.
  t.true(opened <= 300, `${opened}`)
})

test.serial(
  'a call that succeeds before its timeout does not time out, however busy the loop is',
  async (t) => {
    const { addr, connection, dialer } = await busyListener(t)
    const busyWith = async <T>(call: () => Promise<T>): Promise<T> => {
      const called = call()
      called.catch(() => {})
      setImmediate(() => block(BUSY_MS))
      return called
    }
    const late = (): AbortSignal => AbortSignal.timeout(TIMEOUT_MS)
    const dial = (options: object): Promise<Connection> =>
      dialer.dialAddr(addr, { force: true, ...options })
    const several = ['/test/none', '/test/echo']
    const calls: [string, () => Promise<unknown>][] = [
      ['dial, timeout', () => dial({ timeout: TIMEOUT_MS })],
      ['dial, signal', () => dial({ signal: late() })],
      [
        'newStream, timeout',
        () => connection.newStream(several, { negotiationTimeout: TIMEOUT_MS })
      ],
      ['newStream, signal', () => connection.newStream(several, { signal: late() })],
      [
        'read, deadline',
        () => echoed(connection, (stream) => stream.setReadDeadline(Date.now() + TIMEOUT_MS))
      ],
      ['read, signal', () => echoed(connection, () => {}, late())]
    ]
    for (const [name, call] of calls) await t.notThrowsAsync(busyWith(call), name)
  }
)

async function echoed(
  connection: Connection,
  prepare: (stream: Stream) => void,
  signal?: AbortSignal
): Promise<Uint8Array> {
  const stream = await connection.newStream('/test/echo')
  prepare(stream)
  stream.send(new Uint8Array(5))
  return stream.read(5, { signal })
}

test.serial(
  'streams negotiated and ended while the loop is busy leave the connection and are reported',
  async (t) => {
    const { connection, dialer } = await busyListener(t)
    const events: string[] = []
    dialer.notify({
      openedStream: () => events.push('opened'),
      closedStream: () => events.push('closed')
    })
    for (const protocols of ['/test/reset', ['/test/none', '/test/reset']]) {
      events.length = 0
      const opening = connection.newStream(protocols)
      setImmediate(() => block(200))
      const stream = await opening
      await new Promise<void>((resolve) => stream.addEventListener('close', () => resolve()))
      t.deepEqual(connection.streams, [])
      t.deepEqual(events, ['opened', 'closed'])
    }
  }
)

test('a swarm accepts and dials no more connections than limits.system.connections', async (t) => {
  const listener = await createNode(t, { limits: { system: { connections: 2 } } })
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const [addr] = listener.getListenAddrs()
  if (addr === undefined) throw new Error('no address')
  const dialer = await createNode(t, { limits: { system: { connections: 3 } } })
  const first = await dialer.dialAddr(addr)
  await dialer.dialAddr(addr, undefined, { force: true })
  await t.throwsAsync(dialer.dialAddr(addr, undefined, { force: true }))
  await first.close()
  const again = async (): Promise<Connection> => {
    for (;;) {
      try {
        return await dialer.dialAddr(addr, undefined, { force: true })
      } catch {
        // Its slot is free once the listener has seen the end.
        await sleep(10)
      }
    }
  }
  await again()
  const other = await createNode(t, { limits: { system: { connections: 4 } } })
  await other.listen('/ip4/127.0.0.1/tcp/0')
  const [there] = other.getListenAddrs()
  if (there === undefined) throw new Error('no address')
  await dialer.dialAddr(there)
  const err = await t.throwsAsync(dialer.dialAddr(there, undefined, { force: true }), {
    instanceOf: ResourceLimitExceededError,
    message: 'system: 3 of 3 connections are in use; limits.system.connections sets the limit'
  })
  const option = 'limits.system.connections'
  t.like(err, { scope: 'system', resource: 'connections', limit: 3, current: 3, option })
  t.deepEqual(err.holders, [
    { scope: `peer:${listener.peerId}`, used: 2 },
    { scope: `peer:${other.peerId}`, used: 1 }
  ])
})
