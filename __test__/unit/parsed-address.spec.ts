import { multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import fc from 'fast-check'
import { InvalidParametersError } from '../../ts/errors.ts'
import { multiaddrOf } from '../../ts/identity/address.ts'
import {
  dialRefusal,
  listenRefusal,
  parseAddress,
  transportOf
} from '../../ts/identity/parsed-address.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const RELAY = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const HOST = '/ip4/127.0.0.1/tcp/4001'

const readings: [given: string, text: string, peer: string | undefined][] = [
  [HOST, HOST, undefined],
  [`${HOST}/p2p/${PEER}`, HOST, PEER],
  [`${HOST}/ipfs/${PEER}`, HOST, PEER],
  [`${HOST}/`, HOST, undefined],
  ['/ip6/0:0::1/tcp/0', '/ip6/::1/tcp/0', undefined],
  ['/ip6/2001:DB8::A/tcp/1', '/ip6/2001:db8::a/tcp/1', undefined],
  [`/ip6zone/eth0/ip6/fe80::1/tcp/1/p2p/${PEER}`, '/ip6zone/eth0/ip6/fe80::1/tcp/1', PEER],
  [`/dns4/a.b/tcp/1/wss/p2p/${PEER}`, '/dns4/a.b/tcp/1/wss', PEER],
  [`${HOST}/p2p/${RELAY}/p2p-circuit/p2p/${PEER}`, `${HOST}/p2p/${RELAY}/p2p-circuit`, PEER],
  [`/p2p/${PEER}`, '', PEER]
]

for (const [given, text, peer] of readings) {
  test(`reads ${given}`, (t) => {
    for (const addr of [given, multiaddr(given)]) {
      const parsed = parseAddress(addr)
      t.is(parsed.text, text)
      t.is(parsed.peer, peer)
    }
  })
}

const refusals: [given: string, part: string][] = [
  [`${HOST}/ws`, 'no transport takes /ws'],
  [`${HOST}/p2p/${RELAY}/ws`, 'no transport takes /ws'],
  [`${HOST}/p2p/${RELAY}/http`, 'no transport takes /http'],
  [`${HOST}/p2p/${RELAY}/p2p-circuit`, 'no transport takes /p2p-circuit'],
  [`${HOST}/p2p/${RELAY}/p2p-circuit/p2p/${PEER}`, 'no transport takes /p2p-circuit'],
  [`${HOST}/p2p/${RELAY}/p2p/${PEER}`, `no transport takes /p2p/${RELAY}`],
  [`${HOST}/tls/sni/a.b/ws`, 'no transport takes /tls/sni/a.b/ws'],
  [`${HOST}${HOST}`, `no transport takes ${HOST}`],
  ['/ip4/1.2.3.4/udp/1/quic-v1', 'no transport takes /udp/1/quic-v1'],
  ['/ip6zone/eth0/ip4/1.2.3.4/tcp/1', 'no transport takes /ip6zone/eth0/ip4/1.2.3.4/tcp/1'],
  ['/tcp/1', 'no transport takes /tcp/1'],
  ['/memory/ws', 'no transport takes /memory/ws'],
  ['/ip4/1.2.3.4', '/ip4/1.2.3.4 names no port'],
  ['/dns6/a.b/tcp/1/ws', 'no transport takes /ws'],
  ['/dns/a.b/udp/1/quic-v1', 'no transport takes /udp/1/quic-v1'],
  ['/dns/a.b', '/dns/a.b names no port'],
  ['/dns4/\u202e\u001b[31m/tcp/1', '/dns4/\\u{202e}\\u{1b}[31m is not a host name'],
  ['/ip6/fe80::1/tcp/1', '/ip6/fe80::1 is link-local and names no interface']
]

for (const [given, reason] of refusals) {
  test(`neither dials nor listens on ${JSON.stringify(given)}, and names the part`, (t) => {
    const parsed = parseAddress(given)
    t.is(dialRefusal(parsed)?.reason, reason)
    t.is(listenRefusal(parsed)?.reason, reason)
  })
}

test('addresses with a name can be dialled, but not listened on', (t) => {
  for (const [given, name] of [
    ['/dns4/a.b/tcp/1', 'a.b'],
    [`/dns/a.b/tcp/1/p2p/${PEER}`, 'a.b'],
    ['/dnsaddr/_x.a-b', '_x.a-b'],
    ['/dnsaddr/a.b/tcp/1', 'a.b']
  ] as const) {
    const parsed = parseAddress(given)
    t.is(parsed.name, name)
    t.is(dialRefusal(parsed), undefined)
    t.is(listenRefusal(parsed)?.reason, `${name} is a name, which cannot be listened on`)
  }
})

test('addresses that can only be listened on are not dialled', (t) => {
  for (const [given, part] of [
    ['/ip4/0.0.0.0/tcp/1', '/ip4/0.0.0.0'],
    ['/ip6/::/tcp/1', '/ip6/::'],
    ['/ip4/127.0.0.1/tcp/0', '/tcp/0']
  ] as const) {
    const parsed = parseAddress(given)
    t.is(listenRefusal(parsed), undefined)
    t.true(dialRefusal(parsed)?.reason.startsWith(`${part} is not a `))
  }
})

test('refuses invalid addresses', (t) => {
  const bad = [
    '',
    '/',
    'x',
    '/ip4/127.0.0.1.1/tcp/1',
    '/ip4/256.0.0.1/tcp/1',
    '/ip4/01.2.3.4/tcp/1'
  ]
  const worse = ['/ip4/1.2.3.4/tcp/70000', '/ip4/1.2.3.4/tcp/1/p2p/x', '/ip4/1.2.3.4/tcp', 7, null]
  for (const given of [...bad, ...worse, undefined, {}]) {
    t.throws(() => parseAddress(given as never), { instanceOf: InvalidParametersError }, `${given}`)
  }
})

test('an IPv4-mapped IPv6 address is normalised to IPv4', (t) => {
  for (const given of [
    '/ip6/::ffff:10.0.0.1/tcp/9',
    '/ip6/::ffff:a00:1/tcp/9',
    '/ip6/0:0:0:0:0:FFFF:0a00:0001/tcp/9'
  ]) {
    t.is(parseAddress(given).text, '/ip4/10.0.0.1/tcp/9')
    t.is(parseAddress(multiaddr(given)).text, '/ip4/10.0.0.1/tcp/9')
  }
})

test('every address is spelt as @multiformats/multiaddr spells it', (t) => {
  const host = fc.oneof(
    fc.ipV4().map((ip) => `/ip4/${ip}`),
    fc.ipV6().map((ip) => `/ip6/${ip}`),
    fc.ipV4().map((ip) => `/ip6/::ffff:${ip}`),
    fc.ipV6().map((ip) => `/ip6zone/eth0/ip6/${ip}`)
  )
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), (ip, port) => {
      const { text } = parseAddress(`${ip}/tcp/${port}`)
      const ours = multiaddrOf(text)
      const theirs = multiaddr(text)
      t.is(ours.toString(), theirs.toString())
      t.is(multiaddr(theirs.bytes).toString(), text)
      t.is(parseAddress(theirs).text, text)
    })
  )
})

test('names the transport of an address, regardless of host names in it', (t) => {
  const cases = [
    [HOST, 'tcp'],
    [`${HOST}/ws`, 'ws'],
    [`${HOST}/tls/ws`, 'ws'],
    ['/ip4/1.2.3.4/udp/1/quic-v1', 'quic'],
    ['/ip4/1.2.3.4/udp/1/quic-v1/webtransport', 'webtransport'],
    [`${HOST}/p2p/${RELAY}/p2p-circuit`, 'circuit'],
    ['/dns4/ws/tcp/1', 'tcp'],
    ['/memory/quic', 'memory'],
    ['/ip4/1.2.3.4', '']
  ] as const
  for (const [address, transport] of cases) t.is(transportOf(address), transport, address)
})
