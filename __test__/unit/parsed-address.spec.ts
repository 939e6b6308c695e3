import { multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import fc from 'fast-check'
import { InvalidParametersError } from '../../ts/errors.ts'
import { multiaddrOf } from '../../ts/identity/address.ts'
import {
  dialRefusal,
  ipOf,
  isRelayed,
  listenRefusal,
  parseAddress,
  transportOf
} from '../../ts/identity/parsed-address.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const RELAY = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const HOST = '/ip4/127.0.0.1/tcp/4001'
const PATH_BYTES = ['linux', 'android'].includes(process.platform) ? 107 : 103

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
  [`/p2p/${PEER}`, '', PEER],
  [`/ip4/1.2.3.4/udp/1/quic-v1/p2p/${PEER}`, '/ip4/1.2.3.4/udp/1/quic-v1', PEER],
  ['/ip6/2001:DB8::A/udp/1/quic-v1/', '/ip6/2001:db8::a/udp/1/quic-v1', undefined],
  [`${HOST}/tls/ws/p2p/${PEER}`, `${HOST}/tls/ws`, PEER],
  [`${HOST}/tls/sni/p2p/ws`, `${HOST}/tls/sni/p2p/ws`, undefined],
  [`${HOST}/ws/http-path/a%2fb/p2p/${PEER}`, `${HOST}/ws/http-path/a%2Fb`, PEER],
  [`/unix/%2ftmp%2fa b/p2p/${PEER}`, '/unix/%2Ftmp%2Fa%20b', PEER],
  [`/memory/7/p2p/${PEER}`, '/memory/7', PEER]
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
  [`${HOST}/p2p/${RELAY}/ws`, 'no transport takes /ws'],
  [`${HOST}/p2p/${RELAY}/http`, 'no transport takes /http'],
  [`${HOST}/p2p/${RELAY}/p2p-circuit`, 'no transport takes /p2p-circuit'],
  [`${HOST}/p2p/${RELAY}/p2p-circuit/p2p/${PEER}`, 'no transport takes /p2p-circuit'],
  [`${HOST}/p2p/${RELAY}/p2p/${PEER}`, `no transport takes /p2p/${RELAY}`],
  [`${HOST}${HOST}`, `no transport takes ${HOST}`],
  ['/ip6zone/eth0/ip4/1.2.3.4/tcp/1', 'no transport takes /ip6zone/eth0/ip4/1.2.3.4/tcp/1'],
  ['/tcp/1', 'no transport takes /tcp/1'],
  ['/ip4/1.2.3.4', '/ip4/1.2.3.4 names no port'],
  ['/dns/a.b', '/dns/a.b names no port'],
  ['/dns4/\u202e\u001b[31m/tcp/1', '/dns4/\\u{202e}\\u{1b}[31m is not a host name'],
  ['/ip6/fe80::1/tcp/1', '/ip6/fe80::1 is link-local and names no interface'],
  ['/ip6/fe80::1/udp/1/quic-v1', '/ip6/fe80::1 is link-local and names no interface'],
  ['/ip4/1.2.3.4/udp/1', '/ip4/1.2.3.4/udp/1 names no transport over UDP'],
  ['/ip4/1.2.3.4/udp/1/utp', 'no transport takes /utp'],
  ['/dns4/a.b/udp/1/utp', 'no transport takes /utp'],
  ['/ip4/1.2.3.4/udp/1/ws', 'no transport takes /ws'],
  ['/ip4/1.2.3.4/udp/1/quic-v1/http', 'no transport takes /http'],
  ['/ip4/1.2.3.4/tcp/1/quic-v1', 'no transport takes /quic-v1'],
  [`${HOST}/tls`, 'no transport takes /tls'],
  [
    '/ip6zone/eth0/ip6/::ffff:192.0.2.1/tcp/1',
    'no transport takes /ip6zone/eth0/ip6/::ffff:c000:201/tcp/1'
  ],
  [`${HOST}/http-path/a`, 'no transport takes /http-path//a'],
  [`${HOST}/ws/http-path/a/http-path/b`, 'no transport takes /http-path//b'],
  [`${HOST}/tls/sni/a%2Fb/ws`, '/sni/a%2Fb is not a host name'],
  ['/unix/a.sock', '/unix/a.sock is not an absolute path'],
  ['/unix/%2Fa%00', '/unix//a\\u{0} contains a zero byte'],
  [
    `/unix/%2F${'a'.repeat(107)}`,
    `/unix//${'a'.repeat(107)} is a path of 108 bytes, of ${PATH_BYTES} at most`
  ],
  ['/unix/%2Fa/tcp/1', 'no transport takes /tcp/1'],
  ['/memory/ws', '/memory/ws is not a number'],
  ['/memory/01', '/memory/01 is not a number'],
  ['/memory/18446744073709551616', '/memory/18446744073709551616 is not a number'],
  ['/memory/1/ws', 'no transport takes /ws']
]

for (const [given, reason] of refusals) {
  test(`neither dials nor listens on ${JSON.stringify(given)}, and names the part`, (t) => {
    const parsed = parseAddress(given)
    t.is(dialRefusal(parsed)?.reason, reason)
    t.is(listenRefusal(parsed)?.reason, reason)
  })
}

// go 26
test('transports that this package does not have are named, with what to use instead', (t) => {
  const quic = '/ip4/1.2.3.4/udp/1/quic'
  for (const [given, part, hint] of [
    [quic, '/quic', /draft 29.*use \/quic-v1/],
    [`${quic}/webtransport`, '/quic', /draft 29/],
    [
      `${quic}-v1/webtransport/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjLa2R_RF71v86aVxlqdKNOQ`,
      '/webtransport',
      /quic-v1/
    ],
    ['/ip4/1.2.3.4/udp/1/webrtc-direct', '/webrtc-direct', /WebRTC is not supported/],
    ['/dns4/a.b/udp/1/webrtc', '/webrtc', /WebRTC is not supported/],
    [`${HOST}/p2p/${RELAY}/p2p-circuit`, '/p2p-circuit', /relays are not supported yet/],
    [`${quic}-v1/p2p/${RELAY}/p2p-circuit`, '/p2p-circuit', /relays are not supported yet/],
    [`/p2p/${RELAY}/p2p-circuit`, `/p2p/${RELAY}/p2p-circuit`, /addresses are/],
    ['/ip4/1.2.3.4/udp/1', undefined, /append \/quic-v1/],
    ['/unix/a', undefined, /\/unix\/%2Frun%2Fnode.sock/]
  ] as const) {
    const refusal = dialRefusal(parseAddress(given))
    if (part !== undefined) t.is(refusal?.reason, `no transport takes ${part}`)
    t.regex(refusal?.hint ?? '', hint)
  }
})

test('an address says which transport takes it, and what that one needs', (t) => {
  const socket = { family: 4, host: '127.0.0.1', port: 4001, zone: undefined } as const
  const ws = { ...socket, transport: 'ws', serverName: undefined, path: undefined } as const
  for (const [given, place] of [
    [HOST, { ...socket, transport: 'tcp' }],
    ['/ip4/127.0.0.1/udp/4001/quic-v1', { ...socket, transport: 'quic' }],
    [`${HOST}/ws`, { ...ws, isSecure: false }],
    [`${HOST}/wss`, { ...ws, isSecure: true }],
    [`${HOST}/tls/ws`, { ...ws, isSecure: true }],
    [`${HOST}/tls/sni/a.b/ws`, { ...ws, isSecure: true, serverName: 'a.b' }],
    [`${HOST}/ws/http-path/a%2Fb%20c`, { ...ws, isSecure: false, path: '/a/b c' }],
    ['/unix/%2Ftmp%2Fa%20b.sock', { transport: 'unix', path: '/tmp/a b.sock' }],
    ['/memory/18446744073709551615', { transport: 'memory', number: 2n ** 64n - 1n }]
  ] as const) {
    const parsed = parseAddress(given)
    t.deepEqual(parsed.place, place, given)
    t.is(parsed.transport, place.transport)
    t.is(transportOf(given), place.transport)
    t.is(dialRefusal(parsed), undefined)
    t.is(listenRefusal(parsed), undefined)
  }
})

test('a path is spelt as @multiformats/multiaddr spells it', (t) => {
  const path = fc.string({ unit: 'binary', maxLength: 20 }).map((name) => `/${name}`)
  fc.assert(
    fc.property(path, (name) => {
      fc.pre(!name.includes('\0') && Buffer.byteLength(name) <= PATH_BYTES)
      const given = multiaddr([{ code: 400, name: 'unix', value: name }])
      const parsed = parseAddress(given)
      t.is(parsed.text, given.toString())
      t.deepEqual(parsed.place, { transport: 'unix', path: name })
    })
  )
})

test('a name or a path that is spelt like a part of an address is none', (t) => {
  t.false(isRelayed(`${HOST}/ws/http-path/p2p-circuit`))
  t.is(ipOf(`${HOST}/ws/http-path/p2p-circuit`), '127.0.0.1')
  t.true(isRelayed(`${HOST}/ws/http-path/a/p2p/${RELAY}/p2p-circuit`))
  t.is(ipOf('/unix/%2Fip4%2F1.2.3.4'), undefined)
  t.is(transportOf('/unix/%2Fquic-v1'), 'unix')
})

test('addresses with a name can be dialled, but not listened on', (t) => {
  for (const [given, name, transport] of [
    ['/dns4/a.b/tcp/1', 'a.b', 'tcp'],
    [`/dns/a.b/tcp/1/p2p/${PEER}`, 'a.b', 'tcp'],
    ['/dnsaddr/_x.a-b', '_x.a-b', undefined],
    ['/dnsaddr/a.b/tcp/1', 'a.b', undefined],
    ['/dns/a.b/udp/1/quic-v1', 'a.b', 'quic'],
    ['/dns6/a.b/tcp/1/ws', 'a.b', 'ws'],
    [`/dns4/a.b/tcp/1/wss/p2p/${PEER}`, 'a.b', 'ws'],
    ['/dns4/a.b/tcp/1/tls/ws', 'a.b', 'ws'],
    ['/dns4/a.b/tcp/1/tls/sni/c.d/ws/http-path/e', 'a.b', 'ws']
  ] as const) {
    const parsed = parseAddress(given)
    t.is(parsed.name, name)
    t.is(parsed.transport, transport)
    t.is(dialRefusal(parsed), undefined)
    t.is(listenRefusal(parsed)?.reason, `${name} is a name, which cannot be listened on`)
  }
})

test('addresses that can only be listened on are not dialled', (t) => {
  for (const [given, part] of [
    ['/ip4/0.0.0.0/tcp/1', '/ip4/0.0.0.0'],
    ['/ip6/::/tcp/1', '/ip6/::'],
    ['/ip4/127.0.0.1/tcp/0', '/tcp/0'],
    ['/ip4/0.0.0.0/udp/1/quic-v1', '/ip4/0.0.0.0'],
    ['/ip6/::1/udp/0/quic-v1', '/udp/0'],
    ['/ip4/127.0.0.1/tcp/0/tls/ws', '/tcp/0'],
    ['/memory/0', '/memory/0']
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
    '/ip4/01.2.3.4/tcp/1',
    '/ip4/1.2.3.4/udp/70000/quic-v1',
    '/ip4/1.2.3.4/tcp/1/ws/http-path/%zz',
    '/unix',
    '/unix/',
    '/unix/%zz',
    '/unix/tmp/a.sock',
    '/memory'
  ]
  const worse = ['/ip4/1.2.3.4/tcp/70000', '/ip4/1.2.3.4/tcp/1/p2p/x', '/ip4/1.2.3.4/tcp', 7, null]
  for (const given of [...bad, ...worse, undefined, {}]) {
    t.throws(() => parseAddress(given as never), { instanceOf: InvalidParametersError }, `${given}`)
  }
})

test('the latest addresses are parsed once, unless they are long', (t) => {
  const first = parseAddress(HOST)
  t.is(parseAddress(HOST), first)
  for (let port = 1; port <= 128; port += 1) parseAddress(`/ip4/10.0.0.1/tcp/${port}`)
  t.not(parseAddress(HOST), first)
  t.deepEqual(parseAddress(HOST), first)
  const long = `/dns4/${'a'.repeat(63)}${'.a'.repeat(95)}/tcp/1`
  t.true(long.length > 256)
  t.not(parseAddress(long), parseAddress(long))
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
  t.is(parseAddress('/ip6/::ffff:10.0.0.1/udp/9/quic-v1').text, '/ip4/10.0.0.1/udp/9/quic-v1')
})

test('every address is spelt as @multiformats/multiaddr spells it', (t) => {
  const host = fc.oneof(
    fc.ipV4().map((ip) => `/ip4/${ip}`),
    fc.ipV6().map((ip) => `/ip6/${ip}`),
    fc.ipV4().map((ip) => `/ip6/::ffff:${ip}`),
    fc.ipV6().map((ip) => `/ip6zone/eth0/ip6/${ip}`)
  )
  const service = fc.constantFrom(
    ['tcp', ''],
    ['udp', '/quic-v1'],
    ['tcp', '/ws'],
    ['tcp', '/tls/ws']
  )
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), service, (ip, port, [over, spoken]) => {
      const { text } = parseAddress(`${ip}/${over}/${port}${spoken}`)
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
