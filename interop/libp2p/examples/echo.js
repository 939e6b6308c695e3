// A node echoes what another one sends it.
import { noise, tcp, yamux } from 'ferroswarm/libp2p'
import { createLibp2p } from 'libp2p'

const create = (listen) =>
  createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()]
  })

const listener = await create(['/ip4/127.0.0.1/tcp/0'])
await listener.handle('/echo/1.0.0', (stream) => {
  stream.addEventListener('message', ({ data }) => stream.send(data))
  stream.addEventListener('remoteCloseWrite', () => stream.close())
})

const dialer = await create([])
const stream = await dialer.dialProtocol(listener.getMultiaddrs(), '/echo/1.0.0')
stream.send(new TextEncoder().encode('hey'))
await stream.close()
let text = ''
for await (const chunk of stream) text += new TextDecoder().decode(chunk.subarray())
console.log(`echo: ${text}`)

await Promise.all([dialer.stop(), listener.stop()])
