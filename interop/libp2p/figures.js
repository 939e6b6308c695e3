/** A node whose figures `bench/libp2p.mjs` takes: it does what messages of its parent say, and answers with its cost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { multiaddr } from '@multiformats/multiaddr'
import { eventually, startNode } from './nodes.js'

const DATA = 'data'
const ACKNOWLEDGEMENTS = 'acknowledgements'
// Messages that one acknowledgement is for, of which as many again are under way: gossipsub drops what its queues have
// no room for.
const WINDOW = 256
const SETTLING_MS = 3_000

const SERVICES = {
  none: () => ({}),
  // Streams of identify are limited to one at a time: that of the next connection would be refused.
  identify: () => ({ identify: identify({ maxInboundStreams: 64, maxOutboundStreams: 64 }) }),
  pubsub: () => ({
    identify: identify(),
    pubsub: gossipsub({ globalSignaturePolicy: 'StrictNoSign' })
  })
}

const [, , kind, services] = process.argv

const node = await startNode(kind, {
  connectionManager: { maxConnections: 10_000, inboundConnectionThreshold: 10_000 },
  connectionMonitor: { enabled: false },
  services: SERVICES[services]()
})
const { pubsub } = node.services
let received = 0
let onReceived = () => {}
pubsub?.addEventListener('message', ({ detail: { topic } }) => {
  received += 1
  onReceived()
  if (topic === DATA && received % WINDOW === 0) {
    void pubsub.publish(ACKNOWLEDGEMENTS, Buffer.from(`${received}`))
  }
})

for (const topic of [DATA, ACKNOWLEDGEMENTS]) pubsub?.subscribe(topic)

/** Resolves once as many acknowledgements have come. */
async function acknowledged(count) {
  while (received < count) {
    await new Promise((resolve) => {
      onReceived = resolve
    })
  }
}

const COMMANDS = {
  cost: () => ({ ...process.cpuUsage(), loop: performance.eventLoopUtilization() }),

  async memory() {
    await sleep(SETTLING_MS)
    gc()
    const { rss, heapUsed } = process.memoryUsage()
    return { rss, heapUsed, connections: node.getConnections().length }
  },

  async connect(address, count) {
    for (let at = 0; at < count; at += 1) await node.dial(multiaddr(address), { force: true })
  },

  /** Dials and closes, one at a time, each once identify has run if it is there; resolves to the seconds that it took. */
  async handshakes(address, count) {
    const to = multiaddr(address)
    const start = performance.now()
    for (let at = 0; at < count; at += 1) {
      const identified =
        services === 'none' ||
        new Promise((resolve) => node.addEventListener('peer:identify', resolve, { once: true }))
      const connection = await node.dial(to)
      await identified
      await connection.close()
    }
    return (performance.now() - start) / 1_000
  },

  /** Publishes messages; resolves to the seconds until the last window of them was acknowledged. */
  async publish(address, messages, bytes) {
    const connection = await node.dial(multiaddr(address))
    for (const topic of [DATA, ACKNOWLEDGEMENTS]) {
      await eventually(() => pubsub.getMeshPeers(topic).length > 0, `the mesh of ${topic}`)
    }
    const start = performance.now()
    for (let sent = 0; sent < messages; sent += 1) {
      const message = Buffer.alloc(bytes)
      // The identifier of an unsigned message is that of its data.
      message.writeUInt32BE(sent)
      await pubsub.publish(DATA, message)
      if ((sent + 1) % WINDOW !== 0) continue
      await acknowledged((sent + 1) / WINDOW - 1)
    }
    await acknowledged(messages / WINDOW)
    const seconds = (performance.now() - start) / 1_000
    await connection.close()
    return seconds
  }
}

process.on('message', async ([command, ...args]) =>
  process.send([await COMMANDS[command](...args)])
)
process.on('disconnect', () => process.exit())
process.send(`${node.getMultiaddrs()[0]}`)
