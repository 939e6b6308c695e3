// The client side of each workload. See interop/contract.md for the operations and the timed part.

import { setTimeout as sleep } from 'node:timers/promises'
import {
  blocks,
  echoed,
  expectCount,
  expectEcho,
  framed,
  PING_BYTES,
  readU64,
  u64,
  WARM_UP_BYTES
} from '../bulk.mjs'
import { eachOf, endPhases, phase, residentKiB, startWatch } from '../measure.mjs'
import { CORRECTNESS } from './correctness.mjs'
import { MICRO } from './micro.mjs'
import { PROTOCOLS } from './server.mjs'
import { readFully, receive, send } from './transfer.mjs'

const PING_PROTOCOL = '/ipfs/ping/1.0.0'
/** Delay for both sides to complete identify before memory is measured. */
const IDLE_DELAY_MS = 1_000

/** Workloads by name. Each resolves to its result line, or undefined if it prints its lines itself. */
export const WORKLOADS = {
  ...CORRECTNESS,
  ...MICRO,
  upload: (run) => bulk(run, 1, upload),
  download: (run) => bulk(run, 1, download),
  'upload-32': (run) => bulk(run, 32, upload),
  'download-32': (run) => bulk(run, 32, download),
  paced,
  ping,
  'ping-open': pingOpen,
  'rr-seq': (run) => requests(run, 1),
  'rr-32': (run) => requests(run, 32),
  'rr-100': (run) => requests(run, 100),
  msgs,
  lp,
  'handshake-seq': (run) => handshakes(run, 1),
  'handshake-16': (run) => handshakes(run, 16),
  'first-byte': firstByte,
  idle
}

/** Transfers `bytes` in total over concurrent streams. */
async function bulk({ connect, counters, bytes }, streams, transfer) {
  const connection = await connect()
  const transfers = (all) =>
    Promise.all(
      Array.from({ length: streams }, () => transfer(connection, Math.floor(all / streams)))
    )
  await transfers(WARM_UP_BYTES)
  const watch = startWatch(counters)
  await transfers(bytes)
  return watch.stopBulk(streams, Math.floor(bytes / streams) * streams)
}

async function upload(connection, bytes) {
  const stream = await connection.newStream(PROTOCOLS.bulk)
  await stream.write(u64(0))
  await send(stream, bytes)
  await endTransfer(stream, bytes, 0)
}

async function download(connection, bytes) {
  const stream = await connection.newStream(PROTOCOLS.bulk)
  await stream.write(u64(bytes))
  await endTransfer(stream, 0, bytes)
}

/** Ends the write half and reads the answer: the uploaded byte count, then the download. */
async function endTransfer(stream, up, down) {
  await stream.closeWrite()
  expectCount(up, readU64(await readFully(stream, new Uint8Array(8))))
  expectCount(down, await receive(stream))
  await stream.close()
}

async function paced({ connect, counters, rate, seconds }) {
  const connection = await connect()
  await upload(connection, WARM_UP_BYTES)
  await phase('ready')
  const bytes = Math.floor(rate * seconds)
  const watch = startWatch(counters)
  const start = performance.now()
  const stream = await connection.newStream(PROTOCOLS.bulk)
  await stream.write(u64(0))
  let written = 0
  for (const block of blocks(bytes)) {
    const early = start + (written / rate) * 1_000 - performance.now()
    if (early > 0) await sleep(early)
    await stream.write(block)
    written += block.length
  }
  await endTransfer(stream, bytes, 0)
  endPhases()
  return watch.stopBulk(1, bytes)
}

async function ping({ connect, counters, n }) {
  const connection = await connect()
  const stream = await connection.newStream(PING_PROTOCOL)
  const answer = new Uint8Array(PING_BYTES)
  // The protocol is negotiated with the first write.
  await echoOnce(stream, 0, answer)
  const watch = startWatch(counters)
  const latencies = await eachOf(n, 1, (_, turn) => echoOnce(stream, turn, answer))
  const line = watch.stop(n, n * PING_BYTES, latencies)
  await stream.close()
  return line
}

async function echoOnce(stream, turn, answer) {
  await stream.write(echoed(turn))
  expectEcho(turn, await readFully(stream, answer))
}

/** Sends each ping when it is due, whether or not earlier ones have been answered. */
async function pingOpen({ connect, counters, n, rate }) {
  const connection = await connect()
  const stream = await connection.newStream(PING_PROTOCOL)
  const answer = new Uint8Array(PING_BYTES)
  await echoOnce(stream, 0, answer)
  const watch = startWatch(counters)
  const start = performance.now()
  const due = (turn) => start + (turn / rate) * 1_000
  const sendAll = async () => {
    for (let turn = 0; turn < n; turn += 1) {
      // A timer is too coarse: its resolution is of the order of the latencies.
      while (performance.now() < due(turn)) await new Promise(setImmediate)
      await stream.write(echoed(turn))
    }
  }
  const latencies = new Float64Array(n)
  const receiveAll = async () => {
    for (let turn = 0; turn < n; turn += 1) {
      await readFully(stream, answer)
      latencies[turn] = performance.now() - due(turn)
      expectEcho(turn, answer)
    }
  }
  await Promise.all([sendAll(), receiveAll()])
  const line = watch.stop(n, n * PING_BYTES, latencies, [50, 99, 99.9])
  await stream.close()
  return line
}

async function requests({ connect, counters, n, bytes }, workers) {
  const connection = await connect()
  const request = framed(Buffer.concat([...blocks(bytes)]))
  const payload = request.subarray(4)
  const watch = startWatch(counters)
  const latencies = await eachOf(n, workers, async () => {
    const stream = await connection.newStream(PROTOCOLS.rr)
    await stream.write(request)
    await stream.closeWrite()
    const answer = await stream.read({ maxBytes: bytes })
    if (Buffer.compare(answer, payload) !== 0) throw new Error('an answer differs from its request')
  })
  return watch.stop(n, n * bytes, latencies)
}

async function msgs({ connect, counters, n, bytes }) {
  const connection = await connect()
  const message = framed(new Uint8Array(bytes))
  const stream = await connection.newStream(PROTOCOLS.msgs)
  let resume
  stream.addEventListener('drain', () => resume?.())
  const watch = startWatch(counters)
  for (let sent = 0; sent < n; sent += 1) {
    if (stream.send(message)) continue
    await new Promise((resolve) => {
      resume = resolve
    })
  }
  await stream.closeWrite()
  const count = readU64(await readFully(stream, new Uint8Array(8)))
  const line = watch.stop(n, n * bytes)
  if (count !== n) throw new Error(`the server counted ${count} messages, expected ${n}`)
  await stream.close()
  return line
}

async function lp({ connect, counters, n, bytes }) {
  const connection = await connect()
  const message = new Uint8Array(bytes)
  const stream = await connection.newStream(PROTOCOLS.lp)
  const messages = stream.messages()
  await messages.writeMsg(u64(n))
  let resume
  stream.addEventListener('drain', () => resume?.())
  const watch = startWatch(counters)
  for (let sent = 0; sent < n; sent += 1) {
    if (messages.sendMessage(message)) continue
    await new Promise((resolve) => {
      resume = resolve
    })
  }
  const answer = await messages.readMsg()
  const line = watch.stop(n, n * bytes)
  const count = readU64(answer)
  if (count !== n) throw new Error(`the server counted ${count} messages, expected ${n}`)
  await stream.close()
  return line
}

async function handshakes({ swarm, connect, counters, n }, workers) {
  const swarms = await Promise.all(Array.from({ length: workers }, swarm))
  const watch = startWatch(counters)
  const latencies = await eachOf(n, workers, async (worker) => {
    const connection = await connect(swarms[worker])
    await connection.close()
  })
  return watch.stop(n, 0, latencies)
}

async function firstByte({ swarm, connect, counters, n }) {
  const node = await swarm()
  const answer = new Uint8Array(PING_BYTES)
  const watch = startWatch(counters)
  const latencies = await eachOf(n, 1, async (_, turn) => {
    const connection = await connect(node)
    await echoOnce(await connection.newStream(PING_PROTOCOL), turn, answer)
    await connection.close()
  })
  return watch.stop(n, n * PING_BYTES, latencies)
}

async function idle({ swarm, connect, n, concurrency }) {
  const swarms = await Promise.all(Array.from({ length: n }, swarm))
  const connections = []
  await idlePhase('base')
  await eachOf(n, concurrency, async (_, index) => {
    connections.push(await connect(swarms[index]))
  })
  await idlePhase('full')
  await eachOf(n, concurrency, (_, index) => connections[index].close())
  await idlePhase('gone')
  endPhases()
}

async function idlePhase(name) {
  await sleep(IDLE_DELAY_MS)
  await phase(name, { rss_kb: residentKiB() })
}
