/** The whole stack over every transport, after go-libp2p's suite of transports. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import {
  ConnectionClosedError,
  type DialError,
  ResourceLimitExceededError,
  StreamResetError,
  TimeoutError,
  UnexpectedPeerError
} from '../../ts/errors.ts'
import { ping } from '../../ts/protocols/ping.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { ECHO, echo, exchanged } from '../support/echo.ts'
import { createNode, pattern, turns, until } from '../support/pair.ts'

const KIB = 1024
const RESET = '/ferroswarm/test/reset/1.0.0'

/** Names of transports, each with an address to listen on. */
const TRANSPORTS = {
  tcp: () => '/ip4/127.0.0.1/tcp/0',
  quic: () => '/ip4/127.0.0.1/udp/0/quic-v1',
  ws: () => '/ip4/127.0.0.1/tcp/0/ws',
  unix: () =>
    `/unix/${encodeURIComponent(join(tmpdir(), `suite-${process.pid}-${serial++}.sock`))}`,
  memory: () => '/memory/0'
} as const

let serial = 0

interface Ends {
  readonly dialer: Swarm
  readonly listener: Swarm
  readonly connection: Connection
  readonly options: SwarmOptions
}

for (const name of Object.keys(TRANSPORTS) as (keyof typeof TRANSPORTS)[]) {
  const listen = TRANSPORTS[name]
  const over = (title: string, body: (t: ExecutionContext, ends: Ends) => Promise<void>): void => {
    test(`${name}: ${title}`, async (t) => {
      const options: SwarmOptions = {
        transports: [name],
        services: { ping: true, identify: false }
      }
      const [dialer, listener] = await Promise.all([createNode(t, options), createNode(t, options)])
      listener.handle(ECHO, echo)
      listener.handle(RESET, async (stream) => {
        await stream.read(1)
        await stream.reset(7)
      })
      await listener.listen(listen())
      const connection = await dialer.dialPeer(listener.peerId, {
        addresses: listener.getListenAddrs()
      })
      t.is(connection.state.transport, name)
      await body(t, { dialer, listener, connection, options })
    })
  }

  // go 163
  over('pings', async (t, { connection }) => {
    let answered = 0
    for await (const ms of ping(connection, { count: 3 })) answered += ms >= 0 ? 1 : 0
    t.is(answered, 3)
  })

  over('64 blocks of 64 KiB come back', async (t, { connection }) => {
    const sent = pattern(64 * 64 * KIB)
    t.is(Buffer.compare(await exchanged(connection, sent), sent), 0)
  })

  over('500 streams, 8 at a time, bring back 64 KiB each', async (t, { connection }) => {
    const sent = pattern(64 * KIB)
    let left = 500
    const lane = async (): Promise<boolean> => {
      while (left > 0) {
        left -= 1
        if (Buffer.compare(await exchanged(connection, sent), sent) !== 0) return false
      }
      return true
    }
    t.deepEqual(await Promise.all(Array.from({ length: 8 }, lane)), Array(8).fill(true))
  })

  over('128 streams are opened before they are used', async (t, { connection }) => {
    const opening = Array.from({ length: 128 }, () => connection.newStream(ECHO))
    const streams = await Promise.all(opening)
    const answers = streams.map(async (stream, index) => {
      await stream.write(pattern(100, index))
      await stream.closeWrite()
      return Buffer.compare(await stream.read(), pattern(100, index))
    })
    t.deepEqual(await Promise.all(answers), Array(128).fill(0))
  })

  // U5
  over('a thousand streams at once get their turns', async (t, { connection }) => {
    const answers = Array.from({ length: 1_000 }, async () => {
      for (;;) {
        try {
          return (await exchanged(connection, pattern(10))).length
        } catch (err) {
          // Beyond a limit of either side; room follows.
          const isFull =
            err instanceof StreamResetError || err instanceof ResourceLimitExceededError
          if (!isFull) throw err
          await turns()
        }
      }
    })
    t.deepEqual(await Promise.all(answers), Array(1_000).fill(10))
  })

  over('either side resets a stream with its code', async (t, { connection }) => {
    const theirs = await connection.newStream(RESET)
    await theirs.write(pattern(1))
    const err = await t.throwsAsync(theirs.read(1), { instanceOf: StreamResetError })
    t.deepEqual([err.errorCode, err.remote], [7, true])
    const ours = await connection.newStream(ECHO)
    await ours.write(pattern(1))
    await ours.reset(8)
    const after = await t.throwsAsync(ours.read(1), { instanceOf: StreamResetError })
    t.deepEqual([after.errorCode, after.remote], [8, false])
  })

  over('a deadline ends a read', async (t, { connection }) => {
    const stream = await connection.newStream(ECHO)
    stream.setReadDeadline(Date.now() + 50)
    await t.throwsAsync(stream.read(1), { instanceOf: TimeoutError })
  })

  over(
    'a peer other than the expected one is refused and named',
    async (t, { listener, options }) => {
      const [other, dialer] = await Promise.all([createNode(t, options), createNode(t, options)])
      const dialled = dialer.dialPeer(other.peerId, { addresses: listener.getListenAddrs() })
      const err = (await t.throwsAsync(dialled)) as DialError & { attempts: { cause: Error }[] }
      t.true(err.attempts[0]?.cause instanceof UnexpectedPeerError)
    }
  )

  over('a close ends both ends and their streams', async (t, { connection, listener }) => {
    const stream = await connection.newStream(ECHO)
    await stream.write(pattern(1))
    await stream.read(1)
    const reading = t.throwsAsync(stream.read(1))
    await connection.close()
    await reading
    await until(() => listener.getConnections().length === 0)
    await t.throwsAsync(connection.newStream(ECHO), { instanceOf: ConnectionClosedError })
  })
}
