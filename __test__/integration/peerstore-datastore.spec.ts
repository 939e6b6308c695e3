import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { peerIdFromString } from '@libp2p/peer-id'
import { persistentPeerStore } from '@libp2p/peer-store'
import { multiaddr } from '@multiformats/multiaddr'
import test from 'ava'
import { MemoryDatastore } from 'datastore-core'
import { LevelDatastore } from 'datastore-level'
import {
  ADDRESS_TTL_PERMANENT,
  createSwarm,
  generatePrivateKey,
  InvalidParametersError,
  type Peerstore,
  PeerstoreError,
  type SwarmOptions
} from '../../ts/index.ts'
import { createNode } from '../support/pair.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const OTHER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const AT = '/ip4/192.0.2.1/tcp/4001'
const privateKey = generatePrivateKey()

/** The peer store of js-libp2p over a datastore. */
function jsStore(datastore: MemoryDatastore) {
  const nothing = Object.assign(() => {}, { trace: () => {}, error: () => {}, enabled: false })
  return persistentPeerStore({
    peerId: peerIdFromString(OTHER),
    datastore,
    events: Object.assign(new EventTarget(), { safeDispatchEvent: () => true }),
    logger: { forComponent: () => nothing }
  } as unknown as Parameters<typeof persistentPeerStore>[0])
}

test('peers are kept in a datastore of js-libp2p, in memory', async (t) => {
  const options: SwarmOptions = { privateKey, peerstore: { datastore: new MemoryDatastore() } }
  const before = await createNode(t, options)
  await before.peerstore.addAddrs(PEER, [AT], ADDRESS_TTL_PERMANENT)
  await before.peerstore.put(OTHER, 'key', Uint8Array.of(1))
  await before.peerstore.removePeer(OTHER)
  await before.close()
  const { peerstore } = await createNode(t, options)
  t.deepEqual(peerstore.peers().map(String), [PEER])
  t.deepEqual(peerstore.addrs(PEER).map(String), [AT])
})

test('peers are kept in a datastore of js-libp2p, in LevelDB', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-level-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const round of [1, 2]) {
    const datastore = new LevelDatastore(folder)
    await datastore.open()
    const swarm = await createNode(t, { privateKey, peerstore: { datastore } })
    t.is(swarm.peerstore.has(PEER), round === 2)
    await swarm.peerstore.put(PEER, 'key', Uint8Array.of(round))
    await swarm.close()
    // Its owner closes it.
    await datastore.close()
  }
})

test('what js-libp2p has stored is read as it is', async (t) => {
  const datastore = new MemoryDatastore()
  const js = jsStore(datastore)
  await js.save(peerIdFromString(PEER), {
    multiaddrs: [multiaddr(AT)],
    protocols: ['/a'],
    metadata: { key: Uint8Array.of(1) },
    tags: { 'keep-alive': { value: 50 }, passing: { value: 1, ttl: 60_000 } }
  })
  const { peerstore } = await createNode(t, { privateKey, peerstore: { datastore } })
  t.deepEqual(peerstore.addrs(PEER).map(String), [AT])
  t.deepEqual(peerstore.getProtocols(PEER), ['/a'])
  t.deepEqual(peerstore.get(PEER, 'key'), Uint8Array.of(1))
  // A tag that expires is for the time of a connection.
  t.deepEqual([...((peerstore as Peerstore).table.get(PEER)?.tags ?? [])], [['keep-alive', 50]])
})

test('what is stored is read by js-libp2p', async (t) => {
  const datastore = new MemoryDatastore()
  const swarm = await createNode(t, { privateKey, peerstore: { datastore } })
  const { peerstore } = swarm
  for (const peer of [PEER, OTHER]) await peerstore.addAddrs(peer, [AT], ADDRESS_TTL_PERMANENT)
  await peerstore.setProtocols(PEER, ['/a'])
  await peerstore.put(PEER, 'key', Uint8Array.of(1))
  await swarm.close()
  const peer = await jsStore(datastore).get(peerIdFromString(PEER))
  t.deepEqual(
    peer.addresses.map(({ multiaddr: addr }) => `${addr}`),
    [AT]
  )
  t.deepEqual(peer.protocols, ['/a'])
  t.deepEqual(peer.metadata.get('key'), Uint8Array.of(1))
})

test('a datastore that fails rejects the write, and the next one repeats it', async (t) => {
  const datastore = new MemoryDatastore()
  const { peerstore } = await createNode(t, { privateKey, peerstore: { datastore } })
  const { batch } = datastore
  datastore.batch = () => {
    throw new Error('the disk is full')
  }
  await t.throwsAsync(peerstore.put(PEER, 'key', Uint8Array.of(1)), {
    instanceOf: PeerstoreError,
    message: /the disk is full/
  })
  datastore.batch = batch
  await peerstore.put(OTHER, 'key', Uint8Array.of(1))
  const keys: string[] = []
  for await (const { key } of datastore.query({})) keys.push(`${key}`)
  t.is(keys.length, 2)
  t.true(keys.every((key) => /^\/peers\/(baf|bafz)[a-z2-7]+$/.test(key)))
})

test('a datastore and a path exclude each other, and neither may be something else', async (t) => {
  const refused = { instanceOf: InvalidParametersError }
  const datastore = new MemoryDatastore()
  await t.throwsAsync(createSwarm({ peerstore: { datastore, path: '/tmp/peers' } }), {
    ...refused,
    message: 'peerstore.path and peerstore.datastore exclude each other'
  })
  await t.throwsAsync(createSwarm({ peerstore: { datastore: {} as never } }), refused)
  await t.throwsAsync(createSwarm({ peerstore: { path: '' } }), refused)
})
