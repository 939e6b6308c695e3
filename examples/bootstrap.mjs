// A bootstrap node: it remembers its peers, keeps those that help others, and tells newcomers about them.
//
//     node examples/bootstrap.mjs [port] [file]
//
// Without arguments it shows itself with three peers, and ends.

import { createSwarm, upsertBounded } from 'ferroswarm'

const PEERS = '/example/peers/1.0.0'
const [port = '0', path] = process.argv.slice(2)

const bootstrap = await createSwarm({
  ...(path === undefined ? {} : { peerstore: { path } }),
  // Newcomers need a place: above 800 connections it closes down to 600, and never seeks any itself.
  connections: { max: 1_000, high: 800, low: 600, autoConnectBelow: 0 }
})
bootstrap.handle(PEERS, async (stream, connection) => {
  const { peerstore } = bootstrap
  const others = peerstore.peersWithAddrs().filter((peer) => !peer.equals(connection.remotePeer))
  const lines = others.map((peer) => JSON.stringify({ peer, addresses: peerstore.addrs(peer) }))
  await stream.write(Buffer.from(`${lines.join('\n')}\n`))
  await stream.close()
  // Whoever can be dialled is worth more than whoever only asks.
  if (peerstore.addrs(connection.remotePeer).length > 0) {
    bootstrap.upsertTag(connection.remotePeer, 'dialable', upsertBounded(1, 0, 10))
  }
})
bootstrap.addEventListener('prune', ({ detail }) => {
  for (const { candidate, reason } of detail.verdicts) {
    console.log(`closed ${candidate.connection.remotePeer}: ${reason}`)
  }
})
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => bootstrap.close())
await bootstrap.listen(`/ip4/127.0.0.1/tcp/${port}`)
const [address] = bootstrap.getListenAddrs()
console.log(`bootstrap node at ${address}/p2p/${bootstrap.peerId}`)

// With a port it runs until a signal ends it.
if (process.argv.length < 3) {
  await demo()
  await bootstrap.close()
}

/** Three peers find each other: each asks the bootstrap node, and stores what it learns. */
async function demo() {
  const nodes = await Promise.all(
    [1, 2, 3].map(() => createSwarm({ connections: { autoConnectBelow: 3 } }))
  )
  for (const node of nodes) {
    await node.listen('/ip4/127.0.0.1/tcp/0')
    const connection = await node.dialPeer(bootstrap.peerId, { addresses: [address] })
    // The bootstrap node asks for the addresses by identify.
    while (bootstrap.peerstore.addrs(node.peerId).length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const stream = await connection.newStream(PEERS)
    const answer = Buffer.from(await stream.read()).toString()
    for (const line of answer.split('\n').filter((each) => each !== '')) {
      const { peer, addresses } = JSON.parse(line)
      await node.peerstore.addAddrs(peer, addresses, 15 * 60_000)
    }
    // Below the mark it dials those peers by itself every 10 s, or now.
    await node.autoConnector.maybeConnect()
  }
  for (const node of nodes) console.log(`connected with ${node.getPeers().length} peers`)
  await Promise.all(nodes.map((node) => node.close()))
}
