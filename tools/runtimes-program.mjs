/** The program that runtimes.mjs runs on every runtime. */
import { createSwarm } from '../dist/index.js'

const PROTOCOL = '/runtimes/echo/1.0.0'

const [dialer, listener] = await Promise.all([createSwarm(), createSwarm()])
listener.handle(PROTOCOL, async (stream) => {
  for await (const chunk of stream) await stream.write(chunk)
  await stream.close()
})
await listener.listen('/ip4/127.0.0.1/tcp/0')
const addresses = listener.getListenAddrs()
const stream = await dialer.newStream(listener.peerId, PROTOCOL, { addresses })
await stream.write(new TextEncoder().encode('hello'))
await stream.closeWrite()
console.log(new TextDecoder().decode(await stream.read()))
await Promise.all([dialer.close(), listener.close()])
console.log('closed')
