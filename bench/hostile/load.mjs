// A legitimate peer in its own process: its argument is the port of a node. Answers each message, a number of
// milliseconds, with the requests per second and then the bytes per second of its echoes, each over half of that time.

import { ECHO_PROTOCOL } from '../../__test__/support/stand.ts'
import { createSwarm } from '../../ts/swarm.ts'

const CONCURRENCY = 8
const REQUEST = new Uint8Array(1_024).fill(7)
const BLOCK = new Uint8Array(64 * 1_024).fill(7)
/** Bytes on their way: fits in the first window of both directions. */
const AHEAD = 3

const swarm = await createSwarm({ services: { ping: false, identify: false }, ioThreads: 1 })
const connection = await swarm.dialAddr(`/ip4/127.0.0.1/tcp/${process.argv[2]}`)
process.on('message', async (ms) => {
  const requests = await requestsPerSecond(ms / 2)
  process.send({ requests, bytes: await bytesPerSecond(ms / 2) })
})
process.once('disconnect', () => process.exit())
process.send('connected')

async function requestsPerSecond(ms) {
  const started = performance.now()
  let count = 0
  const work = async () => {
    while (performance.now() - started < ms) {
      const stream = await connection.newStream(ECHO_PROTOCOL)
      await stream.write(REQUEST)
      await stream.closeWrite()
      const { length } = await stream.read()
      if (length !== REQUEST.length) throw new Error(`${length} bytes came back`)
      count += 1
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
  return (count * 1_000) / (performance.now() - started)
}

async function bytesPerSecond(ms) {
  const stream = await connection.newStream(ECHO_PROTOCOL)
  const started = performance.now()
  for (let ahead = 0; ahead < AHEAD; ahead += 1) await stream.write(BLOCK)
  let received = 0
  while (performance.now() - started < ms) {
    await stream.write(BLOCK)
    const end = received + BLOCK.length
    while (received < end) received += (await stream.read(end - received)).length
  }
  const perSecond = (received * 1_000) / (performance.now() - started)
  await stream.reset(0)
  return perSecond
}
