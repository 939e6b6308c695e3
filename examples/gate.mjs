// A node for the networks of an office: others are refused before a byte is exchanged, and so is a peer that has been
// named, once it has proved who it is.
//
//     node examples/gate.mjs

import { createSwarm } from 'ferroswarm'

const banned = new Set()
const server = await createSwarm({
  connections: {
    allow: ['127.0.0.0/8', '10.0.0.0/8', '192.168.0.0/16', 'fd00::/8'],
    deny: ['10.66.0.0/16']
  },
  gater: { secured: ({ peer }) => !banned.has(peer.toString()) || 'the peer is banned' }
})
server.addEventListener('refused', ({ detail }) => {
  console.log(`refused at ${detail.stage}: ${detail.rule}`)
})
await server.listen('/ip4/127.0.0.1/tcp/0')
const addresses = server.getListenAddrs()

for (const address of [
  '/ip4/192.168.1.5/tcp/4001',
  '/ip4/10.66.0.1/tcp/4001',
  '/ip4/8.8.8.8/tcp/4001'
]) {
  const { allowed, rule } = await server.connectionGate.explain(address)
  console.log(address, allowed ? 'is allowed' : `is refused: ${rule}`)
}

const client = await createSwarm({ retry: { maxRetries: 0 } })
const connection = await client.dialPeer(server.peerId, { addresses })
console.log('connected')
await connection.close()

banned.add(client.peerId.toString())
const dial = () => client.dialPeer(server.peerId, { addresses, force: true })
// The remote may know of its connection before it is refused.
await dial()
  .then(({ closed }) => closed)
  .catch(() => {})

server.connectionGate.deny('127.0.0.1', { closeOpen: true })
await dial().catch(() => {})

await client.close()
await server.close()
