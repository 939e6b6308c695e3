/**
 * A listener whose event loop blocks on request. Prints its address; serves
 *
 *     /test/echo    every byte, then the end
 *     /test/reset   a reset with code 7
 *     /test/close   an orderly close at once
 *     /test/busy    blocks the event loop for the milliseconds in a message, as text
 *     /test/opened  the number of `connected` events so far, as text
 *
 *     node busy-listener.ts <muxer> <address to listen on>
 */
import type { MuxerName } from '../../../ts/constants.ts'
import { createSwarm } from '../../../ts/swarm.ts'

/** One peer opens them all on one protocol. */
const STREAMS = { streamsInbound: 6_000, streams: 6_000 }

const muxer = (process.argv[2] ?? 'yamux') as MuxerName
const listen = process.argv[3] ?? '/ip4/127.0.0.1/tcp/0'
const swarm = await createSwarm({
  ioThreads: 1,
  muxers: [muxer],
  services: { ping: false, identify: false },
  connections: { maxPerPeer: Infinity },
  limits: {
    peerDefault: {
      ...STREAMS,
      connectionsInbound: 256,
      connections: 'unlimited',
      fds: 'unlimited'
    },
    protocolPeerDefault: STREAMS,
    connection: STREAMS
  }
})
let opened = 0
swarm.addEventListener('connected', () => {
  opened += 1
})
swarm.handle('/test/echo', async (stream) => {
  for await (const bytes of stream) await stream.write(bytes)
  await stream.close()
})
swarm.handle('/test/reset', (stream) => void stream.reset(7))
swarm.handle('/test/close', (stream) => stream.close())
swarm.handle('/test/busy', async (stream) => {
  const ms = Number(Buffer.from(await stream.read()).toString())
  await stream.close()
  // The end of the stream is sent first.
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms))
})
swarm.handle('/test/opened', async (stream) => {
  await stream.write(Buffer.from(String(opened)))
  await stream.close()
})
await swarm.listen(listen)
console.log(`${swarm.getListenAddrs()[0]}`)
