import { multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import fc from 'fast-check'
import { MsgioError } from '../../ts/errors.ts'
import { addressBytes, addressOf } from '../../ts/identity/address.ts'
import { expandWildcards } from '../../ts/identity/interfaces.ts'
import {
  encodeIdentify,
  frameIdentify,
  type IdentifyMessage,
  mergeIdentify,
  splitIdentify
} from '../../ts/protocols/identify-message.ts'
import { addressesFor, reachOf } from '../../ts/protocols/own-addresses.ts'

const WHOLE: IdentifyMessage = {
  publicKey: Uint8Array.of(8, 1, 18, 1, 9),
  listenAddrs: ['/ip4/127.0.0.1/tcp/4001', '/ip6/::1/tcp/4001'],
  protocols: ['/a/1.0.0', '/b/1.0.0'],
  observedAddr: '/ip4/10.0.0.1/tcp/5',
  protocolVersion: 'ipfs/0.1.0',
  agentVersion: 'ferroswarm/0.1.0',
  signedPeerRecord: Uint8Array.of(1, 2, 3)
}

function plain(message: IdentifyMessage): unknown {
  return JSON.parse(
    JSON.stringify(message, (_, value: unknown) =>
      value instanceof Uint8Array ? [...value] : value
    )
  )
}

function merged(...parts: Uint8Array[]): IdentifyMessage {
  const message: IdentifyMessage = {}
  for (const part of parts) mergeIdentify(message, part)
  return message
}

test('reads back a message that it wrote', (t) => {
  t.deepEqual(plain(merged(encodeIdentify(WHOLE))), plain(WHOLE))
  t.deepEqual(merged(encodeIdentify({})), {})
})

test('later messages replace single fields and add to repeated ones', (t) => {
  const message = merged(
    encodeIdentify({ agentVersion: 'first', protocols: ['/a/1.0.0'] }),
    encodeIdentify({ agentVersion: 'second', protocols: ['/b/1.0.0'] })
  )
  t.deepEqual(message, { agentVersion: 'second', protocols: ['/a/1.0.0', '/b/1.0.0'] })
})

test('reads 1,024 protocols and 500 addresses, and drops the rest', (t) => {
  const protocols = Array.from({ length: 1_030 }, (_, index) => `/${index}`)
  const listenAddrs = Array.from({ length: 510 }, (_, index) => `/ip4/1.2.3.4/tcp/${index}`)
  const whole = encodeIdentify({ protocols, listenAddrs, agentVersion: 'last' })
  for (const message of [merged(whole), merged(whole, encodeIdentify({ protocols: ['/more'] }))]) {
    t.deepEqual(message.protocols, protocols.slice(0, 1_024))
    t.deepEqual(message.listenAddrs, listenAddrs.slice(0, 500))
    t.is(message.agentVersion, 'last')
  }
})

test('sends no more than every peer reads', (t) => {
  const listening = Array.from({ length: 2_000 }, (_, index) => `/ip4/10.0.0.1/tcp/${index}`)
  const listenAddrs = addressesFor('host', listening)
  t.true(listenAddrs.reduce((sum, addr) => sum + addressBytes(addr).length, 0) <= 4_096)
  const protocols = Array.from({ length: 2_000 }, (_, index) => `/${index}/`.padEnd(140, 'x'))
  const parts = splitIdentify({ ...WHOLE, listenAddrs, protocols })
  t.is(parts.length, 9, 'go reads ten times, and the tenth must find the end')
  const framed = frameIdentify(parts, `/dns4/${'a'.repeat(63)}/tcp/65535`)
  const [low = 0, high = 0] = framed
  t.true((low % 128) + high * 128 <= 4_096, 'the first, with the observed address')
  t.true(parts.every((part) => part.length <= 8_192))
  const sent = merged(...parts)
  t.deepEqual(sent.protocols, protocols.slice(0, sent.protocols?.length))
  const few = splitIdentify({ ...WHOLE, listenAddrs: listening.slice(0, 512), protocols: ['/a'] })
  t.is(merged(...few).listenAddrs?.length, 500)
  t.true(few.map((part) => merged(part).listenAddrs?.length ?? 0).reduce((a, b) => a + b) <= 500)
})

test('drops addresses with unknown protocols', (t) => {
  const unknown = Uint8Array.of(0xff, 0xff, 0x03)
  const bytes = Uint8Array.of(0x12, unknown.length, ...unknown)
  t.deepEqual(merged(bytes), { listenAddrs: [] })
})

test('skips unknown fields and refuses groups', (t) => {
  t.deepEqual(merged(Uint8Array.of(0x78, 0x01, 0x7a, 0x01, 0x05)), {})
  t.throws(() => merged(Uint8Array.of(0x7b, 0x7c)), { instanceOf: MsgioError })
})

// Input from a peer: any bytes, and valid messages that are truncated, repeated and corrupted.
const bytes = fc.uint8Array({ maxLength: 200 })
const address = fc
  .tuple(fc.ipV4(), fc.integer({ min: 0, max: 65_535 }))
  .map(([host, port]) => `/ip4/${host}/tcp/${port}`)
const message: fc.Arbitrary<IdentifyMessage> = fc.record(
  {
    publicKey: bytes,
    listenAddrs: fc.array(address, { minLength: 1, maxLength: 5 }),
    protocols: fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 5 }),
    observedAddr: address,
    protocolVersion: fc.string({ unit: 'grapheme' }),
    agentVersion: fc.string({ unit: 'grapheme' }),
    signedPeerRecord: bytes
  },
  { requiredKeys: [] }
)

test('any message reads back as it was written', (t) => {
  fc.assert(
    fc.property(message, (whole) => {
      t.deepEqual(plain(merged(encodeIdentify(whole))), plain(whole))
    })
  )
})

test('several messages merge into one', (t) => {
  fc.assert(
    fc.property(message, message, (first, second) => {
      const parts = [encodeIdentify(first), encodeIdentify(second)]
      t.deepEqual(plain(merged(...parts)), plain(merged(new Uint8Array(Buffer.concat(parts)))))
    })
  )
})

test('any bytes are a message or an MsgioError', (t) => {
  const corrupted = fc
    .tuple(message, fc.nat(), fc.nat(255), fc.nat())
    .map(([whole, at, value, end]) => {
      const bytes = encodeIdentify(whole)
      if (bytes.length > 0) bytes[at % bytes.length] = value
      return bytes.subarray(0, end % 2 === 0 ? bytes.length : end % (bytes.length + 1))
    })
  fc.assert(
    fc.property(fc.oneof(bytes, corrupted), (bytes) => {
      const message: IdentifyMessage = {}
      try {
        mergeIdentify(message, bytes)
      } catch (err) {
        t.true(err instanceof MsgioError)
      }
      // Fields read before the fault have the declared types.
      for (const text of [...(message.protocols ?? []), message.agentVersion ?? '']) {
        t.is(typeof text, 'string')
      }
      for (const address of message.listenAddrs ?? []) t.is(multiaddr(address).toString(), address)
    }),
    { numRuns: 2_000 }
  )
})

test('an address that ends inside a name is invalid', (t) => {
  const cut = Uint8Array.of(4, 0, 0, 0, 0, 53, 198, 1)
  t.is(addressOf(cut), undefined)
})

test('binary addresses match those of the multiaddr package', (t) => {
  const texts = [
    '/ip4/1.2.3.4/tcp/65535',
    '/ip6/::1/tcp/1',
    '/ip4/1.2.3.4/udp/9/quic-v1',
    '/dns4/a.b/tcp/1',
    '/ip4/1.2.3.4/udp/4001/quic-v1',
    '/ip4/255.0.0.255/udp/65535/quic-v1',
    '/ip4/1.2.3.4/udp/4001/quic-v1/webtransport',
    '/ip4/1.2.3.4/udp/4001/quic',
    '/ip4/1.2.3.4/udp/4001'
  ]
  for (const text of texts) {
    t.deepEqual([...addressBytes(text)], [...multiaddr(text).bytes])
    t.is(addressOf(multiaddr(text).bytes), text)
  }
  const malformed = [
    '/ip4/1.2.3.256/tcp/1',
    '/ip4/1.2.3.4/udp/65536/quic-v1',
    '/ip4/01.2.3.4/udp/1/quic-v1',
    '/ip4/1.2.3.4/udp/00009/quic-v1',
    '/ip4/1.2.3.4/tcp/01'
  ]
  for (const text of malformed) {
    t.throws(() => addressBytes(text), { name: 'InvalidParametersError' })
  }
  t.is(addressOf(Uint8Array.of(4, 1, 2, 3, 4, 7, 0, 1)), undefined)
})

test('sockets of this host and listeners of this process are neither sent nor taken from a peer', (t) => {
  const here = ['/unix/%2Frun%2Fa.sock', '/memory/1']
  const listening = ['/ip4/127.0.0.1/tcp/1', ...here]
  for (const remote of ['/ip4/127.0.0.1/tcp/9', ...here, '/ip4/8.8.8.8/udp/9/quic-v1']) {
    const sent = addressesFor(reachOf(remote), listening)
    t.deepEqual(sent, remote.includes('8.8.8.8') ? [] : listening.slice(0, 1))
  }
  const parts = splitIdentify({ agentVersion: 'a' })
  const anonymous = frameIdentify(parts, '/')
  for (const address of here) {
    t.deepEqual(frameIdentify(parts, address), anonymous)
    const sent = encodeIdentify({
      listenAddrs: [address, '/ip4/1.2.3.4/tcp/1'],
      observedAddr: address
    })
    const received: IdentifyMessage = {}
    mergeIdentify(received, sent)
    t.deepEqual(received, { listenAddrs: ['/ip4/1.2.3.4/tcp/1'] })
  }
})

test('an address over QUIC is sent by the interfaces of the wildcard that it stands for', (t) => {
  const sent = addressesFor('host', ['/ip4/0.0.0.0/udp/9/quic-v1', '/ip4/0.0.0.0/tcp/9/ws'])
  t.true(sent.includes('/ip4/127.0.0.1/udp/9/quic-v1'))
  t.true(sent.includes('/ip4/127.0.0.1/tcp/9/ws'))
})

test('sends a peer only addresses that it can use', (t) => {
  const listening = ['/ip4/127.0.0.1/tcp/1', '/ip4/192.168.1.5/tcp/1', '/ip4/1.2.3.4/tcp/1']
  const sent = (remote: string): string[] => addressesFor(reachOf(remote), listening)
  t.deepEqual(sent('/ip4/127.0.0.1/tcp/9'), listening)
  t.deepEqual(sent('/ip4/192.168.1.9/tcp/9'), listening.slice(1))
  t.deepEqual(sent('/ip4/8.8.8.8/tcp/9'), listening.slice(2))
})

test('an address with an interface of this host is sent on this host only', (t) => {
  const listening = ['/ip6zone/eth0/ip6/fe80::1/tcp/1', '/ip6/fd00::1/tcp/1']
  const sent = (remote: string): string[] => addressesFor(reachOf(remote), listening)
  t.deepEqual(sent('/ip6/::1/tcp/9'), listening)
  t.deepEqual(sent('/ip6zone/eth0/ip6/fe80::2/tcp/9'), listening.slice(1))
})

test('replaces a wildcard by the addresses of the interfaces', (t) => {
  const [first, ...rest] = expandWildcards(['/ip4/0.0.0.0/tcp/4001', '/ip4/127.0.0.1/tcp/4001'])
  t.regex(first ?? '', /^\/ip4\/(?!0\.0\.0\.0)[\d.]+\/tcp\/4001$/)
  t.false(rest.includes(first ?? ''))
})

// go 171
test('the signed record is part of a short message, and the second part of a long one', (t) => {
  const signedPeerRecord = new Uint8Array(200).fill(7)
  const short = { protocols: ['/a'], signedPeerRecord }
  t.deepEqual(splitIdentify(short).map(reread), [short])
  const protocols = Array.from({ length: 100 }, (_, index) => `/${'x'.repeat(20)}/${index}`)
  const [first, second, ...others] = splitIdentify({ protocols, signedPeerRecord }).map(reread)
  t.deepEqual(first, { protocols })
  t.deepEqual(second, { signedPeerRecord })
  t.deepEqual(others, [])
  const many = Array.from({ length: 1_024 }, (_, index) => `/${'x'.repeat(70)}/${index}`)
  t.true(splitIdentify({ protocols: many, signedPeerRecord }).length <= 9)
})

function reread(part: Uint8Array): IdentifyMessage {
  const message: IdentifyMessage = {}
  mergeIdentify(message, part)
  return message
}
