import test from 'ava'
import { BlackHoles, SuccessCounter } from '../../ts/dial/black-hole.ts'

const IP6 = '/ip6/2001:db8::1/tcp/1'
const IP6_UDP = '/ip6/2001:db8::1/udp/1/quic-v1'
const IP4 = '/ip4/192.0.2.1/tcp/1'
const IP4_UDP = '/ip4/192.0.2.1/udp/1/quic-v1'

function blocked(address: string, detection = {}): BlackHoles {
  const holes = new BlackHoles(detection)
  for (let count = 0; count < 100; count += 1) holes.silent(address, 1_000)
  return holes
}

/** Returns those of `addresses` that may be dialled in one request. */
function allowed(holes: BlackHoles, ...addresses: string[]): string[] {
  const isLost = holes.screen(addresses)
  return addresses.filter((address) => !isLost(address))
}

// go 38, go 41
test('a kind is blocked once fewer than 5 of its last 100 attempts were answered', (t) => {
  for (const [outcomes, answers, state] of [
    [99, 0, 'probing'],
    [100, 0, 'blocked'],
    [100, 4, 'blocked'],
    [100, 5, 'allowed'],
    [100, 100, 'allowed']
  ] as const) {
    const counter = new SuccessCounter()
    for (let count = 0; count < outcomes; count += 1) counter.record(count < answers)
    t.is(counter.state, state, `${answers} of ${outcomes}`)
  }
})

test('only the last 100 outcomes count', (t) => {
  const counter = new SuccessCounter()
  for (let count = 0; count < 100; count += 1) counter.record(true)
  for (let count = 0; count < 95; count += 1) counter.record(false)
  t.is(counter.state, 'allowed')
  counter.record(false)
  t.is(counter.state, 'blocked')
})

// go 39
test('one request in 100 goes through a black hole, as a probe', (t) => {
  const holes = blocked(IP6)
  const passed = Array.from({ length: 300 }, () => allowed(holes, IP6, IP4).length === 2)
  t.deepEqual(
    passed.flatMap((isPassed, index) => (isPassed ? [index + 1] : [])),
    [100, 200, 300]
  )
})

// go 40
test('an answer from a black hole ends it, and the count begins again', (t) => {
  const holes = blocked(IP6)
  t.deepEqual(allowed(holes, IP6, IP4), [IP4])
  holes.answered(IP6)
  t.deepEqual(allowed(holes, IP6, IP4), [IP6, IP4])
  for (let count = 0; count < 99; count += 1) holes.silent(IP6, 1_000)
  t.deepEqual(allowed(holes, IP6), [IP6])
  holes.silent(IP6, 1_000)
  t.deepEqual(allowed(holes, IP6), [])
})

// go 42
test('local addresses, and short waits, neither count nor are blocked', (t) => {
  const holes = new BlackHoles()
  for (let count = 0; count < 200; count += 1) {
    holes.silent('/ip6/::1/tcp/1', 1_000)
    holes.silent('/ip6/fd00::1/tcp/1', 1_000)
    holes.silent(IP6, 249)
  }
  t.deepEqual(allowed(holes, IP6), [IP6])
  t.deepEqual(allowed(blocked(IP6), '/ip6/fd00::1/tcp/1', '/ip6/::1/tcp/1'), [
    '/ip6/fd00::1/tcp/1',
    '/ip6/::1/tcp/1'
  ])
})

// go 43
test('each kind can be left alone', (t) => {
  t.deepEqual(allowed(blocked(IP6, { ipv6: false }), IP6), [IP6])
  t.deepEqual(allowed(blocked(IP4_UDP, { udp: false }), IP4_UDP), [IP4_UDP])
  t.deepEqual(allowed(blocked(IP6_UDP, { udp: false }), IP6, IP4_UDP), [IP4_UDP])
})

// go 44
test('a probe of one kind goes through the black hole of the other', (t) => {
  const holes = blocked(IP4_UDP)
  t.deepEqual(allowed(holes, IP6_UDP, IP4_UDP, IP4), [IP6_UDP, IP4])
})

// go 46
test('an explanation is no request', (t) => {
  const holes = blocked(IP6)
  for (let count = 0; count < 250; count += 1) t.true(holes.screen([IP6], true)(IP6))
  t.deepEqual(allowed(holes, IP6), [])
})
