// The client's side of each workload; see interop/contract.md for what happens and what is timed.

import { createCipheriv, createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  identify as identifyPeer,
  perf,
  StreamEOFError,
  StreamResetError
} from '../../../dist/index.js'
import { eachOf, printLine, residentKiB, startWatch } from './measure.mjs'
import { PROTOCOLS } from './server.mjs'

const PING_PROTOCOL = '/ipfs/ping/1.0.0'
const PING_BYTES = 32
const BLOCK_BYTES = 64 * 1024
const WARM_UP_BYTES = 32 * 1024 * 1024
/** The first window: the echo never waits for a client that does not read yet. */
const HALF_CLOSE_BYTES_MAX = 256 * 1024
/** Time for identify to end at both sides before memory is read. */
const IDLE_SETTLE_MS = 1_000

/** By name; what one gives back is its line, undefined if it printed its lines itself. */
export const WORKLOADS = {
  upload: (run) => transfer(run, 'uploadBytes'),
  download: (run) => transfer(run, 'downloadBytes'),
  ping,
  'rr-seq': (run) => requests(run, 1),
  'rr-32': (run) => requests(run, 32),
  'rr-100': (run) => requests(run, 100),
  msgs,
  lp,
  'handshake-seq': (run) => handshakes(run, 1),
  'handshake-16': (run) => handshakes(run, 16),
  idle,
  echo,
  identify,
  'half-close': halfClose,
  reset
}

async function transfer({ connect, bytes }, direction) {
  const connection = await connect()
  await perf(connection, { [direction]: WARM_UP_BYTES })
  const watch = startWatch()
  await perf(connection, { [direction]: bytes })
  return watch.stopBulk(1, bytes)
}

async function ping({ connect, n }) {
  const connection = await connect()
  const stream = await connection.newStream(PING_PROTOCOL)
  const random = pattern(0)
  const received = new Uint8Array(PING_BYTES)
  const once = async () => {
    const sent = random(PING_BYTES)
    await stream.write(sent)
    await readFully(stream, received)
    if (Buffer.compare(sent, received) !== 0) throw new Error('a ping answer differs')
  }
  // The protocol is negotiated with the first write.
  await once()
  const watch = startWatch()
  const latencies = await eachOf(n, 1, once)
  const line = watch.stop(n, n * PING_BYTES, latencies)
  await stream.close()
  return line
}

async function requests({ connect, n, bytes }, workers) {
  const connection = await connect()
  const request = framed(pattern(0)(bytes))
  const payload = request.subarray(4)
  const watch = startWatch()
  const latencies = await eachOf(n, workers, async () => {
    const stream = await connection.newStream(PROTOCOLS.rr)
    await stream.write(request)
    await stream.closeWrite()
    const answer = await stream.read(undefined, { maxBytes: bytes })
    if (Buffer.compare(answer, payload) !== 0) throw new Error('an answer differs from its request')
  })
  return watch.stop(n, n * bytes, latencies)
}

async function msgs({ connect, n, bytes }) {
  const connection = await connect()
  const message = framed(new Uint8Array(bytes))
  const stream = await connection.newStream(PROTOCOLS.msgs)
  let resume
  stream.addEventListener('drain', () => resume?.())
  const watch = startWatch()
  for (let sent = 0; sent < n; sent += 1) {
    if (stream.send(message)) continue
    await new Promise((resolve) => {
      resume = resolve
    })
  }
  await stream.closeWrite()
  const answer = new Uint8Array(8)
  await readFully(stream, answer)
  const line = watch.stop(n, n * bytes)
  const count = Number(new DataView(answer.buffer).getBigUint64(0))
  if (count !== n) throw new Error(`the server counted ${count} messages, expected ${n}`)
  await stream.close()
  return line
}

async function lp({ connect, n, bytes }) {
  const connection = await connect()
  const message = new Uint8Array(bytes)
  const stream = await connection.newStream(PROTOCOLS.lp)
  const messages = stream.messages()
  const head = new Uint8Array(8)
  new DataView(head.buffer).setBigUint64(0, BigInt(n))
  await messages.writeMsg(head)
  let resume
  stream.addEventListener('drain', () => resume?.())
  const watch = startWatch()
  for (let sent = 0; sent < n; sent += 1) {
    if (messages.sendMessage(message)) continue
    await new Promise((resolve) => {
      resume = resolve
    })
  }
  const answer = await messages.readMsg()
  const line = watch.stop(n, n * bytes)
  const count = Number(new DataView(answer.buffer, answer.byteOffset).getBigUint64(0))
  if (count !== n) throw new Error(`the server counted ${count} messages, expected ${n}`)
  await stream.close()
  return line
}

async function handshakes({ swarm, connect, n }, workers) {
  const swarms = await Promise.all(Array.from({ length: workers }, swarm))
  const watch = startWatch()
  const latencies = await eachOf(n, workers, async (worker) => {
    const connection = await connect(swarms[worker])
    await connection.close()
  })
  return watch.stop(n, 0, latencies)
}

async function idle({ swarm, connect, n, concurrency }) {
  const swarms = await Promise.all(Array.from({ length: n }, swarm))
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const phase = async (name) => {
    await sleep(IDLE_SETTLE_MS)
    printLine({ phase: name, rss_kb: residentKiB() })
    await lines.next()
  }
  await phase('base')
  await eachOf(n, concurrency, (_, index) => connect(swarms[index]))
  await phase('full')
  process.stdin.destroy()
}

async function echo({ connect, bytes, concurrency }) {
  const connection = await connect()
  const watch = startWatch()
  await Promise.all(
    Array.from({ length: concurrency }, (_, seed) => echoOne(connection, seed, bytes))
  )
  return watch.stopBulk(concurrency, concurrency * bytes)
}

async function echoOne(connection, seed, bytes) {
  const stream = await connection.newStream(PROTOCOLS.echo)
  const sentHash = createHash('sha256')
  const receivedHash = createHash('sha256')
  const send = async () => {
    const random = pattern(seed)
    for (let left = bytes; left > 0; ) {
      const block = random(Math.min(left, BLOCK_BYTES))
      sentHash.update(block)
      await stream.write(block)
      left -= block.length
    }
    await stream.closeWrite()
  }
  const receive = async () => {
    let received = 0
    for await (const chunk of stream) {
      receivedHash.update(chunk)
      received += chunk.length
    }
    return received
  }
  const [received] = await Promise.all([receive(), send()])
  if (received !== bytes || sentHash.digest('hex') !== receivedHash.digest('hex')) {
    throw new Error(`the echo of ${bytes} bytes differs: ${received} bytes came back`)
  }
}

async function halfClose({ connect, bytes }) {
  if (bytes > HALF_CLOSE_BYTES_MAX) {
    throw new Error(`half-close of ${bytes} bytes exceeds the limit of ${HALF_CLOSE_BYTES_MAX}`)
  }
  const connection = await connect()
  const stream = await connection.newStream(PROTOCOLS.echo)
  const sent = pattern(0)(bytes)
  await stream.write(sent)
  await stream.closeWrite()
  const received = await stream.read(undefined, { maxBytes: HALF_CLOSE_BYTES_MAX })
  if (Buffer.compare(sent, received) !== 0) {
    throw new Error(`the echo of ${bytes} bytes differs: ${received.length} bytes came back`)
  }
  return { ops: 1, bytes }
}

async function reset({ connect }) {
  const connection = await connect()
  const stream = await connection.newStream(PROTOCOLS.reset)
  await stream.write(Uint8Array.of(1))
  try {
    await stream.read(1)
  } catch (err) {
    if (err instanceof StreamResetError) return { ops: 1, errorCode: err.errorCode }
    throw new Error('expected a reset, the stream gave another error', { cause: err })
  }
  throw new Error('expected a reset, the stream gave a byte')
}

async function identify({ connect }) {
  const peer = await identifyPeer(await connect())
  return {
    agentVersion: peer.agentVersion,
    protocolVersion: peer.protocolVersion,
    protocols: peer.protocols,
    listenAddrs: peer.listenAddrs.map(String),
    observedAddr: String(peer.observedAddr)
  }
}

async function readFully(stream, into) {
  for (let filled = 0; filled < into.length; ) {
    try {
      filled += await stream.readInto(filled === 0 ? into : into.subarray(filled))
    } catch (err) {
      if (!(err instanceof StreamEOFError)) throw err
      throw new Error(`the stream ended after ${filled} of ${into.length} bytes`, { cause: err })
    }
  }
}

/** A u32 length and the payload, in one piece. */
function framed(payload) {
  const message = new Uint8Array(4 + payload.length)
  new DataView(message.buffer).setUint32(0, payload.length)
  message.set(payload, 4)
  return message
}

/** A source of pseudo-random bytes, the same for the same seed. */
function pattern(seed) {
  const key = Buffer.alloc(32)
  key.writeUInt32BE(seed)
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  return (size) => cipher.update(Buffer.alloc(size))
}
