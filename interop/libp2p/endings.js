/**
 * 10,000 streams that end at random, and 10,000 dials, between two nodes in this process; prints what is left of them as
 * a line of JSON, and ends by itself once both nodes are stopped. Needs `--expose-gc`.
 *
 *     node --expose-gc endings.js [seed] [count]
 */
import { setImmediate as turn } from 'node:timers/promises'
import { eventually, startNode, stopNodes } from './nodes.js'
import { readAll, sendAll } from './streams.js'

const [seed = `${Date.now() % 1_000_000}`, count = '10000'] = process.argv.slice(2)
const AT_ONCE = 20
const UNLIMITED = { maxInboundStreams: 1_000, maxOutboundStreams: 1_000 }

const failures = []
process.on('unhandledRejection', (reason) => failures.push(`unhandled: ${reason}`))
process.on('uncaughtException', (err) => failures.push(`uncaught: ${err}`))

let state = Number(seed) || 1
/** A whole number below `max`. */
function random(max) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * max)
}

const BYTES = new Uint8Array(300_000)

/** The ways in which either end may end a stream. */
const ENDINGS = {
  orderly: (stream) =>
    Promise.all([sendAll(stream, BYTES.subarray(0, random(2_000))), readAll(stream)]),
  large: (stream) => Promise.all([sendAll(stream, BYTES), readAll(stream)]),
  close: (stream) => stream.close(),
  abort: (stream) => stream.abort(new Error('at once')),
  sendAndAbort: async (stream) => {
    stream.send(BYTES.subarray(0, random(100_000)))
    await turn()
    stream.abort(new Error('after data'))
  },
  readNothing: async (stream) => {
    await stream.closeRead()
    await stream.close()
  },
  pause: async (stream) => {
    stream.pause()
    await turn()
    if (stream.readStatus === 'paused') stream.resume()
    await Promise.all([stream.close(), readAll(stream)])
  },
  closeAndAbort: async (stream) => {
    void stream.close().catch(() => {})
    stream.abort(new Error('while it closes'))
  }
}
const NAMES = Object.keys(ENDINGS)

async function end(stream) {
  const name = NAMES[random(NAMES.length)]
  try {
    await ENDINGS[name](stream)
  } catch {
    // The other end was faster.
  }
  // What is left open is ended, so that every stream ends.
  if (stream.status === 'open') await finish(stream)
}

async function finish(stream) {
  try {
    await stream.close()
    stream.addEventListener('message', () => {})
  } catch {
    // It has ended meanwhile.
  }
}

const limits = { inboundConnectionThreshold: 1e6, maxIncomingPendingConnections: 1e6 }
const listener = await startNode('ours', { connectionManager: limits })
const dialer = await startNode('ours', { addresses: { listen: [] } })
await listener.handle('/end', end, UNLIMITED)
const [address] = listener.getMultiaddrs()

async function streams(many) {
  const connection = await dialer.dial(address)
  let left = many
  const worker = async () => {
    while (left > 0) {
      left -= 1
      const stream = await connection.newStream('/end', UNLIMITED).catch((err) => {
        failures.push(`newStream: ${err}`)
      })
      if (stream !== undefined) await end(stream)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  const [remote] = listener.getConnections()
  await eventually(
    () => connection.streams.length + remote.streams.length === 0,
    'the end of every stream'
  ).catch((err) => failures.push(`${err}: ${connection.streams.length}, ${remote.streams.length}`))
  await connection.close()
}

async function dials(many) {
  for (let done = 0; done < many; done += 1) {
    const connection = await dialer.dial(address)
    if (random(4) === 0) connection.abort(new Error('at once'))
    else await connection.close()
  }
  await eventually(() => listener.getConnections().length === 0, 'the end of every connection')
}

async function heap() {
  for (let round = 0; round < 5; round += 1) {
    await turn()
    globalThis.gc()
  }
  return process.memoryUsage().heapUsed
}

const warmUp = Math.ceil(Number(count) / 5)
await streams(warmUp)
await dials(warmUp)
const before = await heap()
await streams(Number(count))
const between = await heap()
await dials(Number(count))
const after = await heap()
await stopNodes()
console.log(
  JSON.stringify({
    seed: Number(seed),
    failures: [...new Set(failures)],
    bytesPerStream: Math.round((between - before) / Number(count)),
    bytesPerDial: Math.round((after - between) / Number(count))
  })
)
