/** One end of many short streams, in its own worker so that the counters cover this end alone. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Connection } from '../../../ts/connection.ts'
import { identify } from '../../../ts/protocols/identify.ts'
import { createSwarm } from '../../../ts/swarm.ts'
import { countsSince, type EndMessage } from '../counts.ts'

export interface StreamsOptions {
  readonly streams: number
  readonly atOnce: number
  /** Per stream, in each direction. */
  readonly bytes: number
  /** The listener's address; absent in the listener. */
  readonly to?: string
}

const PROTOCOL = '/ferroswarm/test/streams/1.0.0'
const { streams, atOnce, bytes, to } = workerData as StreamsOptions
const message = new Uint8Array(bytes).fill(7)

const swarm = await createSwarm({ ioThreads: 1, services: { ping: false } })
if (to === undefined) await listen()
else await dial(to)

/** Answers each stream until the dialer disconnects. */
async function listen(): Promise<void> {
  let before = swarm.counters()
  let received = 0
  swarm.handle(PROTOCOL, async (stream) => {
    const { length } = await stream.read()
    received += length
    await stream.write(message)
    await stream.close()
  })
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  swarm.notify({
    connected: () => {
      before = swarm.counters()
    },
    disconnected: () => resolve()
  })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  post({ address: `${swarm.getListenAddrs()[0]}` })
  await ended
  post({ bytes: received, counts: countsSince(swarm, before) })
  await swarm.close()
}

async function dial(address: string): Promise<void> {
  const connection = await swarm.dialAddr(address)
  // Identify reveals that the listener accepts a FIN before its answer.
  await identify(connection)
  const before = swarm.counters()
  let left = streams
  let received = 0
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const length = await request(connection)
      received += length
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  post({ bytes: received, counts: countsSince(swarm, before) })
  await swarm.close()
}

async function request(connection: Connection): Promise<number> {
  const stream = await connection.newStream(PROTOCOL)
  await stream.write(message)
  await stream.closeWrite()
  return (await stream.read()).length
}

function post(message: EndMessage): void {
  parentPort?.postMessage(message)
}
