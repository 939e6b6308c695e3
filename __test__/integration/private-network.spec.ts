/** Private networks: nodes with the same key connect, others get nowhere, and the key shows nowhere. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import {
  createSwarm,
  DialAllFailedError,
  InvalidParametersError,
  Libp2pError,
  ListenError,
  type Swarm,
  type SwarmOptions
} from '../../ts/index.ts'
import { CERTIFICATE, KEY } from '../support/certificate.ts'
import { program } from '../support/cli.ts'
import { addressOf, assertEcho, echoing, portOf } from '../support/echo.ts'
import { createNode, until } from '../support/pair.ts'

const DIGITS = createHash('sha256').update('a network').digest('hex')
/** Differs in one bit. */
const OTHER = `${DIGITS.slice(0, -1)}${(Number.parseInt(DIGITS.slice(-1), 16) ^ 1).toString(16)}`
const FILE = `/key/swarm/psk/1.0.0/\n/base16/\n${DIGITS}\n`
const WEB_SOCKET = { certificate: { cert: CERTIFICATE, key: KEY }, roots: CERTIFICATE }
const TCP = '/ip4/127.0.0.1/tcp/0'
/** Of handshakes between nodes whose keys differ: neither end can tell that nothing sensible will come. */
const IMPATIENT: SwarmOptions = {
  connections: { inboundUpgradeTimeout: 1_000, outboundUpgradeTimeout: 1_000 },
  retry: { maxRetries: 0 }
}

const ADDRESSES: Record<string, (t: ExecutionContext) => Promise<string>> = {
  tcp: async () => TCP,
  ws: async () => `${TCP}/ws`,
  wss: async () => `${TCP}/tls/ws`,
  unix: async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    return `/unix/${encodeURIComponent(join(folder, 'node.sock'))}`
  }
}

for (const [name, addressFor] of Object.entries(ADDRESSES)) {
  const options: SwarmOptions = { transports: ['tcp', 'ws', 'unix'], webSocket: WEB_SOCKET }

  // Q1, go 168
  test(`nodes with one key exchange bytes over ${name}`, async (t) => {
    const listener = await echoing(t, await addressFor(t), { ...options, psk: DIGITS })
    const dialer = await createNode(t, { ...options, psk: FILE })
    const addresses = listener.getListenAddrs()
    const connection = await dialer.dialPeer(listener.peerId, { addresses })
    t.is(connection.state.security, '/tls/1.0.0')
    await assertEcho(t, connection)
    await assertEcho(t, connection, 0)
    await connection.close()
    await until(() => listener.getTotalConnections() === 0)
  })

  // A144, A145
  for (const [title, mine, theirs] of [
    ['a node with another key gets nowhere', OTHER, DIGITS],
    ['a node without a key gets nowhere', undefined, DIGITS],
    ['a node with a key does not connect to one without', DIGITS, undefined]
  ] as const) {
    test(`${title} over ${name}`, async (t) => {
      const [psk, theirPsk] = [mine && { psk: mine }, theirs && { psk: theirs }]
      const listener = await echoing(t, await addressFor(t), {
        ...options,
        ...IMPATIENT,
        ...theirPsk
      })
      const dialer = await createNode(t, { ...options, ...IMPATIENT, ...psk })
      const addresses = listener.getListenAddrs()
      const err = await t.throwsAsync(dialer.dialPeer(listener.peerId, { addresses }), {
        instanceOf: DialAllFailedError
      })
      t.is(err.attempts.length, 1)
      t.regex(err.attempts[0]?.hint ?? '', /option psk/)
      assertNoKey(t, err)
      t.is(dialer.getTotalConnections(), 0)
      await until(() => listener.counters().upgradesFailed > 0)
      t.is(listener.getTotalConnections(), 0)
    })
  }
}

test('duplexes of the application are encrypted by the key too', async (t) => {
  const upgraded = (dialer: Swarm, listener: Swarm) => {
    const [near, far] = duplexPair()
    return Promise.allSettled([
      dialer.upgradeOutbound(near, listener.peerId),
      listener.upgradeInbound(far)
    ])
  }
  const [one, other] = await Promise.all([
    createNode(t, { ...IMPATIENT, psk: DIGITS }),
    createNode(t, { ...IMPATIENT, psk: FILE })
  ])
  for (const { status } of await upgraded(one, other)) t.is(status, 'fulfilled')
  const stranger = await createNode(t, IMPATIENT)
  for (const { status } of await upgraded(one, stranger)) t.is(status, 'rejected')
  for (const { status } of await upgraded(stranger, one)) t.is(status, 'rejected')
})

test('every byte is encrypted by the key, from the first after the nonce', async (t) => {
  const listener = await echoing(t, TCP, { psk: DIGITS })
  const port = portOf(listener)
  const seen: Buffer[] = []
  const relay = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    near.on('data', (bytes) => seen.push(bytes)).pipe(far)
    far.on('data', (bytes) => seen.push(bytes)).pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  t.teardown(() => relay.close())
  await once(relay, 'listening')
  const { port: relayed } = relay.address() as AddressInfo
  const dialer = await createNode(t, { psk: DIGITS })
  const connection = await dialer.dialAddr(`/ip4/127.0.0.1/tcp/${relayed}`, listener.peerId)
  await connection.close()
  const bytes = Buffer.concat(seen).toString('latin1')
  t.true(bytes.length > 48)
  for (const word of ['/multistream/1.0.0', '/tls/1.0.0', '/noise', 'libp2p-tls-handshake']) {
    t.false(bytes.includes(word), word)
  }
})

// A146
test('a remote that stops within its nonce is disconnected at the deadline', async (t) => {
  const listener = await echoing(t, TCP, { ...IMPATIENT, psk: DIGITS })
  const socket = connect(portOf(listener), '127.0.0.1')
  t.teardown(() => socket.destroy())
  let received = 0
  socket
    .on('error', () => {})
    .on('data', ({ length }) => {
      received += length
    })
  socket.write(new Uint8Array(23))
  await once(socket, 'close')
  t.is(received, 24, 'its nonce alone')
  t.is(listener.getTotalConnections(), 0)
})

// A147, go 168
test('a swarm.key file is one with either line ending and encoding', async (t) => {
  const bytes = Buffer.from(DIGITS, 'hex')
  const file = (encoding: string, contents: string | Buffer, end = '\n'): Buffer =>
    Buffer.concat([
      Buffer.from(`/key/swarm/psk/1.0.0/${end}/${encoding}/${end}`),
      Buffer.from(contents)
    ])
  const listener = await echoing(t, TCP, { psk: DIGITS })
  for (const psk of [
    file('base16', `${DIGITS}\r\n`, '\r\n'),
    file('base16', DIGITS.toUpperCase()),
    file('base64', `${bytes.toString('base64')}\n`),
    file('bin', bytes)
  ]) {
    const dialer = await createNode(t, { psk })
    const connection = await dialer.dialAddr(addressOf(listener), listener.peerId)
    t.is(`${connection.remotePeer}`, `${listener.peerId}`)
  }
  for (const psk of [
    file('base16', DIGITS.slice(2)),
    file('base16', `${DIGITS}00`),
    file('base16', DIGITS.replace(/.$/, 'g')),
    file('base32', DIGITS),
    file('bin', bytes.subarray(1))
  ]) {
    await t.throwsAsync(createSwarm({ psk }), { instanceOf: InvalidParametersError })
  }
})

test('QUIC and memory have no place in a private network', async (t) => {
  const node = await createNode(t, { psk: DIGITS })
  t.deepEqual(node.options.transports, ['tcp', 'ws'])
  const address = '/ip4/127.0.0.1/udp/0/quic-v1'
  const listen = await t.throwsAsync(node.listen(address), { instanceOf: ListenError })
  t.regex(listen.message, /quic is none of the transports .* private network/)
  const dial = node.dialAddr('/ip4/127.0.0.1/udp/4001/quic-v1')
  const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.regex(attempts[0]?.cause.message ?? '', /quic is none of the transports .* private network/)
  for (const name of ['quic', 'memory'] as const) {
    await t.throwsAsync(createSwarm({ psk: DIGITS, transports: ['tcp', name] }), {
      instanceOf: InvalidParametersError,
      message: /with psk/
    })
  }
})

test('without an address a node of a private network listens on TCP alone', async (t) => {
  const node = await createNode(t, { psk: DIGITS })
  await node.listen()
  t.true(node.getListenAddrs().length > 0)
  for (const addr of node.getListenAddrs()) t.regex(`${addr}`, /\/tcp\/\d+$/)
})

// A148, go 168
test('LIBP2P_FORCE_PNET=1 lets no swarm run without a key', async (t) => {
  const start = (options: SwarmOptions): ReturnType<typeof program> =>
    program(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { createSwarm } from './ts/index.ts'
         const swarm = await createSwarm(${JSON.stringify(options)}).catch((err) => {
           console.log(err.name, err.message)
           process.exit(3)
         })
         await swarm.close()`
      ],
      { env: { ...process.env, LIBP2P_FORCE_PNET: '1' } }
    )
  const without = await start({})
  t.is(without.code, 3)
  t.regex(without.out, /^InvalidParametersError LIBP2P_FORCE_PNET=1 asks for a private network/)
  t.like(await start({ psk: DIGITS }), { code: 0 })
})

// A149
test('the key shows in no error, inspection or log', async (t) => {
  const logged: unknown[][] = []
  const log = (...line: unknown[]): void => void logged.push(line)
  const logger = { debug: log, info: log, warn: log, error: log }
  for (const psk of [DIGITS, FILE, Buffer.from(DIGITS, 'hex')]) {
    const node = await createNode(t, { ...IMPATIENT, psk, logger })
    const other = await echoing(t, TCP, { ...IMPATIENT, psk: OTHER })
    const err = await t.throwsAsync(node.dialAddr(addressOf(other), other.peerId))
    for (const shown of [node, node.options, err]) assertNoKey(t, shown)
  }
  t.true(logged.length > 0)
  assertNoKey(t, logged)
  for (const wrong of [
    DIGITS.slice(2),
    FILE.replace('/base16/', '/base15/'),
    `${FILE}${'0'.repeat(2_000)}`
  ]) {
    const err = await t.throwsAsync(createSwarm({ psk: wrong }), { instanceOf: Libp2pError })
    assertNoKey(t, err)
  }
  const bytes = randomBytes(31)
  const err = await t.throwsAsync(createSwarm({ psk: bytes }), {
    instanceOf: InvalidParametersError
  })
  t.false(inspect(err).includes(bytes.toString('hex').slice(0, 8)))
})

/** Asserts that a value shows no part of the key in any form. */
function assertNoKey(t: ExecutionContext, value: unknown): void {
  const options = { depth: 12, showHidden: true, getters: true, maxArrayLength: null }
  // Numbers are aligned by spaces.
  const shown = inspect(value, options).replaceAll(/\s+/g, ' ')
  const bytes = Buffer.from(DIGITS, 'hex')
  const forms = [
    DIGITS.slice(8, 24),
    bytes.toString('base64').slice(4, 16),
    [...bytes.subarray(4, 10)].join(', '),
    // As `inspect` shows a Buffer.
    bytes
      .subarray(4, 10)
      .toString('hex')
      .replace(/..(?!$)/g, '$& '),
    [...Buffer.from(DIGITS).subarray(8, 14)].join(', ')
  ]
  for (const form of forms) t.false(shown.includes(form), form)
}
