// A client that keeps its connection to a server: the server restarts, and the client is connected again.
//
//     node examples/keep-alive.mjs

import { CommonTags, createSwarm, generatePrivateKey } from 'ferroswarm'

const key = generatePrivateKey()
const startServer = async (port) => {
  const server = await createSwarm({ privateKey: key })
  await server.listen(`/ip4/127.0.0.1/tcp/${port}`)
  return server
}

const server = await startServer(0)
const [address] = server.getListenAddrs()
const { port } = address.toString().match(/\/tcp\/(?<port>\d+)/).groups

// With a persistent peerstore, peerstore: { path }, the server is dialled after a restart of the client too.
const client = await createSwarm({ connections: { reconnect: { interval: 200, retries: 20 } } })
client.addEventListener('disconnected', () => console.log('disconnected'))
client.addEventListener('reconnectFailed', ({ detail }) =>
  console.log('given up:', detail.error.message)
)

client.tagPeer(server.peerId, CommonTags.KEEP_ALIVE, 50)
await client.dialPeer(server.peerId, { addresses: [address] })
console.log('connected')

const connected = Promise.withResolvers()
client.addEventListener('connected', connected.resolve, { once: true })
await server.close()
const again = await startServer(port)
await connected.promise
console.log('connected again')

// The tag is a wish until it is removed.
client.untagPeer(server.peerId, CommonTags.KEEP_ALIVE)
await client.close()
await again.close()
