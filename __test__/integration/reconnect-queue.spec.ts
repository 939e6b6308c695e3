/** Reconnection of peers tagged keep-alive. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import {
  CommonTags,
  type ConnectionConfig,
  InvalidParametersError,
  Peerstore,
  ReconnectQueue,
  type Swarm,
  type SwarmOptions
} from '../../ts/index.ts'
import { program, ROOT } from '../support/cli.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { createNode, listening, turns, until } from '../support/pair.ts'
import { peerOf } from '../support/peers.ts'

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
    random: () => 0.5,
    connections: { autoConnectBelow: 0, ...connections },
    ...options
  })
  return { swarm, clock }
}

/** Connects a swarm to a node that is tagged, and has the node close the connection. */
async function loses(swarm: Swarm, node: Swarm, tag: string = CommonTags.KEEP_ALIVE) {
  await swarm.dialPeer(node.peerId, { addresses: node.getListenAddrs() })
  swarm.tagPeer(node.peerId, tag, 50)
  await until(() => node.getTotalConnections() === 1)
  await node.closePeer(swarm.peerId)
  await until(() => swarm.getTotalConnections() === 0)
}

// A6
test('a tagged peer is connected again a second after its last connection has ended', async (t) => {
  for (const tag of ['keep-alive', 'keep-alive-bootstrap']) {
    const node = await listening(t)
    const { swarm, clock } = await setUp(t)
    await loses(swarm, node, tag)
    t.is(swarm.reconnectQueue.pending, 1)
    clock.advance(999)
    await turns()
    t.is(swarm.getTotalConnections(), 0)
    clock.advance(1)
    await until(() => swarm.getTotalConnections() === 1)
    await until(() => swarm.reconnectQueue.pending === 0)
    t.is(swarm.getTagInfo(node.peerId)?.value, 50)
  }
})

// A6
test('after five dials the peer loses the tag, which is an event and a line of the log', async (t) => {
  const lines: string[] = []
  const node = await listening(t)
  const { swarm, clock } = await setUp(t, {}, { logger: { warn: (line) => lines.push(line) } })
  const failures: { attempts: number; error: Error }[] = []
  swarm.addEventListener('reconnectFailed', ({ detail }) => failures.push(detail))
  await swarm.dialPeer(node.peerId, { addresses: node.getListenAddrs() })
  swarm.tagPeer(node.peerId, CommonTags.KEEP_ALIVE, 50)
  swarm.tagPeer(node.peerId, 'other', 5)
  let dials = 0
  swarm.addEventListener('dial', () => {
    dials += 1
  })
  await node.close()
  await until(() => swarm.getTotalConnections() === 0)
  for (const [index, seconds] of [1, 2, 4, 8, 16].entries()) {
    clock.advance(seconds * 1_000 - 1)
    await turns()
    t.is(dials, index)
    clock.advance(1)
    await until(() => dials === index + 1)
    await turns()
  }
  t.is(swarm.reconnectQueue.pending, 0)
  t.deepEqual(swarm.getTagInfo(node.peerId)?.tags, { other: 5 })
  t.like(failures, [{ attempts: 5 }])
  t.is(failures[0]?.error.name, 'DialAllFailedError')
  t.is(lines.filter((line) => /was not reconnected/.test(line)).length, 1)
  clock.advance(1_000_000)
  await turns()
  t.is(dials, 5)
})

test('a peer that comes back by itself is not dialled', async (t) => {
  const node = await listening(t)
  const { swarm, clock } = await setUp(t)
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  await loses(swarm, node)
  let dials = 0
  swarm.addEventListener('dial', () => {
    dials += 1
  })
  await node.dialPeer(swarm.peerId, { addresses: swarm.getListenAddrs() })
  await until(() => swarm.getTotalConnections() === 1)
  t.is(swarm.reconnectQueue.pending, 0)
  clock.advance(100_000)
  await turns()
  t.is(dials, 0)
})

test('a peer that loses its tag meanwhile is not dialled', async (t) => {
  const node = await listening(t)
  const { swarm, clock } = await setUp(t)
  await loses(swarm, node)
  swarm.untagPeer(node.peerId, CommonTags.KEEP_ALIVE)
  clock.advance(1_000)
  await turns()
  t.is(swarm.reconnectQueue.pending, 0)
  t.is(swarm.getTotalConnections(), 0)
})

test('what the pruner has closed stays closed', async (t) => {
  const node = await listening(t)
  const { swarm } = await setUp(t, { low: 0, min: 0, high: 5, gracePeriod: 0 })
  await swarm.dialPeer(node.peerId, { addresses: node.getListenAddrs() })
  swarm.tagPeer(node.peerId, CommonTags.KEEP_ALIVE, 50)
  t.is(await swarm.connectionPruner.trim(), 1)
  t.is(swarm.reconnectQueue.pending, 0)
})

test('no more peers are dialled at a time than are permitted', async (t) => {
  const { swarm, clock } = await setUp(t, { reconnect: { parallel: 2, retries: 1 } })
  let underWay = 0
  let most = 0
  const dialPeer = swarm.dialPeer.bind(swarm)
  swarm.dialPeer = (...args) => {
    underWay += 1
    most = Math.max(most, underWay)
    return dialPeer(...args).finally(() => {
      underWay -= 1
    })
  }
  const failed: string[] = []
  swarm.addEventListener('reconnectFailed', ({ detail }) => failed.push(`${detail.peer}`))
  const queue = new ReconnectQueue(swarm)
  for (let index = 0; index < 6; index += 1) {
    void swarm.peerstore.addAddrs(peerOf(index), [DEAD], Number.POSITIVE_INFINITY)
    swarm.tagPeer(peerOf(index), CommonTags.KEEP_ALIVE, 1)
  }
  queue.start()
  queue.start()
  t.is(queue.pending, 6)
  clock.advance(0)
  await until(() => failed.length === 6)
  t.is(most, 2)
  t.is(queue.pending, 0)
  queue.stop()
  t.throws(() => new ReconnectQueue({} as never), { instanceOf: InvalidParametersError })
})

test('a tagged peer is dialled at once after a restart, by what the peerstore remembers', async (t) => {
  const node = await listening(t)
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-reconnect-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const peerstore = { path: join(folder, 'peers.redb') }
  const first = await setUp(t, {}, { peerstore })
  await first.swarm.dialPeer(node.peerId, { addresses: node.getListenAddrs() })
  first.swarm.tagPeer(node.peerId, 'keep-alive-server', 50)
  first.swarm.tagPeer(node.peerId, 'other', 7)
  first.swarm.tagPeer(peerOf(1), CommonTags.KEEP_ALIVE, 1)
  first.swarm.untagPeer(peerOf(1), CommonTags.KEEP_ALIVE)
  await first.swarm.close()

  const { swarm, clock } = await setUp(t, {}, { peerstore })
  t.is(swarm.reconnectQueue.pending, 1)
  t.deepEqual(swarm.getTagInfo(node.peerId)?.tags, { 'keep-alive-server': 50 })
  clock.advance(0)
  await until(() => swarm.getTotalConnections() === 1)
  await until(() => swarm.reconnectQueue.pending === 0)
})

test('a peerstore of the application remembers the tags too', async (t) => {
  const store = new Peerstore()
  const calls: string[] = []
  // Anything but an instance of the class is used by its public calls.
  const replaced = new Proxy({} as Peerstore, {
    get: (_target, name) => {
      const member: unknown = Reflect.get(store, name, store)
      if (typeof member !== 'function') return member
      return (...given: unknown[]) => {
        calls.push(String(name))
        return Reflect.apply(member, store, given)
      }
    },
    getPrototypeOf: () => Object.prototype
  })
  const first = await setUp(t, {}, { peerstore: replaced })
  first.swarm.tagPeer(peerOf(1), CommonTags.KEEP_ALIVE, 5)
  await first.swarm.close()
  t.true(calls.includes('put'))
  calls.length = 0
  const second = await setUp(t, {}, { peerstore: replaced })
  // What has been read is not written again.
  t.false(calls.includes('put'))
  t.deepEqual(second.swarm.getTagInfo(peerOf(1))?.tags, { [CommonTags.KEEP_ALIVE]: 5 })
  t.is(second.swarm.reconnectQueue.pending, 1)
  second.swarm.untagPeer(peerOf(1), CommonTags.KEEP_ALIVE)
  await second.swarm.close()
  const third = await setUp(t, {}, { peerstore: replaced })
  t.is(third.swarm.getTagInfo(peerOf(1)), undefined)
})

test('a stored value that no tag may have is taken as the nearest one', async (t) => {
  const peerstore = new Peerstore()
  await peerstore.setTags(peerOf(1), new Map([[CommonTags.KEEP_ALIVE, 2 ** 32]]))
  const { swarm } = await setUp(t, {}, { peerstore })
  t.is(swarm.getTagInfo(peerOf(1))?.tags[CommonTags.KEEP_ALIVE], 2 ** 31 - 1)
})

test('the close of a swarm ends pending reconnections', async (t) => {
  const node = await listening(t)
  const { swarm, clock } = await setUp(t)
  await loses(swarm, node)
  let dials = 0
  swarm.addEventListener('dial', () => {
    dials += 1
  })
  await swarm.close()
  t.is(swarm.reconnectQueue.pending, 0)
  clock.advance(100_000)
  await turns()
  t.is(dials, 0)
})

test('a dial that a limit of this swarm refuses does not count, and is repeated ever less often', async (t) => {
  const node = await listening(t)
  const { swarm, clock } = await setUp(t, {
    max: 1,
    high: 0,
    reconnect: { retries: 1, maxInterval: 5_000 }
  })
  let dials = 0
  const dialPeer = swarm.dialPeer.bind(swarm)
  swarm.dialPeer = (...args) =>
    dialPeer(...args).finally(() => {
      dials += 1
    })
  await loses(swarm, node)
  const other = await listening(t)
  const place = await dialPeer(other.peerId, { addresses: other.getListenAddrs() })
  dials = 0
  for (const [index, ms] of [1_000, 2_000, 4_000, 5_000, 5_000].entries()) {
    clock.advance(ms - 1)
    await turns()
    t.is(dials, index)
    clock.advance(1)
    await until(() => dials === index + 1)
    await turns()
  }
  t.is(swarm.reconnectQueue.pending, 1)
  await place.close()
  // The place may be free a moment later.
  await until(() => {
    clock.advance(1_000)
    return swarm.getTotalConnections() === 1
  })
})

test('a pending reconnection keeps the process alive, and a finished one lets it exit', async (t) => {
  const folder = await mkdtemp(join(ROOT, 'target', 'reconnect-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'client.mjs')
  await writeFile(
    path,
    `import { createSwarm } from 'ferroswarm'
const server = await createSwarm({ connections: { autoConnectBelow: 0 } })
await server.listen('/ip4/127.0.0.1/tcp/0')
const client = await createSwarm({ connections: { reconnect: { interval: 50, retries: 2 } } })
client.tagPeer(server.peerId, 'keep-alive', 1)
client.addEventListener('reconnectFailed', () => console.log('given up'))
await client.dialPeer(server.peerId, { addresses: server.getListenAddrs() })
await server.close()
console.log('closed')
`
  )
  const { code, out, err } = await program(process.execPath, [path])
  t.is(code, 0, err)
  t.is(out, 'closed\ngiven up\n')
})

test('a reconnect queue of the application takes the place of that of the swarm', async (t) => {
  const calls: string[] = []
  const { swarm } = await setUp(
    t,
    {},
    {
      reconnectQueue: () => ({
        pending: 7,
        start: () => void calls.push('start'),
        stop: () => void calls.push('stop')
      })
    }
  )
  t.is(swarm.reconnectQueue.pending, 7)
  await swarm.close()
  t.deepEqual(calls, ['start', 'stop'])
})
