/** Listening: several addresses, duplicates, and the addresses of this host's interfaces. */
import { networkInterfaces } from 'node:os'
import test from 'ava'
import { InvalidParametersError, ListenError } from '../../ts/errors.ts'
import { createNode, until } from '../support/pair.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'

// S17, L2, go 75
test('each of several addresses is listened on, told of, and can be dialled', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const told: string[] = []
  listener.notify({
    listen: (_, addr) => told.push(`+${addr}`),
    listenClose: (_, addr) => told.push(`-${addr}`)
  })
  t.true(await listener.listen(LOCAL, '/ip4/127.0.0.2/tcp/0', '/ip6/::1/tcp/0'))
  const addrs = listener.getListenAddrs().map(String)
  t.is(addrs.length, 3)
  t.deepEqual(told.splice(0).sort(), addrs.map((addr) => `+${addr}`).sort())
  for (const addr of addrs) {
    t.notRegex(addr, /\/tcp\/0$/)
    const connection = await dialer.dialAddr(addr, listener.peerId)
    await connection.close()
  }
  // One that is taken fails, which the others make up for.
  const other = await createNode(t)
  t.true(await other.listen(addrs[0] as string, LOCAL))
  t.is(other.getListenAddrs().length, 1)
  t.true(await listener.unlisten('/ip6/::1/tcp/0'))
  const closed = addrs.find((addr) => addr.startsWith('/ip6'))
  t.deepEqual(told.splice(0), [`-${closed}`])
  // go 87: with what the events have told, the getter is what has stayed.
  const stayed = addrs.filter((addr) => addr !== closed)
  t.deepEqual(listener.getListenAddrs().map(String), stayed)
  t.true(await listener.listen('/ip4/127.0.0.3/tcp/0'))
  const added = listener
    .getListenAddrs()
    .map(String)
    .filter((addr) => !stayed.includes(addr))
  t.deepEqual(told.splice(0), [`+${added}`])
  await listener.close()
  t.deepEqual(told.sort(), [...stayed, ...added].map((addr) => `-${addr}`).sort())
})

// S18
test('an address that is listened on already is no second bind, as requested, as bound, or twice in a call', async (t) => {
  const swarm = await createNode(t)
  const told: string[] = []
  swarm.addEventListener('listen', ({ detail }) => told.push(`${detail}`))
  t.true(await swarm.listen(LOCAL, LOCAL))
  const [addr] = swarm.getListenAddrs().map(String)
  const again = [LOCAL, `${addr}`, `${addr}/p2p/${swarm.peerId}`]
  t.deepEqual(await Promise.all(again.map((each) => swarm.listen(each))), [true, true, true])
  t.deepEqual(told, [addr])
  t.deepEqual(swarm.getListenAddrs().map(String), [addr])
})

test('getInterfaceListenAddrs has the addresses of the interfaces in place of wildcards, each dialable', async (t) => {
  const [dialer, swarm] = await Promise.all([createNode(t), createNode(t)])
  t.deepEqual(swarm.getInterfaceListenAddrs(), [])
  await swarm.listen('/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/0', LOCAL)
  const portOf = (prefix: string): string => {
    const addr = swarm.getListenAddrs().find((each) => `${each}`.startsWith(prefix))
    return `${addr}`.split('/').at(-1) ?? ''
  }
  const [four, six] = [portOf('/ip4/0.0.0.0/'), portOf('/ip6/::/')]
  const expected = Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    entries.map(({ address, family }) => {
      if (family === 'IPv4') return `/ip4/${address}/tcp/${four}`
      const zone = address.startsWith('fe80') ? `/ip6zone/${name}` : ''
      return `${zone}/ip6/${address}/tcp/${six}`
    })
  )
  expected.push(`/ip4/127.0.0.1/tcp/${portOf('/ip4/127.0.0.1/')}`)
  const addrs = swarm.getInterfaceListenAddrs().map(String)
  t.deepEqual([...addrs].sort(), expected.sort())
  t.deepEqual(swarm.getListenAddrs().length, 3)
  for (const addr of addrs) {
    const connection = await dialer.dialAddr(addr, swarm.peerId)
    await connection.close()
  }
  await until(() => swarm.getTotalConnections() === 0)
  await swarm.unlisten(`/ip4/0.0.0.0/tcp/${four}`)
  t.true(swarm.getInterfaceListenAddrs().every((addr) => !`${addr}`.endsWith(`/${four}`)))
})

for (const [name, address] of [
  ['tcp', (host: string) => `${host}/tcp/0`],
  ['quic', (host: string) => `${host}/udp/0/quic-v1`],
  ['ws', (host: string) => `${host}/tcp/0/ws`]
] as const) {
  // U1
  test(`${name}: an address without a port is misuse, and nothing is bound`, async (t) => {
    const swarm = await createNode(t)
    const portless = address('/ip4/127.0.0.1').replace('/0', '')
    const listen = (): unknown => swarm.listen(portless)
    t.throws(listen, { instanceOf: InvalidParametersError, message: /expected a multiaddr/ })
    const err = await t.throwsAsync(swarm.listen('/ip4/127.0.0.1'), { instanceOf: ListenError })
    t.regex(err.message, /names no port/)
    t.deepEqual(swarm.getListenAddrs(), [])
  })

  for (const host of ['/ip4/127.0.0.1', '/ip6/::1']) {
    // U1, A156
    test(`${name}: a port of ${host} that is in use is refused, and free after unlisten and close`, async (t) => {
      const [one, other] = await Promise.all([createNode(t), createNode(t)])
      await one.listen(address(host))
      const bound = String(one.getListenAddrs()[0])
      const err = await t.throwsAsync(other.listen(bound), { instanceOf: ListenError })
      t.is(err.attempts[0]?.cause.code, 'ERR_ADDRESS_IN_USE')
      t.deepEqual(other.getListenAddrs(), [])
      t.true(await one.unlisten(bound))
      t.false(await one.unlisten(bound))
      t.true(await other.listen(bound))
      await other.close()
      await one.listen(bound)
      t.deepEqual(one.getListenAddrs().map(String), [bound])
      const dialer = await createNode(t)
      t.is(String((await dialer.dialAddr(bound, one.peerId)).remoteAddr), bound)
    })
  }
}
