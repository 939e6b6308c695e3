/** A node whose figures `bench/libp2p.mjs` takes: it does what messages of its parent say, and answers with its cost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { multiaddr } from '@multiformats/multiaddr'
import { eventually, startNode } from './nodes.js'

const DATA = 'data'
const ACKNOWLEDGEMENTS = 'acknowledgements'
// Messages under way: gossipsub drops what its queues have no room for.
const WINDOW = 64
const SETTLING_MS = 3_000

const [, , kind] = process.argv

const node = await startNode(kind, {
  connectionManager: { maxConnections: 10_000, inboundConnectionThreshold: 10_000 },
  connectionMonitor: { enabled: false },
  services: { identify: identify(), pubsub: gossipsub({ globalSignaturePolicy: 'StrictNoSign' }) }
})
const { pubsub } = node.services
let received = 0
pubsub.addEventListener('message', ({ detail: { topic } }) => {
  received += 1
  if (topic === DATA && received % WINDOW === 0) {
    void pubsub.publish(ACKNOWLEDGEMENTS, Buffer.from(`${received}`))
  }
})

for (const topic of [DATA, ACKNOWLEDGEMENTS]) pubsub.subscribe(topic)

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
      const acknowledged = (sent + 1) / WINDOW
      while (received < acknowledged) await new Promise(setImmediate)
    }
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
