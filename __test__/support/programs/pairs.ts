/** Two nodes that exchange a few messages and close, as a worker: for several environments at once. */
import { parentPort, workerData } from 'node:worker_threads'
import { createSwarm } from '../../../ts/swarm.ts'

/** Report that the worker posts before it exits. */
export interface PairsReport {
  readonly echoed: number
  readonly connectionsOpened: number
  readonly openStreams: number
}

const { messages } = workerData as { messages: number }
const OPTIONS = { ioThreads: 1, services: { ping: false, identify: false } } as const

const [dialer, listener] = await Promise.all([createSwarm(OPTIONS), createSwarm(OPTIONS)])
listener.handle('/echo', async (stream) => {
  for await (const bytes of stream) await stream.write(bytes)
  await stream.close()
})
await listener.listen('/ip4/127.0.0.1/tcp/0')
const stream = await dialer.newStream(listener.peerId, '/echo', {
  addresses: listener.getListenAddrs()
})
let echoed = 0
for (; echoed < messages; echoed += 1) {
  await stream.write(Uint8Array.of(echoed & 0xff))
  const [byte] = await stream.read(1)
  if (byte !== (echoed & 0xff)) break
}
await stream.close()
await Promise.all([dialer.close(), listener.close()])
const { connectionsOpened, streamsOpened, streamsClosed } = listener.counters()
const report: PairsReport = {
  echoed,
  connectionsOpened,
  openStreams: streamsOpened - streamsClosed
}
parentPort?.postMessage(report)
