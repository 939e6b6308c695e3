// Three nodes in a row share a topic: what the first publishes reaches the last over the one in the middle.
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise, tcp, yamux } from 'ferroswarm/libp2p'
import { createLibp2p } from 'libp2p'

const TOPIC = 'fruit'

const create = () =>
  createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), pubsub: gossipsub() }
  })

const nodes = await Promise.all([create(), create(), create()])
const [first, middle, last] = nodes
await first.dial(middle.getMultiaddrs())
await middle.dial(last.getMultiaddrs())

const fruit = []
last.services.pubsub.addEventListener('message', ({ detail }) =>
  fruit.push(new TextDecoder().decode(detail.data))
)
for (const node of nodes) node.services.pubsub.subscribe(TOPIC)
const inMesh = (node) => node.services.pubsub.getMeshPeers(TOPIC).length
while (inMesh(first) < 1 || inMesh(middle) < 2 || inMesh(last) < 1) await pause()

for (const name of ['banana', 'apple', 'car', 'orange']) {
  await first.services.pubsub.publish(TOPIC, new TextEncoder().encode(name))
}
while (fruit.length < 4) await pause()
console.log(`received: ${fruit.sort().join(', ')}`)

await Promise.all(nodes.map((node) => node.stop()))

function pause() {
  return new Promise((resolve) => setTimeout(resolve, 20))
}
