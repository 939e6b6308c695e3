/** Dials a listener in memory from a worker, and posts what it echoes. */
import { parentPort, workerData } from 'node:worker_threads'
import { createSwarm } from '../../../ts/swarm.ts'

const { address, peer, protocol } = workerData as {
  address: string
  peer: string
  protocol: string
}
const swarm = await createSwarm({ transports: ['memory'], ioThreads: 1 })
const connection = await swarm.dialAddr(address, peer)
const stream = await connection.newStream(protocol)
await stream.write(Uint8Array.of(1, 2, 3))
await stream.closeWrite()
parentPort?.postMessage(Uint8Array.from(await stream.read()))
await swarm.close()
