// The client side of each workload.

import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  blocks,
  echoed,
  expectCount,
  expectEcho,
  framed,
  PING_BYTES,
  Received,
  readU64,
  u64,
  WARM_UP_BYTES
} from '../bulk.mjs'
import { eachOf, endPhases, phase, residentKiB, startWatch } from '../measure.mjs'
import { PURPOSE, read, send, write } from './wire.mjs'

/** Delay for the server to accept every connection. */
const IDLE_DELAY_MS = 1_000

/** Workloads by name. Each resolves to its result line, or undefined if it prints its lines itself. */
export const WORKLOADS = {
  upload: (run) => bulk(run, 1, 0),
  download: (run) => bulk(run, 0, 1),
  paced,
  ping,
  'ping-open': pingOpen,
  'rr-seq': (run) => requests(run, 1),
  'rr-32': (run) => requests(run, 32),
  'rr-100': (run) => requests(run, 100),
  msgs,
  'first-byte': firstByte,
  idle
}

async function open({ addr }, purpose) {
  const [, family, host, transport, port] = addr.split('/')
  if (!family.startsWith('ip') || transport !== 'tcp') {
    throw new Error(`expected /ip4/…/tcp/…, received ${addr}`)
  }
  const socket = connect({ host, port: Number(port), noDelay: true, allowHalfOpen: true })
  await once(socket, 'connect')
  if (purpose !== undefined) socket.write(Uint8Array.of(purpose))
  return socket
}

async function bulk(run, up, down) {
  await transfer(run, up * WARM_UP_BYTES, down * WARM_UP_BYTES)
  const watch = startWatch()
  await transfer(run, up * run.bytes, down * run.bytes)
  return watch.stopBulk(1, run.bytes)
}

async function transfer(run, up, down) {
  const socket = await open(run, PURPOSE.bulk)
  const answered = readAnswer(socket, up, down)
  await Promise.race([upload(socket, up, down), answered])
  await answered
}

async function upload(socket, up, down) {
  await write(socket, u64(down))
  await send(socket, up)
  socket.end()
}

/** Reads the answer to a transfer: the uploaded byte count, then the download. */
async function readAnswer(socket, up, down) {
  const received = new Received()
  await read(
    socket,
    8,
    (head) => expectCount(up, readU64(head)),
    (chunk) => received.take(chunk)
  )
  expectCount(down, received.bytes)
}

async function paced(run) {
  const { rate, seconds } = run
  await transfer(run, WARM_UP_BYTES, 0)
  await phase('ready')
  const bytes = Math.floor(rate * seconds)
  const watch = startWatch()
  const start = performance.now()
  const socket = await open(run, PURPOSE.bulk)
  const answered = readAnswer(socket, bytes, 0)
  await write(socket, u64(0))
  let written = 0
  for (const block of blocks(bytes)) {
    const early = start + (written / rate) * 1_000 - performance.now()
    if (early > 0) await sleep(early)
    await write(socket, block)
    written += block.length
  }
  socket.end()
  await answered
  endPhases()
  return watch.stopBulk(1, bytes)
}

/** Calls `onEcho` with each answer. */
function takeEchoes(socket, onEcho) {
  const answer = Buffer.alloc(PING_BYTES)
  let filled = 0
  socket.on('data', (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      const taken = chunk.copy(answer, filled, at)
      filled += taken
      at += taken
      if (filled < PING_BYTES) return
      filled = 0
      onEcho(answer)
    }
  })
}

/** Opens an echo connection: `echoOnce(turn)` sends, and resolves once the answer has been checked. */
async function openEcho(run) {
  const socket = await open(run, PURPOSE.ping)
  let answered
  takeEchoes(socket, (answer) => answered(answer))
  const echoOnce = async (turn) => {
    const answer = new Promise((resolve) => {
      answered = resolve
    })
    socket.write(echoed(turn))
    expectEcho(turn, await answer)
  }
  return { socket, echoOnce }
}

async function ping(run) {
  const { n } = run
  const { socket, echoOnce } = await openEcho(run)
  await echoOnce(0)
  const watch = startWatch()
  const latencies = await eachOf(n, 1, (_, turn) => echoOnce(turn))
  const line = watch.stop(n, n * PING_BYTES, latencies)
  socket.destroy()
  return line
}

/** Sends each ping when it is due, whether or not earlier ones have been answered. */
async function pingOpen(run) {
  const { n, rate } = run
  const socket = await open(run, PURPOSE.ping)
  const latencies = new Float64Array(n)
  let start = 0
  const due = (turn) => start + (turn / rate) * 1_000
  let received = -1
  let done
  const warm = new Promise((resolve) => {
    done = resolve
  })
  takeEchoes(socket, (answer) => {
    if (received >= 0) latencies[received] = performance.now() - due(received)
    expectEcho(Math.max(received, 0), answer)
    received += 1
    if (received === 0 || received === n) done()
  })
  socket.write(echoed(0))
  await warm
  const ended = new Promise((resolve) => {
    done = resolve
  })
  const watch = startWatch()
  start = performance.now()
  for (let turn = 0; turn < n; turn += 1) {
    // A timer is too coarse: its resolution is of the order of the latencies.
    while (performance.now() < due(turn)) await new Promise(setImmediate)
    socket.write(echoed(turn))
  }
  await ended
  const line = watch.stop(n, n * PING_BYTES, latencies, [50, 99, 99.9])
  socket.destroy()
  return line
}

async function requests(run, workers) {
  const request = framed(Buffer.concat([...blocks(run.bytes)]))
  const payload = request.subarray(4)
  const watch = startWatch()
  const latencies = await eachOf(run.n, workers, async () => {
    const socket = await open(run, PURPOSE.requests)
    const chunks = []
    socket.write(request)
    await read(
      socket,
      0,
      () => {},
      (chunk) => chunks.push(chunk)
    )
    socket.end()
    const answer = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
    if (Buffer.compare(answer, payload) !== 0) throw new Error('an answer differs from its request')
  })
  return watch.stop(run.n, run.n * run.bytes, latencies)
}

async function msgs(run) {
  const { n, bytes } = run
  const message = framed(new Uint8Array(bytes))
  const socket = await open(run, PURPOSE.messages)
  let count = 0
  const answered = read(
    socket,
    8,
    (head) => {
      count = readU64(head)
    },
    () => {}
  )
  const watch = startWatch()
  for (let sent = 0; sent < n; sent += 1) {
    if (!socket.write(message)) await once(socket, 'drain')
  }
  socket.end()
  await answered
  const line = watch.stop(n, n * bytes)
  expectCount(n, count)
  return line
}

async function firstByte(run) {
  const watch = startWatch()
  const latencies = await eachOf(run.n, 1, async (_, turn) => {
    const { socket, echoOnce } = await openEcho(run)
    await echoOnce(turn)
    socket.destroy()
  })
  return watch.stop(run.n, run.n * PING_BYTES, latencies)
}

async function idle(run) {
  const sockets = []
  await idlePhase('base')
  await eachOf(run.n, run.concurrency, async () => {
    sockets.push(await open(run))
  })
  await idlePhase('full')
  for (const socket of sockets) socket.destroy()
  await idlePhase('gone')
  endPhases()
}

async function idlePhase(name) {
  await sleep(IDLE_DELAY_MS)
  await phase(name, { rss_kb: residentKiB() })
}
