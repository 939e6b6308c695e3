import test from 'ava'
import { defaultDialRanker, noDelayDialRanker } from '../../ts/dial/ranker.ts'

const RELAY = '/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit'
const quic4 = (port: number): string => `/ip4/1.2.3.4/udp/${port}/quic-v1`
const quic6 = (port: number): string => `/ip6/1::2/udp/${port}/quic-v1`
const tcp4 = (port: number): string => `/ip4/1.2.3.4/tcp/${port}`
const tcp6 = (port: number): string => `/ip6/1::2/tcp/${port}`
const ONION = '/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234'

/** The examples of go-libp2p's default ranker: addresses in the order of their delays. */
const EXAMPLES: readonly (readonly [string, readonly (readonly [string, number])[]])[] = [
  [
    'QUIC over IPv4 alone',
    [
      [quic4(1), 0],
      [quic4(2), 250],
      [quic4(3), 250]
    ]
  ],
  [
    'QUIC over both families',
    [
      [quic6(1), 0],
      [quic4(1), 250]
    ]
  ],
  [
    'QUIC over both families, and more of it',
    [
      [quic6(1), 0],
      [quic4(1), 250],
      [quic6(2), 500],
      [quic4(2), 500]
    ]
  ],
  [
    'QUIC and TCP over both families, and more of them',
    [
      [quic6(1), 0],
      [quic4(1), 250],
      [quic6(2), 500],
      [quic4(2), 500],
      [tcp6(1), 750],
      [tcp4(1), 1_000],
      [tcp6(2), 1_250],
      [tcp4(2), 1_250]
    ]
  ],
  [
    'QUIC over IPv4, TCP over both',
    [
      [quic4(1), 0],
      [tcp6(1), 250],
      [tcp4(1), 500],
      [tcp4(2), 750]
    ]
  ],
  [
    'QUIC and TCP over IPv4',
    [
      [quic4(1), 0],
      [tcp4(1), 250],
      [tcp4(2), 500],
      [tcp4(3), 500]
    ]
  ],
  [
    'TCP over both families',
    [
      [tcp6(1), 0],
      [tcp4(1), 250],
      [tcp6(2), 500],
      [tcp4(2), 500]
    ]
  ],
  [
    'relayed addresses beside public ones',
    [
      [quic4(1), 0],
      [quic4(2), 250],
      [`${quic4(3)}${RELAY}`, 500],
      [`${tcp4(3)}${RELAY}`, 750]
    ]
  ],
  [
    'relayed addresses alone',
    [
      [`${quic4(3)}${RELAY}`, 0],
      [`${tcp4(3)}${RELAY}`, 250]
    ]
  ],
  [
    'other transports and other hosts',
    [
      [quic4(1), 0],
      [tcp4(1), 250],
      ['/ip4/1.2.3.4/udp/1/webrtc-direct', 1_250],
      [ONION, 2_250]
    ]
  ],
  ['a host that is none of IP', [[ONION, 1_000]]],
  [
    'a local network',
    [
      ['/ip4/192.168.1.1/udp/1/quic-v1', 0],
      ['/ip4/192.168.1.1/tcp/1', 30],
      ['/ip4/192.168.1.1/udp/1/webrtc-direct', 130]
    ]
  ],
  [
    'relayed addresses beside local ones alone',
    [
      ['/ip4/192.168.1.1/tcp/1', 0],
      [`${quic4(3)}${RELAY}`, 0]
    ]
  ],
  [
    'WebTransport and draft 29 count as QUIC',
    [
      [quic4(1), 0],
      ['/ip4/1.2.3.4/udp/2/quic', 250],
      [`${quic4(1)}/webtransport`, 250]
    ]
  ],
  [
    'WebSocket counts as TCP, also by a path that is spelt like another transport',
    [
      [quic4(1), 0],
      [`${tcp4(1)}/tls/ws`, 250],
      [`${tcp4(2)}/ws/http-path/webtransport`, 500]
    ]
  ],
  [
    'sockets of this host are not delayed',
    [
      ['/unix/%2Fquic-v1', 0],
      [quic4(1), 0],
      [tcp4(1), 250],
      [ONION, 1_250]
    ]
  ],
  ['a socket of this host alone', [['/memory/1', 0]]]
]

for (const [what, ranked] of EXAMPLES) {
  test(`default ranking: ${what}`, (t) => {
    const expected = ranked.map(([address, delay]) => ({ address, delay }))
    const addresses = ranked.map(([address]) => address)
    t.deepEqual([...defaultDialRanker(addresses)], expected)
    t.deepEqual([...defaultDialRanker(addresses.toReversed())], expected)
  })
}

test('local and public addresses are dialled side by side', (t) => {
  const local = '/ip4/10.0.0.1/tcp/1'
  t.deepEqual(
    defaultDialRanker([tcp4(1), local]).map(({ delay }) => delay),
    [0, 0]
  )
})

test('without delays every address is dialled at once', (t) => {
  t.deepEqual(
    [...noDelayDialRanker([tcp4(1), quic4(1)])],
    [
      { address: tcp4(1), delay: 0 },
      { address: quic4(1), delay: 0 }
    ]
  )
})
