/** Identify between nodes, one of which sends odd messages. */
import test, { type ExecutionContext } from 'ava'
import { MsgioError } from '../../ts/errors.ts'
import { addressBytes } from '../../ts/identity/address.ts'
import {
  type Connection,
  createSwarm,
  type IdentifyResult,
  identify,
  ping,
  type Stream,
  StreamErrorCode,
  type StreamResetError,
  type Swarm
} from '../../ts/index.ts'
import { encodeIdentify, mergeIdentify } from '../../ts/protocols/identify-message.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { turns } from '../support/pair.ts'
import { varint } from '../support/raw-noise.ts'

const IDENTIFY = '/ipfs/id/1.0.0'
const PUSH = '/ipfs/id/push/1.0.0'
const ADDR = '/ip4/10.0.0.1/tcp/4001'
const OTHER_PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const PART_BYTES_MAX = 8 * 1024

interface Two {
  readonly listener: Swarm
  readonly dialer: Swarm
  readonly connection: Connection
}

/**
 * A connection to a node that answers with `reply`. The dialer's clock stands still, so that every outcome results
 * from the answer and not from a timeout.
 */
async function two(t: ExecutionContext, reply?: (stream: Stream) => unknown): Promise<Two> {
  const listener = await createSwarm({ services: { identify: reply === undefined } })
  const dialer = await createSwarm({ clock: new FakeClock() })
  t.teardown(() =>
    Promise.all([listener.close({ drainTimeout: 0 }), dialer.close({ drainTimeout: 0 })])
  )
  if (reply !== undefined) listener.handle(IDENTIFY, async (stream) => void (await reply(stream)))
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const connection = await dialer.dialAddr(listener.getListenAddrs()[0] ?? '', listener.peerId)
  return { listener, dialer, connection }
}

function field(number: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(number * 8 + 2), varint(value.length), value])
}

function framed(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts.flatMap((part) => [varint(part.length), part]))
}

function numbered(count: number, name: (index: number) => string): string[] {
  return Array.from({ length: count }, (_, index) => name(index))
}

const HONEST = encodeIdentify({ agentVersion: 'odd', protocols: ['/a'], listenAddrs: [ADDR] })
const PROTOCOLS = numbered(1_500, (index) => `/${index}`)
const ADDRS = numbered(700, (index) => `/ip4/10.0.0.1/tcp/${index + 1}`)
const FOREIGN = `${ADDR}/p2p/${OTHER_PEER}`
// A multihash of a kind that no peer id uses.
const NO_PEER = Uint8Array.of(0xa5, 0x03, 0x04, 0x16, 0x02, 0x01, 0x02)

/** The oddity, the parts sent, and the results that differ from {@link HONEST}. */
const USED: readonly [
  string,
  readonly Uint8Array[],
  Partial<Record<keyof IdentifyResult, unknown>>?
][] = [
  ['an empty listen address', [field(2, new Uint8Array()), HONEST]],
  ['a listen address that cannot be parsed', [field(2, Uint8Array.of(4, 1, 2)), HONEST]],
  [
    'a listen address whose /p2p part names no peer',
    [field(2, Buffer.concat([addressBytes(ADDR), NO_PEER])), HONEST]
  ],
  ['an empty observed address', [field(4, new Uint8Array()), HONEST]],
  ['an observed address that cannot be parsed', [field(4, Uint8Array.of(0xff, 0xff, 3)), HONEST]],
  ['an empty public key', [field(1, new Uint8Array()), HONEST]],
  ['a public key that cannot be parsed', [field(1, Uint8Array.of(0xff, 1, 2)), HONEST]],
  [
    "another public key than the connection's",
    [field(1, Buffer.from(`080112${'20'.padEnd(66, '7')}`, 'hex')), HONEST]
  ],
  ['an unknown field', [field(15, Uint8Array.of(1)), HONEST]],
  [
    'a listen address of another peer',
    [encodeIdentify({ listenAddrs: [FOREIGN] }), HONEST],
    { listenAddrs: [FOREIGN, ADDR] }
  ],
  [
    '1,501 protocols',
    [
      HONEST,
      encodeIdentify({ protocols: PROTOCOLS.slice(0, 800) }),
      encodeIdentify({ protocols: PROTOCOLS.slice(800) })
    ],
    { protocols: ['/a', ...PROTOCOLS.slice(0, 1_023)] }
  ],
  [
    '701 addresses',
    [HONEST, encodeIdentify({ listenAddrs: ADDRS })],
    { listenAddrs: [ADDR, ...ADDRS.slice(0, 499)] }
  ]
]

for (const [what, fields, result] of USED) {
  test(`an identify message with ${what} is still used`, async (t) => {
    const { dialer, listener, connection } = await two(t, async (stream) => {
      await stream.write(framed(...fields))
      await stream.close()
    })
    const { agentVersion, protocols, listenAddrs, observedAddr } = await identify(connection)
    t.deepEqual(
      { agentVersion, protocols, listenAddrs: listenAddrs.map(String), observedAddr },
      {
        agentVersion: 'odd',
        protocols: ['/a'],
        listenAddrs: [ADDR],
        observedAddr: undefined,
        ...result
      }
    )
    const known = dialer.peerstore.addrs(listener.peerId).map(String)
    t.true(known.includes(ADDR) || known.length === 64)
    t.false(known.some((addr) => addr.includes('p2p')))
    t.true((await ping(connection, { count: 1 }).next()).value !== undefined)
  })
}

// go sends a first part without its signed record, then the record.
const SIGNED = encodeIdentify({ signedPeerRecord: new Uint8Array(3_000).fill(7) })

for (const [count, parts] of Object.entries({
  two: [HONEST, SIGNED],
  ten: [
    HONEST,
    SIGNED,
    ...numbered(8, (index) => `/${index}`).map((name) => encodeIdentify({ protocols: [name] }))
  ]
})) {
  test(`an identify message in ${count} parts is one message, wherever it is split in transit`, async (t) => {
    const bytes = framed(...parts)
    const { connection } = await two(t, async (stream) => {
      for (let at = 0; at < bytes.length; at += 701)
        await stream.write(bytes.subarray(at, at + 701))
      await stream.close()
    })
    const result = await identify(connection)
    t.is(result.agentVersion, 'odd')
    t.is(result.signedPeerRecord?.length, 3_000)
    t.is(result.protocols.length, parts.length - 1)
  })
}

/** The oddity, and the bytes sent. Nothing follows them, not even an end unless `ends`. */
const REFUSED: readonly [string, Uint8Array, { ends: boolean }][] = [
  [
    'eleven parts',
    framed(...numbered(11, String).map((agentVersion) => encodeIdentify({ agentVersion }))),
    { ends: false }
  ],
  [
    'a length that is not minimal',
    Buffer.concat([Uint8Array.of(0x80 | HONEST.length, 0), HONEST]),
    { ends: false }
  ],
  ['an unterminated length', new Uint8Array(3).fill(0xff), { ends: false }],
  ['a length beyond 8 KiB', varint(PART_BYTES_MAX + 1), { ends: false }],
  ['bytes that are not protobuf', framed(new Uint8Array(20).fill(0xff)), { ends: false }],
  [
    'a field that is longer than its message',
    framed(Uint8Array.of(0x32, 9, 0x6f)),
    { ends: false }
  ],
  ['nothing', new Uint8Array(), { ends: true }],
  ['half a length', Uint8Array.of(0x80), { ends: true }],
  ['a truncated message', framed(HONEST).subarray(0, -1), { ends: true }],
  [
    'a whole message and a truncated one',
    Buffer.concat([framed(HONEST), framed(HONEST).subarray(0, 9)]),
    { ends: true }
  ]
]

for (const [what, bytes, { ends }] of REFUSED) {
  test(`identify fails at once, and nothing else does, on ${what}`, async (t) => {
    const result = Promise.withResolvers<StreamResetError>()
    const { connection } = await two(t, async (stream) => {
      await stream.write(bytes)
      if (ends) await stream.closeWrite()
      await stream.read().then(result.reject, result.resolve)
    })
    await t.throwsAsync(identify(connection), { instanceOf: MsgioError })
    const { name, errorCode } = await result.promise
    t.deepEqual(
      { name, errorCode },
      { name: 'StreamResetError', errorCode: StreamErrorCode.ProtocolViolation }
    )
    t.true((await ping(connection, { count: 1 }).next()).value !== undefined)
  })
}

test('a push with a bad field is used without it, and a broken push changes nothing', async (t) => {
  const { listener, connection } = await two(t)
  await identify(connection)
  const [inbound] = listener.getConnections()
  const push = async (bytes: Uint8Array): Promise<void> => {
    const stream = await inbound?.newStream(PUSH)
    await stream?.write(bytes)
    await stream?.closeWrite()
    // The other side has processed it.
    await stream?.read().catch(() => {})
  }
  const pushed = encodeIdentify({ protocols: ['/pushed'] })
  await push(framed(field(1, Uint8Array.of(1)), field(2, new Uint8Array()), pushed))
  while (!(await identify(connection)).protocols.includes('/pushed')) await turns(1)
  await push(framed(encodeIdentify({ protocols: ['/broken'] })).subarray(0, -1))
  t.deepEqual((await identify(connection)).protocols, ['/pushed'])
})

test('a node with 250 handlers and 600 addresses sends no more than every peer reads', async (t) => {
  const names = numbered(250, (index) => `/handlers/${index}/`.padEnd(100, 'x'))
  const { listener, connection } = await two(t)
  for (const name of names) listener.handle(name, (stream) => stream.close())
  for (let at = 0; at < 600; at += 50) {
    const addrs = numbered(50, (index) => `/ip4/127.1.${at / 50}.${index + 1}/tcp/0`)
    await Promise.all(addrs.map((addr) => listener.listen(addr)))
  }
  const stream = await connection.newStream(IDENTIFY)
  const parts: Uint8Array[] = []
  for await (const part of stream.messages()) parts.push(part.slice())
  // go reads nine parts; rust, js and py read the first one only, rust no more than 4 KiB of it.
  t.true(parts.length > 1 && parts.length <= 9, `${parts.length}`)
  t.true((parts[0]?.length ?? 0) <= 4_096, `${parts[0]?.length}`)
  for (const part of parts) t.true(part.length <= PART_BYTES_MAX, `${part.length}`)
  const whole = {}
  for (const part of parts) mergeIdentify(whole, part)
  const { protocols = [], listenAddrs = [] } = whole as {
    protocols?: string[]
    listenAddrs?: string[]
  }
  t.deepEqual(
    names.filter((name) => !protocols.includes(name)),
    []
  )
  t.true(listenAddrs.length <= 500)
  t.true(listenAddrs.reduce((sum, addr) => sum + addressBytes(addr).length, 0) <= 4_096)
  const first: { listenAddrs?: string[]; protocols?: string[] } = {}
  mergeIdentify(first, parts[0] as Uint8Array)
  t.true((first.listenAddrs?.length ?? 0) > 0 && (first.protocols?.length ?? 0) > 0, 'some of both')
  const result = await identify(connection, { force: true })
  t.is(result.protocols.length, protocols.length)
  t.is(connection.swarm.peerstore.addrs(listener.peerId).length, 64)
})
