import test from 'ava'
import { DnsResolver, type DnsResolverOptions } from '../../ts/dns/dns-resolver.ts'
import type { DnsRecords } from '../../ts/dns/records.ts'
import { AbortError, DnsError, InvalidParametersError, StateError } from '../../ts/errors.ts'
import { FakeClock } from '../support/fake-clock.ts'

const PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const OTHER = 'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'
const THIRD = 'QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa'

type Found = readonly string[] | Error | Promise<readonly string[]>

/** Records by `<name> 4`, `<name> 6` and `<name>` for texts; others do not exist. Counts lookups. */
function source(records: Record<string, Found>): DnsRecords & { readonly lookups: string[] } {
  const lookups: string[] = []
  const find = async (key: string, hostname: string): Promise<readonly string[]> => {
    lookups.push(key)
    const found = records[key]
    if (found === undefined) {
      const code = 'ERR_DNS_NOT_FOUND'
      throw new DnsError(`${hostname}: the name does not exist`, { hostname, code })
    }
    if (found instanceof Error) throw found
    return found
  }
  return {
    lookups,
    addresses: (hostname, family) => find(`${hostname} ${family}`, hostname),
    texts: (hostname) => find(hostname, hostname)
  }
}

const entries = (...addresses: string[]): string[] => addresses.map((addr) => `dnsaddr=${addr}`)

async function resolve(
  records: Record<string, Found>,
  addr: string,
  { peer, ...options }: { peer?: string } & Omit<Partial<DnsResolverOptions>, 'records'> = {}
): Promise<string[]> {
  const resolver = new DnsResolver({ records: source(records), ...options })
  return (await resolver.resolve(addr, { peer })).map(String)
}

/** Collects the lines of a level. */
function logOf(level: 'debug' | 'warn'): {
  lines: string[]
  logger: NonNullable<DnsResolverOptions['logger']>
} {
  const lines: string[] = []
  return { lines, logger: { [level]: (message: string) => void lines.push(message) } }
}

test('an address without a name resolves to itself, without a lookup', async (t) => {
  const addresses = [
    `/ip4/192.0.2.1/tcp/4001/p2p/${PEER}`,
    '/ip4/192.0.2.1/tcp/443/tls/sni/a.test/ws',
    '/memory/7',
    `/p2p/${PEER}`,
    `/ip4/192.0.2.1/tcp/1/p2p/${PEER}/p2p-circuit/dns4/a.test/tcp/1`
  ]
  for (const addr of addresses) t.deepEqual(await resolve({}, addr), [addr])
})

test('a name is replaced by each of its addresses, and what follows is kept', async (t) => {
  const records = { 'a.test 4': ['192.0.2.1', '192.0.2.2'], 'a.test 6': ['2001:db8::1'] }
  t.deepEqual(await resolve(records, `/dns4/a.test/tcp/4001/p2p/${PEER}`), [
    `/ip4/192.0.2.1/tcp/4001/p2p/${PEER}`,
    `/ip4/192.0.2.2/tcp/4001/p2p/${PEER}`
  ])
  t.deepEqual(await resolve(records, '/dns6/a.test/udp/4001/quic-v1'), [
    '/ip6/2001:db8::1/udp/4001/quic-v1'
  ])
  t.deepEqual(await resolve(records, `/dns4/a.test/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`), [
    `/ip4/192.0.2.1/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`,
    `/ip4/192.0.2.2/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`
  ])
})

test('/dns asks for both families, and one without records does not lose the other', async (t) => {
  const both = { 'a.test 4': ['192.0.2.1'], 'a.test 6': ['2001:db8::1'] }
  t.deepEqual(await resolve(both, '/dns/a.test/tcp/1'), [
    '/ip6/2001:db8::1/tcp/1',
    '/ip4/192.0.2.1/tcp/1'
  ])
  t.deepEqual(await resolve({ 'a.test 4': ['192.0.2.1'] }, '/dns/a.test/tcp/1'), [
    '/ip4/192.0.2.1/tcp/1'
  ])
})

test('an IP address in place of a name needs no lookup, and must be of the family', async (t) => {
  t.deepEqual(await resolve({}, '/dns4/192.0.2.1/tcp/1'), ['/ip4/192.0.2.1/tcp/1'])
  t.deepEqual(await resolve({}, '/dns/2001:db8::1/tcp/443/wss'), ['/ip6/2001:db8::1/tcp/443/wss'])
  const error = await t.throwsAsync(resolve({}, '/dns6/192.0.2.1/tcp/1'), { instanceOf: DnsError })
  t.is(error?.message, '192.0.2.1: it is an IPv4 address')
})

test('a link-local address of the system keeps its interface', async (t) => {
  t.deepEqual(await resolve({ 'a.local 6': ['fe80::1%eth0'] }, '/dns6/a.local/tcp/1'), [
    '/ip6zone/eth0/ip6/fe80::1/tcp/1'
  ])
})

// go 32
test('a WebSocket over TLS keeps the name as SNI', async (t) => {
  const records = {
    'a.test 4': ['192.0.2.1'],
    '_dnsaddr.b.test': entries(`/dns4/a.test/tcp/443/wss/p2p/${PEER}`)
  }
  const sni = '/ip4/192.0.2.1/tcp/443/tls/sni/a.test/ws'
  t.deepEqual(await resolve(records, '/dns4/a.test/tcp/443/wss'), [sni])
  t.deepEqual(await resolve(records, '/dns4/a.test/tcp/443/tls/ws'), [sni])
  t.deepEqual(await resolve(records, '/dns4/a.test/tcp/443/tls/sni/c.test/ws'), [
    '/ip4/192.0.2.1/tcp/443/tls/sni/c.test/ws'
  ])
  t.deepEqual(await resolve(records, '/dns4/a.test/tcp/80/ws'), ['/ip4/192.0.2.1/tcp/80/ws'])
  t.deepEqual(await resolve(records, '/dns4/a.test/tcp/443/wss/http-path/a%2Fb'), [
    `${sni}/http-path/a%2Fb`
  ])
  t.deepEqual(await resolve(records, '/dnsaddr/b.test'), [`${sni}/p2p/${PEER}`])
})

test('the name for TLS is in ASCII, without the dot of the root', async (t) => {
  const records = { 'a.test. 4': ['192.0.2.1'], 'bücher.test 4': ['192.0.2.1'] }
  t.deepEqual(await resolve(records, '/dns4/a.test./tcp/443/wss'), [
    '/ip4/192.0.2.1/tcp/443/tls/sni/a.test/ws'
  ])
  t.deepEqual(await resolve(records, '/dns4/bücher.test/tcp/443/tls/ws'), [
    '/ip4/192.0.2.1/tcp/443/tls/sni/xn--bcher-kva.test/ws'
  ])
})

test('an entry of /dnsaddr cannot name a socket of this host', async (t) => {
  const records = { '_dnsaddr.a.test': entries('/unix/%2Frun%2Fa.sock', `/memory/1/p2p/${PEER}`) }
  await t.throwsAsync(resolve(records, '/dnsaddr/a.test'), {
    instanceOf: DnsError,
    message: '_dnsaddr.a.test: an entry is no address of a network'
  })
})

// go 29, A134
test('/dnsaddr has the entries of the expected peer and those of none', async (t) => {
  const records = {
    '_dnsaddr.a.test': entries(
      `/ip4/192.0.2.1/tcp/1/p2p/${PEER}`,
      `/ip4/192.0.2.2/tcp/1/p2p/${OTHER}`,
      '/ip4/192.0.2.3/tcp/1'
    )
  }
  t.deepEqual(await resolve(records, `/dnsaddr/a.test/p2p/${PEER}`), [
    `/ip4/192.0.2.1/tcp/1/p2p/${PEER}`,
    `/ip4/192.0.2.3/tcp/1/p2p/${PEER}`
  ])
  t.deepEqual(await resolve(records, '/dnsaddr/a.test', { peer: PEER }), [
    `/ip4/192.0.2.1/tcp/1/p2p/${PEER}`,
    '/ip4/192.0.2.3/tcp/1'
  ])
  t.is((await resolve(records, '/dnsaddr/a.test')).length, 3)
})

test('entries of other peers alone are an error that says so', async (t) => {
  const { lines, logger } = logOf('debug')
  const records = { '_dnsaddr.a.test': entries(`/ip4/192.0.2.2/tcp/1/p2p/${OTHER}`) }
  const error = await t.throwsAsync(resolve(records, `/dnsaddr/a.test/p2p/${PEER}`, { logger }), {
    instanceOf: DnsError,
    code: 'ERR_DNS_NO_RECORDS'
  })
  t.is(error?.message, '_dnsaddr.a.test: an entry is of another peer')
  t.deepEqual(lines, [
    `_dnsaddr.a.test: an entry is of another peer: dnsaddr=/ip4/192.0.2.2/tcp/1/p2p/${OTHER}`
  ])
})

test('entries that do not end as the address does are skipped', async (t) => {
  const records = {
    '_dnsaddr.a.test': entries(
      '/ip4/192.0.2.1/tcp/4001',
      '/ip4/192.0.2.1/udp/4001/quic-v1',
      `/ip4/192.0.2.2/tcp/4001/p2p/${PEER}`
    )
  }
  t.deepEqual(await resolve(records, '/dnsaddr/a.test/tcp/4001'), [
    '/ip4/192.0.2.1/tcp/4001',
    `/ip4/192.0.2.2/tcp/4001/p2p/${PEER}`
  ])
})

test('the peer beyond a relay does not select the entries of the relay', async (t) => {
  const records = {
    '_dnsaddr.relay.test': entries(
      `/ip4/192.0.2.1/tcp/1/p2p/${OTHER}`,
      `/ip4/192.0.2.2/tcp/1/p2p/${THIRD}`
    )
  }
  const addr = `/dnsaddr/relay.test/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`
  t.deepEqual(await resolve(records, addr, { peer: PEER }), [
    `/ip4/192.0.2.1/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`
  ])
})

test('malformed entries are skipped and logged, other texts ignored', async (t) => {
  const { lines, logger } = logOf('debug')
  const records = {
    '_dnsaddr.a.test': [
      'v=spf1 -all',
      'dnsaddr=',
      'dnsaddr=/ip4/999.0.0.1/tcp/1',
      'dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/nobody',
      'dnsaddr=/nonsense',
      'dnsaddr=/ip4/192.0.2.1/tcp/1'
    ]
  }
  t.deepEqual(await resolve(records, '/dnsaddr/a.test', { logger }), ['/ip4/192.0.2.1/tcp/1'])
  t.is(lines.length, 4)
  t.true(lines.every((line) => line.startsWith('_dnsaddr.a.test: an entry is malformed: dnsaddr=')))
})

const chain = (length: number): Record<string, Found> =>
  Object.fromEntries(
    Array.from({ length }, (_, index) => [
      `_dnsaddr.${index + 1}.test`,
      entries(index + 1 === length ? '/ip4/192.0.2.1/tcp/1' : `/dnsaddr/${index + 2}.test`)
    ])
  )

// go 30
test('names that lead to names are resolved to a depth of four, deeper ones cut', async (t) => {
  t.deepEqual(await resolve(chain(4), '/dnsaddr/1.test'), ['/ip4/192.0.2.1/tcp/1'])
  const error = await t.throwsAsync(resolve(chain(5), '/dnsaddr/1.test'), { instanceOf: DnsError })
  t.is(error?.message, '_dnsaddr.5.test: it is more than 4 names deep')
  const mixed = {
    ...chain(5),
    '_dnsaddr.1.test': entries('/dnsaddr/2.test', '/ip4/192.0.2.9/tcp/1')
  }
  t.deepEqual(await resolve(mixed, '/dnsaddr/1.test'), ['/ip4/192.0.2.9/tcp/1'])
})

test('entries with names of hosts are resolved, also below other names', async (t) => {
  const records = {
    '_dnsaddr.a.test': entries(`/dnsaddr/b.test/p2p/${PEER}`),
    '_dnsaddr.b.test': entries(`/dns/host.test/tcp/1/p2p/${PEER}`),
    'host.test 4': ['192.0.2.1'],
    'host.test 6': ['2001:db8::1']
  }
  t.deepEqual(await resolve(records, '/dnsaddr/a.test', { peer: PEER }), [
    `/ip6/2001:db8::1/tcp/1/p2p/${PEER}`,
    `/ip4/192.0.2.1/tcp/1/p2p/${PEER}`
  ])
})

// A132
test('a name that leads back to itself ends with an error', async (t) => {
  const records = {
    '_dnsaddr.a.test': entries('/dnsaddr/b.test'),
    '_dnsaddr.b.test': entries('/dnsaddr/A.test')
  }
  const resolver = new DnsResolver({ records: source(records) })
  const error = await t.throwsAsync(resolver.resolve('/dnsaddr/a.test'), { instanceOf: DnsError })
  t.is(error?.message, '_dnsaddr.A.test: an entry leads back to it')
})

// go 34
test('duplicates collapse, and a name is looked up once', async (t) => {
  const records = source({
    '_dnsaddr.a.test': entries(
      '/dns4/host.test/tcp/1',
      '/ip4/192.0.2.1/tcp/1',
      '/dns4/host.test/tcp/2'
    ),
    'host.test 4': ['192.0.2.1', '192.0.2.1']
  })
  const found = await new DnsResolver({ records }).resolve('/dnsaddr/a.test')
  t.deepEqual(found.map(String), ['/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.1/tcp/2'])
  t.deepEqual(records.lookups, ['_dnsaddr.a.test', 'host.test 4'])
})

// go 36
test('addresses of one host that differ in port and transport are all kept', async (t) => {
  const listed = ['/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.1/tcp/2/ws', '/ip4/192.0.2.1/udp/1/quic-v1']
  t.deepEqual(await resolve({ '_dnsaddr.a.test': entries(...listed) }, '/dnsaddr/a.test'), listed)
})

const many = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `/ip4/192.0.2.1/tcp/${index + 1}`)

// go 31
test('100 addresses are returned, further ones cut with a warning', async (t) => {
  const { lines, logger } = logOf('warn')
  const exact = { '_dnsaddr.a.test': entries(...many(100)) }
  t.is((await resolve(exact, '/dnsaddr/a.test', { logger })).length, 100)
  t.deepEqual(lines, [])
  const more = { '_dnsaddr.a.test': entries(...many(130)) }
  t.deepEqual(await resolve(more, '/dnsaddr/a.test', { logger }), many(100))
  t.deepEqual(lines, ['a.test: 30 addresses are left out, beyond 100'])
})

// A133
test('lookups and entries of one call are bounded, with one warning each', async (t) => {
  const { lines, logger } = logOf('warn')
  const wide = Array.from({ length: 1_000 }, (_, index) => `/dnsaddr/${index}.test`)
  const records = source({ '_dnsaddr.a.test': entries(...wide) })
  const resolver = new DnsResolver({ records, logger })
  const error = await t.throwsAsync(resolver.resolve('/dnsaddr/a.test'), {
    instanceOf: DnsError,
    code: 'ERR_DNS_FAILURE'
  })
  t.is(records.lookups.length, 100)
  t.is(error?.errors.length, 16)
  t.regex(error?.message ?? '', /; and 84 more$/)

  const others = many(1_500).map((addr) => `${addr}/p2p/${OTHER}`)
  const long = { '_dnsaddr.a.test': entries(...others) }
  await t.throwsAsync(resolve(long, '/dnsaddr/a.test', { peer: PEER, logger }), {
    instanceOf: DnsError
  })
  t.deepEqual(lines, [
    '_dnsaddr.99.test: it is not looked up after 100 other lookups',
    '_dnsaddr.a.test: there are more than 1000 entries'
  ])
})

// A133
test('the addresses of names are bounded, however many names and addresses there are', async (t) => {
  const { lines, logger } = logOf('warn')
  const hosts = Array.from({ length: 1_000 }, (_, port) => `/dns4/host.test/tcp/${port + 1}`)
  const addresses = Array.from({ length: 4_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`)
  const records = { '_dnsaddr.a.test': entries(...hosts), 'host.test 4': addresses }
  const found = await resolve(records, '/dnsaddr/a.test', { logger })
  t.is(found.length, 100)
  t.is(found[0], '/ip4/10.0.0.0/tcp/1')
  t.deepEqual(lines, [
    'host.test: it has more than 100 addresses',
    'host.test: its addresses are left out, beyond 1000 in all',
    'a.test: 900 addresses are left out, beyond 100'
  ])
})

test('a failed entry does not lose the others; if all fail, the error has each name and reason', async (t) => {
  const silent = new DnsError('slow.test: no name server answered within 5s', {
    hostname: 'slow.test',
    code: 'ERR_DNS_TIMEOUT'
  })
  const listed = entries('/dns4/gone.test/tcp/1', '/dns4/slow.test/tcp/1', '/dns4/odd.test/tcp/1')
  const failing = { 'slow.test 4': silent, 'odd.test 4': new TypeError('no such socket') }
  const good = { 'good.test 4': ['192.0.2.1'] }
  t.deepEqual(
    await resolve(
      {
        ...failing,
        ...good,
        '_dnsaddr.a.test': [...listed, ...entries('/dns4/good.test/tcp/1')]
      },
      '/dnsaddr/a.test'
    ),
    ['/ip4/192.0.2.1/tcp/1']
  )
  const error = await t.throwsAsync(
    resolve({ ...failing, '_dnsaddr.a.test': listed }, '/dnsaddr/a.test'),
    { instanceOf: DnsError, code: 'ERR_DNS_FAILURE' }
  )
  t.is(error?.hostname, 'a.test')
  t.deepEqual(
    error?.errors.map(({ hostname, code }) => [hostname, code]),
    [
      ['gone.test', 'ERR_DNS_NOT_FOUND'],
      ['slow.test', 'ERR_DNS_TIMEOUT'],
      ['odd.test', 'ERR_DNS_FAILURE']
    ]
  )
  t.is(
    error?.message,
    '/dnsaddr/a.test has no address: gone.test: the name does not exist; ' +
      'slow.test: no name server answered within 5s; odd.test: no such socket'
  )
  t.true(error?.errors[2]?.cause instanceof TypeError)
})

// go 33
test('once there is an address, a silent name server has one more second', async (t) => {
  const clock = new FakeClock()
  const { promise, resolve: answered } = Promise.withResolvers<void>()
  const never = new Promise<readonly string[]>(() => {})
  const records: DnsRecords = {
    addresses: async (hostname) => {
      if (hostname !== 'good.test') return never
      setImmediate(answered)
      return ['192.0.2.1']
    },
    texts: async () => entries('/dns4/slow.test/tcp/1', '/dns4/good.test/tcp/1')
  }
  const resolving = new DnsResolver({ records, clock }).resolve('/dnsaddr/a.test')
  await promise
  clock.advance(1_000)
  t.deepEqual((await resolving).map(String), ['/ip4/192.0.2.1/tcp/1'])
  t.is(clock.timers, 0)
})

test('one family that is not answered delays the other by a second', async (t) => {
  const clock = new FakeClock()
  const { promise, resolve: answered } = Promise.withResolvers<void>()
  const records: DnsRecords = {
    addresses: async (_hostname, family) => {
      if (family === 6) return new Promise<readonly string[]>(() => {})
      setImmediate(answered)
      return ['192.0.2.1']
    },
    texts: async () => []
  }
  const resolving = new DnsResolver({ records, clock }).resolve('/dns/a.test/tcp/1')
  await promise
  clock.advance(1_000)
  t.deepEqual((await resolving).map(String), ['/ip4/192.0.2.1/tcp/1'])
})

test('names that lead to the same name have its entries at every depth', async (t) => {
  const records = {
    '_dnsaddr.1.test': entries('/dnsaddr/2.test', '/dnsaddr/3.test'),
    '_dnsaddr.2.test': entries('/dnsaddr/3.test'),
    '_dnsaddr.3.test': entries('/dnsaddr/4.test'),
    '_dnsaddr.4.test': entries('/dnsaddr/5.test'),
    '_dnsaddr.5.test': entries('/ip4/192.0.2.1/tcp/1')
  }
  t.deepEqual(await resolve(records, '/dnsaddr/1.test'), ['/ip4/192.0.2.1/tcp/1'])
})

test('control characters of names and entries are escaped', async (t) => {
  const { lines, logger } = logOf('debug')
  const records = {
    '_dnsaddr.a.test': entries('/dns4/x\ny/tcp/1', '\u001b[2J'),
    'x\ny 4': new TypeError('unknown')
  }
  const error = await t.throwsAsync(resolve(records, '/dnsaddr/a.test', { logger }))
  for (const line of [...lines, error?.message ?? '']) t.notRegex(line, /\p{Cc}/u)
})

test('an abort ends the call and the lookups', async (t) => {
  const abort = new AbortController()
  const reason = new Error('enough')
  let signal: AbortSignal | undefined
  const records: DnsRecords = {
    addresses: (_hostname, _family, options) => {
      signal = options.signal
      return new Promise(() => {})
    },
    texts: async () => []
  }
  const resolver = new DnsResolver({ records })
  const resolving = resolver.resolve('/dns4/a.test/tcp/1', { signal: abort.signal })
  abort.abort(reason)
  const error = await t.throwsAsync(resolving, { instanceOf: AbortError })
  t.is(error?.cause, reason)
  t.true(signal?.aborted)
  await t.throwsAsync(resolver.resolve('/dns4/a.test/tcp/1', { signal: abort.signal }), {
    instanceOf: AbortError
  })
})

test('the end of a swarm ends the call, whatever else was found', async (t) => {
  const records = {
    '_dnsaddr.a.test': entries('/ip4/192.0.2.1/tcp/1', '/dns4/b.test/tcp/1'),
    'b.test 4': new StateError('the swarm is closed')
  }
  await t.throwsAsync(resolve(records, '/dnsaddr/a.test'), { instanceOf: StateError })
})

test('addresses that a source should not return are left out', async (t) => {
  const records = { 'a.test 4': ['nonsense', '2001:db8::1', '192.0.2.1'] }
  t.deepEqual(await resolve(records, '/dns4/a.test/tcp/1'), ['/ip4/192.0.2.1/tcp/1'])
})

test('a source that finds no list of strings has failed, and loses no other name', async (t) => {
  for (const odd of [undefined, 'text', {}, [1], [undefined]]) {
    const good = entries('/dnsaddr/a.test', '/ip4/192.0.2.1/tcp/1')
    const resolver = new DnsResolver({
      records: {
        addresses: async () => odd as never,
        texts: async (name) => (name === '_dnsaddr.b.test' ? good : (odd as never))
      }
    })
    for (const addr of ['/dns4/a.test/tcp/1', '/dnsaddr/a.test']) {
      const err = await t.throwsAsync(resolver.resolve(addr), { instanceOf: DnsError })
      t.is(err.code, 'ERR_DNS_FAILURE')
      t.regex(err.message, /list of strings/)
    }
    t.deepEqual((await resolver.resolve('/dnsaddr/b.test')).map(String), ['/ip4/192.0.2.1/tcp/1'])
  }
})

test('a source may fail with anything, also with what has no text', async (t) => {
  for (const thrown of [Object.create(null), undefined, 'gone']) {
    const failing = () => Promise.reject(thrown)
    const resolver = new DnsResolver({ records: { addresses: failing, texts: failing } })
    const err = await t.throwsAsync(resolver.resolve('/dns4/a.test/tcp/1'), {
      instanceOf: DnsError
    })
    t.is(err.code, 'ERR_DNS_FAILURE')
    t.is(err.cause, thrown)
  }
})

test('a logger that throws changes nothing', async (t) => {
  const logger = {
    debug: () => {
      throw new Error('full disk')
    }
  }
  const warned = new Promise((resolve) => process.once('warning', resolve))
  const records = { '_dnsaddr.a.test': ['dnsaddr=x', 'dnsaddr=/ip4/192.0.2.1/tcp/1'] }
  t.is((await resolve(records, '/dnsaddr/a.test', { logger })).length, 1)
  await warned
})

test('arguments and options are checked at once', (t) => {
  const resolver = new DnsResolver({ records: source({}) })
  const wrong = [
    () => resolver.resolve('nonsense'),
    () => resolver.resolve('/dns4/a.test/tcp/99999'),
    () => resolver.resolve(7 as never),
    () => resolver.resolve('/dns4/a.test/tcp/1', { peer: 'nobody' }),
    () => resolver.resolve(`/dnsaddr/a.test/p2p/${PEER}`, { peer: OTHER }),
    () => resolver.resolve('/dns4/a.test/tcp/1', { timeout: 5 } as never),
    () => new DnsResolver({} as never),
    () => new DnsResolver({ records: { addresses: () => [] } as never })
  ]
  for (const call of wrong) t.throws(call, { instanceOf: InvalidParametersError })
})
