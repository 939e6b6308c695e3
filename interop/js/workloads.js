import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { printLine, residentKiB, Stopwatch } from './measure.js'
import { createNode, UNLIMITED } from './node.js'
import { BLOCK_BYTES, ECHO, LP, MESSAGES, PERF, PING, REQUEST, RESET } from './protocols.js'
import { frame, readAll, readToEnd, readU64, u64, write, writeZeros } from './streams.js'

const WARM_UP_BYTES = 32 * 1024 * 1024
const PING_BYTES = 32
/** The initial yamux window: the echo never waits for a client that does not read yet. */
const HALF_CLOSE_BYTES_MAX = 256 * 1024
/** Gives identify time to end at both sides before memory is read. */
const IDLE_SETTLE_MS = 1_000
const CONNECT_TIMEOUT_MS = 30_000

/** Each resolves to its line, or to nothing if it printed its lines itself. */
const WORKLOADS = {
  upload: (options) => perf(options, options.bytes, 0),
  download: (options) => perf(options, 0, options.bytes),
  ping: pingOpenStream,
  'rr-seq': (options) => requests(options, 1),
  'rr-32': (options) => requests(options, 32),
  'rr-100': (options) => requests(options, 100),
  msgs: messages,
  lp: lengthPrefixed,
  'handshake-seq': (options) => handshakes(options, 1),
  'handshake-16': (options) => handshakes(options, 16),
  idle,
  echo,
  'half-close': halfClose,
  reset,
  identify
}

export async function runWorkload(options) {
  const workload = Object.hasOwn(WORKLOADS, options.workload)
    ? WORKLOADS[options.workload]
    : undefined
  if (workload === undefined) {
    throw new Error(`unknown workload ${options.workload}`)
  }
  const line = await workload({ ...options, addr: multiaddr(options.addr) })
  if (line !== undefined) {
    printLine(line)
  }
}

async function perf(options, uploadBytes, downloadBytes) {
  const connection = await connect(options)
  await transfer(
    connection,
    Math.min(uploadBytes, 1) * WARM_UP_BYTES,
    Math.min(downloadBytes, 1) * WARM_UP_BYTES
  )
  const watch = new Stopwatch()
  await transfer(connection, uploadBytes, downloadBytes)
  return watch.stopBulk(1, uploadBytes + downloadBytes)
}

async function transfer(connection, uploadBytes, downloadBytes) {
  const stream = await open(connection, PERF)
  let receivedBytes = 0
  const ended = readToEnd(stream, (chunk) => {
    receivedBytes += chunk.byteLength
  })
  ended.catch(() => {}) // Awaited below; a reset meanwhile must not count as unhandled.
  await write(stream, u64(downloadBytes))
  await writeZeros(stream, uploadBytes)
  await stream.close()
  await ended
  if (receivedBytes !== downloadBytes) {
    throw new Error(`${receivedBytes} bytes came back, expected ${downloadBytes}`)
  }
}

async function pingOpenStream(options) {
  const stream = await open(await connect(options), PING)
  const random = new Random(0)
  const received = new Uint8Array(PING_BYTES)
  let receivedBytes = 0
  let answered
  readToEnd(stream, (chunk) => {
    received.set(chunk.subarray(), receivedBytes)
    receivedBytes += chunk.byteLength
    if (receivedBytes === PING_BYTES) {
      receivedBytes = 0
      answered.resolve()
    }
  }).then(
    () => answered.reject(new Error('stream ended')),
    (error) => answered.reject(error)
  )

  const once = async () => {
    const sent = random.bytes(PING_BYTES)
    answered = Promise.withResolvers()
    stream.send(sent)
    await answered.promise
    if (Buffer.compare(sent, received) !== 0) {
      throw new Error('ping answer differs from what was sent')
    }
  }
  await once()
  const watch = new Stopwatch()
  const latencies = await eachOf(options.n, 1, once)
  return watch.stop(options.n, options.n * PING_BYTES, latencies)
}

async function requests(options, concurrency) {
  const connection = await connect(options)
  const request = frame(new Random(0).bytes(options.bytes))
  const watch = new Stopwatch()
  const latencies = await eachOf(options.n, concurrency, async () => {
    const stream = await open(connection, REQUEST)
    const answer = readAll(stream)
    answer.catch(() => {})
    await write(stream, request)
    await stream.close()
    if (Buffer.compare(await answer, request.subarray(4)) !== 0) {
      throw new Error('answer differs from the request')
    }
  })
  return watch.stop(options.n, options.n * options.bytes, latencies)
}

async function messages(options) {
  const stream = await open(await connect(options), MESSAGES)
  const message = frame(new Uint8Array(options.bytes))
  const answer = readAll(stream)
  answer.catch(() => {})
  const watch = new Stopwatch()
  for (let i = 0; i < options.n; i++) {
    await write(stream, message)
  }
  await stream.close()
  const counted = readU64(await answer)
  const line = watch.stop(options.n, options.n * options.bytes)
  if (counted !== options.n) {
    throw new Error(`server counted ${counted} messages, expected ${options.n}`)
  }
  return line
}

/** The same through js-libp2p's own reader and writer of messages, at both ends. */
async function lengthPrefixed(options) {
  const messages = lpStream(await open(await connect(options), LP))
  const message = new Uint8Array(options.bytes)
  await messages.write(u64(options.n))
  const watch = new Stopwatch()
  for (let i = 0; i < options.n; i++) {
    await messages.write(message)
  }
  const counted = readU64((await messages.read()).subarray())
  const line = watch.stop(options.n, options.n * options.bytes)
  if (counted !== options.n) {
    throw new Error(`server counted ${counted} messages, expected ${options.n}`)
  }
  return line
}

/** A node for each dial at once: the dial queue joins parallel dials to one peer. */
async function handshakes(options, concurrency) {
  const nodes = await createNodes(options, concurrency)
  const watch = new Stopwatch()
  const latencies = await eachOf(options.n, concurrency, async (worker) => {
    const connection = await dial(nodes[worker], options)
    await connection.close()
  })
  return watch.stop(options.n, 0, latencies)
}

async function idle(options) {
  const nodes = await createNodes(options, options.n)
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const phase = async (name) => {
    await sleep(IDLE_SETTLE_MS)
    printLine({ phase: name, rss_kb: residentKiB() })
    await lines.next()
  }
  await phase('base')
  let next = 0
  await eachOf(options.n, options.concurrency, () => dial(nodes[next++], options))
  await phase('full')
}

async function echo(options) {
  const connection = await connect(options)
  const watch = new Stopwatch()
  const streams = Array.from({ length: options.concurrency }, (_, seed) =>
    echoOne(connection, seed, options.bytes)
  )
  await Promise.all(streams)
  return watch.stopBulk(options.concurrency, options.concurrency * options.bytes)
}

async function echoOne(connection, seed, bytes) {
  const stream = await open(connection, ECHO)
  const sentHash = createHash('sha256')
  const receivedHash = createHash('sha256')
  let receivedBytes = 0
  const ended = readToEnd(stream, (chunk) => {
    receivedBytes += chunk.byteLength
    receivedHash.update(chunk.subarray())
  })
  ended.catch(() => {})
  await writePattern(stream, seed, bytes, (block) => sentHash.update(block))
  await stream.close()
  await ended
  if (receivedBytes !== bytes || !sentHash.digest().equals(receivedHash.digest())) {
    throw new Error(`echo of ${bytes} bytes differs: ${receivedBytes} bytes came back`)
  }
}

async function halfClose(options) {
  if (options.bytes > HALF_CLOSE_BYTES_MAX) {
    throw new RangeError(
      `half-close of ${options.bytes} bytes exceeds the limit of ${HALF_CLOSE_BYTES_MAX}`
    )
  }
  const stream = await open(await connect(options), ECHO)
  const sent = []
  await writePattern(stream, 0, options.bytes, (block) => sent.push(block))
  await stream.close()
  const received = await readAll(stream)
  if (!received.equals(Buffer.concat(sent))) {
    throw new Error(
      `echo of ${options.bytes} bytes differs: ${received.byteLength} bytes came back`
    )
  }
  return { ops: 1, bytes: options.bytes }
}

async function reset(options) {
  const stream = await open(await connect(options), RESET)
  const ended = readToEnd(stream, () => {})
  stream.send(Uint8Array.of(1))
  try {
    await ended
  } catch (error) {
    if (error.name === 'StreamResetError' && stream.status === 'reset') {
      return { ops: 1, errorCode: null }
    }
    throw error
  }
  throw new Error('expected a reset, the stream ended')
}

async function identify(options) {
  const [node] = await createNodes(options, 1)
  const identified = Promise.withResolvers()
  node.addEventListener('peer:identify', (event) => identified.resolve(event.detail), {
    once: true
  })
  await dial(node, options)
  const expired = AbortSignal.timeout(CONNECT_TIMEOUT_MS)
  expired.addEventListener('abort', () => identified.reject(new Error('identify did not complete')))
  const remote = await identified.promise
  return {
    agentVersion: remote.agentVersion,
    protocolVersion: remote.protocolVersion,
    protocols: remote.protocols,
    listenAddrs: remote.listenAddrs.map(String),
    observedAddr: remote.observedAddr === undefined ? null : String(remote.observedAddr)
  }
}

async function connect(options) {
  const [node] = await createNodes(options, 1)
  return await dial(node, options)
}

async function createNodes(options, count) {
  const nodes = []
  for (let i = 0; i < count; i++) {
    nodes.push(await createNode(options.stack))
  }
  return nodes
}

async function dial(node, options) {
  return await node.dial(options.addr, {
    force: true,
    signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS)
  })
}

async function open(connection, protocol) {
  return await connection.newStream(protocol, { maxOutboundStreams: UNLIMITED })
}

/** Runs `operation` n times on the given number of workers; resolves to the milliseconds each took. */
async function eachOf(n, workers, operation) {
  const latenciesMs = new Float64Array(n)
  let next = 0
  const work = async (worker) => {
    while (next < n) {
      const i = next++
      const start = performance.now()
      await operation(worker)
      latenciesMs[i] = performance.now() - start
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
  return latenciesMs
}

/** Writes pseudo-random bytes, the same for the same seed, in blocks that `onBlock` sees too. */
async function writePattern(stream, seed, count, onBlock) {
  const random = new Random(seed)
  for (let left = count; left > 0; left -= BLOCK_BYTES) {
    const block = random.bytes(Math.min(left, BLOCK_BYTES))
    onBlock(block)
    await write(stream, block)
  }
}

/** xorshift32; quality does not matter here, repeatability does. */
class Random {
  #state

  constructor(seed) {
    this.#state = ((seed + 1) * 0x9e3779b1) >>> 0
  }

  bytes(count) {
    const words = new Uint32Array(Math.ceil(count / 4))
    let state = this.#state
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      words[i] = state
    }
    this.#state = state
    return new Uint8Array(words.buffer, 0, count)
  }
}
