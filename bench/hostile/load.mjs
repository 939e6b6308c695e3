// A legitimate peer in its own process: its argument is the port of a node. Takes `{ kind, ms }` over IPC; makes
// requests or transfers for as long, and answers with the number of requests or of bytes that were echoed.

import { ECHO_PROTOCOL } from '../../__test__/support/stand.ts'
import { createSwarm } from '../../ts/swarm.ts'

const CONCURRENCY = 8
const REQUEST = new Uint8Array(1_024).fill(7)
const BLOCK = new Uint8Array(64 * 1_024).fill(7)
/** Bytes on their way: fits in the first window of both directions. */
const AHEAD = 3

const swarm = await createSwarm({ services: { ping: false, identify: false }, ioThreads: 1 })
const connection = await swarm.dialAddr(`/ip4/127.0.0.1/tcp/${process.argv[2]}`)
const WORK = { requests, bytes }
process.on('message', async ({ kind, ms }) => process.send({ count: await WORK[kind](ms) }))
process.once('disconnect', () => process.exit())
process.send('connected')

async function requests(ms) {
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
  return count
}

async function bytes(ms) {
  const stream = await connection.newStream(ECHO_PROTOCOL)
  const started = performance.now()
  for (let ahead = 0; ahead < AHEAD; ahead += 1) await stream.write(BLOCK)
  let received = 0
  while (performance.now() - started < ms) {
    await stream.write(BLOCK)
    const end = received + BLOCK.length
    while (received < end) received += (await stream.read(end - received)).length
  }
  await stream.reset(0)
  return received
}
