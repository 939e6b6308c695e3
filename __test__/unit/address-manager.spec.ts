import test from 'ava'
import { AddressManager } from '../../ts/dial/address-manager.ts'
import { noDelayDialRanker } from '../../ts/dial/ranker.ts'

const PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const LOOPBACK = '/ip4/127.0.0.1/tcp/1'
const LOOPBACK6 = '/ip6/::1/tcp/1'
const LAN = '/ip4/192.168.1.5/tcp/1'

const contextOf = (named: string[], custom: string[] = []) => ({
  peer: PEER,
  named: new Set(named),
  custom: new Set(custom),
  options: {}
})
const filter = (addresses: string[], named: string[] = []) =>
  new AddressManager().filter(addresses, contextOf(named))

// S28
test('loopback addresses are dropped, with a reason, only if there are others', (t) => {
  t.deepEqual(filter([LOOPBACK, LOOPBACK6]).accepted, [LOOPBACK, LOOPBACK6])
  const { accepted, refused } = filter([LOOPBACK, LAN, LOOPBACK6])
  t.deepEqual(accepted, [LAN])
  t.deepEqual(
    refused.map(({ address }) => address),
    [LOOPBACK, LOOPBACK6]
  )
  t.is(refused[0]?.reason, 'a loopback address of a peer that has others')
})

test('a loopback address that the caller names is dialled', (t) => {
  t.deepEqual(filter([LOOPBACK, LAN], [LOOPBACK]).accepted, [LOOPBACK, LAN])
})

test('a loopback address stays if the others cannot be dialled', (t) => {
  t.deepEqual(filter([LOOPBACK, '/ip4/192.168.1.5/udp/1/utp']).accepted, [LOOPBACK])
})

// go 25
test('addresses without a host, a transport or an interface are refused, each with its reason', (t) => {
  const { accepted, refused } = filter([
    '/ip4/0.0.0.0/tcp/1',
    '/ip6/fe80::1/tcp/1',
    '/ip4/1.2.3.4/udp/1/utp',
    '/ip6zone/eth0/ip6/fe80::1/tcp/1'
  ])
  t.deepEqual(accepted, ['/ip6zone/eth0/ip6/fe80::1/tcp/1'])
  t.regex(refused[0]?.reason ?? '', /0\.0\.0\.0 is not a host/)
  t.regex(refused[1]?.reason ?? '', /link-local/)
  t.regex(refused[2]?.reason ?? '', /no transport takes \/utp/)
})

test('25 of the addresses are dialled, the first', (t) => {
  const manager = new AddressManager({ ranker: noDelayDialRanker })
  const addresses = Array.from({ length: 30 }, (_, index) => `/ip4/192.0.2.1/tcp/${index + 1}`)
  t.deepEqual(manager.cap(addresses), addresses.slice(0, 25))
  t.is(manager.rank(addresses, contextOf([])).length, 30)
})
