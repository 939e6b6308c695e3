/** The whole stack over every transport, after go-libp2p's suite of transports. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { ConnectionSecurity } from '../../ts/connection/facts.ts'
import type { Connection } from '../../ts/connection.ts'
import type { NativeTransportName } from '../../ts/constants.ts'
import {
  ConnectionClosedError,
  type DialError,
  ResourceLimitExceededError,
  StreamResetError,
  TimeoutError,
  UnexpectedPeerError
} from '../../ts/errors.ts'
import { ping } from '../../ts/protocols/ping.ts'
import type { Stream } from '../../ts/stream.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { CERTIFICATE, KEY } from '../support/certificate.ts'
import { ECHO, echo, exchanged } from '../support/echo.ts'
import { frameMuxer } from '../support/frame-muxer.ts'
import { createNode, pattern, turns, until } from '../support/pair.ts'

const KIB = 1024
const RESET = '/ferroswarm/test/reset/1.0.0'
const HELD = '/ferroswarm/test/held/1.0.0'

/** Retries of what is beyond a limit last this long; only a stream that never gets room takes as much. */
const CEILING_MS = 30_000

interface Row {
  readonly transport: NativeTransportName
  /** Returns an address to listen on. */
  listen(): string
  readonly options?: SwarmOptions
}

const ROWS: Record<string, Row> = {
  tcp: { transport: 'tcp', listen: () => '/ip4/127.0.0.1/tcp/0' },
  quic: { transport: 'quic', listen: () => '/ip4/127.0.0.1/udp/0/quic-v1' },
  ws: { transport: 'ws', listen: () => '/ip4/127.0.0.1/tcp/0/ws' },
  wss: {
    transport: 'ws',
    listen: () => '/ip4/127.0.0.1/tcp/0/tls/ws',
    options: { webSocket: { certificate: { cert: CERTIFICATE, key: KEY }, roots: CERTIFICATE } }
  },
  unix: {
    transport: 'unix',
    listen: () =>
      `/unix/${encodeURIComponent(join(tmpdir(), `suite-${process.pid}-${serial++}.sock`))}`
  },
  memory: { transport: 'memory', listen: () => '/memory/0' }
}

let serial = 0

interface Ends {
  readonly dialer: Swarm
  readonly listener: Swarm
  readonly connection: Connection
  readonly options: SwarmOptions
}

const SECURITIES = [
  ['noise', '/noise'],
  ['tls', '/tls/1.0.0']
] as const

/** Returns the next inbound stream of a protocol. */
function inboundStream(swarm: Swarm, protocol: string): Promise<Stream> {
  return new Promise((resolve) => void swarm.handle(protocol, (stream) => resolve(stream)))
}

for (const [name, { transport, listen, options: own = {} }] of Object.entries(ROWS)) {
  const over = (title: string, body: (t: ExecutionContext, ends: Ends) => Promise<void>): void => {
    test(`${name}: ${title}`, async (t) => {
      const options: SwarmOptions = {
        ...own,
        transports: [transport],
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
      t.is(connection.state.transport, transport)
      await body(t, { dialer, listener, connection, options })
    })
  }

  // go 163
  over('pings', async (t, { connection }) => {
    let answered = 0
    for await (const ms of ping(connection, { count: 3 })) answered += ms >= 0 ? 1 : 0
    t.is(answered, 3)
  })

  // go 163
  over('64 blocks of 64 KiB come back', async (t, { connection }) => {
    const sent = pattern(64 * 64 * KIB)
    t.is(Buffer.compare(await exchanged(connection, sent), sent), 0)
  })

  // go 163
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

  // go 163
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

  // go 163, U5
  over(
    '1,024 streams at once get their turns, those beyond a limit too',
    async (t, { connection }) => {
      const end = Date.now() + CEILING_MS
      const answers = Array.from({ length: 1_024 }, async () => {
        for (;;) {
          try {
            return (await exchanged(connection, pattern(10))).length
          } catch (err) {
            // Beyond a limit of either side; room follows.
            const isFull =
              err instanceof StreamResetError || err instanceof ResourceLimitExceededError
            if (!isFull || Date.now() > end) throw err
            await turns()
          }
        }
      })
      t.deepEqual(await Promise.all(answers), Array(1_024).fill(10))
    }
  )

  // go 163
  over(
    'either side resets a stream, and both learn the code',
    async (t, { connection, listener }) => {
      const theirs = await connection.newStream(RESET)
      await theirs.write(pattern(1))
      const err = await t.throwsAsync(theirs.read(1), { instanceOf: StreamResetError })
      t.deepEqual([err.errorCode, err.remote], [7, true])
      const inbound = inboundStream(listener, HELD)
      const ours = await connection.newStream(HELD)
      await ours.write(pattern(1))
      const far = await inbound
      t.is((await far.read(1)).length, 1)
      await ours.reset(8)
      const after = await t.throwsAsync(ours.read(1), { instanceOf: StreamResetError })
      t.deepEqual([after.errorCode, after.remote], [8, false])
      const seen = await t.throwsAsync(far.read(1), { instanceOf: StreamResetError })
      t.deepEqual([seen.errorCode, seen.remote], [8, true])
    }
  )

  // go 163
  over('a deadline ends a read', async (t, { connection }) => {
    const stream = await connection.newStream(ECHO)
    stream.setReadDeadline(Date.now() + 50)
    await t.throwsAsync(stream.read(1), { instanceOf: TimeoutError })
  })

  // go 163
  over(
    'a peer other than the expected one is refused and named',
    async (t, { listener, options }) => {
      const [other, dialer] = await Promise.all([createNode(t, options), createNode(t, options)])
      const dialled = dialer.dialPeer(other.peerId, { addresses: listener.getListenAddrs() })
      const err = (await t.throwsAsync(dialled)) as DialError & { attempts: { cause: Error }[] }
      t.true(err.attempts[0]?.cause instanceof UnexpectedPeerError)
    }
  )

  // go 163
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
  // go 65
  over('each of 5 reconnections is a connection of its own, told of and ended', async (t, ends) => {
    const { dialer, listener, connection } = ends
    const told = { connected: 0, disconnected: 0 }
    for (const swarm of [dialer, listener]) {
      swarm.addEventListener('connected', () => (told.connected += 1))
      swarm.addEventListener('disconnected', () => (told.disconnected += 1))
    }
    await connection.close()
    await until(() => told.disconnected === 2)
    Object.assign(told, { connected: 0, disconnected: 0 })
    const ids = new Set([connection.id])
    const sent = pattern(100_000)
    for (let round = 0; round < 5; round += 1) {
      const again = await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
      ids.add(again.id)
      t.is(Buffer.compare(await exchanged(again, sent), sent), 0)
      await again.close()
      await until(() => told.disconnected === 2 * (round + 1))
    }
    t.is(ids.size, 6)
    t.deepEqual(told, { connected: 10, disconnected: 10 })
    t.deepEqual([dialer.getTotalConnections(), listener.getTotalConnections()], [0, 0])
  })

  over('a connection whose close has resolved takes no place of its peer', async (t, ends) => {
    const { dialer, listener, connection } = ends
    await connection.close()
    // More than a peer may have at a time.
    for (let count = 0; count < 20; count += 1) {
      const addresses = listener.getListenAddrs()
      const again = await dialer.dialPeer(listener.peerId, { addresses })
      await again.close()
    }
    t.is(dialer.getTotalConnections(), 0)
  })
}

/** Resolves to the state of a connection at both ends, the dialler's first. */
async function statesOf(
  t: ExecutionContext,
  { transport, listen, options = {} }: Row,
  ends: { dialer: SwarmOptions; listener: SwarmOptions }
): Promise<[ConnectionSecurity, ConnectionSecurity]> {
  const transports = [transport]
  const [dialer, listener] = await Promise.all([
    createNode(t, { ...options, transports, ...ends.dialer }),
    createNode(t, { ...options, transports, ...ends.listener })
  ])
  await listener.listen(listen())
  const addresses = listener.getListenAddrs()
  const { state } = await dialer.dialPeer(listener.peerId, { addresses })
  await until(() => listener.getTotalConnections() === 1)
  const [inbound] = listener.getConnections()
  return [state, (inbound as Connection).state]
}

for (const [name, row] of Object.entries(ROWS)) {
  if (name === 'quic') continue
  for (const [security, protocol] of SECURITIES) {
    // go 68
    test(`${name} with ${security} agrees on the muxer within the handshake, and both ends say so`, async (t) => {
      const both = { security: [security] } as const
      for (const state of await statesOf(t, row, { dialer: both, listener: both })) {
        t.deepEqual(state, {
          transport: row.transport,
          security: protocol,
          muxer: '/yamux/1.0.0',
          muxerEngine: 'yamux',
          usedEarlyMuxerNegotiation: true
        })
      }
    })
  }
}

for (const [security, protocol] of SECURITIES) {
  // go 68
  test(`a muxer that ${security} does not name is agreed on by multistream-select, and both ends say so`, async (t) => {
    // A node with muxers of the application names none in the handshake.
    const own = { security: [security], muxers: [frameMuxer(), 'yamux'] } as const
    const plain = { security: [security] } as const
    for (const ends of [
      { dialer: own, listener: plain },
      { dialer: plain, listener: own }
    ]) {
      for (const state of await statesOf(t, ROWS.tcp as Row, ends)) {
        t.like(state, {
          transport: 'tcp',
          security: protocol,
          muxer: '/yamux/1.0.0',
          usedEarlyMuxerNegotiation: false
        })
      }
    }
  })
}

// go 68
test('quic has TLS and no muxer, and both ends say so', async (t) => {
  for (const state of await statesOf(t, ROWS.quic as Row, { dialer: {}, listener: {} })) {
    t.deepEqual(state, {
      transport: 'quic',
      security: '/tls/1.0.0',
      muxer: '',
      muxerEngine: '',
      usedEarlyMuxerNegotiation: false
    })
  }
})
