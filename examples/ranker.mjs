// A ranking of one's own: addresses of the local network first, the others half a second later.
//
//     node examples/ranker.mjs

import { AddressManager, createSwarm } from 'ferroswarm'

const LOCAL = /^\/ip4\/(127|10|192\.168)\./

const addressManager = new AddressManager({
  ranker: (addresses, { peer }) => {
    console.log(
      `ranking ${addresses.length} addresses of ${peer === undefined ? 'a stranger' : 'a peer'}`
    )
    return addresses.map((address) => ({ address, delay: LOCAL.test(address) ? 0 : 500 }))
  }
})

const listener = await createSwarm()
await listener.listen('/ip4/127.0.0.1/tcp/0')
const [address] = listener.getListenAddrs()

const swarm = await createSwarm({ addressManager })
// Port 1 of this host refuses at once: the next address has its turn.
const addresses = ['/ip4/127.0.0.1/tcp/1', address]
const connection = await swarm.dialPeer(listener.peerId, { addresses })
for (const { address, stage, cause } of connection.dialReport.attempts) {
  console.log(`${address} failed at ${stage}: ${cause.code}`)
}
console.log(`connected: ${String(connection.remoteAddr) === String(address)}`)

await swarm.close()
await listener.close()
