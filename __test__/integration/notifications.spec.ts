/** Notifiees on real nodes: every stream, every notifiee, every end. */
import test from 'ava'
import { Connectedness, type Connection, type Notifiee, type Swarm } from '../../ts/index.ts'
import { createNode, createPair, PAIR_PROTOCOL, until } from '../support/pair.ts'

/** Counts the events of a swarm by name. */
function counted(swarm: Swarm): Map<string, number> {
  const counts = new Map<string, number>()
  const names = [
    'listen',
    'listenClose',
    'connected',
    'disconnected',
    'openedStream',
    'closedStream'
  ]
  const count = (name: string) => () => counts.set(name, (counts.get(name) ?? 0) + 1)
  swarm.notify(Object.fromEntries(names.map((name) => [name, count(name)])) as Notifiee)
  return counts
}

// L3, L2
test('streams that are opened in quick succession or at once are each told at both ends', async (t) => {
  const { dialer, listener } = await createPair(t)
  const counts = [counted(dialer), counted(listener)]
  const open = () => dialer.newStream(listener.peerId, PAIR_PROTOCOL)
  const streams = [await open(), await open(), await open()]
  streams.push(...(await Promise.all([open(), open(), open(), open()])))
  await until(() => counts.every((each) => each.get('openedStream') === 7))
  await Promise.all(streams.map((stream) => stream.reset()))
  await until(() => counts.every((each) => each.get('closedStream') === 7))
  t.is(counts[0]?.get('openedStream'), 7)
})

// L4, go 79
test('200 notifiees are told, and one whose promise never settles delays none', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  let told = 0
  dialer.notify({ connected: () => new Promise<void>(() => {}) })
  for (let count = 0; count < 200; count += 1) dialer.notify({ connected: () => (told += 1) })
  await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  t.is(told, 200)
})

// L7, go 83
test('the close of a swarm tells the end of every stream, connection and listener', async (t) => {
  const { dialer, listener, openStreams } = await createPair(t)
  const counts = counted(listener)
  await listener.listen('/ip6/::1/tcp/0')
  await openStreams()
  await openStreams()
  await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs(), force: true })
  await until(() => listener.getTotalConnections() === 2)
  await listener.close({ drainTimeout: 0 })
  t.deepEqual(Object.fromEntries(counts), {
    listen: 1,
    openedStream: 2,
    connected: 1,
    closedStream: 2,
    disconnected: 2,
    listenClose: 2
  })
})

// go 74, go 85
test('every node of a mesh is told of each of its connections, and of the end of the same', async (t) => {
  const nodes = await Promise.all(Array.from({ length: 5 }, () => createNode(t)))
  const told = new Map<Swarm, { begun: Connection[]; ended: Connection[] }>()
  for (const node of nodes) {
    await node.listen('/ip4/127.0.0.1/tcp/0')
    const lists = { begun: [] as Connection[], ended: [] as Connection[] }
    node.notify({
      connected: (_swarm, connection) => void lists.begun.push(connection),
      disconnected: (_swarm, connection) => void lists.ended.push(connection)
    })
    told.set(node, lists)
  }
  for (const [index, node] of nodes.entries()) {
    for (const other of nodes.slice(index + 1)) {
      await node.dialPeer(other.peerId, { addresses: other.getListenAddrs() })
    }
  }
  await until(() => nodes.every((node) => node.getTotalConnections() === 4))
  for (const node of nodes) {
    for (const other of nodes) {
      if (other === node) continue
      t.is(node.connectedness(other.peerId), Connectedness.Connected)
    }
  }
  const [first, ...others] = nodes
  await first?.close({ drainTimeout: 0 })
  await until(() => others.every((node) => node.getTotalConnections() === 3))
  for (const { begun, ended } of told.values()) {
    t.is(new Set(begun).size, 4)
    t.true(ended.every((connection) => begun.includes(connection)))
  }
  t.is(told.get(first as Swarm)?.ended.length, 4)
  for (const node of others) t.is(told.get(node)?.ended.length, 1)
})

// go 78, go 84
test('callbacks may dial and close, also the connection whose end they are told of', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const addresses = listener.getListenAddrs()
  const again = Promise.withResolvers<Connection>()
  const closed: Promise<void>[] = []
  let ends = 0
  dialer.notify({
    connected: (_swarm, connection) => {
      if (ends === 0) closed.push(connection.close())
    },
    disconnected: (swarm, connection) => {
      ends += 1
      closed.push(connection.close())
      if (ends === 1) {
        swarm.dialPeer(listener.peerId, { addresses }).then(again.resolve, again.reject)
      }
    }
  })
  await dialer.dialPeer(listener.peerId, { addresses })
  const second = await again.promise
  await Promise.all(closed)
  t.is(ends, 1)
  t.deepEqual(dialer.getConnections(), [second])
})
