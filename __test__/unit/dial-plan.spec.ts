import test from 'ava'
import { dialPlan } from '../../ts/dial/plan.ts'

const PUBLIC = '/ip4/192.0.2.1/tcp/1'

test('each address has a head start of 250 ms over the next', (t) => {
  const plan = dialPlan([PUBLIC, '/ip4/192.0.2.2/tcp/1', '/ip4/192.0.2.3/tcp/1'])
  t.deepEqual(
    plan.map(({ delayMs }) => delayMs),
    [0, 250, 500]
  )
  t.deepEqual(dialPlan([]), [])
})

test('addresses are tried in the order in which they are given', (t) => {
  const addresses = ['/ip4/192.0.2.2/tcp/1', PUBLIC, '/ip4/10.0.0.1/tcp/1']
  t.deepEqual(
    dialPlan(addresses).map(({ address }) => address),
    addresses
  )
})

test('a local network address has 5 s, regardless of the others, and any other address 10 s', (t) => {
  const times = (...addresses: string[]): number[] =>
    dialPlan(addresses).map(({ timeoutMs }) => timeoutMs)
  t.deepEqual(times('/ip4/192.168.1.1/tcp/1', PUBLIC), [5_000, 10_000])
  t.deepEqual(times(PUBLIC, '/ip6/::1/tcp/1', '/ip4/127.0.0.1/tcp/1'), [10_000, 5_000, 5_000])
})
