import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import type { SecurityName } from '../../ts/constants.ts'
import type { DialOptions } from '../../ts/dial/options.ts'
import {
  AbortError,
  DialAllFailedError,
  DialDeniedError,
  DialError,
  StateError,
  TimeoutError
} from '../../ts/errors.ts'
import { at, refused, setUp } from '../support/dial-host.ts'

const NAME = '/dns4/a.test/tcp/1'
const tick = (): Promise<void> => new Promise(setImmediate)

/** A resolver whose answers a test gives. */
function resolver() {
  const asked: { addr: string; signal: AbortSignal | undefined }[] = []
  const settlers: { resolve: (addrs: Multiaddr[]) => void; reject: (err: unknown) => void }[] = []
  return {
    asked,
    answer: (index: number, ...addrs: string[]) =>
      settlers[index]?.resolve(addrs.map((addr) => multiaddr(addr))),
    fail: (index: number, err: unknown) => settlers[index]?.reject(err),
    resolve: (addr: unknown, { signal }: { signal?: AbortSignal | undefined } = {}) => {
      asked.push({ addr: `${addr}`, signal })
      return new Promise<Multiaddr[]>((resolve, reject) => settlers.push({ resolve, reject }))
    }
  }
}

function setUpNames(gater?: { addrDial: (peer: unknown, addr: unknown) => boolean }) {
  const dns = resolver()
  return { ...setUp({}, { maxRetries: 0 }, { dns, ...(gater && { gater }) }), dns }
}

test('the addresses of a name are dialled when it is resolved, beside the others', async (t) => {
  const { dialer, dials, complete, peer, dns, connection } = setUpNames()
  const dial = dialer.dialPeer(peer, { addresses: [NAME, at(1)] })
  t.deepEqual(dials[0]?.addresses, [at(1)])
  t.is(dns.asked[0]?.addr, `${NAME}/p2p/${peer}`)
  dns.answer(0, `${at(2)}/p2p/${peer}`, at(3))
  await tick()
  t.deepEqual(dials[1]?.addresses, [at(2), at(3)])
  complete()
  t.is(await dial, connection)
})

test('what a caller does with its options after the call has no effect', async (t) => {
  const seen: unknown[] = []
  const { dialer, dials, complete, peer, dns, connection } = setUpNames({
    addrDial: (...[, , options]: unknown[]) => {
      seen.push(options)
      return true
    }
  })
  const security: SecurityName[] = ['noise']
  const dial = dialer.dialPeer(peer, { addresses: [NAME], security })
  security[0] = 'tls'
  dns.answer(0, at(2))
  await tick()
  t.deepEqual(dials[0]?.security, ['noise'])
  const [options] = seen as [DialOptions]
  t.true(Object.isFrozen(options) && Object.isFrozen(options.security))
  complete()
  t.is(await dial, connection)
})

test('attempts tell the name that their address was resolved from', async (t) => {
  const { dialer, complete, peer, dns } = setUpNames()
  const dial = dialer.dialPeer(peer, { addresses: [NAME] })
  dns.answer(0, at(2), at(3))
  await tick()
  complete([refused(0), refused(1)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(
    err.attempts.map(({ address, resolvedFrom }) => [address, resolvedFrom]),
    [
      [at(2), NAME],
      [at(3), NAME]
    ]
  )
})

test('a name that cannot be resolved is an attempt that failed, once all others have', async (t) => {
  const { dialer, complete, peer, dns, dials } = setUpNames()
  const oops = new Error('oops')
  const dial = dialer.dialPeer(peer, { addresses: [NAME, at(1)] })
  dns.fail(0, oops)
  await tick()
  complete([refused(0)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(dials.length, 1)
  t.like(err.attempts[0], { address: NAME, stage: 'resolve', resolvedFrom: undefined })
  t.regex(err.attempts[0]?.cause.message ?? '', /could not be resolved: oops/)
  t.is(err.attempts[0]?.cause.cause, oops)
})

test('the dial waits for a name after every attempt has failed', async (t) => {
  const { dialer, complete, peer, dns, dials, connection } = setUpNames()
  const dial = dialer.dialPeer(peer, { addresses: [NAME, at(1)] })
  complete([refused(0)])
  await tick()
  dns.answer(0, at(2))
  await tick()
  t.deepEqual(dials[1]?.addresses, [at(2)])
  complete()
  t.is(await dial, connection)
})

// go 33
test('names that never answer do not hold up a good one', async (t) => {
  const { dialer, complete, peer, dns, connection } = setUpNames()
  const names = Array.from({ length: 10 }, (_, index) => `/dns4/host-${index}.test/tcp/1`)
  const dial = dialer.dialPeer(peer, { addresses: names })
  t.is(dns.asked.length, 10)
  dns.answer(7, at(2))
  await tick()
  complete()
  t.is(await dial, connection)
  t.true(dns.asked.every(({ signal }) => signal?.aborted))
})

test('calls that join a dial resolve a name once', async (t) => {
  const { dialer, complete, peer, dns, connection } = setUpNames()
  const calls = [1, 2, 3].map(() => dialer.dialPeer(peer, { addresses: [NAME] }))
  t.is(dns.asked.length, 1)
  dns.answer(0, at(2))
  await tick()
  complete()
  t.deepEqual(await Promise.all(calls), [connection, connection, connection])
})

test('a timeout and an abort tell which names were still being resolved, and end them', async (t) => {
  const { dialer, peer, dns, clock } = setUpNames()
  const late = dialer.dialPeer(peer, { addresses: [NAME], timeout: 100 })
  clock.advance(100)
  const err = await t.throwsAsync(late, { instanceOf: TimeoutError })
  t.like(err.attempts?.[0], { address: NAME, stage: 'resolve', elapsed: 100 })
  t.true(dns.asked[0]?.signal?.aborted)
  const controller = new AbortController()
  const aborted = dialer.dialPeer(peer, { addresses: [NAME], signal: controller.signal })
  controller.abort()
  const why = await t.throwsAsync(aborted, { instanceOf: AbortError })
  t.like(why.attempts?.[0], { address: NAME, stage: 'resolve' })
  t.true(dns.asked[1]?.signal?.aborted)
  t.is(clock.timers, 0)
})

test('a name that resolves late, after the dial has ended, dials nothing', async (t) => {
  const { dialer, peer, dns, dials, clock } = setUpNames()
  const late = dialer.dialPeer(peer, { addresses: [NAME], timeout: 100 })
  clock.advance(100)
  await t.throwsAsync(late, { instanceOf: TimeoutError })
  dns.answer(0, at(2))
  await tick()
  t.deepEqual(dials, [])
})

test('what a name resolves to is filtered and gated as other addresses are', async (t) => {
  const gater = { addrDial: (_peer: unknown, addr: unknown) => `${addr}` !== at(3) }
  const { dialer, complete, peer, dns, dials } = setUpNames(gater)
  const dial = dialer.dialPeer(peer, { addresses: [NAME] })
  dns.answer(0, at(2), at(3), '/ip4/0.0.0.0/tcp/1', '/dns4/b.test/tcp/1')
  await tick()
  await tick()
  t.deepEqual(dials[0]?.addresses, [at(2)])
  complete([refused(0)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  const by = new Map(err.attempts.map((attempt) => [attempt.address, attempt]))
  t.like(by.get(at(3)), { stage: 'gate', resolvedFrom: NAME })
  t.true(by.get(at(3))?.cause instanceof DialDeniedError)
  t.like(by.get('/ip4/0.0.0.0/tcp/1'), { stage: 'filter', resolvedFrom: NAME })
  t.like(by.get('/dns4/b.test/tcp/1'), { stage: 'resolve', resolvedFrom: NAME })
})

// go 29
test('a name leads to no socket of this host, whatever its resolver says', async (t) => {
  const dns = resolver()
  const { dialer, dials, complete, peer } = setUp(
    {},
    { maxRetries: 0 },
    { dns, transports: ['tcp', 'unix', 'memory'] }
  )
  const first = dialer.dialPeer(peer, { addresses: ['/dnsaddr/a.test'] })
  dns.answer(0, '/unix/%2Frun%2Fa.sock', '/memory/1', at(1))
  await tick()
  t.deepEqual(
    dials.map(({ addresses }) => addresses),
    [[at(1)]]
  )
  complete([refused(0)])
  const { attempts } = await t.throwsAsync(first, { instanceOf: DialAllFailedError })
  t.deepEqual(
    attempts.filter(({ stage }) => stage === 'filter').map(({ address }) => address),
    ['/unix/%2Frun%2Fa.sock', '/memory/1']
  )
  const second = dialer.dialAddr('/dnsaddr/b.test', peer)
  dns.answer(1, '/memory/1')
  const alone = await t.throwsAsync(second, { instanceOf: DialAllFailedError })
  t.is(alone.attempts[0]?.cause.message, 'a name leads to a socket of this host')
  t.is(dials.length, 1)
})

test('addresses of other peers are not dialled; a name with no others fails', async (t) => {
  const { dialer, peer, dns, dials } = setUpNames()
  const dial = dialer.dialPeer(peer, { addresses: [NAME] })
  dns.answer(0, `${at(2)}/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N`)
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(dials, [])
  t.true(err.attempts[0]?.cause instanceof DialError)
  t.is(err.attempts[0]?.cause.message, 'the name has no address of the peer')
})

// go 34
test('an address that a name and the caller give is dialled once', async (t) => {
  const { dialer, complete, peer, dns, dials, connection } = setUpNames()
  const dial = dialer.dialPeer(peer, { addresses: [NAME, at(1)] })
  dns.answer(0, at(1))
  await tick()
  t.is(dials.length, 1)
  complete()
  t.is(await dial, connection)
})

test('a failed name is no reason for a back-off', async (t) => {
  const { dialer, peer, dns } = setUpNames()
  const first = dialer.dialPeer(peer, { addresses: [NAME] })
  dns.fail(0, new Error('oops'))
  await t.throwsAsync(first)
  const second = dialer.dialPeer(peer, { addresses: [NAME] })
  t.is(dns.asked.length, 2)
  dns.fail(1, new Error('oops'))
  await t.throwsAsync(second, { message: /oops/ })
})

test('the close of the swarm ends dials whose names are being resolved', async (t) => {
  const { dialer, peer, dns } = setUpNames()
  const dial = dialer.dialPeer(peer, { addresses: [NAME] })
  dialer.close()
  await t.throwsAsync(dial, { instanceOf: StateError })
  t.true(dns.asked[0]?.signal?.aborted)
})
