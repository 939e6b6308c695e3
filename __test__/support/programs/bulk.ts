/** One end of a bulk transfer, in its own worker so that the counters cover this end alone. */
import { parentPort, workerData } from 'node:worker_threads'
import { createSwarm } from '../../../ts/swarm.ts'
import { countsSince, type EndMessage } from '../counts.ts'

export interface BulkOptions {
  readonly bytes: number
  readonly writeBytes: number
  readonly readBytes: number
  /** The reader's address; absent in the reader. */
  readonly to?: string
}

const PROTOCOL = '/ferroswarm/test/bulk/1.0.0'
const options = workerData as BulkOptions

const swarm = await createSwarm({ ioThreads: 1, services: { ping: false, identify: false } })
if (options.to === undefined) await read()
else await write(options.to)

async function read(): Promise<void> {
  const { promise: done, resolve } = Promise.withResolvers<void>()
  swarm.handle(PROTOCOL, async (stream) => {
    const before = swarm.counters()
    const into = new Uint8Array(options.readBytes)
    let bytes = 0
    while (bytes < options.bytes) bytes += await stream.readInto(into)
    post({ bytes, counts: countsSince(swarm, before) })
    await stream.close()
    resolve()
  })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  post({ address: `${swarm.getListenAddrs()[0]}` })
  await done
  await swarm.close()
}

async function write(to: string): Promise<void> {
  const connection = await swarm.dialAddr(to)
  const stream = await connection.newStream(PROTOCOL)
  const chunk = new Uint8Array(options.writeBytes).fill(7)
  const before = swarm.counters()
  let bytes = 0
  for (; bytes < options.bytes; bytes += chunk.length) await stream.write(chunk)
  await stream.closeWrite()
  // The reader ends its half once it has everything.
  await stream.read()
  post({ bytes, counts: countsSince(swarm, before) })
  await swarm.close()
}

function post(message: EndMessage): void {
  parentPort?.postMessage(message)
}
