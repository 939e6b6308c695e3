/** The auto-connector. */
import test, { type ExecutionContext } from 'ava'
import {
  AutoConnector,
  type AutoConnectorLike,
  type ConnectionConfig,
  InvalidParametersError,
  type Swarm,
  type SwarmOptions
} from '../../ts/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { createNode, listening, turns, until } from '../support/pair.ts'
import { peerOf } from '../support/peers.ts'

const INTERVAL = 30_000

/** Nobody listens there. */
const DEAD = '/ip4/127.0.0.1/tcp/1'

async function setUp(
  t: ExecutionContext,
  connections: ConnectionConfig = {},
  options: SwarmOptions = {}
) {
  const clock = new FakeClock()
  const swarm = await createNode(t, {
    clock,
    retry: { maxRetries: 0 },
    connections,
    ...options
  })
  // The round of the start.
  clock.advance(0)
  await turns()
  return { swarm, clock }
}

function knows(swarm: Swarm, ...nodes: Swarm[]): void {
  for (const node of nodes)
    void swarm.peerstore.addAddrs(node.peerId, node.getListenAddrs(), Number.POSITIVE_INFINITY)
}

/** Has a node close its connection to a swarm, whose only one it is. */
async function leave(node: Swarm, swarm: Swarm): Promise<void> {
  await until(() => node.getTotalConnections() === 1)
  await node.closePeer(swarm.peerId)
  await until(() => swarm.getTotalConnections() === 0)
}

// A2
test('known peers are dialled at the start, at every interval, and not once it is stopped', async (t) => {
  const [first, second, third] = await Promise.all([listening(t), listening(t), listening(t)])
  const { swarm, clock } = await setUp(t, { min: 0 })
  knows(swarm, first)
  t.is(swarm.getTotalConnections(), 0)
  clock.advance(INTERVAL)
  await until(() => swarm.getTotalConnections() === 1)
  knows(swarm, second)
  swarm.autoConnector.stop()
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  clock.advance(10 * INTERVAL)
  await turns()
  t.is(swarm.getTotalConnections(), 1)
  swarm.autoConnector.start()
  clock.advance(0)
  await until(() => swarm.getTotalConnections() === 2)
  knows(swarm, third)
  t.is(await swarm.autoConnector.maybeConnect(), 1)
  t.throws(() => new AutoConnector({} as never), { instanceOf: InvalidParametersError })
})

// A3, A5
test('a peer that fails is left alone for 5 s, doubled by each failure up to 300 s', async (t) => {
  const { swarm, clock } = await setUp(t, { min: 0, autoConnectInterval: Number.POSITIVE_INFINITY })
  let dials = 0
  swarm.addEventListener('dial', () => {
    dials += 1
  })
  void swarm.peerstore.addAddrs(peerOf(1), [DEAD], Number.POSITIVE_INFINITY)
  const { autoConnector } = swarm
  await autoConnector.maybeConnect()
  t.is(dials, 1)
  let cooldown = 5_000
  for (let failures = 1; failures < 9; failures += 1) {
    clock.advance(cooldown - 1)
    await autoConnector.maybeConnect()
    t.is(dials, failures)
    clock.advance(1)
    await autoConnector.maybeConnect()
    t.is(dials, failures + 1)
    cooldown = Math.min(2 * cooldown, 300_000)
  }
  // The back-off of the address has ended.
  clock.advance(299_999)
  await autoConnector.maybeConnect()
  t.is(dials, 9)
  autoConnector.clearCooldown(peerOf(1))
  await autoConnector.maybeConnect()
  t.is(dials, 10)
  clock.advance(299_999)
  autoConnector.recordFailedConnection(peerOf(1))
  await autoConnector.maybeConnect()
  t.is(dials, 10)
  autoConnector.clearAllCooldowns()
  await autoConnector.maybeConnect()
  t.is(dials, 11)
  clock.advance(299_999)
  autoConnector.recordFailedConnection(peerOf(1))
  autoConnector.recordSuccessfulConnection(peerOf(1))
  await autoConnector.maybeConnect()
  t.is(dials, 12)
  t.throws(() => autoConnector.clearCooldown('nobody'), { instanceOf: InvalidParametersError })
})

// A4
test('no more peers are dialled than connections are missing, and never itself or connected ones', async (t) => {
  const nodes = await Promise.all([1, 2, 3, 4].map(() => listening(t)))
  const { swarm } = await setUp(t, { low: 2, min: 0 })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  knows(swarm, swarm, ...nodes)
  const [first] = nodes
  await swarm.dialPeer(first?.peerId ?? '')
  const dialled: (string | undefined)[] = []
  swarm.addEventListener('dial', ({ detail }) => dialled.push(detail.peer?.toString()))
  t.is(await swarm.autoConnector.maybeConnect(), 1)
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  t.is(swarm.getTotalConnections(), 2)
  t.is(dialled.length, 1)
  for (const never of [swarm, first]) t.false(dialled.includes(`${never?.peerId}`))
})

// A5
test('an address that stays silent is a failure too', async (t) => {
  const { swarm, clock } = await setUp(t, { min: 0, dialTimeout: 1 })
  void swarm.peerstore.addAddrs(peerOf(1), ['/ip4/192.0.2.1/tcp/1'], Number.POSITIVE_INFINITY)
  let dials = 0
  swarm.addEventListener('dial', () => {
    dials += 1
  })
  const round = swarm.autoConnector.maybeConnect()
  await turns()
  clock.advance(1)
  t.is(await round, 0)
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  t.is(dials, 1)
})

// A6
test('a disconnect causes a round at once, but the peer that left is not dialled for a minute', async (t) => {
  const [first, second] = await Promise.all([listening(t), listening(t)])
  const { swarm, clock } = await setUp(t, { low: 1, min: 0, autoConnectInterval: 1_000_000 })
  knows(swarm, first)
  await swarm.dialPeer(first.peerId)
  knows(swarm, second)
  clock.advance(5_000)
  await leave(first, swarm)
  clock.advance(0)
  await until(() => swarm.getTotalConnections() === 1)
  t.is(`${swarm.getPeers()[0]}`, `${second.peerId}`)
  await leave(second, swarm)
  swarm.tagPeer(first.peerId, 'better', 1)
  clock.advance(59_000)
  await turns()
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  clock.advance(1_000)
  t.is(await swarm.autoConnector.maybeConnect(), 1)
  t.is(`${swarm.getPeers()[0]}`, `${first.peerId}`)
})

test('a peer that the application has disconnected from is not dialled until it is connected again', async (t) => {
  const node = await listening(t)
  const { swarm, clock } = await setUp(t, { min: 0 })
  knows(swarm, node)
  await swarm.autoConnector.maybeConnect()
  await swarm.closePeer(node.peerId)
  clock.advance(1_000_000)
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  await swarm.dialPeer(node.peerId)
  await leave(node, swarm)
  clock.advance(59_000)
  await turns()
  t.is(swarm.getTotalConnections(), 0)
  clock.advance(1_000)
  await until(() => swarm.getTotalConnections() === 1)
})

test('a peer that was only named for a dial is not dialled again', async (t) => {
  const node = await listening(t)
  const { swarm } = await setUp(t, { min: 0 })
  const signal = AbortSignal.abort()
  await t.throwsAsync(swarm.dialPeer(peerOf(1), { addresses: [DEAD] }))
  await t.throwsAsync(swarm.dialPeer(node.peerId, { addresses: node.getListenAddrs(), signal }))
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  void swarm.peerstore.addAddrs(node.peerId, node.getListenAddrs(), 120_000)
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  void swarm.peerstore.addAddrs(node.peerId, node.getListenAddrs(), 120_001)
  t.is(await swarm.autoConnector.maybeConnect(), 1)
})

// A6
test('valuable peers are dialled first', async (t) => {
  const nodes = await Promise.all([1, 2, 3].map(() => listening(t)))
  const { swarm } = await setUp(t, { low: 1, min: 0 })
  knows(swarm, ...nodes)
  for (const [index, { peerId }] of nodes.entries()) swarm.tagPeer(peerId, 'value', index * 10)
  await swarm.autoConnector.maybeConnect()
  t.deepEqual(swarm.getPeers().map(String), [`${nodes[2]?.peerId}`])
})

test('below the minimum there is a round every 10 s, and a cooldown of a minute at most', async (t) => {
  const { swarm, clock } = await setUp(t, {
    min: 1,
    autoConnectInterval: 1_000_000,
    autoConnectCooldown: 200_000
  })
  let dials = 0
  swarm.addEventListener('dial', () => {
    dials += 1
  })
  void swarm.peerstore.addAddrs(peerOf(1), [DEAD], Number.POSITIVE_INFINITY)
  clock.advance(10_000)
  await until(() => dials === 1)
  await turns()
  for (let rounds = 0; rounds < 5; rounds += 1) {
    clock.advance(10_000)
    await turns(10)
  }
  t.is(dials, 1)
  clock.advance(10_000)
  await until(() => dials === 2)
  t.pass()
})

test('the interval holds below the minimum too, if it is shorter or none', async (t) => {
  for (const [autoConnectInterval, dialled] of [
    [1_000, true],
    [Number.POSITIVE_INFINITY, false]
  ] as const) {
    const node = await listening(t)
    const { swarm, clock } = await setUp(t, { autoConnectInterval })
    knows(swarm, node)
    clock.advance(1_000)
    if (dialled) await until(() => swarm.getTotalConnections() === 1)
    clock.advance(100_000)
    await turns()
    t.is(swarm.getTotalConnections(), dialled ? 1 : 0)
  }
})

test('a source of random numbers that fails ends the round, and is reported', async (t) => {
  const failures: string[] = []
  const random = () => {
    throw new Error('no luck')
  }
  const logger = { error: (message: string) => failures.push(message) }
  const { swarm } = await setUp(t, {}, { random, logger })
  for (const index of [1, 2]) {
    void swarm.peerstore.addAddrs(peerOf(index), [DEAD], Number.POSITIVE_INFINITY)
  }
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  t.deepEqual(failures, ['a round of the auto-connector failed'])
})

test('without a mark nothing is dialled', async (t) => {
  const node = await listening(t)
  const { swarm, clock } = await setUp(t, { autoConnectBelow: 0 })
  knows(swarm, node)
  clock.advance(10 * INTERVAL)
  await turns()
  t.is(await swarm.autoConnector.maybeConnect(), 0)
  t.is(swarm.getTotalConnections(), 0)
})

test('the close of a swarm abandons the dials of a round', async (t) => {
  const { swarm } = await setUp(t)
  void swarm.peerstore.addAddrs(peerOf(1), ['/ip4/192.0.2.1/tcp/1'], Number.POSITIVE_INFINITY)
  const round = swarm.autoConnector.maybeConnect()
  await turns()
  await swarm.close({ drainTimeout: 0 })
  t.is(await round, 0)
})

test('an auto-connector of the application takes the place of that of the swarm', async (t) => {
  const calls: string[] = []
  const connector: AutoConnectorLike = {
    start: () => void calls.push('start'),
    stop: () => void calls.push('stop'),
    maybeConnect: async () => 0,
    recordFailedConnection: () => {},
    recordSuccessfulConnection: () => {},
    clearCooldown: () => {},
    clearAllCooldowns: () => {}
  }
  const { swarm } = await setUp(t, {}, { autoConnector: () => connector })
  t.is(swarm.autoConnector, connector)
  await swarm.close()
  t.deepEqual(calls, ['start', 'stop'])
})
