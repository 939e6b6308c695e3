import test, { type ExecutionContext } from 'ava'
import type { DnsOptions } from '../../ts/dns/options.ts'
import type { DnsResolverLike } from '../../ts/dns/records.ts'
import {
  AbortError,
  DialAllFailedError,
  DnsError,
  InvalidParametersError,
  StateError
} from '../../ts/errors.ts'
import { multiaddrOf } from '../../ts/identity/address.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { createSwarm, Swarm } from '../../ts/swarm.ts'
import { CERTIFICATE, KEY } from '../support/certificate.ts'
import {
  type Answer,
  type DnsServer,
  REFUSED,
  SERVFAIL,
  startDnsServer,
  zone
} from '../support/dns-server.ts'
import { createNode } from '../support/pair.ts'
import { processFigures } from '../support/process-figures.ts'

const PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const OTHER = 'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'

interface Stand {
  readonly swarm: Swarm
  readonly server: DnsServer
  resolve(addr: string, signal?: AbortSignal): Promise<string[]>
}

/** A swarm whose name server is the test's. */
async function stand(
  t: ExecutionContext,
  answer: Answer,
  { logger, ...dns }: DnsOptions & Pick<SwarmOptions, 'logger'> = {}
): Promise<Stand> {
  const server = await startDnsServer(t, answer)
  const swarm = await createNode(t, {
    dns: { servers: [server.address], ...dns },
    ...(logger === undefined ? {} : { logger })
  })
  const resolve = async (addr: string, signal?: AbortSignal): Promise<string[]> =>
    (await swarm.dnsResolver.resolve(addr, { signal })).map(String)
  return { swarm, server, resolve }
}

const entries = (...addresses: string[]): string[] => addresses.map((addr) => `dnsaddr=${addr}`)

test.serial('a closed swarm keeps no descriptors of its lookups, collected or not', async (t) => {
  const known = zone({ 'a.test A': ['192.0.2.1'] })
  const server = await startDnsServer(t, (question) => {
    if (question.name !== 'a.test') return []
    return question.transport === 'udp' ? [{ truncated: true }] : known(question)
  })
  const use = async (): Promise<Swarm> => {
    const swarm = await createSwarm({ ioThreads: 1, dns: { servers: [server.address] } })
    await swarm.dnsResolver.resolve('/dns4/a.test/tcp/1')
    const pending = swarm.dnsResolver.resolve('/dns4/silent.test/tcp/1')
    await Promise.all([t.throwsAsync(pending, { instanceOf: StateError }), swarm.close()])
    await server.ended()
    return swarm
  }
  const closed = [await use()]
  const before = processFigures().descriptors
  for (let round = 0; round < 5; round += 1) closed.push(await use())
  t.is(processFigures().descriptors, before)
  t.is(closed.length, 6)
})

test('A and AAAA records resolve names of hosts', async (t) => {
  const { resolve, server } = await stand(
    t,
    zone({
      'a.test A': ['192.0.2.1', '192.0.2.2'],
      'a.test AAAA': ['2001:db8::1']
    })
  )
  t.deepEqual(await resolve(`/dns4/a.test/tcp/1/p2p/${PEER}`), [
    `/ip4/192.0.2.1/tcp/1/p2p/${PEER}`,
    `/ip4/192.0.2.2/tcp/1/p2p/${PEER}`
  ])
  t.deepEqual(await resolve('/dns6/a.test/tcp/1'), ['/ip6/2001:db8::1/tcp/1'])
  t.is((await resolve('/dns/a.test/tcp/1')).length, 3)
  t.true(server.questions.every(({ transport }) => transport === 'udp'))
})

test('TXT records resolve /dnsaddr; the strings of a record are joined', async (t) => {
  const { resolve } = await stand(
    t,
    zone({
      '_dnsaddr.a.test TXT': [
        ['dnsaddr=/dns4/b.test', `/tcp/1/p2p/${PEER}`],
        'unrelated',
        `dnsaddr=/ip4/192.0.2.9/tcp/1/p2p/${OTHER}`
      ],
      'b.test A': ['192.0.2.1']
    })
  )
  t.deepEqual(await resolve(`/dnsaddr/a.test/p2p/${PEER}`), [`/ip4/192.0.2.1/tcp/1/p2p/${PEER}`])
})

test('names lead to names to a depth of four', async (t) => {
  const { resolve } = await stand(
    t,
    zone({
      '_dnsaddr.1.test TXT': entries('/dnsaddr/2.test'),
      '_dnsaddr.2.test TXT': entries('/dnsaddr/3.test'),
      '_dnsaddr.3.test TXT': entries('/dnsaddr/4.test'),
      '_dnsaddr.4.test TXT': entries('/dns4/a.test/tcp/1'),
      'a.test A': ['192.0.2.1'],
      '_dnsaddr.0.test TXT': entries('/dnsaddr/1.test'),
      '_dnsaddr.loop.test TXT': entries('/dnsaddr/loop.test')
    })
  )
  t.deepEqual(await resolve('/dnsaddr/1.test'), ['/ip4/192.0.2.1/tcp/1'])
  await t.throwsAsync(resolve('/dnsaddr/0.test'), { message: /more than 4 names deep/ })
  await t.throwsAsync(resolve('/dnsaddr/loop.test'), { message: /leads back to it/ })
})

test('a truncated answer is repeated over TCP, also with more than 100 entries', async (t) => {
  const listed = Array.from({ length: 150 }, (_, port) => `/ip4/192.0.2.1/tcp/${port + 1}`)
  const whole = zone({ '_dnsaddr.a.test TXT': entries(...listed) })
  const { resolve, server } = await stand(t, (question) =>
    question.transport === 'udp' ? [{ truncated: true }] : whole(question)
  )
  t.deepEqual(await resolve('/dnsaddr/a.test'), listed.slice(0, 100))
  t.deepEqual(
    server.questions.map(({ transport }) => transport),
    ['udp', 'tcp']
  )
})

test('failures are told apart', async (t) => {
  const known = zone({ 'a.test A': ['192.0.2.1'] })
  const { resolve } = await stand(t, (question) => {
    if (question.name === 'broken.test') return [{ code: SERVFAIL }]
    if (question.name === 'refused.test') return [{ code: REFUSED }]
    return known(question)
  })
  const failures = [
    ['/dns4/gone.test/tcp/1', 'ERR_DNS_NOT_FOUND', 'gone.test: the name does not exist'],
    ['/dns6/a.test/tcp/1', 'ERR_DNS_NO_RECORDS', 'a.test: the name has no AAAA records'],
    ['/dns4/broken.test/tcp/1', 'ERR_DNS_FAILURE', 'broken.test: the name server answered: '],
    ['/dns4/refused.test/tcp/1', 'ERR_DNS_FAILURE', 'refused.test: the name server answered: '],
    ['/dns4/a..test/tcp/1', 'ERR_DNS_BAD_NAME', 'a..test: it is not a host name']
  ] as const
  for (const [addr, code, message] of failures) {
    const error = await t.throwsAsync(resolve(addr), { instanceOf: DnsError, code })
    t.true(error?.message.startsWith(message), error?.message)
    t.is(error?.kind, 'environment')
  }
})

// A136
test('a silent name server is a timeout after all attempts', async (t) => {
  const { resolve, server } = await stand(t, () => [], { timeout: 50, attempts: 2 })
  const error = await t.throwsAsync(resolve('/dns4/a.test/tcp/1'), {
    instanceOf: DnsError,
    code: 'ERR_DNS_TIMEOUT'
  })
  t.is(error?.hostname, 'a.test')
  await server.asked(({ name }) => name === 'a.test')
})

test('answers to other questions and records of other names are ignored', async (t) => {
  const record = (name: string, value: string) => ({ name, type: 'A' as const, value })
  const { resolve } = await stand(t, ({ id, name }) => [
    { id: id ^ 1, records: [record(name, '203.0.113.1')] },
    { question: 'other.test', records: [record(name, '203.0.113.2')] },
    { records: [record('other.test', '203.0.113.3'), record(name, '192.0.2.1')] }
  ])
  t.deepEqual(await resolve('/dns4/a.test/tcp/1'), ['/ip4/192.0.2.1/tcp/1'])
})

test('an answer with records of another name alone has no records', async (t) => {
  const { resolve } = await stand(t, () => [
    { records: [{ name: 'other.test', type: 'A', value: '203.0.113.1' }] }
  ])
  await t.throwsAsync(resolve('/dns4/a.test/tcp/1'), { code: 'ERR_DNS_NO_RECORDS' })
})

test('aliases are followed, in one answer and over several', async (t) => {
  const alias = (name: string, value: string) => ({ name, type: 'CNAME' as const, value })
  const address = { name: 'c.test', type: 'A' as const, value: '192.0.2.1' }
  const { resolve } = await stand(t, ({ name }) => {
    if (name === 'whole.test') {
      return [{ records: [alias(name, 'b.test'), alias('b.test', 'c.test'), address] }]
    }
    if (name === 'a.test') return [{ records: [alias(name, 'b.test')] }]
    if (name === 'b.test') return [{ records: [alias(name, 'c.test')] }]
    return name === 'loop.test' ? [{ records: [alias(name, name)] }] : [{ records: [address] }]
  })
  t.deepEqual(await resolve('/dns4/whole.test/tcp/1'), ['/ip4/192.0.2.1/tcp/1'])
  t.deepEqual(await resolve('/dns4/a.test/tcp/1'), ['/ip4/192.0.2.1/tcp/1'])
  await t.throwsAsync(resolve('/dns4/loop.test/tcp/1'), { instanceOf: DnsError })
})

test('texts that are not UTF-8 are left out, which is logged', async (t) => {
  const lines: string[] = []
  const { resolve } = await stand(
    t,
    zone({ '_dnsaddr.a.test TXT': [[Buffer.from([0xff])], 'dnsaddr=/ip4/192.0.2.1/tcp/1'] }),
    { logger: { debug: (message: string) => void lines.push(message) } }
  )
  t.deepEqual(await resolve('/dnsaddr/a.test'), ['/ip4/192.0.2.1/tcp/1'])
  t.deepEqual(lines, ['_dnsaddr.a.test: 1 texts are not UTF-8, or too long'])
})

test('packets that are no answers end as errors', async (t) => {
  const { resolve } = await stand(
    t,
    ({ name, type }) => [{ records: [{ name, type: 'A', value: type === 'A' ? '1' : '1.2' }] }],
    { timeout: 50, attempts: 1 }
  )
  await t.throwsAsync(resolve('/dns/a.test/tcp/1'), { instanceOf: DnsError })
})

test('localhost is that of the hosts file: no name server is asked', async (t) => {
  const { resolve, server } = await stand(t, () => [])
  t.true((await resolve('/dns4/localhost/tcp/1')).includes('/ip4/127.0.0.1/tcp/1'))
  t.true((await resolve('/dns6/localhost/tcp/1')).includes('/ip6/::1/tcp/1'))
  t.deepEqual(server.questions, [])
})

test('an abort ends a lookup', async (t) => {
  const { resolve, server } = await stand(t, () => [])
  const abort = new AbortController()
  const resolving = resolve('/dns4/a.test/tcp/1', abort.signal)
  await server.asked(({ name }) => name === 'a.test')
  abort.abort()
  await t.throwsAsync(resolving, { instanceOf: AbortError })
})

test('concurrent calls are independent: an abort of one leaves the other', async (t) => {
  const abort = new AbortController()
  let isOpen = false
  const { resolve, server } = await stand(t, ({ name }) =>
    isOpen ? [{ records: [{ name, type: 'A', value: '192.0.2.1' }] }] : []
  )
  const first = resolve('/dns4/a.test/tcp/1', abort.signal)
  const second = resolve('/dns4/a.test/tcp/1')
  await server.asked(({ name }) => name === 'a.test')
  abort.abort()
  await t.throwsAsync(first, { instanceOf: AbortError })
  isOpen = true
  // The query is sent again before its timeout.
  t.deepEqual(await second, ['/ip4/192.0.2.1/tcp/1'])
})

test('the 33rd lookup waits until one of 32 is cancelled', async (t) => {
  const { resolve, server } = await stand(t, () => [], { timeout: 30_000, attempts: 5 })
  const abort = new AbortController()
  const waiting = Array.from({ length: 33 }, (_, index) =>
    resolve(`/dns4/${index}.test/tcp/1`, index === 0 ? abort.signal : undefined)
  )
  for (const lookup of waiting) lookup.catch(() => {})
  for (let index = 0; index < 32; index += 1) {
    await server.asked(({ name }) => name === `${index}.test`)
  }
  t.false(server.questions.some(({ name }) => name === '32.test'))
  abort.abort()
  await server.asked(({ name }) => name === '32.test')
})

test('a swarm that closes ends its lookups; one that is not started has none', async (t) => {
  const { swarm, server } = await stand(t, () => [])
  const resolving = swarm.dnsResolver.resolve('/dns4/a.test/tcp/1')
  await server.asked(({ name }) => name === 'a.test')
  const closing = swarm.close()
  await t.throwsAsync(resolving, { instanceOf: StateError, message: 'the swarm is closed' })
  await closing
  await t.throwsAsync(swarm.dnsResolver.resolve('/dns4/localhost/tcp/1'), {
    instanceOf: StateError
  })
  const idle = new Swarm()
  await t.throwsAsync(idle.dnsResolver.resolve('/dns4/localhost/tcp/1'), {
    instanceOf: StateError,
    message: 'the swarm is not started'
  })
})

test('the resolver of the system looks up addresses, and name servers the texts', async (t) => {
  const { resolve, swarm, server } = await stand(
    t,
    zone({ '_dnsaddr.a.test TXT': entries('/dns4/localhost/tcp/1') }),
    { resolver: 'system' }
  )
  t.deepEqual(await resolve('/dnsaddr/a.test'), ['/ip4/127.0.0.1/tcp/1'])
  t.is(server.questions.length, 1)
  await t.throwsAsync(resolve('/dns4/name.invalid/tcp/1'), { instanceOf: DnsError })
  await swarm.close()
  await t.throwsAsync(resolve('/dns4/localhost/tcp/1'), { instanceOf: StateError })
})

test('a resolver of the application takes the place of that of the swarm', async (t) => {
  const dns: DnsResolverLike = { resolve: async () => [multiaddrOf('/ip4/192.0.2.1/tcp/1')] }
  const swarm = await createNode(t, { dns })
  t.is(swarm.dnsResolver, dns)
  t.is(swarm.options.dns, dns)
})

// go 2
test('a swarm dials names, and reports what they were resolved to', async (t) => {
  const listener = await createNode(t)
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const port = String(listener.getListenAddrs()[0]).split('/').at(-1)
  const peer = String(listener.peerId)
  const { swarm } = await stand(
    t,
    zone({
      'a.test A': ['127.0.0.1'],
      '_dnsaddr.a.test TXT': entries(
        `/dns4/a.test/tcp/${port}/p2p/${peer}`,
        `/ip4/192.0.2.1/tcp/1/p2p/${OTHER}`
      )
    })
  )
  const byName = await swarm.dialAddr(`/dns4/a.test/tcp/${port}/p2p/${peer}`)
  t.is(String(byName.remotePeer), peer)
  t.is(String(byName.remoteAddr), `/ip4/127.0.0.1/tcp/${port}`)
  await byName.close()
  const byEntry = await swarm.dialPeer(peer, { addresses: ['/dnsaddr/a.test'], force: true })
  t.is(String(byEntry.remoteAddr), `/ip4/127.0.0.1/tcp/${port}`)
  const error = await t.throwsAsync(swarm.dialAddr(`/dns4/gone.test/tcp/1/p2p/${OTHER}`), {
    instanceOf: DialAllFailedError
  })
  t.true(error?.attempts[0]?.cause instanceof DnsError)
})

test('options are checked at once', async (t) => {
  const wrong: unknown[] = [
    null,
    'system',
    { resolve: 'system' },
    { resolver: 'dns' },
    { servers: [] },
    { servers: ['example.org'] },
    { servers: ['192.0.2.1:0'] },
    { servers: ['[192.0.2.1]:53'] },
    { servers: ['fe80::1%eth0'] },
    { timeout: 0 },
    { timeout: 30_001 },
    { attempts: 6 },
    { server: ['192.0.2.1'] }
  ]
  for (const dns of wrong) {
    t.throws(() => new Swarm({ dns } as SwarmOptions), { instanceOf: InvalidParametersError })
  }
  for (const server of ['192.0.2.1', '192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:53']) {
    const swarm = await createSwarm({ dns: { servers: [server] } })
    await swarm.close()
  }
})

// U4
test('the name of a WebSocket address is resolved, and is the name of its certificate', async (t) => {
  const { swarm } = await stand(t, zone({ 'node.test A': ['127.0.0.1'] }))
  const listener = await createNode(t, {
    webSocket: { certificate: { cert: CERTIFICATE, key: KEY } }
  })
  await listener.listen('/ip4/127.0.0.1/tcp/0/ws', '/ip4/127.0.0.1/tcp/0/tls/ws')
  const ports = listener.getListenAddrs().map((addr) => String(addr).split('/')[4])
  const connection = await swarm.dialAddr(`/dns4/node.test/tcp/${ports[0]}/ws`, listener.peerId)
  t.is(String(connection.remoteAddr), String(listener.getListenAddrs()[0]))
  t.is(connection.state.transport, 'ws')
  // Its certificate is that of localhost.
  const secure = `/dns4/node.test/tcp/${ports[1]}/tls/ws`
  const dial = swarm.dialAddr(secure, listener.peerId, { force: true })
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(String(err.attempts[0]?.address), `/ip4/127.0.0.1/tcp/${ports[1]}/tls/sni/node.test/ws`)
  t.regex(err.attempts[0]?.cause.message ?? '', /certificate/)
})
