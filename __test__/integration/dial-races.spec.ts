import test from 'ava'
import { AddressManager } from '../../ts/dial/address-manager.ts'
import { defaultDialRanker } from '../../ts/dial/ranker.ts'
import { AbortError, ListenError, StateError, TimeoutError } from '../../ts/errors.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createNode, until } from '../support/pair.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { accepts, serveSockets } from '../support/sockets.ts'
import { udpProxy } from '../support/udp-proxy.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'

async function nodes(t: Parameters<typeof createNode>[0], options: SwarmOptions = {}) {
  const [dialer, listener] = await Promise.all([createNode(t, options), createNode(t, options)])
  await listener.listen(LOCAL)
  const addresses = listener.getListenAddrs()
  return { dialer, listener, addresses, peer: listener.peerId }
}

/** Resolves when both ends have no connection left. */
const nothingLeft = (...swarms: Swarm[]): Promise<void> =>
  until(() => swarms.every((swarm) => swarm.getTotalConnections() === 0))

test("a dial is unaffected by another caller's aborted dial of the same peer", async (t) => {
  const { dialer, addresses, peer } = await nodes(t)
  for (let round = 0; round < 50; round += 1) {
    const controller = new AbortController()
    const { signal } = controller
    const given = dialer.dialPeer(peer, { addresses, signal })
    if (round % 2 === 0) controller.abort()
    else setImmediate(() => controller.abort())
    const one = await given.catch((err: Error) => err)
    t.truthy(await dialer.dialPeer(peer, { addresses }))
    if (round % 2 === 0) t.true(one instanceof AbortError)
    await dialer.closePeer(peer)
  }
})

test('a dial in the tick of an abort is not aborted', async (t) => {
  const { dialer, addresses } = await nodes(t)
  const controller = new AbortController()
  const address = addresses[0] as (typeof addresses)[0]
  const one = dialer.dialAddr(address, { signal: controller.signal })
  controller.abort()
  const two = dialer.dialAddr(address)
  await t.throwsAsync(one, { instanceOf: AbortError })
  t.truthy(await two)
})

test('newStream after a dial that timed out dials anew', async (t) => {
  const { dialer, listener, addresses, peer } = await nodes(t)
  listener.handle('/a', () => {})
  for (let round = 0; round < 20; round += 1) {
    // If this thread is late, the connection is up before the timeout is checked.
    const late = await dialer.dialPeer(peer, { addresses, timeout: 0 }).catch((err: Error) => err)
    if (late instanceof Error) t.true(late instanceof TimeoutError)
    t.truthy(await dialer.newStream(peer, '/a', { addresses }))
    await dialer.closePeer(peer)
  }
})

/** Blocks this thread's event loop until `condition` holds or `ms` have passed. */
function block(condition: () => boolean, ms = 5_000): void {
  for (const end = Date.now() + ms; Date.now() < end && !condition(); );
}

// Serial: the counters are those of the whole thread.
test.serial(
  'an aborted dial whose connection came up leaves none, and none is reported',
  async (t) => {
    const { dialer, listener, addresses, peer } = await nodes(t)
    const open = (): number =>
      dialer.counters().connectionsOpened - dialer.counters().connectionsClosed
    const atFirst = open()
    const events: string[] = []
    dialer.addEventListener('connected', () => events.push('connected'))
    for (let round = 0; round < 5; round += 1) {
      const controller = new AbortController()
      const before = dialer.counters().connectionsOpened
      const dial = dialer.dialPeer(peer, { addresses, signal: controller.signal })
      // Both ends are up, and this thread has not been notified.
      block(() => dialer.counters().connectionsOpened >= before + 2)
      controller.abort()
      await t.throwsAsync(dial, { instanceOf: AbortError })
    }
    await until(() => open() === atFirst)
    await nothingLeft(dialer, listener)
    t.deepEqual(events, [])
  }
)

// go 80. Serial: the counters are those of the whole thread.
test.serial(
  'a connection that ended before it was told of is told of, and then its end',
  async (t) => {
    const { dialer, listener, addresses, peer } = await nodes(t)
    const told: [event: string, id: string][] = []
    const ended = new Promise<void>((resolve) => {
      listener.notify({
        connected: (_, { id }) => void told.push(['connected', id]),
        disconnected: (_, { id }) => {
          told.push(['disconnected', id])
          resolve()
        }
      })
    })
    const opened = (): number => dialer.counters().connectionsOpened
    const closed = (): number => dialer.counters().connectionsClosed
    const before = { opened: opened(), closed: closed() }
    const controller = new AbortController()
    const dial = dialer.dialPeer(peer, { addresses, signal: controller.signal })
    block(() => opened() >= before.opened + 2)
    // Closes the dialer's end, of which the listener's I/O thread hears before this thread does.
    controller.abort()
    block(() => closed() >= before.closed + 2)
    t.deepEqual(told, [])
    await t.throwsAsync(dial, { instanceOf: AbortError })
    await ended
    const [[, id] = ['', '']] = told
    t.deepEqual(told, [
      ['connected', id],
      ['disconnected', id]
    ])
  }
)

// Serial: the counters are those of the whole thread.
test.serial(
  'a dial that our own other dial has answered leaves no connection of its own',
  async (t) => {
    const { dialer, listener, addresses, peer } = await nodes(t)
    const opened = (): number => dialer.counters().connectionsOpened
    const before = opened()
    const noise = dialer.dialPeer(peer, { addresses, security: ['noise'] })
    block(() => opened() >= before + 2)
    const any = dialer.dialPeer(peer, { addresses })
    // All four ends are up, and this thread has not been notified.
    block(() => opened() >= before + 4)
    t.is(await any, await noise)
    await until(() => listener.getTotalConnections() === 1)
    t.deepEqual(dialer.getConnections(), [await noise])
  }
)

test('a dial that succeeds before its timeout succeeds, however late this thread polls', async (t) => {
  const { dialer, listener, addresses, peer } = await nodes(t)
  const dial = dialer.dialPeer(peer, { addresses, timeout: 500 })
  block(() => false, 1_000)
  t.truthy(await dial)
  t.is(dialer.getTotalConnections(), 1)
  await dialer.closePeer(peer)
  await nothingLeft(dialer, listener)
})

test('dials at the edge of their timeout leak no connection', async (t) => {
  const connections = { maxPerPeer: Infinity }
  const { dialer, listener, addresses, peer } = await nodes(t, { connections })
  const held = new Set<unknown>()
  for (let round = 0; round < 100; round += 1) {
    const timeout = (round % 20) / 10
    const dial = dialer.dialPeer(peer, { addresses, force: true, timeout })
    const connection = await dial.catch(() => undefined)
    if (connection !== undefined) held.add(connection)
  }
  await until(() => listener.getTotalConnections() === held.size)
  t.deepEqual(new Set(dialer.getConnections()), held)
  await dialer.closePeer(peer)
  await nothingLeft(dialer, listener)
})

test('an abort by a listener of "connected" comes too late', async (t) => {
  const { dialer, addresses, peer } = await nodes(t)
  const controller = new AbortController()
  dialer.addEventListener('connected', () => controller.abort(), { once: true })
  const connection = await dialer.dialPeer(peer, { addresses, signal: controller.signal })
  t.deepEqual(dialer.getConnections(), [connection])
})

test('a dial with another security does not join one in progress', async (t) => {
  const { dialer, addresses, peer } = await nodes(t)
  const [any, tls, noise] = await Promise.all([
    dialer.dialPeer(peer, { addresses }),
    dialer.dialPeer(peer, { addresses, security: ['tls'] }),
    dialer.dialPeer(peer, { addresses, security: ['noise'] })
  ])
  t.is(tls.state.security, '/tls/1.0.0')
  t.is(noise.state.security, '/noise')
  t.truthy(any)
  t.is(await dialer.dialPeer(peer, { security: ['noise'] }), noise)
  const stream = await dialer.newStream(peer, { security: ['tls'] })
  t.is(stream.connection?.state.security, '/tls/1.0.0')
})

// go 24
test("a caller's good address does not wait for another's silent one", async (t) => {
  const { dialer, addresses, peer } = await nodes(t)
  const silent = await RawPeer.serve(t, () => {})
  const [one, two] = await Promise.all([
    dialer.dialPeer(peer, { addresses: [silent] }),
    dialer.dialPeer(peer, { addresses, timeout: 4_000 })
  ])
  t.is(one, two)
})

test('a dial ended by closing the swarm rejects with StateError', async (t) => {
  const dialer = await createNode(t)
  const silent = await RawPeer.serve(t, () => {})
  const dial = dialer.dialAddr(silent)
  const closed = dialer.close({ drainTimeout: 0 })
  await t.throwsAsync(dial, { instanceOf: StateError, message: 'the swarm is closed' })
  await closed
})

test('of concurrent unlistens one ends the listener and the others find none', async (t) => {
  const swarm = await createNode(t)
  await swarm.listen(LOCAL)
  const [addr] = swarm.getListenAddrs()
  t.deepEqual(
    await Promise.all([swarm.unlisten(LOCAL), swarm.unlisten(`${addr}`), swarm.unlisten(LOCAL)]),
    [true, false, false]
  )
})

test('a listen during an unlisten listens', async (t) => {
  const swarm = await createNode(t)
  await swarm.listen(LOCAL)
  const addr = `${swarm.getListenAddrs()[0]}`
  const [ended, listens] = await Promise.all([swarm.unlisten(LOCAL), swarm.listen(addr)])
  t.true(ended)
  t.true(listens)
  t.deepEqual(swarm.getListenAddrs().map(String), [addr])
  t.true(await accepts(addr))
})

test('an unlisten during a listen ends the new listener', async (t) => {
  const swarm = await createNode(t)
  const events: string[] = []
  swarm.addEventListener('listen', () => events.push('listen'))
  swarm.addEventListener('listenClose', () => events.push('listenClose'))
  const [listens, ended] = await Promise.all([swarm.listen(LOCAL), swarm.unlisten(LOCAL)])
  t.true(listens)
  t.true(ended)
  t.deepEqual(swarm.getListenAddrs(), [])
  t.deepEqual(events, ['listen', 'listenClose'])
})

test('the port is free once unlisten resolves', async (t) => {
  const [one, two] = await Promise.all([createNode(t), createNode(t)])
  await one.listen(LOCAL)
  const addr = `${one.getListenAddrs()[0]}`
  for (let round = 0; round < 50; round += 1) {
    const [from, to] = round % 2 === 0 ? [one, two] : [two, one]
    t.true(await from.unlisten(addr))
    t.true(await to.listen(addr))
  }
})

test("a listen that waited for another one fails with its caller's stack", async (t) => {
  const swarm = await createNode(t)
  function theCallerOfListen(): Promise<unknown> {
    return swarm.listen(`${LOCAL}/tls`)
  }
  const waited = swarm.listen(LOCAL)
  const err = await t.throwsAsync(theCallerOfListen(), { instanceOf: ListenError })
  t.regex(err.stack ?? '', /^ListenError: .*\n.*Swarm\.listen.*\n.*theCallerOfListen/)
  t.true(await waited)
})

test('a failed listen does not affect the next one', async (t) => {
  const [one, two] = await Promise.all([createNode(t), createNode(t)])
  await one.listen(LOCAL)
  const taken = `${one.getListenAddrs()[0]}`
  const [refused, bound] = await Promise.allSettled([two.listen(taken), two.listen(LOCAL)])
  t.true(refused.status === 'rejected' && refused.reason instanceof ListenError)
  t.is(bound.status, 'fulfilled')
})

test('listens and unlistens overtaken by closing the swarm reject with StateError', async (t) => {
  const swarm = await createNode(t)
  await swarm.listen(LOCAL)
  const calls = [
    swarm.listen('/ip4/127.0.0.2/tcp/0'),
    swarm.unlisten(LOCAL),
    swarm.listen('/ip4/127.0.0.3/tcp/0')
  ]
  await swarm.close({ drainTimeout: 0 })
  for (const outcome of await Promise.allSettled<unknown>(calls)) {
    if (outcome.status === 'rejected') t.true(outcome.reason instanceof StateError)
  }
  t.deepEqual(swarm.getListenAddrs(), [])
})

/** The default order with delays that a busy machine does not outlast. */
const PATIENT = new AddressManager({
  ranker: (addresses) =>
    defaultDialRanker(addresses).map(({ address, delay }) => ({
      address,
      delay: delay * 100
    }))
})

// go 18
test('no TCP connection is opened to a node that answers over QUIC', async (t) => {
  const listener = await createNode(t)
  await listener.listen('/ip4/127.0.0.1/udp/0/quic-v1')
  let accepted = 0
  const tcp = await serveSockets(t, () => (accepted += 1))
  const dialer = await createNode(t, { addressManager: PATIENT })
  const addresses = [tcp, ...listener.getListenAddrs()]
  const connection = await dialer.dialPeer(listener.peerId, { addresses })
  t.is(connection.state.transport, 'quic')
  t.deepEqual(connection.dialReport.attempts, [])
  // A SYN that was sent before has arrived by now.
  t.true(await accepts(tcp))
  await until(() => accepted > 0)
  t.is(accepted, 1)
})

// go 18, A137
test('a node behind a firewall that drops UDP is reached over TCP', async (t) => {
  const listener = await createNode(t)
  await listener.listen(LOCAL, '/ip4/127.0.0.1/udp/0/quic-v1')
  const [tcp, quic] = ['/tcp/', '/udp/'].map((part) =>
    listener
      .getListenAddrs()
      .map(String)
      .find((addr) => addr.includes(part))
  ) as [string, string]
  const proxy = await udpProxy(t, Number(quic.split('/')[4]))
  proxy.treat(() => 'drop')
  const dialer = await createNode(t)
  const silent = `/ip4/127.0.0.1/udp/${proxy.port}/quic-v1`
  const connection = await dialer.dialPeer(listener.peerId, { addresses: [tcp, silent] })
  t.is(connection.state.transport, 'tcp')
  await until(() => proxy.sent.length > 0)
  t.deepEqual(
    connection.dialReport.attempts.map(({ address, stage }) => [address, stage]),
    [[silent, 'connect']]
  )
  t.is(dialer.getTotalConnections(), 1)
  await until(() => listener.getTotalConnections() === 1)
})
