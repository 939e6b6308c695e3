/** The lists of the connection gate: who may connect, who is dialled, and that a change takes effect at once. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { multiaddr } from '@multiformats/multiaddr'
import test, { type ExecutionContext } from 'ava'
import {
  AbortError,
  ConnectionErrorCode,
  DialAllFailedError,
  DialDeniedError,
  DnsError,
  type DnsResolverLike,
  InvalidParametersError,
  type RefusedDetail,
  StateError,
  Swarm,
  type SwarmOptions,
  type Transport,
  UpgradeError
} from '../../ts/index.ts'
import { PEER } from '../support/added.ts'
import { tcpSockets } from '../support/duplexes.ts'
import { portOf } from '../support/echo.ts'
import { memoryConns } from '../support/memory-muxer.ts'
import { createNode, createPair, until } from '../support/pair.ts'
import { isAnswered } from '../support/raw-peer.ts'
import { serveSockets } from '../support/sockets.ts'

const OTHER = 'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC'

/** Creates a node that listens on loopback, and collects what its gate refuses. */
async function gated(
  t: ExecutionContext,
  options: SwarmOptions = {},
  address = '/ip4/127.0.0.1/tcp/0'
): Promise<{ swarm: Swarm; port: number; refused: RefusedDetail[] }> {
  const swarm = await createNode(t, options)
  const refused: RefusedDetail[] = []
  swarm.addEventListener('refused', ({ detail }) => void refused.push(detail))
  await swarm.listen(address)
  const port = portOf(swarm)
  return { swarm, port, refused }
}

function resolverOf(names: Readonly<Record<string, readonly string[]>>): DnsResolverLike {
  return {
    resolve: async (addr) => {
      const [, , name = '', ...rest] = `${addr}`.split('/')
      const found = names[name]
      if (found === undefined) throw new DnsError(`${name}: the name does not exist`)
      return found.map((host) =>
        multiaddr([`/ip${host.includes(':') ? 6 : 4}/${host}`, ...rest].join('/'))
      )
    }
  }
}

// G2
test('hosts on the deny list are refused without a byte, others are answered', async (t) => {
  const deny = ['127.0.0.8/30', '/ip4/127.0.0.2', multiaddr('/ip4/127.0.1.0/ipcidr/24')]
  const { swarm, port, refused } = await gated(t, { connections: { deny } })
  for (const host of ['127.0.0.2', '127.0.0.11', '127.0.1.77']) {
    t.false(await isAnswered(t, port, host), host)
  }
  for (const host of ['127.0.0.1', '127.0.0.12', '127.0.2.1']) {
    t.true(await isAnswered(t, port, host), host)
  }
  await until(() => refused.length === 3)
  t.deepEqual(
    refused.map(({ rule }) => rule),
    ['deny 127.0.0.2', 'deny 127.0.0.8/30', 'deny 127.0.1.0/24']
  )
  const [first] = refused
  t.like(first, { stage: 'accept', direction: 'inbound', peer: undefined })
  t.regex(`${first?.remoteAddr}`, /^\/ip4\/127\.0\.0\.2\/tcp\/\d+$/)
  t.deepEqual(swarm.connectionGate.denied, ['127.0.0.2', '127.0.0.8/30', '127.0.1.0/24'])
  // Those that were answered end when this side notices that.
  await until(() => swarm.resourceManager.stat().transient.numConnsInbound === 0)
})

// G2
test('an allow list refuses every other host, deny wins, and both change at run time', async (t) => {
  const { swarm, port, refused } = await gated(t)
  const { connectionGate } = swarm
  t.true(await isAnswered(t, port, '127.0.0.2'))
  connectionGate.allow('127.0.0.0/29')
  connectionGate.deny('127.0.0.3')
  t.true(await isAnswered(t, port, '127.0.0.2'))
  t.false(await isAnswered(t, port, '127.0.0.3'))
  t.false(await isAnswered(t, port, '127.0.0.9'))
  await until(() => refused.length === 2)
  t.deepEqual(
    refused.map(({ rule }) => rule),
    ['deny 127.0.0.3', 'not in the allow list']
  )
  t.is(connectionGate.removeDenied('127.0.0.3', '127.0.0.4'), 1)
  t.true(await isAnswered(t, port, '127.0.0.3'))
  t.is(connectionGate.removeAllowed('127.0.0.0/29'), 1)
  t.true(await isAnswered(t, port, '127.0.0.9'))
  t.deepEqual([connectionGate.allowed, connectionGate.denied], [[], []])
})

// G5
test('hosts of IPv6 are refused, and IPv4 in mapped notation is IPv4', async (t) => {
  const { swarm, port, refused } = await gated(t, {}, '/ip6/::1/tcp/0')
  swarm.connectionGate.deny('::/64', '::ffff:10.0.0.0/104')
  const dialer = await createNode(t)
  const addr = `/ip6/::1/tcp/${port}`
  await t.throwsAsync(dialer.dialAddr(addr), { instanceOf: DialAllFailedError })
  await until(() => refused.length > 0)
  t.is(refused[0]?.rule, 'deny ::/64')
  t.deepEqual(swarm.connectionGate.denied, ['10.0.0.0/8', '::/64'])
  t.false(await swarm.connectionGate.isAllowed('::ffff:10.1.2.3'))
  t.false(await swarm.connectionGate.isAllowed('/ip4/10.1.2.3/tcp/1'))
  swarm.connectionGate.removeDenied('::/64')
  t.is((await dialer.dialAddr(addr)).direction, 'outbound')
})

test('a remote is refused while the event loop is blocked', async (t) => {
  const { port, swarm } = await gated(t)
  swarm.connectionGate.deny('127.0.0.2')
  const shared = new SharedArrayBuffer(16)
  const state = new Int32Array(shared)
  // Signals that it connects, then stores the milliseconds until the close, and the bytes received.
  const source = `
    const { connect } = require('node:net')
    const state = new Int32Array(require('node:worker_threads').workerData)
    const began = performance.now()
    const socket = connect({ port: ${port}, host: '127.0.0.1', localAddress: '127.0.0.2' })
    socket.on('error', () => {})
    socket.on('data', (bytes) => Atomics.add(state, 2, bytes.length))
    socket.on('close', () => {
      Atomics.store(state, 1, Math.ceil(performance.now() - began))
      Atomics.store(state, 0, 1)
      Atomics.notify(state, 0)
    })`
  const worker = new Worker(source, { eval: true, workerData: shared })
  await once(worker, 'online')
  const blockedUntil = Date.now() + 1_000
  const woken = Atomics.wait(state, 0, 0, 10_000)
  const [, elapsed = 0, received] = state
  while (Date.now() < blockedUntil);
  t.not(woken, 'timed-out')
  t.true(elapsed < 1_000, `${elapsed} ms`)
  t.is(received, 0)
  await worker.terminate()
})

test('addresses that the lists refuse get no socket, and the error names the rule of each', async (t) => {
  let accepted = 0
  const address = await serveSockets(t, () => {
    accepted += 1
  })
  const connections = { deny: ['127.0.0.0/8', '192.0.2.7'] }
  const { swarm, refused } = await gated(t, { connections, retry: { maxRetries: 0 } })
  const addresses = [address, '/ip4/192.0.2.7/tcp/1']
  for (const force of [false, true]) {
    const err = await t.throwsAsync(swarm.dialPeer(PEER, { addresses, force }), {
      instanceOf: DialAllFailedError
    })
    t.deepEqual(
      err.attempts.map(({ stage, cause }) => [stage, cause.name, cause.message]),
      [
        ['gate', 'DialDeniedError', 'deny 127.0.0.0/8'],
        ['gate', 'DialDeniedError', 'deny 192.0.2.7']
      ]
    )
  }
  t.like(refused[0], { stage: 'addrDial', direction: 'outbound', rule: 'deny 127.0.0.0/8' })
  t.is(`${refused[0]?.peer} ${refused[0]?.remoteAddr}`, `${PEER} ${address}`)
  t.is(refused.length, 4)
  t.like(await swarm.explainDial(PEER, address), { stage: 'gate', reason: 'deny 127.0.0.0/8' })
  t.is(refused.length, 4)
  t.is(accepted, 0)
  swarm.connectionGate.removeDenied('127.0.0.0/8')
  await t.throwsAsync(swarm.dialAddr(address, PEER, { timeout: 200 }))
  await until(() => accepted === 1)
})

test('an attempt that starts after the lists have changed is refused natively', async (t) => {
  const { swarm, refused } = await gated(t, { retry: { maxRetries: 0 } })
  // The other one starts when its delay has passed.
  const silent = await serveSockets(t, () => {})
  const address = silent.replace('127.0.0.1', '127.0.0.2')
  const controller = new AbortController()
  const dial = swarm.dialPeer(PEER, {
    addresses: [silent, address],
    signal: controller.signal,
    onAttempt: () => setImmediate(() => controller.abort())
  })
  swarm.connectionGate.deny('127.0.0.2')
  const { attempts = [] } = await t.throwsAsync(dial, { instanceOf: AbortError })
  const attempt = attempts.find((each) => each.address === address)
  t.like(attempt, { stage: 'gate' })
  t.is(attempt?.cause.message, 'deny 127.0.0.2')
  t.like(refused, [{ stage: 'addrDial', direction: 'outbound', rule: 'deny 127.0.0.2' }])
})

// G4, G5
test('all addresses of a name must pass, otherwise none is dialled', async (t) => {
  let accepted = 0
  const address = await serveSockets(t, () => {
    accepted += 1
  })
  const [, , , , port] = address.split('/')
  const dns = resolverOf({
    mixed: ['127.0.0.1', '192.0.2.7'],
    fine: ['127.0.0.1'],
    six: ['2001:db8::1']
  })
  const connections = { deny: ['192.0.2.0/24', '2001:db8::/32'] }
  const { swarm, refused } = await gated(t, { connections, dns, retry: { maxRetries: 0 } })
  const mixed = await t.throwsAsync(swarm.dialAddr(`/dns4/mixed/tcp/${port}`, PEER), {
    instanceOf: DialAllFailedError
  })
  t.deepEqual(
    mixed.attempts.map(({ stage, resolvedFrom, cause }) => [stage, resolvedFrom, cause.message]),
    [
      [
        'gate',
        `/dns4/mixed/tcp/${port}`,
        `/ip4/192.0.2.7/tcp/${port} of the same name: deny 192.0.2.0/24`
      ],
      ['gate', `/dns4/mixed/tcp/${port}`, 'deny 192.0.2.0/24']
    ]
  )
  t.is(refused.length, 1)
  t.is(accepted, 0)
  const { connectionGate } = swarm
  t.deepEqual(await connectionGate.explain(`/dns/mixed/tcp/${port}`), {
    allowed: false,
    rule: 'deny 192.0.2.0/24',
    host: '192.0.2.7'
  })
  t.false(await connectionGate.isAllowed(`/dns6/six/tcp/${port}/p2p/${PEER}`))
  t.true(await connectionGate.isAllowed(`/dns4/fine/tcp/${port}`))
  t.false(await connectionGate.isAllowed('/dns4/six/udp/1/quic-v1'))
  await t.throwsAsync(swarm.dialAddr(`/dns4/fine/tcp/${port}`, PEER, { timeout: 200 }))
  await until(() => accepted === 1)
})

// G4, G5
test('addresses of a name beyond those that are dialled, and of other peers, are judged too', async (t) => {
  const fine = Array.from({ length: 100 }, (_, index) => `127.0.1.${index}`)
  const other = new Swarm().peerId
  const names: Readonly<Record<string, string[]>> = {
    many: [...fine, '192.0.2.7'].map((host) => `/ip4/${host}/tcp/1`),
    mixed: ['/ip4/127.0.1.1/tcp/1', `/ip4/192.0.2.7/tcp/1/p2p/${other}`]
  }
  const dns: DnsResolverLike = {
    resolve: async (addr) => (names[`${addr}`.split('/')[2] ?? ''] ?? []).map((it) => multiaddr(it))
  }
  const connections = { deny: ['192.0.2.0/24'] }
  const { swarm, refused } = await gated(t, { connections, dns, retry: { maxRetries: 0 } })
  for (const [name, count] of [
    ['many', 100],
    ['mixed', 2]
  ] as const) {
    const dial = swarm.dialAddr(`/dns4/${name}/tcp/1`, PEER)
    const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
    t.is(attempts.length, count)
    t.true(attempts.every(({ stage }) => stage === 'gate'))
    t.is(attempts.at(-1)?.cause.message, 'deny 192.0.2.0/24')
    t.false(await swarm.connectionGate.isAllowed(`/dns4/${name}/tcp/1`))
  }
  t.deepEqual(
    refused.map(({ remoteAddr, rule }) => `${remoteAddr} ${rule}`),
    Array(2).fill('/ip4/192.0.2.7/tcp/1 deny 192.0.2.0/24')
  )
})

// G1, G3
test('what has no IP address is allowed without an allow list, and refused with one', async (t) => {
  const swarm = await createNode(t, { dns: resolverOf({}) })
  const { connectionGate } = swarm
  const hostless = [
    `/ip4/192.0.2.1/tcp/1/p2p/${PEER}/p2p-circuit`,
    `/p2p/${PEER}/p2p-circuit`,
    '/memory/1',
    '/dns4/nowhere/tcp/1',
    '/dnsaddr/nowhere'
  ]
  connectionGate.deny('127.0.0.0/8')
  for (const addr of hostless) t.true(await connectionGate.isAllowed(addr), addr)
  t.false(await connectionGate.isAllowed('/ip4/127.0.0.1/tcp/1'))
  connectionGate.allow('0.0.0.0/0', '::/0')
  for (const addr of hostless) {
    t.deepEqual(
      await connectionGate.explain(addr),
      { allowed: false, rule: 'not in the allow list', host: undefined },
      addr
    )
  }
  t.true(await connectionGate.isAllowed('/ip6/::1/tcp/1'))
  t.true(await connectionGate.isAllowed('192.0.2.1'))
})

test('a relay is judged by its host, and what transports of the application resolve by none', async (t) => {
  const dialled: string[] = []
  const transport: Transport = {
    canDial: () => true,
    dial: (addr) => {
      dialled.push(`${addr}`)
      return Promise.reject(new Error('nobody is there'))
    }
  }
  const connections = { deny: ['10.0.0.0/8'] }
  const swarm = await createNode(t, {
    connections,
    transports: [transport],
    retry: { maxRetries: 0 }
  })
  const refused: RefusedDetail[] = []
  swarm.addEventListener('refused', ({ detail }) => void refused.push(detail))
  const failure = async (addr: string): Promise<string | undefined> => {
    const dial = swarm.dialAddr(addr, PEER, { force: true })
    return (await t.throwsAsync(dial, { instanceOf: DialAllFailedError })).attempts[0]?.cause
      .message
  }
  const denied = `/ip4/10.0.0.1/tcp/1/p2p/${OTHER}/p2p-circuit`
  const relayed = `/ip6/2001:db8::1/tcp/1/p2p/${OTHER}/p2p-circuit`
  const name = '/dns4/localhost/tcp/1'
  t.is(await failure(denied), 'deny 10.0.0.0/8')
  t.like(await swarm.connectionGate.explain(denied), { allowed: false, host: '10.0.0.1' })
  t.like(await swarm.connectionGate.explain(relayed), { allowed: true, host: '2001:db8::1' })
  t.regex((await failure(relayed)) ?? '', /nobody is there/)
  t.regex((await failure(name)) ?? '', /nobody is there/)
  t.deepEqual(dialled, [relayed, name])
  // Where they lead to is not known.
  swarm.connectionGate.allow('0.0.0.0/0', '::/0')
  for (const addr of [relayed, name]) t.is(await failure(addr), 'not in the allow list')
  t.is(dialled.length, 2)
  t.is(refused.length, 3)
})

test('open connections stay, or are closed with the rule if the call asks for it', async (t) => {
  const { dialer, listener, outbound, inbound } = await createPair(t)
  listener.connectionGate.deny('127.0.0.0/8')
  t.is(inbound.closeReason, undefined)
  t.is(listener.getTotalConnections(), 1)
  listener.connectionGate.deny('192.0.2.1', { closeOpen: true })
  await Promise.all([inbound.closed, outbound.closed])
  t.like(inbound.closeReason, { rule: 'deny 127.0.0.0/8', remote: false })
  t.like(outbound.closeReason, { closeCode: ConnectionErrorCode.Gated, remote: true, rule: '' })
  t.is(dialer.getTotalConnections(), 0)
})

test('an allow list closes the open connections outside of it, and none inside', async (t) => {
  const { listener, inbound } = await createPair(t)
  listener.connectionGate.allow('127.0.0.1', { closeOpen: true })
  t.is(listener.getTotalConnections(), 1)
  listener.connectionGate.allow('192.0.2.1')
  listener.connectionGate.removeAllowed('127.0.0.1')
  listener.connectionGate.allow([], { closeOpen: true })
  await inbound.closed
  t.like(inbound.closeReason, { rule: 'not in the allow list' })
})

test('connections of the application are judged by their addresses', async (t) => {
  const { swarm, refused } = await gated(t, { connections: { deny: ['10.0.0.0/8', '127.0.0.1'] } })
  const added = memoryConns(PEER)
  t.throws(
    () => swarm.addConnection(added.near, 'inbound', { remoteAddr: '/ip4/10.1.1.1/tcp/1' }),
    {
      instanceOf: DialDeniedError,
      message: 'deny 10.0.0.0/8'
    }
  )
  t.false(added.near.isClosed)
  t.is(swarm.addConnection(added.near, 'inbound').remotePeer.toString(), PEER)
  const [near, far] = await tcpSockets(t)
  const err = await t.throwsAsync(swarm.upgradeInbound(far), { instanceOf: UpgradeError })
  t.true(err.cause instanceof DialDeniedError)
  await until(() => far.destroyed)
  near.destroy()
  const { resourceManager } = swarm
  t.throws(() => resourceManager.openConnection('inbound', false, '10.0.0.1'), {
    instanceOf: DialDeniedError
  })
  resourceManager.openConnection('outbound', false, '10.0.0.1').done()
  resourceManager.openConnection('inbound', false, '192.0.2.1').done()
  t.deepEqual(
    refused.map(({ stage, direction, rule }) => [stage, direction, rule]),
    [
      ['accept', 'inbound', 'deny 10.0.0.0/8'],
      ['accept', 'inbound', 'deny 127.0.0.1'],
      ['accept', 'inbound', 'deny 10.0.0.0/8']
    ]
  )
})

test('an invalid entry is refused by name, and nothing is added', async (t) => {
  const swarm = new Swarm()
  const { connectionGate } = swarm
  for (const entry of ['10.0.0.0/33', 'example.test', '', '/ip4/10.0.0.1/tcp/1', 7, null]) {
    t.throws(() => connectionGate.deny('192.0.2.1', entry as string), {
      instanceOf: InvalidParametersError,
      message: /entry to deny/
    })
  }
  t.throws(() => connectionGate.allow(`/ip4/10.0.0.1/p2p/${PEER}`), {
    instanceOf: InvalidParametersError
  })
  t.deepEqual([connectionGate.allowed, connectionGate.denied], [[], []])
  t.throws(() => connectionGate.deny('192.0.2.1', { closeOpne: true } as object), {
    instanceOf: InvalidParametersError,
    message: /did you mean closeOpen/
  })
  t.throws(() => new Swarm({ connections: { deny: ['192.0.2.1', '10.0.0.0/33'] } }), {
    instanceOf: InvalidParametersError,
    message: /connections\.deny\[1\].*10\.0\.0\.0\/33/
  })
  t.throws(() => new Swarm({ connections: { allow: '10.0.0.0/8' as unknown as string[] } }), {
    instanceOf: InvalidParametersError
  })
  await t.throwsAsync(connectionGate.isAllowed('nonsense'), { instanceOf: InvalidParametersError })
  await t.throwsAsync(connectionGate.isAllowed('/dns4/example.test/tcp/1'), {
    instanceOf: StateError
  })
  // Addresses need no swarm that is started.
  connectionGate.deny(['192.0.2.1', '192.0.2.2'], '192.0.2.3')
  t.false(await connectionGate.isAllowed('192.0.2.2'))
  await swarm.start()
  t.teardown(() => swarm.close())
  t.is(connectionGate, swarm.connectionGate)
  t.is(connectionGate.denied.length, 3)
})
