/**
 * A worker that sends on several streams at once as fast as the listener takes it, and echoes nothing. Its data: `address`
 * of the listener, `protocol`, `streams`, and `bytes` of each. Posts `sent` when everything is accepted, then waits to be
 * terminated.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { createSwarm } from '../../../ts/swarm.ts'
import { pattern } from '../pair.ts'

export interface SenderData {
  readonly address: string
  readonly protocol: string
  readonly streams: number
  readonly bytes: number
}

const { address, protocol, streams, bytes } = workerData as SenderData
const swarm = await createSwarm({ ioThreads: 1, services: { ping: false, identify: false } })
const connection = await swarm.dialAddr(address)
parentPort?.postMessage('connected')
await Promise.all(
  Array.from({ length: streams }, async (_, index) => {
    const stream = await connection.newStream(protocol)
    await stream.write(pattern(bytes, index))
    await stream.closeWrite()
  })
)
parentPort?.postMessage('sent')
