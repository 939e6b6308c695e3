// Two nodes that dial each other: a chat over two connections, of which the strategy selects one for each stream.
//
//     node examples/chat.mjs

import { createSwarm } from 'ferroswarm'

const PROTOCOL = '/example/chat/1.0.0'

async function join(name) {
  const swarm = await createSwarm({ connections: { strategy: 'round_robin' } })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  swarm.handle(PROTOCOL, async (stream, connection) => {
    for await (const line of stream.messages()) {
      console.log(`${name} hears on its ${connection.direction} connection: ${Buffer.from(line)}`)
      await stream.messages().writeMsg(Buffer.from('read'))
    }
    await stream.close()
  })
  return swarm
}

const ada = await join('Ada')
const bob = await join('Bob')
// Each side opens a connection: `force` dials although there is one.
await ada.dialPeer(bob.peerId, { addresses: bob.getListenAddrs() })
await bob.dialPeer(ada.peerId, { addresses: ada.getListenAddrs(), force: 'one of our own' })
console.log(`Ada has ${ada.getConnections(bob.peerId).length} connections to Bob`)

for (const line of ['hello', 'how are you?']) {
  const stream = await ada.newStream(bob.peerId, PROTOCOL)
  const messages = stream.messages()
  await messages.writeMsg(Buffer.from(line))
  console.log(`Ada knows that it was ${Buffer.from(await messages.readMsg())}`)
  await stream.close()
}

await ada.close()
await bob.close()
