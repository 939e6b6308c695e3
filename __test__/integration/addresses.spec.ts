import { networkInterfaces } from 'node:os'
import test from 'ava'
import { ADDRESS_TTL_TEMPORARY } from '../../ts/constants.ts'
import { DialAllFailedError, InvalidParametersError, ListenError } from '../../ts/errors.ts'
import { createNode } from '../support/pair.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'

async function listening(t: Parameters<typeof createNode>[0], addr = LOCAL) {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen(addr)
  return { dialer, listener, address: `${listener.getListenAddrs()[0]}` }
}

test('components after /p2p are never ignored: no dial reaches the relay instead of its target', async (t) => {
  const { dialer, listener, address } = await listening(t)
  const target = (await createNode(t)).peerId
  const base = `${address}/p2p/${listener.peerId}`
  const cases = [
    [`${base}/p2p-circuit`, '/p2p-circuit'],
    [`${base}/p2p-circuit/p2p/${target}`, '/p2p-circuit'],
    [`${base}/http`, '/http'],
    [`${base}/tls`, '/tls'],
    [`${address}/tls`, '/tls']
  ] as const
  for (const [addr, part] of cases) {
    const err = await t.throwsAsync(dialer.dialAddr(addr), { instanceOf: DialAllFailedError }, addr)
    t.is(err.attempts[0]?.cause.code, 'ERR_NO_TRANSPORT')
    t.is(err.attempts[0]?.cause.message, `no transport takes ${part}`)
    t.not(err.attempts[0]?.hint, '')
  }
  t.is(dialer.getTotalConnections(), 0)
  t.is(listener.getTotalConnections(), 0)
})

test('listens on nothing but the requested addresses', async (t) => {
  const swarm = await createNode(t)
  const own = swarm.peerId.toString()
  const cases = [
    [`${LOCAL}/p2p/${own}/p2p-circuit`, 'no transport takes /p2p-circuit'],
    [`${LOCAL}/p2p/${own}/ws`, 'no transport takes /ws'],
    [`${LOCAL}/tls`, 'no transport takes /tls'],
    ['/dns4/localhost/tcp/0', 'localhost is a name, which cannot be listened on'],
    ['/ip6/fe80::1/tcp/0', '/ip6/fe80::1 is link-local and names no interface'],
    ['/ip6zone/no-such-0/ip6/fe80::1/tcp/0', 'this host has no interface "no-such-0"']
  ] as const
  for (const [addr, reason] of cases) {
    const err = await t.throwsAsync(swarm.listen(addr), { instanceOf: ListenError }, addr)
    t.is(err.attempts[0]?.cause.message, reason)
  }
  t.deepEqual(swarm.getListenAddrs(), [])
  t.true(await swarm.listen(`${LOCAL}/tls`, LOCAL))
  t.is(swarm.getListenAddrs().length, 1)
})

test("refuses to listen on another peer's address, and accepts its own", async (t) => {
  const [swarm, other] = await Promise.all([createNode(t), createNode(t)])
  const misuse = { instanceOf: InvalidParametersError }
  t.throws(() => swarm.listen(`${LOCAL}/p2p/${other.peerId}`), misuse)
  t.throws(() => swarm.listen(`/p2p/${swarm.peerId}`), misuse)
  t.true(await swarm.listen(`${LOCAL}/p2p/${swarm.peerId}`))
  t.true(await swarm.listen(LOCAL))
  t.is(swarm.getListenAddrs().length, 1)
  t.false(await swarm.unlisten(`${LOCAL}/p2p/${other.peerId}`))
  t.true(await swarm.unlisten(`${LOCAL}/p2p/${swarm.peerId}`))
})

test('reports why an address cannot be dialled', async (t) => {
  const { dialer, listener } = await listening(t)
  const cases = [
    ['/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0 is not a host that can be dialled'],
    ['/ip6/::/tcp/4001', '/ip6/:: is not a host that can be dialled'],
    [LOCAL, '/tcp/0 is not a port that can be dialled'],
    ['/ip6/fe80::1/tcp/4001', '/ip6/fe80::1 is link-local and names no interface'],
    ['/ip6zone/no-such-0/ip6/fe80::1/tcp/4001', 'this host has no interface "no-such-0"']
  ] as const
  for (const [addr, reason] of cases) {
    const err = await t.throwsAsync(dialer.dialAddr(addr), { instanceOf: DialAllFailedError }, addr)
    t.is(err.attempts[0]?.cause.message, reason)
  }
  t.throws(() => dialer.dialAddr(`/p2p/${listener.peerId}`), {
    instanceOf: InvalidParametersError,
    message: /dialPeer/
  })
})

test('an address of an unknown kind does not prevent dials of the others', async (t) => {
  const { dialer, listener, address } = await listening(t)
  const webrtc = `/ip4/127.0.0.1/udp/1/webrtc-direct/p2p/${listener.peerId}`
  // Known to @multiformats/multiaddr, and not to the native side.
  const subnet = '/ip4/127.0.0.0/ipcidr/8'
  await dialer.peerstore.addAddrs(listener.peerId, [webrtc, subnet, address], ADDRESS_TTL_TEMPORARY)
  t.truthy(await dialer.dialPeer(listener.peerId))
})

test('an IPv4-mapped IPv6 address is dialled and listened on as IPv4', async (t) => {
  const { dialer, listener, address } = await listening(t, '/ip6/::ffff:127.0.0.1/tcp/0')
  t.regex(address, /^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
  const mapped = address.replace('/ip4/127.0.0.1', '/ip6/::ffff:7f00:1')
  const [one, two] = await Promise.all([dialer.dialAddr(mapped), dialer.dialAddr(address)])
  t.is(one, two)
  t.is(`${one.remoteAddr}`, address)
  t.deepEqual(dialer.peerstore.addrs(listener.peerId).map(String), [address])
  t.true(await listener.unlisten('/ip6/::ffff:127.0.0.1/tcp/0'))
})

function linkLocal(): { zone: string; host: string } | undefined {
  for (const [zone, entries] of Object.entries(networkInterfaces())) {
    const entry = entries?.find(({ address }) => /^fe[89ab]/.test(address))
    if (entry !== undefined) return { zone, host: entry.address }
  }
  return undefined
}

test('a link-local address with its interface is listened on and dialled, where this host has one', async (t) => {
  const own = linkLocal()
  if (own === undefined) {
    t.pass('no interface of this host has a link-local address')
    return
  }
  const { dialer, listener, address } = await listening(
    t,
    `/ip6zone/${own.zone}/ip6/${own.host}/tcp/0`
  )
  t.true(address.startsWith(`/ip6zone/${own.zone}/ip6/${own.host}/tcp/`))
  const connection = await dialer.dialAddr(address, listener.peerId)
  t.is(`${connection.remoteAddr}`, address)
  t.is(connection.remoteAddress?.host, `${own.host}%${own.zone}`)
  t.true(`${connection.localAddr}`.startsWith(`/ip6zone/${own.zone}/ip6/`))
  await dialer.closePeer(listener.peerId)
  t.truthy(await dialer.dialPeer(listener.peerId))
})
