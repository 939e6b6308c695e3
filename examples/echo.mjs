// Two nodes in one process: one echoes what the other sends.
//
//     node examples/echo.mjs

import { createSwarm } from 'ferroswarm'

const PROTOCOL = '/example/echo/1.0.0'

await using listener = await createSwarm()
listener.handle(PROTOCOL, async (stream) => {
  for await (const chunk of stream) await stream.write(chunk)
  await stream.close()
})
await listener.listen('/ip4/127.0.0.1/tcp/0')
const [address] = listener.getListenAddrs()
console.log(`listening on ${address} as ${listener.peerId}`)

await using dialer = await createSwarm()
const connection = await dialer.dialAddr(address, listener.peerId)
console.log(`connected over ${connection.state.security} and ${connection.state.muxer}`)

const stream = await connection.newStream(PROTOCOL)
for (const word of ['hello', ' ', 'swarm']) await stream.write(Buffer.from(word))
await stream.closeWrite()
console.log(`echo: ${Buffer.from(await stream.read())}`)
