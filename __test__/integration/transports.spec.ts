/** Transports of the application: duplexes of any kind, dialled and accepted by the swarm. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import test from 'ava'
import {
  type AddrLike,
  DialAllFailedError,
  InvalidParametersError,
  ListenError,
  TimeoutError,
  type Transport,
  type TransportDialOptions
} from '../../ts/index.ts'
import { Swarm } from '../../ts/swarm.ts'
import { createNode, listening, until } from '../support/pair.ts'

const ECHO = '/echo/1.0.0'

/** Unix sockets at `/unix/…` addresses, as an application would write them. */
function unixTransport(): Transport & { servers: Server[]; dialled: string[] } {
  const servers: Server[] = []
  const dialled: string[] = []
  const pathOf = (addr: AddrLike): string =>
    decodeURIComponent(/^\/unix\/([^/]+)/.exec(`${addr}`)?.[1] ?? '')
  return {
    servers,
    dialled,
    canDial: (addr) => `${addr}`.startsWith('/unix/'),
    async dial(addr) {
      dialled.push(`${addr}`)
      const socket = connect(pathOf(addr))
      await once(socket, 'connect')
      return socket
    },
    async listen(addr, onDuplex) {
      const server = createServer((socket) => onDuplex(socket, addr))
      servers.push(server)
      server.listen(pathOf(addr))
      await once(server, 'listening')
      return { addresses: [addr], close: () => void server.close() }
    }
  }
}

const unixAddress = (): string =>
  `/unix/${encodeURIComponent(join(tmpdir(), `ferroswarm-${randomUUID()}.sock`))}`

test('a swarm listens on and dials by a transport of the application', async (t) => {
  const address = unixAddress()
  const listener = await createNode(t, { transports: [unixTransport()] })
  listener.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
  const bound: string[] = []
  const released: string[] = []
  listener.addEventListener('listen', ({ detail }) => bound.push(`${detail}`))
  listener.addEventListener('listenClose', ({ detail }) => released.push(`${detail}`))
  t.true(await listener.listen(address))
  t.deepEqual(listener.getListenAddrs().map(String), [address])
  const transport = unixTransport()
  const swarm = await createNode(t, { transports: ['tcp', transport] })
  const connection = await swarm.dialPeer(listener.peerId, { addresses: [address] })
  t.is(connection.direction, 'outbound')
  t.is(`${connection.remoteAddr}`, address)
  t.deepEqual(swarm.peerstore.addrs(listener.peerId).map(String).slice(0, 1), [address])
  const stream = await swarm.newStream(listener.peerId, ECHO)
  await stream.write(Buffer.from('hello'))
  await stream.closeWrite()
  t.is(String(Buffer.from(await stream.read())), 'hello')
  await until(() => listener.getTotalConnections() === 1)
  t.is(listener.getConnections()[0]?.direction, 'inbound')
  await connection.close()
  // The address book has learned the address.
  const again = await swarm.dialPeer(listener.peerId)
  t.is(`${again.remoteAddr}`, address)
  t.is(transport.dialled.length, 2)
  t.true(await listener.unlisten(address))
  t.deepEqual([bound, released], [[address], [address]])
  t.deepEqual(listener.getListenAddrs(), [])
})

test('the first transport that takes an address has it, and tcp may be left out', async (t) => {
  const dialled: string[] = []
  const proxied = (name: string): Transport => ({
    canDial: (addr) => `${addr}`.startsWith('/ip4/127.0.0.1/tcp/'),
    dial: (addr) => {
      dialled.push(name)
      const [, , , , port] = `${addr}`.split('/')
      return connect(Number(port), '127.0.0.1')
    }
  })
  const listener = await listening(t)
  const addresses = listener.getListenAddrs()
  for (const transports of [
    [proxied('first'), proxied('second')],
    [proxied('first'), 'tcp' as const],
    ['tcp' as const, proxied('second')]
  ]) {
    const swarm = await createNode(t, { transports })
    const connection = await swarm.dialPeer(listener.peerId, { addresses })
    t.is(connection.state.transport, 'tcp')
  }
  t.deepEqual(dialled, ['first', 'first'])
  const without = await createNode(t, { transports: [unixTransport()] })
  const err = await t.throwsAsync(without.dialPeer(listener.peerId, { addresses }), {
    instanceOf: DialAllFailedError
  })
  t.is(err.attempts[0]?.cause.message, 'tcp is none of the transports of this swarm')
  const deaf = await t.throwsAsync(without.listen('/ip4/127.0.0.1/tcp/0'), {
    instanceOf: ListenError
  })
  t.regex(deaf.message, /none of the transports/)
})

test('its attempts race with native ones, and the losers are in the report', async (t) => {
  const listener = await listening(t)
  let signal: AbortSignal | undefined
  const hanging: Transport = {
    canDial: (addr) => `${addr}`.startsWith('/unix/'),
    dial: (_addr, options: TransportDialOptions) => {
      signal = options.signal
      return new Promise(() => {})
    }
  }
  const swarm = await createNode(t, { transports: ['tcp', hanging] })
  const address = unixAddress()
  const connection = await swarm.dialPeer(listener.peerId, {
    addresses: [address, ...listener.getListenAddrs()]
  })
  t.is(connection.state.transport, 'tcp')
  t.true(signal === undefined || signal.aborted)
})

test('failures name the stage and the reason, and are tried again if they may pass', async (t) => {
  const address = unixAddress()
  const transport = unixTransport()
  const peer = await listening(t)
  const swarm = await createNode(t, {
    transports: [transport],
    retry: { maxRetries: 1, initialDelay: 1 }
  })
  const err = await t.throwsAsync(swarm.dialPeer(peer.peerId, { addresses: [address] }), {
    instanceOf: DialAllFailedError
  })
  t.like(err.attempts[0], { address, transport: 'unix', stage: 'connect' })
  t.regex(err.attempts[0]?.cause.message ?? '', /ENOENT/)
  t.is(transport.dialled.length, 1, 'a missing socket is no passing failure')
  const refusing: Transport = {
    canDial: () => true,
    dial: () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
  }
  const other = await createNode(t, {
    transports: [refusing],
    retry: { maxRetries: 2, initialDelay: 1 }
  })
  const seen: string[] = []
  const refused = await t.throwsAsync(
    other.dialPeer(peer.peerId, {
      addresses: [address],
      onAttempt: ({ stage }) => seen.push(stage)
    }),
    { instanceOf: DialAllFailedError }
  )
  t.is(refused.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  t.deepEqual(seen, ['connect', 'connect', 'connect'])
})

test('a peer behind a transport that is another one, or none at all, is refused', async (t) => {
  const address = unixAddress()
  const listener = await createNode(t, { transports: [unixTransport()] })
  await listener.listen(address)
  const another = await listening(t)
  const swarm = await createNode(t, { transports: [unixTransport()], retry: { maxRetries: 0 } })
  const wrong = await t.throwsAsync(swarm.dialPeer(another.peerId, { addresses: [address] }), {
    instanceOf: DialAllFailedError
  })
  t.like(wrong.attempts[0], { stage: 'security' })
  t.is(wrong.attempts[0]?.cause.code, 'ERR_UNEXPECTED_PEER')
  t.is(swarm.getTotalConnections(), 0)
  const silent: Transport = {
    canDial: () => true,
    dial: () => duplexPair()[0]
  }
  const patient = await createNode(t, {
    transports: [silent],
    connections: { dialTimeout: 50 },
    retry: { maxRetries: 0 }
  })
  const late = await t.throwsAsync(patient.dialPeer(another.peerId, { addresses: [address] }), {
    instanceOf: DialAllFailedError
  })
  t.like(late.attempts[0], { stage: 'security' })
  t.true(late.attempts[0]?.cause instanceof TimeoutError)
})

test('a duplex that comes after its dial was abandoned is destroyed', async (t) => {
  const [mine] = duplexPair()
  const dialled = Promise.withResolvers<typeof mine>()
  const began = Promise.withResolvers<void>()
  const slow: Transport = {
    canDial: () => true,
    dial: () => {
      began.resolve()
      return dialled.promise
    }
  }
  const peer = await listening(t)
  const swarm = await createNode(t, { transports: [slow] })
  const controller = new AbortController()
  const dial = swarm.dialPeer(peer.peerId, {
    addresses: [unixAddress()],
    signal: controller.signal
  })
  await began.promise
  controller.abort()
  await t.throwsAsync(dial, { name: 'AbortError' })
  dialled.resolve(mine)
  await once(mine, 'close')
  t.true(mine.destroyed)
})

test('a transport that throws, lies or gives no duplex harms nobody', async (t) => {
  const listener = await listening(t)
  const addresses = listener.getListenAddrs()
  const bad: Transport[] = [
    {
      canDial: () => {
        throw new Error('oops')
      },
      dial: () => duplexPair()[0]
    },
    { canDial: () => 'yes' as never, dial: () => duplexPair()[0] }
  ]
  const swarm = await createNode(t, { transports: [...bad, 'tcp'], logger: {} })
  const connection = await swarm.dialPeer(listener.peerId, { addresses })
  t.is(connection.state.transport, 'tcp')
  const empty: Transport = { canDial: () => true, dial: () => ({}) as never }
  const other = await createNode(t, { transports: [empty], retry: { maxRetries: 0 } })
  const err = await t.throwsAsync(other.dialPeer(listener.peerId, { addresses }), {
    instanceOf: DialAllFailedError
  })
  t.is(err.attempts[0]?.stage, 'security')
})

test('a transport that returns no listener, or one without addresses, fails the listen', async (t) => {
  let closed = 0
  for (const [listener, message] of [
    [null, /the listener of the transport.* an object with close\(\), received null/],
    [{ addresses: [] }, /the listener of the transport.* an object with close\(\)/],
    [{ close: () => (closed += 1) }, /the addresses of the listener.* an array/]
  ] as const) {
    const transport: Transport = {
      canDial: () => true,
      dial: () => duplexPair()[0],
      listen: () => listener as never
    }
    const swarm = await createNode(t, { transports: [transport] })
    await t.throwsAsync(swarm.listen('/ip4/127.0.0.1/tcp/0'), { instanceOf: ListenError, message })
  }
  t.is(closed, 1)
})

test('its listeners are closed with the swarm, and what they accept then is destroyed', async (t) => {
  const address = unixAddress()
  const transport = unixTransport()
  let late: ((socket: Socket) => void) | undefined
  const listen = transport.listen?.bind(transport)
  const swarm = await createNode(t, {
    transports: [
      {
        ...transport,
        listen: async (addr, onDuplex, options) => {
          late = onDuplex
          if (listen === undefined) throw new Error('unreachable')
          return listen(addr, onDuplex, options)
        }
      }
    ]
  })
  await swarm.listen(address)
  await swarm.close()
  t.false(transport.servers[0]?.listening)
  const [mine] = duplexPair()
  late?.(mine as never)
  await once(mine, 'close')
  t.true(mine.destroyed)
})

test('the option is checked at once', (t) => {
  const good: Transport = { canDial: () => true, dial: () => duplexPair()[0] }
  for (const [transports, message] of [
    [[], /at least one/],
    [['udp'], /transports\[0\]/],
    [[{ canDial: () => true }], /transports\[0\]\.dial/],
    [[good, good], /each transport once/],
    [['tcp', 'tcp'], /each transport once/],
    ['tcp', /transports/],
    [[{ ...good, listen: 5 }], /transports\[0\]\.listen/]
  ] as const) {
    t.throws(() => new Swarm({ transports: transports as never }), {
      instanceOf: InvalidParametersError,
      message
    })
  }
})
