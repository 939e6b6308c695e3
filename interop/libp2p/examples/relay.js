// A node that nobody can dial is reached over a relay.
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise, tcp, yamux } from 'ferroswarm/libp2p'
import { createLibp2p } from 'libp2p'

const create = (listen, { transports = [], services = {} } = {}) =>
  createLibp2p({
    addresses: { listen },
    transports: [tcp(), ...transports],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ...services }
  })

const relay = await create(['/ip4/127.0.0.1/tcp/0'], {
  services: { relay: circuitRelayServer() }
})
const clients = { transports: [circuitRelayTransport()] }
const [relayAddress] = relay.getMultiaddrs()
const hidden = await create([`${relayAddress}/p2p-circuit`], clients)
await hidden.handle(
  '/hello/1.0.0',
  async (stream) => {
    stream.send(new TextEncoder().encode('hello from behind the relay'))
    await stream.close()
  },
  { runOnLimitedConnection: true }
)
while (hidden.getMultiaddrs().length === 0) await new Promise((resolve) => setTimeout(resolve, 20))

const dialer = await create([], clients)
const stream = await dialer.dialProtocol(hidden.getMultiaddrs(), '/hello/1.0.0', {
  runOnLimitedConnection: true
})
let text = ''
for await (const chunk of stream) text += new TextDecoder().decode(chunk.subarray())
console.log(text)

await Promise.all([relay, hidden, dialer].map((node) => node.stop()))
// The transport of relays would keep the process for two more minutes, by a timer of its reservation.
process.exit()
