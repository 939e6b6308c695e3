/** The services of js-libp2p between nodes with our components and stock ones. Runs under mocha. */
import { createHash, randomBytes } from 'node:crypto'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { fetch } from '@libp2p/fetch'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { generateKey, preSharedKey } from '@libp2p/pnet'
import { prometheusMetrics } from '@libp2p/prometheus-metrics'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { register } from 'prom-client'
import { eventually, PAIRINGS, pairs, startNode, stopNodes } from './nodes.js'
import { echo, once, readAll, sendAll } from './streams.js'

afterEach(stopNodes)

async function dialled(dialerKind, listenerKind, options = () => ({})) {
  const [dialer, listener] = await Promise.all([
    startNode(dialerKind, options()),
    startNode(listenerKind, options())
  ])
  const connection = await dialer.dial(listener.getMultiaddrs())
  return { dialer, listener, connection }
}

const basics = () => ({ identify: identify(), identifyPush: identifyPush(), ping: ping() })

pairs('ping', async (...kinds) => {
  const { dialer, listener } = await dialled(...kinds, () => ({ services: basics() }))
  for (let count = 0; count < 5; count += 1) {
    expect(await dialer.services.ping.ping(listener.peerId)).to.be.at.least(0)
    expect(await listener.services.ping.ping(dialer.peerId)).to.be.at.least(0)
  }
})

// An end of the remote that is under way is awaited by the negotiation of stock nodes, which ours spare.
pairs(
  'a stream that is over for the dialer makes room for the next one',
  async (...kinds) => {
    const { listener, connection } = await dialled(...kinds)
    const held = Promise.withResolvers()
    await listener.handle('/held/1', async (stream) => {
      await held.promise
      await stream.close()
    })
    const streams = []
    for (let count = 0; count < 3; count += 1) {
      const stream = await connection.newStream('/held/1', { maxOutboundStreams: 1 })
      streams.push(stream)
      stream.send(randomBytes(32))
      await stream.close()
      await stream.closeRead()
    }
    held.resolve()
    const areOver = () => streams.every(({ status }) => status === 'closed')
    await eventually(areOver, 'the end of the streams')
  },
  PAIRINGS.filter(([dialer]) => dialer === 'ours')
)

pairs('identify', async (...kinds) => {
  // Streams of identify are limited to one at a time: that of a new connection would be in the way.
  const services = () => ({ ...basics(), identify: identify({ runOnConnectionOpen: false }) })
  const { dialer, listener, connection } = await dialled(...kinds, () => ({
    services: services()
  }))
  const result = await dialer.services.identify.identify(connection)
  expect(result.peerId.toString()).to.equal(listener.peerId.toString())
  expect(result.protocols).to.include('/ipfs/ping/1.0.0')
  await listener.services.identify.identify(listener.getConnections()[0])
  const peer = await eventually(async () => {
    const found = await listener.peerStore.get(dialer.peerId).catch(() => undefined)
    return found?.protocols.includes('/ipfs/id/1.0.0') && found
  }, 'the entry of the dialer')
  expect(peer.addresses).to.not.be.empty
})

pairs('identify push of a handler that comes and goes', async (...kinds) => {
  const { dialer, listener, connection } = await dialled(...kinds, () => ({ services: basics() }))
  const speaks = async () => (await dialer.peerStore.get(listener.peerId)).protocols
  await eventually(async () => (await speaks()).includes('/ipfs/ping/1.0.0'), 'identify')
  const echo = (stream) => stream.addEventListener('message', ({ data }) => stream.send(data))
  await listener.handle('/late/1.0.0', echo)
  await eventually(async () => (await speaks()).includes('/late/1.0.0'), 'the push')
  const stream = await connection.newStream('/late/1.0.0')
  stream.send(Buffer.from('hello'))
  const event = await once(stream, 'message')
  expect(Buffer.from(event.data.subarray()).toString()).to.equal('hello')
  await stream.close()
  await listener.unhandle('/late/1.0.0')
  await eventually(async () => !(await speaks()).includes('/late/1.0.0'), 'the second push')
  const error = await connection.newStream('/late/1.0.0').catch((err) => err)
  expect(error.name).to.equal('UnsupportedProtocolError')
})

pairs('fetch', async (...kinds) => {
  const { dialer, listener } = await dialled(...kinds, () => ({
    services: { identify: identify(), fetch: fetch() }
  }))
  const value = randomBytes(100_000)
  listener.services.fetch.registerLookupFunction('/files/', async (key) =>
    Buffer.from(key).toString().endsWith('/known') ? value : undefined
  )
  const found = await dialer.services.fetch.fetch(listener.peerId, '/files/known')
  expect(Buffer.compare(Buffer.from(found), value)).to.equal(0)
  expect(await dialer.services.fetch.fetch(listener.peerId, '/files/unknown')).to.equal(undefined)
})

pairs('transfer of 32 MiB each way, with checksums', async (...kinds) => {
  const { listener, connection } = await dialled(...kinds)
  const bytes = randomBytes(32 << 20)
  const digest = createHash('sha256').update(bytes).digest('hex')
  let received
  await listener.handle('/sum/1.0.0', async (stream) => {
    const hash = createHash('sha256')
    for await (const chunk of stream) hash.update(chunk.subarray())
    received = hash.digest('hex')
    await sendAll(stream, bytes)
  })
  const stream = await connection.newStream('/sum/1.0.0')
  await sendAll(stream, bytes)
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk.subarray())
  expect(received).to.equal(digest)
  expect(hash.digest('hex')).to.equal(digest)
})

pairs('gossipsub of a mesh of three', async (...kinds) => {
  const options = () => ({
    services: { identify: identify(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }) }
  })
  const { dialer, listener } = await dialled(...kinds, options)
  const third = await startNode('ours', options())
  await third.dial(listener.getMultiaddrs())
  const nodes = [dialer, listener, third]
  const received = nodes.map((node) => {
    const texts = new Set()
    node.services.pubsub.addEventListener('message', ({ detail }) =>
      texts.add(Buffer.from(detail.data).toString())
    )
    node.services.pubsub.subscribe('topic')
    return texts
  })
  // Who joins the mesh of the listener later gets nothing of what it has published.
  await eventually(
    () =>
      nodes.every((node) => {
        const peers = node === listener ? 2 : 1
        return node.services.pubsub.getMeshPeers('topic').length === peers
      }),
    'the mesh'
  )
  const sent = nodes.flatMap((_, at) => Array.from({ length: 50 }, (_, count) => `${at}/${count}`))
  for (const text of sent) {
    await nodes[Number(text[0])].services.pubsub.publish('topic', Buffer.from(text))
  }
  await eventually(
    () => received.every((texts, at) => sent.every((it) => texts.has(it) || it[0] === `${at}`)),
    'the arrival of every message'
  )
})

pairs('kad-dht: provide and find', async (...kinds) => {
  const options = () => ({
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/test/kad/1.0.0',
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true
      })
    }
  })
  const { dialer, listener } = await dialled(...kinds, options)
  const third = await startNode('ours', options())
  await third.dial(listener.getMultiaddrs())
  const tables = [dialer, listener, third].map((node) => node.services.dht.routingTable)
  await eventually(() => tables.every((table) => table.size > 0), 'the routing tables')
  const cid = CID.createV1(0x55, await sha256.digest(randomBytes(32)))
  const signal = AbortSignal.timeout(20_000)
  await third.contentRouting.provide(cid, { signal })
  const provider = await first(dialer.contentRouting.findProviders(cid, { signal }))
  expect(provider.id.toString()).to.equal(third.peerId.toString())
  const found = await dialer.peerRouting.findPeer(third.peerId, { signal })
  expect(found.id.toString()).to.equal(third.peerId.toString())
})

describe('circuit relay', () => {
  for (const relayKind of ['ours', 'js']) {
    for (const [dialerKind, listenerKind] of PAIRINGS) {
      it(`${dialerKind} dials ${listenerKind} over a relay of ${relayKind}`, async () => {
        const relay = await startNode(relayKind, {
          services: { identify: identify(), relay: circuitRelayServer() }
        })
        const client = (kind, listen) =>
          startNode(kind, {
            addresses: { listen },
            transports: [circuitRelayTransport()],
            services: { identify: identify() }
          })
        const [address] = relay.getMultiaddrs()
        const listener = await client(listenerKind, [`${address}/p2p-circuit`])
        const relayed = await eventually(
          () => listener.getMultiaddrs().find((it) => `${it}`.includes('p2p-circuit')),
          'the reservation'
        )
        await listener.handle('/echo', echo, { runOnLimitedConnection: true })
        const dialer = await client(dialerKind, [])
        const connection = await dialer.dial(multiaddr(`${relayed}`))
        expect(connection.limits).to.not.equal(undefined)
        expect(connection.encryption).to.equal('/noise')
        expect(connection.multiplexer).to.equal('/yamux/1.0.0')
        const stream = await connection.newStream('/echo', { runOnLimitedConnection: true })
        const bytes = randomBytes(60_000)
        void sendAll(stream, bytes)
        expect(Buffer.compare(await readAll(stream), bytes)).to.equal(0)
      })
    }
  }
})

pairs('prometheus counts bytes by protocol', async (...kinds) => {
  register.clear()
  const [dialerKind, listenerKind] = kinds
  const dialer = await startNode(dialerKind, { metrics: prometheusMetrics() })
  const listener = await startNode(listenerKind)
  await listener.handle('/counted/1.0.0', echo)
  const stream = await dialer.dialProtocol(listener.getMultiaddrs(), '/counted/1.0.0')
  const bytes = randomBytes(10_000)
  void sendAll(stream, bytes)
  await readAll(stream)
  await Promise.all(dialer.getConnections().map((connection) => connection.close()))
  const text = await register.metrics()
  for (const name of [
    '/counted/1.0.0 sent',
    '/counted/1.0.0 received',
    'global sent',
    'global received'
  ]) {
    const line = text.split('\n').find((it) => it.includes(`protocol="${name}"`))
    // And what is around the data: negotiations, or frames and records if JavaScript carries them.
    expect(Number(line?.split(' ').at(-1)), name).to.be.within(10_000, 12_000)
  }
})

pairs('a private network', async (...kinds) => {
  const key = new Uint8Array(95)
  generateKey(key)
  const members = () => ({ connectionProtector: preSharedKey({ psk: key }) })
  const { listener, connection } = await dialled(...kinds, members)
  await listener.handle('/echo', echo)
  const stream = await connection.newStream('/echo')
  const bytes = randomBytes(100_000)
  void sendAll(stream, bytes)
  expect(Buffer.compare(await readAll(stream), bytes)).to.equal(0)
  const stranger = await startNode(kinds[0])
  const error = await stranger.dial(listener.getMultiaddrs()).catch((err) => err)
  expect(error).to.be.an('error')
})

async function first(iterable) {
  for await (const value of iterable) return value
  throw new Error('nothing was found')
}
