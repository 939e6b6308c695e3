import test from 'ava'
import { dialPlan } from '../../ts/dial/plan.ts'
import type { RankedAddress } from '../../ts/dial/ranker.ts'
import { InvalidParametersError } from '../../ts/errors.ts'

const PUBLIC = '/ip4/192.0.2.1/tcp/1'
const OTHER = '/ip4/192.0.2.2/tcp/1'

const planOf = (ranked: RankedAddress[], dialTimeout = 10_000) =>
  dialPlan(
    ranked,
    ranked.map(({ address }) => address),
    { dialTimeout }
  )

// go 16
test('addresses are tried by their delays, and in the order of the ranking among equals', (t) => {
  const third = '/ip4/10.0.0.1/tcp/1'
  const plan = planOf([
    { address: PUBLIC, delay: 250 },
    { address: OTHER, delay: 0 },
    { address: third, delay: 0 }
  ])
  t.deepEqual(
    plan.map(({ address, delayMs }) => [address, delayMs]),
    [
      [OTHER, 0],
      [third, 0],
      [PUBLIC, 250]
    ]
  )
  t.deepEqual(planOf([]), [])
})

test('a local network address has 5 s, regardless of the others, and any other address 10 s', (t) => {
  const planned = (ms: number | undefined, addresses: string[]): number[] =>
    planOf(
      addresses.map((address) => ({ address, delay: 0 })),
      ms
    ).map(({ timeoutMs }) => timeoutMs)
  const times = (...addresses: string[]): number[] => planned(undefined, addresses)
  t.deepEqual(times('/ip4/192.168.1.1/tcp/1', PUBLIC), [5_000, 10_000])
  t.deepEqual(times(PUBLIC, '/ip6/::1/tcp/1', '/ip4/127.0.0.1/tcp/1'), [10_000, 5_000, 5_000])
  t.deepEqual(planned(7_000, ['/ip4/10.0.0.1/tcp/1', PUBLIC]), [5_000, 7_000])
  t.deepEqual(planned(1_000, ['/ip4/10.0.0.1/tcp/1', PUBLIC]), [1_000, 1_000])
})

// go 21
test('a connection to a public address has time for its upgrade before others are tried, a local one none', (t) => {
  const holds = planOf([
    { address: PUBLIC, delay: 0 },
    { address: '/ip4/10.0.0.1/tcp/1', delay: 0 },
    { address: '/ip6/::1/tcp/1', delay: 0 }
  ]).map(({ holdMs }) => holdMs)
  t.deepEqual(holds, [250, 0, 0])
})

test('a ranking of other addresses, or without a time, is refused', (t) => {
  const refused = (ranked: unknown): string =>
    t.throws(() => dialPlan([ranked as RankedAddress], [PUBLIC], { dialTimeout: 1 }), {
      instanceOf: InvalidParametersError
    }).message
  t.regex(refused({ address: OTHER, delay: 0 }), /one of those that were passed, received "?\/ip4/)
  t.regex(refused({ address: PUBLIC }), /the delay of .* 0 or more, received undefined/)
  t.regex(refused({ address: PUBLIC, delay: -1 }), /received -1/)
})
