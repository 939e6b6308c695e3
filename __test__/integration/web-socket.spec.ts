/** WebSocket between nodes, with and without TLS, and beside other HTTP. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type ClientRequestArgs, createServer, get } from 'node:http'
import { get as getOverTls } from 'node:https'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { createWebSocketStream, type WebSocket as WebSocketOfPackage, WebSocketServer } from 'ws'
import { writeFiles } from '../../interop/certificate.mjs'
import {
  AbortError,
  type Connection,
  createSwarm,
  DialAllFailedError,
  InvalidParametersError,
  ListenError,
  StreamResetError,
  type Swarm,
  type SwarmOptions,
  TimeoutError
} from '../../ts/index.ts'
import { CERTIFICATE, KEY } from '../support/certificate.ts'
import { createNode, pattern, until } from '../support/pair.ts'

const WS = '/ip4/127.0.0.1/tcp/0/ws'
const WSS = '/ip4/127.0.0.1/tcp/0/tls/ws'
const ECHO = '/echo/1.0.0'
const CERTIFIED: SwarmOptions = {
  webSocket: { certificate: { cert: CERTIFICATE, key: KEY } }
}
const TRUSTING: SwarmOptions = { webSocket: { roots: CERTIFICATE } }

/** Creates a node that echoes on every stream and listens. */
async function echoing(
  t: ExecutionContext,
  listen: string,
  options: SwarmOptions = {}
): Promise<Swarm> {
  const node = await createNode(t, options)
  node.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
  await node.listen(listen)
  return node
}

function addressOf(node: Swarm, index = 0): string {
  return `${node.getListenAddrs()[index]}`
}

function portOf(address: string): number {
  return Number(address.split('/')[4])
}

/** Asserts that bytes come back. */
async function assertEcho(t: ExecutionContext, connection: Connection): Promise<void> {
  // Several frames, and larger than any buffer on the way.
  const sent = pattern(3_000_000)
  const stream = await connection.newStream(ECHO)
  const sending = stream.write(sent).then(() => stream.closeWrite())
  t.is(Buffer.compare(await stream.read(), sent), 0)
  await sending
}

/** Resolves to the reason of the only attempt of a dial that fails. */
async function refusalOf(t: ExecutionContext, dial: Promise<unknown>): Promise<string> {
  const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(attempts.length, 1)
  return attempts[0]?.cause.message ?? ''
}

// U4
test('two nodes exchange bytes over WebSocket', async (t) => {
  const listener = await echoing(t, WS)
  const dialer = await createNode(t)
  t.regex(addressOf(listener), /^\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*\/ws$/)
  const connection = await dialer.dialAddr(addressOf(listener), listener.peerId)
  t.is(connection.state.transport, 'ws')
  t.is(connection.state.muxer, '/yamux/1.0.0')
  t.is(`${connection.remoteAddr}`, addressOf(listener))
  t.regex(`${connection.localAddr}`, /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws$/)
  await until(() => listener.getTotalConnections() === 1)
  const [inbound] = listener.getConnections()
  t.is(inbound?.state.transport, 'ws')
  t.is(`${inbound?.remoteAddr}`, `${connection.localAddr}`)
  await assertEcho(t, connection)
})

test('a certificate is given as text, as bytes or by the paths of its files', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  await Promise.all([writeFile(cert, CERTIFICATE), writeFile(key, KEY)])
  for (const { certificate, roots } of [
    { certificate: { cert: CERTIFICATE, key: KEY }, roots: CERTIFICATE },
    { certificate: { cert: Buffer.from(CERTIFICATE), key: Buffer.from(KEY) }, roots: [cert] },
    { certificate: [{ cert, key }], roots: Buffer.from(CERTIFICATE) }
  ]) {
    const listener = await echoing(t, WSS, { webSocket: { certificate } })
    const dialer = await createNode(t, { webSocket: { roots } })
    const connection = await dialer.dialAddr(addressOf(listener), listener.peerId)
    t.regex(addressOf(listener), /\/tcp\/\d+\/tls\/ws$/)
    t.is(`${connection.remoteAddr}`, addressOf(listener))
    t.is(connection.state.transport, 'ws')
    await assertEcho(t, connection)
  }
})

test('/wss means /tls/ws, to listen and to dial', async (t) => {
  const listener = await echoing(t, '/ip4/127.0.0.1/tcp/0/wss', CERTIFIED)
  const dialer = await createNode(t, TRUSTING)
  const port = portOf(addressOf(listener))
  for (const suffix of ['wss', 'tls/ws']) {
    const address = `/ip4/127.0.0.1/tcp/${port}/${suffix}`
    const connection = await dialer.dialAddr(address, listener.peerId, { force: true })
    await assertEcho(t, connection)
  }
})

test('a certificate that nobody vouches for is refused, and the error says so', async (t) => {
  const listener = await echoing(t, WSS, CERTIFIED)
  const dialer = await createNode(t)
  const reason = await refusalOf(t, dialer.dialAddr(addressOf(listener), listener.peerId))
  t.regex(reason, /certificate/i)
  t.is(listener.getTotalConnections(), 0)
})

test('a certificate is verified for the name that was dialled', async (t) => {
  const listener = await echoing(t, WSS, CERTIFIED)
  const dialer = await createNode(t, TRUSTING)
  const address = (name: string): string =>
    `/ip4/127.0.0.1/tcp/${portOf(addressOf(listener))}/tls/sni/${name}/ws`
  const named = await dialer.dialAddr(address('localhost'), listener.peerId)
  await assertEcho(t, named)
  const other = dialer.dialAddr(address('other.example'), listener.peerId, { force: true })
  t.regex(await refusalOf(t, other), /certificate.*name/i)
})

test('the libp2p peer is verified within a certificate that is trusted', async (t) => {
  const listener = await echoing(t, WSS, CERTIFIED)
  const [dialer, other] = [await createNode(t, TRUSTING), await createNode(t)]
  const { attempts } = await t.throwsAsync(dialer.dialAddr(addressOf(listener), other.peerId), {
    instanceOf: DialAllFailedError
  })
  t.is(attempts[0]?.cause.name, 'UnexpectedPeerError')
})

test('verify: false takes any certificate, and the log warns of it', async (t) => {
  const listener = await echoing(t, WSS, CERTIFIED)
  const warnings: string[] = []
  const dialer = await createNode(t, {
    webSocket: { verify: false },
    logger: { warn: (message) => warnings.push(message) }
  })
  t.deepEqual(warnings, [
    'certificates of WebSocket servers are not verified: webSocket.verify is false'
  ])
  await assertEcho(t, await dialer.dialAddr(addressOf(listener), listener.peerId))
})

// Serial: it listens to the warnings of the process.
test.serial('without a logger, verify: false is a warning of the process', async (t) => {
  const warned = once(process, 'warning')
  await createNode(t, { webSocket: { verify: false } })
  const [warning] = await warned
  t.like(warning, {
    name: 'FerroswarmWarning',
    code: 'WARN_NOT_VERIFIED',
    message: 'certificates of WebSocket servers are not verified: webSocket.verify is false'
  })
})

test('other requests to the port get 404, and the node goes on', async (t) => {
  const listener = await echoing(t, WS)
  const port = portOf(addressOf(listener))
  t.is(await statusOf({ port, path: '/' }), 404)
  t.is(await statusOf({ port, path: '/index.html', method: 'HEAD' }), 404)
  const headers = { connection: 'upgrade', upgrade: 'h2c' }
  t.is(await statusOf({ port, headers }), 404)
  const dialer = await createNode(t)
  await assertEcho(t, await dialer.dialAddr(addressOf(listener), listener.peerId))
})

/** Requests `path` of the port of a node. */
function ask(node: Swarm, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${portOf(addressOf(node))}${path}`, init)
}

test('a handler answers requests that are no upgrade, on the port of the peers', async (t) => {
  const listener = await echoing(t, WS, {
    webSocket: {
      onRequest: async (request, { remoteAddr, localAddr }) => {
        const { pathname, search, host, protocol } = new URL(request.url)
        if (pathname === '/healthz') {
          const from = [`${remoteAddr}`, `${localAddr}`]
          return Response.json(
            { search, host, protocol, from },
            {
              status: 203,
              headers: [
                ['set-cookie', 'a'],
                ['set-cookie', 'b']
              ]
            }
          )
        }
        if (pathname !== '/echo') return new Response(null, { status: 404 })
        const type = request.headers.get('content-type') ?? ''
        return new Response(await request.bytes(), { headers: { 'content-type': type } })
      }
    }
  })
  const port = portOf(addressOf(listener))
  const health = await ask(listener, '/healthz?deep')
  t.is(health.status, 203)
  t.is(health.statusText, 'Non-Authoritative Information')
  t.is(health.headers.get('connection'), 'close')
  t.deepEqual(health.headers.getSetCookie(), ['a', 'b'])
  const { from, ...url } = (await health.json()) as Record<string, unknown> & { from: string[] }
  t.deepEqual(url, { search: '?deep', host: `127.0.0.1:${port}`, protocol: 'http:' })
  t.regex(from[0] ?? '', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws$/)
  t.is(from[1], addressOf(listener))
  const body = Buffer.from(pattern(64 * 1024))
  const headers = { 'content-type': 'application/x-pattern' }
  const echoed = await ask(listener, '/echo', { method: 'POST', body, headers })
  t.is(echoed.headers.get('content-type'), 'application/x-pattern')
  t.is(Buffer.compare(await echoed.bytes(), body), 0)
  t.is((await ask(listener, '/other')).status, 404)
  const dialer = await createNode(t)
  await assertEcho(t, await dialer.dialAddr(addressOf(listener), listener.peerId))
})

test('requests over TLS reach the handler too, with their scheme', async (t) => {
  const listener = await echoing(t, WSS, {
    webSocket: {
      certificate: { cert: CERTIFICATE, key: KEY },
      onRequest: ({ url }) => new Response(url)
    }
  })
  const port = portOf(addressOf(listener))
  const text = await new Promise<string>((resolve, reject) => {
    getOverTls(
      {
        host: '127.0.0.1',
        port,
        path: '/a',
        servername: 'localhost',
        ca: CERTIFICATE,
        agent: false
      },
      (response) => {
        response.setEncoding('utf8').on('data', resolve)
      }
    ).on('error', reject)
  })
  t.is(text, `https://127.0.0.1:${port}/a`)
})

test('a request of HEAD is answered without a body, and the length of one', async (t) => {
  const listener = await echoing(t, WS, { webSocket: { onRequest: () => new Response('hello') } })
  const raw = await exchange(listener, 'HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n')
  t.regex(raw, /^HTTP\/1\.1 200 OK\r\n/)
  t.regex(raw, /\r\nContent-Length: 5\r\nConnection: close\r\n\r\n$/)
})

test('a handler that fails, or returns no response or too much, is reported and answered by 500', async (t) => {
  const errors: [string, unknown][] = []
  const answers: Record<string, () => unknown> = {
    '/throws': () => {
      throw new Error('thrown')
    },
    '/rejects': () => Promise.reject(new Error('rejected')),
    '/nothing': () => undefined,
    '/error': () => Response.error(),
    '/read': () => {
      const response = new Response('once')
      void response.text()
      return response
    },
    '/large': () => new Response(new Uint8Array(1024 * 1024 + 1))
  }
  const listener = await echoing(t, WS, {
    webSocket: {
      // What types forbid, JavaScript does.
      onRequest: ({ url }) => (answers[new URL(url).pathname] ?? Response.error)() as Response
    },
    logger: { error: (message, err) => errors.push([message, err]) }
  })
  const paths = Object.keys(answers)
  for (const path of paths) t.is((await ask(listener, path)).status, 500, path)
  t.is(errors.length, paths.length)
  t.true(errors.every(([message]) => message.includes('webSocket.onRequest failed')))
  t.like(errors[0]?.[1], { message: 'thrown' })
})

test('requests that the handler cannot be given are refused', async (t) => {
  let calls = 0
  const listener = await echoing(t, WS, {
    webSocket: {
      onRequest: () => {
        calls += 1
        return new Response(null)
      }
    }
  })
  for (const [head, status] of [
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537', 413],
    ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked', 411],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x', 400],
    ['GET / HTTP/1.1\r\nHost: a/b?', 400],
    ['TRACE / HTTP/1.1\r\nHost: a', 501],
    ['GET /path/of/an/upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: websocket', 400]
  ] as const) {
    t.regex(await exchange(listener, `${head}\r\n\r\n`), new RegExp(`^HTTP/1\\.1 ${status} `), head)
  }
  t.is(calls, 0)
})

test('a swarm that closes, or the time of an upgrade, ends a request that waits for its answer', async (t) => {
  const signals: AbortSignal[] = []
  const onRequest = ({ signal, url }: Request): Promise<Response> => {
    signals.push(signal)
    if (url.endsWith('/deaf')) return new Promise(() => {})
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  const errors: string[] = []
  const logger = { error: (message: string) => errors.push(message) }
  const [closing, slow] = [
    await echoing(t, WS, { webSocket: { onRequest }, logger }),
    await echoing(t, WS, {
      webSocket: { onRequest },
      logger,
      connections: { inboundUpgradeTimeout: 1_000 }
    })
  ]
  await t.throwsAsync(ask(slow, '/'))
  await until(() => signals[0]?.aborted === true)
  t.true(signals[0]?.reason instanceof TimeoutError)
  const asked = ask(closing, '/')
  const deaf = t.throwsAsync(ask(closing, '/deaf'))
  await until(() => signals.length === 3)
  await closing.close()
  t.is((await asked).status, 503)
  await deaf
  t.true(signals[1]?.reason instanceof AbortError)
  t.deepEqual(errors, [])
})

test('a handler that is no function is refused when the swarm is created', async (t) => {
  const options = { webSocket: { onRequest: 'yes' } } as unknown as SwarmOptions
  await t.throwsAsync(createSwarm(options), {
    instanceOf: InvalidParametersError,
    message: /webSocket\.onRequest to be a function/
  })
})

test('the path of an address is that of the request, and another one is refused', async (t) => {
  const listener = await echoing(t, `${WS}/http-path/p2p%2Fone`)
  const dialer = await createNode(t)
  t.regex(addressOf(listener), /\/ws\/http-path\/p2p%2Fone$/)
  const port = portOf(addressOf(listener))
  const address = `/ip4/127.0.0.1/tcp/${port}/ws`
  for (const wrong of [address, `${address}/http-path/p2p%2Ftwo`]) {
    const reason = await refusalOf(t, dialer.dialAddr(wrong, listener.peerId))
    t.regex(reason, /404/)
  }
  await assertEcho(t, await dialer.dialAddr(addressOf(listener), listener.peerId))
})

test('a server that is no WebSocket server is named as that', async (t) => {
  const server = createServer((_request, response) => response.writeHead(503).end()).listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const dialer = await createNode(t)
  const dial = dialer.dialAddr(`/ip4/127.0.0.1/tcp/${port}/ws`)
  const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.like(attempts[0], { stage: 'security', cause: { code: 'ERR_UPGRADE' } })
  t.regex(attempts[0]?.cause.message ?? '', /503/)
})

test('the WebSocket of the platform reaches the negotiation', async (t) => {
  const listener = await echoing(t, WS)
  const socket = new WebSocket(`ws://127.0.0.1:${portOf(addressOf(listener))}`)
  t.teardown(() => socket.close())
  socket.binaryType = 'arraybuffer'
  await once(socket, 'open')
  const header = Buffer.from('\x13/multistream/1.0.0\n')
  let received = Buffer.alloc(0)
  socket.addEventListener('message', ({ data }) => {
    received = Buffer.concat([received, Buffer.from(data as ArrayBuffer)])
  })
  socket.send(header)
  await until(() => received.length >= header.length)
  t.deepEqual(received.subarray(0, header.length), header)
})

/** Connects a node to another one over a WebSocket of the package `ws`, which is returned with the connection. */
async function overPackage(
  t: ExecutionContext,
  options: SwarmOptions = {}
): Promise<{ webSocket: WebSocketOfPackage; connection: Connection }> {
  const swarm = await createNode(t)
  swarm.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => sockets.close())
  await once(sockets, 'listening')
  const accepted = once(sockets, 'connection').then(async ([webSocket]) => {
    const remote = '/ip4/127.0.0.1/tcp/1/ws'
    await swarm.upgradeInbound(
      createWebSocketStream(webSocket).on('error', () => {}),
      remote
    )
    return webSocket as WebSocketOfPackage
  })
  const { port } = sockets.address() as AddressInfo
  const dialer = await createNode(t, options)
  const connection = await dialer.dialAddr(`/ip4/127.0.0.1/tcp/${port}/ws`, swarm.peerId)
  return { webSocket: await accepted, connection }
}

// I10
test('a WebSocket that is closed with an error ends pending reads with its code and reason', async (t) => {
  const logged: string[] = []
  const logger = { info: (message: string) => logged.push(message) }
  const { webSocket, connection } = await overPackage(t, { logger })
  const stream = await connection.newStream(ECHO)
  const reading = stream.read(1)
  webSocket.close(1011, 'no disk \u001b[31m')
  const err = await t.throwsAsync(reading, { instanceOf: StreamResetError })
  await until(() => connection.closeReason !== undefined)
  const expected = {
    name: 'ConnectionClosedError',
    code: 'ERR_CONNECTION_RESET',
    message: 'the peer closed the WebSocket with code 1011: no disk \\u{1b}[31m',
    closeCode: 1_011,
    closeReason: 'no disk \u001b[31m',
    transport: 'ws'
  }
  t.like(connection.closeReason, { closeCode: 1_011, remote: true })
  t.like(connection.closeReason?.error, expected)
  t.like((err.cause as Error).cause, expected)
  await until(() => logged.some((message) => /closed the WebSocket with code 1011/.test(message)))
})

test('a frame that breaks WebSocket is answered by a close frame, and the error says what it was', async (t) => {
  const { webSocket, connection } = await overPackage(t)
  const closed = new Promise<number>((resolve) => webSocket.on('close', resolve))
  const ended = connection.closed
  // A frame of 2 MiB, whose payload the peer goes on to send.
  const header = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0x20, 0, 0])
  rawSocketOf(webSocket).write(Buffer.concat([header, Buffer.alloc(2 * 1024 * 1024)]))
  t.is(await closed, 1_009)
  await ended
  t.like(connection.closeReason?.error, {
    code: 'ERR_MUXER_PROTOCOL',
    message: 'the peer broke WebSocket: frame of 2097152 bytes exceeds limit of 1048576'
  })
})

test('the request is for the host that was dialled, by its name if it has one', async (t) => {
  const hosts: (string | undefined)[] = []
  const server = createServer()
  server.on('upgrade', ({ headers }, socket) => {
    hosts.push(headers.host)
    socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const dialer = await createNode(t)
  for (const host of ['dns4/localhost', 'dns4/LOCALHOST.', 'ip4/127.0.0.1']) {
    const dial = dialer.dialAddr(`/${host}/tcp/${port}/ws`, undefined, { force: true })
    t.regex(await refusalOf(t, dial), /503/)
  }
  t.deepEqual(hosts, [`localhost:${port}`, `localhost:${port}`, `127.0.0.1:${port}`])
})

test("an application's HTTP server hands its upgrades over", async (t) => {
  const swarm = await createNode(t)
  swarm.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
  const server = createServer((_request, response) => response.end('a page'))
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 1024 * 1024 })
  server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const { remoteAddress, remotePort } = request.socket
      const addr = `/ip4/${remoteAddress}/tcp/${remotePort}/ws`
      swarm.upgradeInbound(createWebSocketStream(webSocket), addr).catch((err) => t.fail(err))
    })
  })
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(`/ip4/127.0.0.1/tcp/${port}/ws`, swarm.peerId)
  await assertEcho(t, connection)
  t.is(swarm.getConnections()[0]?.state.transport, 'ws')
  t.is(await statusOf({ port }), 200)
  await connection.close()
  await until(() => swarm.getTotalConnections() === 0)
})

test('one swarm listens over WebSocket with and without TLS, beside TCP', async (t) => {
  const listener = await echoing(t, WS, CERTIFIED)
  await listener.listen(WSS, '/ip4/127.0.0.1/tcp/0')
  const dialer = await createNode(t, TRUSTING)
  const addresses = listener.getListenAddrs().map(String)
  t.is(addresses.length, 3)
  for (const address of addresses) {
    const connection = await dialer.dialAddr(address, listener.peerId, { force: true })
    t.is(`${connection.remoteAddr}`, address)
    await assertEcho(t, connection)
  }
  t.is(listener.getTotalConnections(), 3)
})

for (const [name, options, suffix] of [
  ['an upgrade', {}, 'ws'],
  ['a TLS handshake', TRUSTING, 'tls/ws']
] as const) {
  test(`a dial is aborted during ${name}, and its socket closed`, async (t) => {
    const accepted: Socket[] = []
    const server = createTcpServer((socket) => accepted.push(socket.resume()))
    server.listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const dialer = await createNode(t, options)
    const controller = new AbortController()
    const { signal } = controller
    const dial = dialer.dialAddr(`/ip4/127.0.0.1/tcp/${port}/${suffix}`, undefined, { signal })
    await until(() => accepted.length === 1)
    const [socket] = accepted
    const ended = new Promise((resolve) => socket?.once('close', resolve))
    socket?.on('error', () => {})
    controller.abort()
    await t.throwsAsync(dial, { instanceOf: AbortError })
    await ended
    t.is(dialer.getTotalConnections(), 0)
  })
}

test('a misspelt option is refused with the one that was meant', async (t) => {
  for (const [webSocket, expected] of [
    [
      { certificates: [] },
      /unknown option "webSocket\.certificates"; did you mean .*certificate\?/
    ],
    [{ certificate: { cert: CERTIFICATE, keys: KEY } }, /"webSocket\.certificate\.keys"/]
  ] as const) {
    const options = { webSocket } as unknown as SwarmOptions
    await t.throwsAsync(createSwarm(options), {
      instanceOf: InvalidParametersError,
      message: expected
    })
  }
})

// U4
test('an address over TLS is not listened on without a certificate', async (t) => {
  const node = await createNode(t)
  const err = await t.throwsAsync(node.listen(WSS), { instanceOf: ListenError })
  t.regex(err.message, /TLS needs a certificate, and this swarm has none$/)
  t.is(err.attempts[0]?.hint, 'see the option webSocket')
  t.deepEqual(node.getListenAddrs(), [])
})

test('certificates are replaced while the swarm listens, and its connections stay', async (t) => {
  const folder = await writeFiles()
  t.teardown(() => folder.remove())
  const renewed = { cert: folder.cert, key: folder.key }
  const listener = await echoing(t, WSS, CERTIFIED)
  const [former, latter] = [
    await createNode(t, TRUSTING),
    await createNode(t, { webSocket: { roots: renewed.cert } })
  ]
  const dial = (node: Swarm): Promise<Connection> =>
    node.dialAddr(addressOf(listener), listener.peerId, { force: true })
  const connection = await dial(former)
  t.regex(await refusalOf(t, dial(latter)), /certificate/i)
  listener.setCertificates(renewed)
  await assertEcho(t, connection)
  await assertEcho(t, await dial(latter))
  t.regex(await refusalOf(t, dial(former)), /certificate/i)
  // What cannot be used changes nothing.
  t.throws(() => listener.setCertificates({ cert: renewed.cert, key: KEY }), {
    instanceOf: InvalidParametersError,
    message: /^expected certificate\.key to be the private key of certificate\.cert/
  })
  await assertEcho(t, await dial(latter))
})

test('an empty list takes the certificates away: handshakes and listens fail, connections stay', async (t) => {
  const listener = await echoing(t, WSS, CERTIFIED)
  const dialer = await createNode(t, TRUSTING)
  const address = addressOf(listener)
  const connection = await dialer.dialAddr(address, listener.peerId)
  listener.setCertificates([])
  await assertEcho(t, connection)
  await t.throwsAsync(dialer.dialAddr(address, listener.peerId, { force: true }), {
    instanceOf: DialAllFailedError
  })
  const again = listener.listen('/ip4/127.0.0.1/tcp/0/wss')
  const { attempts } = await t.throwsAsync(again, { instanceOf: ListenError })
  t.is(attempts[0]?.cause.code, 'ERR_LISTEN')
  listener.setCertificates([{ cert: CERTIFICATE, key: KEY }])
  await assertEcho(t, await dialer.dialAddr(address, listener.peerId, { force: true }))
})

test('a swarm that has been given a certificate later listens over TLS', async (t) => {
  const listener = await createNode(t)
  await t.throwsAsync(listener.listen(WSS), { instanceOf: ListenError })
  listener.setCertificates([{ cert: CERTIFICATE, key: KEY }])
  t.true(await listener.listen(WSS))
  const dialer = await createNode(t, TRUSTING)
  const connection = await dialer.dialAddr(addressOf(listener), listener.peerId)
  t.is(`${connection.remotePeer}`, `${listener.peerId}`)
})

// U4
test('a port in use is refused, and the first listener goes on', async (t) => {
  const listener = await echoing(t, WS)
  const second = await createNode(t)
  const err = await t.throwsAsync(second.listen(addressOf(listener)), { instanceOf: ListenError })
  t.regex(err.message, /in use/i)
  const connection = await second.dialAddr(addressOf(listener), listener.peerId)
  t.is(`${connection.remotePeer}`, `${listener.peerId}`)
})

// U4
test('addresses may have IPv6 and the peer', async (t) => {
  const listener = await echoing(t, '/ip6/::1/tcp/0/ws')
  const address = addressOf(listener)
  t.regex(address, /^\/ip6\/::1\/tcp\/[1-9]\d*\/ws$/)
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(`${address}/p2p/${listener.peerId}`)
  t.is(`${connection.remoteAddr}`, address)
})

// U4
test('a server that never answers the upgrade is given up after the timeout of upgrades', async (t) => {
  const server = createTcpServer((socket) => socket.on('error', () => {}).resume())
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const dialer = await createNode(t, {
    connections: { outboundUpgradeTimeout: 200 },
    retry: { maxRetries: 0 }
  })
  for (const suffix of ['ws', 'tls/ws']) {
    const dial = dialer.dialAddr(`/ip4/127.0.0.1/tcp/${port}/${suffix}`)
    const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
    t.is(attempts[0]?.stage, 'security')
    t.regex(attempts[0]?.hint ?? '', /the remote stays silent/)
    t.true(attempts[0]?.cause instanceof TimeoutError)
    t.true((attempts[0]?.elapsed ?? 0) < 3_000)
  }
})

// U4, A011
test('a client that never asks for the upgrade is disconnected at the deadline of upgrades', async (t) => {
  const listener = await echoing(t, WS, { connections: { inboundUpgradeTimeout: 200 } })
  const socket = connectTcp(portOf(addressOf(listener)), '127.0.0.1')
  socket.on('error', () => {}).resume()
  socket.write('GET / HTTP/1.1\r\n')
  await once(socket, 'close')
  t.is(listener.getTotalConnections(), 0)
})

// I10
test('a read of a connection that is closed ends at once with its code', async (t) => {
  const listener = await echoing(t, WS)
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(addressOf(listener), listener.peerId)
  const stream = await connection.newStream(ECHO)
  const reading = stream.read(1)
  await until(() => listener.getTotalConnections() === 1)
  await listener.getConnections()[0]?.closeWithError(4_711)
  const err = await t.throwsAsync(reading)
  t.is(connection.closeReason?.closeCode, 4_711)
  const again = await t.throwsAsync(stream.read(1))
  t.is(again.name, err.name)
})

test('a listener that is closed accepts nobody, and its connections stay', async (t) => {
  const listener = await echoing(t, WS)
  const address = addressOf(listener)
  const dialer = await createNode(t, { retry: { maxRetries: 0 } })
  const connection = await dialer.dialAddr(address, listener.peerId)
  t.true(await listener.unlisten(address))
  t.deepEqual(listener.getListenAddrs(), [])
  await assertEcho(t, connection)
  await connection.close()
  const reason = await refusalOf(t, dialer.dialAddr(address, listener.peerId))
  t.regex(reason, /refused/)
})

/** Sends a request as it is; resolves to everything up to the end of the connection. */
async function exchange(node: Swarm, request: string): Promise<string> {
  const socket = connectTcp(portOf(addressOf(node)), '127.0.0.1').setEncoding('latin1')
  socket.write(request)
  let answer = ''
  for await (const text of socket) answer += text
  return answer
}

/** The socket below a WebSocket of the package, which its types do not have. */
function rawSocketOf(webSocket: WebSocketOfPackage): Socket {
  return (webSocket as unknown as { _socket: Socket })._socket
}

function statusOf(options: ClientRequestArgs): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', agent: false, ...options }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }).on('error', reject)
  })
}
