import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import {
  type Connection,
  createSwarm,
  identify,
  perf,
  ping,
  StreamErrorCode,
  type StreamHandler,
  type Swarm,
  type SwarmOptions
} from '../../ts/index.ts'

const PING = '/ipfs/ping/1.0.0'
const PATIENCE_MS = 10_000

interface Two {
  readonly listener: Swarm
  readonly dialer: Swarm
  readonly connection: Connection
}

async function two(
  t: ExecutionContext,
  options: { listener?: SwarmOptions; before?: (listener: Swarm) => void } = {}
): Promise<Two> {
  const listener = await createSwarm(options.listener)
  const dialer = await createSwarm()
  t.teardown(() =>
    Promise.all([listener.close({ drainTimeout: 0 }), dialer.close({ drainTimeout: 0 })])
  )
  options.before?.(listener)
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const connection = await dialer.dialAddr(listener.getListenAddrs()[0] ?? '', listener.peerId)
  return { listener, dialer, connection }
}

/** Polls until `poll` returns a value. */
async function eventually<T>(poll: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await poll()
    if (found !== undefined) return found
    if (Date.now() > end) throw new Error('the condition was not met in time')
    await sleep(5)
  }
}

function instead(protocol: string, handler: StreamHandler): (listener: Swarm) => void {
  return (listener) => listener.handle(protocol, handler)
}

test('many pings go over one stream, which ends with them', async (t) => {
  const { connection } = await two(t)
  let opened = 0
  connection.swarm.addEventListener('openedStream', ({ detail: stream }) => {
    if (stream.protocol === PING) opened += 1
  })
  const times: number[] = []
  for await (const time of ping(connection, { count: 100 })) times.push(time)
  t.is(times.length, 100)
  t.true(times.every((time) => time > 0))
  t.is(opened, 1)
  await eventually(async () => (connection.streams.length === 0 ? true : undefined))
})

test('leaving the loop ends the pings', async (t) => {
  const { connection } = await two(t)
  for await (const time of ping(connection)) {
    t.true(time > 0)
    break
  }
  await eventually(async () => (connection.streams.length === 0 ? true : undefined))
})

test('an answer that differs is a violation of the protocol', async (t) => {
  const { connection } = await two(t, {
    before: instead(PING, async (stream) => {
      await stream.read(32)
      await stream.write(new Uint8Array(32))
    })
  })
  const err = await t.throwsAsync(ping(connection).next(), { name: 'StreamResetError' })
  t.is((err as unknown as { errorCode: number }).errorCode, StreamErrorCode.ProtocolViolation)
})

test('a ping without an answer times out, an aborted one stops', async (t) => {
  const { connection } = await two(t, { before: instead(PING, () => sleep(PATIENCE_MS)) })
  await t.throwsAsync(ping(connection, { timeout: 20 }).next(), { name: 'TimeoutError' })
  const signal = AbortSignal.timeout(20)
  await t.throwsAsync(ping(connection, { signal }).next(), { name: 'AbortError' })
})

test('every connection is identified automatically, from both ends', async (t) => {
  const { listener, dialer, connection } = await two(t)
  const listening = await identify(connection)
  t.regex(listening.agentVersion ?? '', /^ferroswarm\/\d/)
  t.is(listening.protocolVersion, 'ipfs/0.1.0')
  t.true(listening.protocols.includes(PING))
  t.deepEqual(listening.listenAddrs.map(String), listener.getListenAddrs().map(String))
  t.is(String(listening.observedAddr), String(connection.localAddr))

  const inbound = await eventually(async () => listener.getConnections(dialer.peerId)[0])
  t.is(String((await identify(inbound)).observedAddr), String(inbound.localAddr))
  t.is(await identify(connection), listening, 'queried once')
  t.not(await identify(connection, { force: true }), listening)
})

test('a connection that is closed as soon as it is up is not identified', async (t) => {
  const [listener, dialer] = await Promise.all([createSwarm(), createSwarm()])
  t.teardown(() => listener.close({ drainTimeout: 0 }))
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  let opened = 0
  dialer.notify({
    connected: (_, connection) => queueMicrotask(() => void connection.close()),
    openedStream: (_, stream) => {
      if (stream.direction === 'outbound') opened += 1
    }
  })
  const connection = await dialer.dialAddr(listener.getListenAddrs()[0] ?? '', listener.peerId)
  await connection.closed
  await dialer.close()
  t.is(opened, 0)
})

test('a change of handlers and of addresses is pushed', async (t) => {
  const { listener, connection } = await two(t)
  await identify(connection)
  const inbound = await eventually(async () => listener.getConnections()[0])
  await identify(inbound)
  listener.handle('/later/1.0.0', (stream) => stream.close())
  await eventually(async () =>
    (await identify(connection)).protocols.includes('/later/1.0.0') ? true : undefined
  )
  // Another loopback address: the same text again would bind nothing.
  await listener.listen('/ip4/127.0.0.2/tcp/0')
  const addrs = listener.getListenAddrs().map(String)
  await eventually(async () => {
    const reported = (await identify(connection)).listenAddrs.map(String)
    return addrs.every((addr) => reported.includes(addr)) ? true : undefined
  })
  t.pass()
})

test('perf is off by default', async (t) => {
  const { listener } = await two(t)
  t.false(listener.getProtocols().includes('/perf/1.0.0'))
})

test('perf moves bytes both ways in one run and reports its progress', async (t) => {
  const { connection } = await two(t, { listener: { services: { perf: true } } })
  const seen = { upload: 0, download: 0 }
  const result = await perf(connection, {
    uploadBytes: 1_000_001,
    downloadBytes: 3_000_003,
    onProgress: ({ direction, bytes }) => {
      seen[direction] = bytes
    }
  })
  t.deepEqual(seen, { upload: 1_000_001, download: 3_000_003 })
  t.true(result.uploadSeconds > 0 && result.downloadSeconds > 0)
  const nothing = await perf(connection)
  t.is(nothing.uploadSeconds + nothing.downloadSeconds, 0)
})

test('perf can be aborted', async (t) => {
  const { connection } = await two(t, { listener: { services: { perf: true } } })
  const running = perf(connection, { downloadBytes: 2 ** 40, signal: AbortSignal.timeout(20) })
  await t.throwsAsync(running, { name: 'AbortError' })
})

test('messages cross in every framing, including ones larger than a window', async (t) => {
  const { connection } = await two(t, {
    before: instead('/echo', async (stream) => {
      const framing = Buffer.from(await stream.read(8))
        .toString()
        .trim() as 'varint'
      const messages = stream.messages({ framing })
      for await (const message of messages) await messages.writeMsg(message)
      await stream.close()
    })
  })
  for (const framing of ['varint', 'fixed8', 'fixed16', 'fixed32', 'fixed64'] as const) {
    const sizes = framing === 'fixed8' ? [0, 1, 255] : [0, 1, 60_000]
    if (framing !== 'fixed8' && framing !== 'fixed16') sizes.push(1_000_000)
    const stream = await connection.newStream('/echo')
    await stream.write(Buffer.from(framing.padEnd(8)))
    const messages = stream.messages({ framing })
    for (const size of sizes) {
      const message = new Uint8Array(size).map((_, index) => index)
      const written = messages.writeMsg(message)
      t.true(Buffer.from(message).equals(await messages.readMsg()), `${framing} of ${size}`)
      await written
    }
    await stream.closeWrite()
    t.is((await messages[Symbol.asyncIterator]().next()).done, true)
  }
})
