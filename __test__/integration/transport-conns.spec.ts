/** Transports that open connections which need no upgrade: they are secured and multiplexed already. */
import test, { type ExecutionContext } from 'ava'
import {
  ConnectionErrorCode,
  DialAllFailedError,
  type Opened,
  ResourceLimitExceededError,
  type Swarm,
  type SwarmOptions,
  type Transport,
  type TransportConn
} from '../../ts/index.ts'
import { type MemoryConn, memoryConns } from '../support/memory-muxer.ts'
import { createNode, until } from '../support/pair.ts'

const ECHO = '/echo/1.0.0'
const HERE = '/ip4/10.0.0.1/tcp/1'
const THERE = '/ip4/10.0.0.2/tcp/1'

interface Wired {
  readonly dialer: Swarm
  readonly listener: Swarm
  /** The ends of the connections, in the order of the dials. */
  readonly near: MemoryConn[]
  readonly far: MemoryConn[]
  /** The signals of the dials. */
  readonly signals: AbortSignal[]
}

interface WiredOptions {
  readonly dialer?: SwarmOptions
  readonly listener?: SwarmOptions
  /** Changes what a dial opens. */
  readonly opened?: (conn: MemoryConn, signal: AbortSignal) => unknown
}

/** Two nodes whose transport joins them in memory, with connections of a muxer in TypeScript. */
async function wired(t: ExecutionContext, options: WiredOptions = {}): Promise<Wired> {
  let accept: (opened: Opened, remoteAddr?: string) => void = () => {}
  const near: MemoryConn[] = []
  const far: MemoryConn[] = []
  const signals: AbortSignal[] = []
  const transport: Transport = {
    canDial: () => true,
    dial: (_addr, { signal }) => {
      const ends = memoryConns(listener.peerId, dialer.peerId)
      near.push(ends.near)
      far.push(ends.far)
      signals.push(signal)
      accept(known(ends.far, THERE), HERE)
      // A transport may return anything.
      return (options.opened?.(ends.near, signal) ?? known(ends.near, HERE)) as TransportConn
    },
    listen: (addr, onOpened) => {
      accept = onOpened
      return { addresses: [addr], close: () => {} }
    }
  }
  const transports = [transport]
  const dialer = await createNode(t, { transports, ...options.dialer })
  const listener = await createNode(t, { transports: [...transports], ...options.listener })
  await listener.listen(THERE)
  listener.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
  return { dialer, listener, near, far, signals }
}

/** Adds what a transport knows of its connection. */
function known(conn: MemoryConn, localAddr: string): TransportConn {
  return Object.assign(conn, { localAddr, security: '/tls/1.0.0', muxer: '/quic' }) as TransportConn
}

test('a connection that a transport has secured and multiplexed needs no upgrade', async (t) => {
  const { dialer, listener } = await wired(t)
  const connection = await dialer.dialPeer(listener.peerId, { addresses: [THERE] })
  t.true(connection.remotePeer.equals(listener.peerId))
  t.is(connection.direction, 'outbound')
  t.is(`${connection.remoteAddr}`, THERE)
  t.is(`${connection.localAddr}`, HERE)
  const { security, muxer } = connection.state
  t.deepEqual({ security, muxer }, { security: '/tls/1.0.0', muxer: '/quic' })
  const [inbound] = listener.getConnections(dialer.peerId)
  t.is(inbound?.direction, 'inbound')
  t.is(`${inbound?.remoteAddr}`, HERE)

  const stream = await connection.newStream(ECHO)
  await stream.write(Buffer.from('hello'))
  await stream.closeWrite()
  t.is(`${Buffer.from(await stream.read())}`, 'hello')
  await connection.close()
  await until(() => listener.getTotalConnections() === 0)
})

test('a connection of a transport to another peer fails the dial, and is closed', async (t) => {
  const { dialer, listener, near } = await wired(t)
  const stranger = await createNode(t)
  const err = await t.throwsAsync(dialer.dialPeer(stranger.peerId, { addresses: [THERE] }), {
    instanceOf: DialAllFailedError
  })
  t.is(err?.attempts[0]?.cause.code, 'ERR_UNEXPECTED_PEER')
  t.is(err?.attempts[0]?.stage, 'security')
  t.deepEqual(near[0]?.calls, ['close 0'])
  t.is(dialer.getTotalConnections(), 0)
  await until(() => listener.getTotalConnections() === 0)
})

test('a private network refuses a connection that a transport has secured, in both directions', async (t) => {
  const psk = '0123456789abcdef'.repeat(4)
  const outbound = await wired(t, { dialer: { psk } })
  const dial = outbound.dialer.dialPeer(outbound.listener.peerId, { addresses: [THERE] })
  const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.regex(attempts[0]?.cause.message ?? '', /private network \(option psk\), received a connection/)
  t.deepEqual(outbound.near[0]?.calls, ['close 0'])
  t.is(outbound.dialer.getTotalConnections(), 0)

  const inbound = await wired(t, { listener: { psk } })
  await inbound.dialer.dialPeer(inbound.listener.peerId, { addresses: [THERE] }).catch(() => {})
  await until(() => inbound.far[0]?.calls.length === 1)
  t.deepEqual(inbound.far[0]?.calls, ['close 0'])
  t.is(inbound.listener.getTotalConnections(), 0)
})

test('limits count connections of a transport, in both directions', async (t) => {
  const limited = await wired(t, { listener: { connections: { max: 1 } } })
  const first = await limited.dialer.dialPeer(limited.listener.peerId, { addresses: [THERE] })
  await t.throwsAsync(
    limited.dialer.dialPeer(limited.listener.peerId, { addresses: [THERE], force: true }),
    { instanceOf: DialAllFailedError }
  )
  t.deepEqual(limited.far[1]?.calls, [`close ${ConnectionErrorCode.ResourceLimitExceeded}`])
  t.is(limited.listener.getTotalConnections(), 1)
  await first.close()

  const { dialer, listener, near } = await wired(t, { dialer: { connections: { max: 1 } } })
  await dialer.dialPeer(listener.peerId, { addresses: [THERE] })
  await t.throwsAsync(dialer.dialPeer(listener.peerId, { addresses: [THERE], force: true }), {
    instanceOf: ResourceLimitExceededError
  })
  t.deepEqual(near[1]?.calls, [`close ${ConnectionErrorCode.ResourceLimitExceeded}`])
})

test('a connection that comes too late for its dial is closed unannounced', async (t) => {
  const late = Promise.withResolvers<TransportConn>()
  const { dialer, listener, near, signals } = await wired(t, { opened: () => late.promise })
  const controller = new AbortController()
  const dial = dialer.dialPeer(listener.peerId, { addresses: [THERE], signal: controller.signal })
  await until(() => signals.length === 1)
  controller.abort()
  await t.throwsAsync(dial, { name: 'AbortError' })
  t.true(signals[0]?.aborted)
  const [conn] = near
  if (conn !== undefined) late.resolve(known(conn, HERE))
  await until(() => conn?.calls.length === 1)
  t.deepEqual(conn?.calls, ['close 0'])
  t.is(dialer.getTotalConnections(), 0)
})

test('a connection without a peer, in use, or that is none fails the dial', async (t) => {
  const anonymous = await wired(t, {
    opened: (conn) => Object.defineProperty(conn, 'remotePeer', { value: undefined })
  })
  const failure = async ({ dialer, listener }: Wired): Promise<string | undefined> => {
    const dial = dialer.dialPeer(listener.peerId, { addresses: [THERE], force: true })
    const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
    return err?.attempts[0]?.cause.message
  }
  t.regex((await failure(anonymous)) ?? '', /the remote peer is not known/)
  t.deepEqual(anonymous.near[0]?.calls, ['close 0'])

  let first: MemoryConn | undefined
  const repeating = await wired(t, {
    opened: (conn) => {
      first ??= conn
      return first
    }
  })
  await repeating.dialer.dialPeer(repeating.listener.peerId, { addresses: [THERE] })
  t.regex((await failure(repeating)) ?? '', /in use/)
  // It is that of the first dial.
  t.deepEqual(first?.calls, [])

  const broken = await wired(t, {
    opened: () => ({ acceptStream: () => {}, closeWithError: () => {} })
  })
  t.regex((await failure(broken)) ?? '', /openStream/)
})

test('a swarm that closes takes no more connections of its transports', async (t) => {
  let accept: (opened: Opened) => void = () => {}
  const transport: Transport = {
    canDial: () => true,
    dial: () => Promise.reject(new Error('not dialled')),
    listen: (addr, onOpened) => {
      accept = onOpened
      return { addresses: [addr], close: () => {} }
    }
  }
  const swarm = await createNode(t, { transports: [transport] })
  const other = await createNode(t)
  await swarm.listen(THERE)
  const { far } = memoryConns(undefined, other.peerId)
  swarm.addEventListener('closing', () => accept(known(far, THERE)))
  await swarm.close()
  t.deepEqual(far.calls, [`close ${ConnectionErrorCode.Shutdown}`])
})
