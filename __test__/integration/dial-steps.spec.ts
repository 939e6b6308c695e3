import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import test from 'ava'
import {
  type AddressAttempt,
  type Connection,
  type ConnectionGater,
  DialAllFailedError,
  DialDeniedError,
  type DialDetail,
  InvalidParametersError,
  SelfDialError,
  StateError,
  TimeoutError
} from '../../ts/index.ts'
import { Swarm } from '../../ts/swarm.ts'
import { createNode, listening } from '../support/pair.ts'

const CLOSED = '/ip4/127.0.0.1/tcp/1'

test('a swarm explains whether it would dial an address, and dials nothing', async (t) => {
  const gater: ConnectionGater = {
    addrDial: (_peer, addr) => !`${addr}`.includes('10.0.0.1') || 'not this network'
  }
  const listener = await listening(t)
  const [address = ''] = listener.getListenAddrs().map(String)
  const swarm = await createNode(t, { gater, retry: { maxRetries: 0 } })
  const { peerId } = listener
  t.true(await swarm.canDial(peerId, address))
  t.true(await swarm.canDial(peerId, '/dnsaddr/example.test'))
  t.deepEqual(await swarm.explainDial(peerId, address), {
    canDial: true,
    stage: undefined,
    reason: '',
    hint: ''
  })
  t.like(await swarm.explainDial(peerId, '/ip4/10.0.0.1/tcp/1'), {
    canDial: false,
    stage: 'gate',
    reason: 'not this network'
  })
  t.like(await swarm.explainDial(peerId, '/ip4/192.0.2.1/udp/1/quic'), {
    stage: 'filter',
    reason: 'no transport takes /quic',
    hint: 'it is draft 29 of QUIC: use /quic-v1'
  })
  t.like(await swarm.explainDial(peerId, '/unix/%2Frun%2Fa.sock'), {
    stage: 'filter',
    reason: 'unix is none of the transports of this swarm',
    hint: 'see the option transports'
  })
  t.false(await swarm.canDial(swarm.peerId, address))
  t.is(listener.getTotalConnections(), 0)
  await t.throwsAsync(swarm.dialAddr(CLOSED, peerId), { instanceOf: DialAllFailedError })
  t.regex((await swarm.explainDial(peerId, CLOSED)).reason, /not tried again for 5 s/)
  t.throws(() => swarm.canDial(peerId, 'nonsense'), { instanceOf: InvalidParametersError })
  t.throws(() => new Swarm().canDial(peerId, CLOSED), { instanceOf: StateError })
})

test('the report of a connection, and the event of its dial, have the addresses that lost', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1')
  t.teardown(() => silent.close())
  await once(silent, 'listening')
  const hanging = `/ip4/127.0.0.1/tcp/${(silent.address() as AddressInfo).port}`
  const listener = await listening(t)
  const [address = ''] = listener.getListenAddrs().map(String)
  const swarm = await createNode(t, { retry: { maxRetries: 0 } })
  const details: DialDetail[] = []
  swarm.addEventListener('dial', ({ detail }) => details.push(detail))
  const seen: AddressAttempt[] = []
  const connection = await swarm.dialPeer(listener.peerId, {
    addresses: [CLOSED, hanging, address, '/ip4/192.0.2.1/udp/1/quic'],
    onAttempt: (attempt) => seen.push(attempt)
  })
  const { attempts, connect, security } = connection.dialReport
  t.true(connect > 0 && security > 0)
  const tried = attempts.map((attempt) => [attempt.address, attempt.stage, attempt.cause.code])
  t.deepEqual(tried[0], [CLOSED, 'connect', 'ERR_CONNECTION_REFUSED'])
  // The order by port decides whether it has begun before the other one won.
  if (tried.length > 1) t.deepEqual(tried[1], [hanging, 'security', 'ERR_ABORTED'])
  t.deepEqual(seen, [...attempts])
  t.is(details.length, 1)
  t.is(details[0]?.connection, connection)
  t.is(details[0]?.attempts.length, attempts.length + 1)
  t.deepEqual(listener.getConnections()[0]?.dialReport.attempts, [])
})

// go 88
test('a gater refuses a peer, and a refusal is no failure of its addresses', async (t) => {
  const banned = new Set<string>()
  const gater: ConnectionGater = { peerDial: async (peer) => !banned.has(`${peer}`) }
  const listener = await listening(t)
  const swarm = await createNode(t, { gater })
  const addresses = listener.getListenAddrs()
  banned.add(`${listener.peerId}`)
  await t.throwsAsync(swarm.dialPeer(listener.peerId, { addresses }), {
    instanceOf: DialDeniedError
  })
  t.is(listener.getTotalConnections(), 0)
  banned.clear()
  const connection = await swarm.dialPeer(listener.peerId, { addresses })
  t.is(`${connection.remotePeer}`, `${listener.peerId}`)
})

// go 6
test('a swarm does not dial the addresses that a wildcard stands for', async (t) => {
  const swarm = await createNode(t)
  await swarm.listen('/ip4/0.0.0.0/tcp/0')
  const other = await listening(t)
  const [bound = ''] = swarm.getListenAddrs().map(String)
  const own = bound.replace('0.0.0.0', '127.0.0.1')
  const err = await t.throwsAsync(swarm.dialPeer(other.peerId, { addresses: [own] }), {
    instanceOf: DialAllFailedError
  })
  t.true(err.cause instanceof SelfDialError)
  await swarm.unlisten(bound)
  const closed = await t.throwsAsync(swarm.dialPeer(other.peerId, { addresses: [own] }), {
    instanceOf: DialAllFailedError
  })
  t.is(closed.attempts[0]?.stage, 'connect')
})

// go 19
test('with the role of the listener, a dial meets a remote that has the role of the dialer', async (t) => {
  const swarm = await createNode(t)
  const other = await createNode(t)
  for (const each of [swarm, other]) {
    each.handle('/id/1.0.0', async (stream) => {
      await stream.write(Buffer.from(`${each.peerId}`))
      await stream.close()
    })
  }
  const dialled = Promise.withResolvers<Connection>()
  const server = createServer((socket) => {
    other.upgradeOutbound(socket, swarm.peerId).then(dialled.resolve, dialled.reject)
  })
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const address = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  const near = await swarm.dialPeer(other.peerId, {
    addresses: [address],
    simultaneousConnect: { isClient: false, reason: 'both have dialled' }
  })
  const far = await dialled.promise
  t.deepEqual([near.direction, far.direction], ['outbound', 'outbound'])
  for (const [connection, peer] of [
    [near, other.peerId],
    [far, swarm.peerId]
  ] as const) {
    const stream = await connection.newStream('/id/1.0.0')
    t.is(String(Buffer.from(await stream.read())), `${peer}`)
  }
})

test('dials of one peer share its 8 attempts: the next one waits, and is not refused', async (t) => {
  const silent = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      t.teardown(() => server.close())
      await once(server, 'listening')
      return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
    })
  )
  const listener = await listening(t)
  const [address = ''] = listener.getListenAddrs().map(String)
  const swarm = await createNode(t, { connections: { dialTimeout: 200 }, retry: { maxRetries: 0 } })
  const first = swarm.dialPeer(listener.peerId, { addresses: silent })
  const second = await swarm.dialAddr(address, listener.peerId)
  t.is(`${second.remotePeer}`, `${listener.peerId}`)
  t.is(await first, second, 'a connection of the peer answers its other dials')
  const third = await swarm.dialPeer(listener.peerId, {
    addresses: [...silent.slice(0, 7), address],
    force: 'beside an open connection'
  })
  t.not(third, second)
})

test('a call with force dials an address that the dial it joins has refused', async (t) => {
  const hanging = createServer().listen(0, '127.0.0.1')
  t.teardown(() => hanging.close())
  await once(hanging, 'listening')
  const silent = `/ip4/127.0.0.1/tcp/${(hanging.address() as AddressInfo).port}`
  const listener = await createNode(t)
  const swarm = await createNode(t, { retry: { maxRetries: 0 } })
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = `/ip4/127.0.0.1/tcp/${(probe.address() as AddressInfo).port}`
  probe.close()
  await once(probe, 'close')
  await t.throwsAsync(swarm.dialPeer(listener.peerId, { addresses: [address] }))
  await listener.listen(address)
  const foreign = '/ip4/192.0.2.1/udp/1/quic'
  const addresses = [silent, address, foreign]
  const patient = swarm.dialPeer(listener.peerId, { addresses, timeout: 60_000 })
  const hurried = await t.throwsAsync(swarm.dialPeer(listener.peerId, { addresses, timeout: 20 }), {
    instanceOf: TimeoutError
  })
  t.deepEqual(
    hurried.attempts?.map((attempt) => attempt.address).sort(),
    [...addresses].sort(),
    'a call that joins has the refusals of its addresses too'
  )
  const forced = await swarm.dialPeer(listener.peerId, { addresses, force: true })
  t.is(await patient, forced)
})
