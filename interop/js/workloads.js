import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { byteStream, lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { phase, printLine, residentKiB, Stopwatch } from './measure.js'
import { createNode, UNLIMITED } from './node.js'
import { BLOCK_BYTES, BULK, ECHO, LP, MESSAGES, PING, REQUEST, RESET } from './protocols.js'
import {
  blocks,
  exchange,
  frame,
  Received,
  readAll,
  readU64,
  u64,
  write,
  writeBlocks
} from './streams.js'

const WARM_UP_BYTES = 32 * 1024 * 1024
const PING_BYTES = 32
/** The initial yamux window: the echo never waits for a client that does not read yet. */
const HALF_CLOSE_BYTES_MAX = 256 * 1024
/** Gives identify time to end at both sides before memory is read. */
const IDLE_SETTLE_MS = 1_000
const CONNECT_TIMEOUT_MS = 30_000
/** Bounds the wait for the refusal of a write, once the remote has ended its half. */
const RESET_TIMEOUT_MS = 5_000

/** Each resolves to its line, or to nothing if it printed its lines itself. */
const WORKLOADS = {
  upload: (options) => bulk(options, 1, upload),
  download: (options) => bulk(options, 1, download),
  'upload-32': (options) => bulk(options, 32, upload),
  'download-32': (options) => bulk(options, 32, download),
  paced,
  ping: pingOpenStream,
  'ping-open': pingOpenLoop,
  'rr-seq': (options) => requests(options, 1),
  'rr-32': (options) => requests(options, 32),
  'rr-100': (options) => requests(options, 100),
  msgs: messages,
  lp: lengthPrefixed,
  'handshake-seq': (options) => handshakes(options, 1),
  'handshake-16': (options) => handshakes(options, 16),
  'first-byte': firstByte,
  idle,
  echo,
  'half-close': halfClose,
  reset,
  rounds,
  identify
}

export async function runWorkload(options) {
  const workload = Object.hasOwn(WORKLOADS, options.workload)
    ? WORKLOADS[options.workload]
    : undefined
  if (workload === undefined) {
    throw new Error(`unknown workload ${options.workload}`)
  }
  const run = (n) => workload({ ...options, n, addr: multiaddr(options.addr) })
  if (options.warmUp > 0) {
    await run(options.warmUp)
  }
  const line = await run(options.n)
  if (line !== undefined) {
    printLine(line)
  }
}

/** The streams share the bytes. */
async function bulk(options, streams, transfer) {
  const connection = await connect(options)
  const transfers = (bytes) =>
    Promise.all(
      Array.from({ length: streams }, () => transfer(connection, Math.floor(bytes / streams)))
    )
  await transfers(WARM_UP_BYTES)
  const watch = new Stopwatch()
  await transfers(options.bytes)
  return watch.stopBulk(streams, Math.floor(options.bytes / streams) * streams)
}

async function upload(connection, bytes) {
  await transferOn(await open(connection, BULK), bytes, 0, (stream) => writeBlocks(stream, bytes))
}

async function download(connection, bytes) {
  await transferOn(await open(connection, BULK), 0, bytes, () => {})
}

/** Asks for `downloadBytes`, and takes the answer while `upload` writes its bytes. */
async function transferOn(stream, uploadBytes, downloadBytes, upload) {
  const send = async () => {
    await write(stream, u64(downloadBytes))
    await upload(stream)
    await stream.close()
  }
  // The read begins first: js-libp2p loses an end that comes earlier.
  await Promise.all([takeTransfer(stream, uploadBytes, downloadBytes), send()])
}

/** Verifies the answer to a transfer: the count received by the server, and the wanted bytes. */
async function takeTransfer(stream, uploadBytes, downloadBytes) {
  const received = new Received()
  for await (const chunk of stream) received.take(chunk)
  if (received.number !== uploadBytes || received.bytes !== downloadBytes) {
    throw new Error(
      `${received.number} bytes went up and ${received.bytes} came back, expected ${uploadBytes} and ${downloadBytes}`
    )
  }
}

async function paced(options) {
  const { rate, seconds } = options
  const connection = await connect(options)
  await upload(connection, WARM_UP_BYTES)
  await phase('ready')
  const bytes = Math.floor(rate * seconds)
  const watch = new Stopwatch()
  const start = performance.now()
  await transferOn(await open(connection, BULK), bytes, 0, async (stream) => {
    let written = 0
    for (const block of blocks(bytes)) {
      const early = start + (written / rate) * 1_000 - performance.now()
      if (early > 0) await sleep(early)
      await write(stream, block)
      written += block.byteLength
    }
  })
  return watch.stopBulk(1, bytes)
}

/** Calls `onAnswer` with the bytes of each echo. */
async function takeEchoes(stream, onAnswer) {
  const answer = new Uint8Array(PING_BYTES)
  let filled = 0
  for await (const chunk of stream) {
    const bytes = chunk.subarray()
    for (let at = 0; at < bytes.byteLength; ) {
      const part = bytes.subarray(at, at + PING_BYTES - filled)
      answer.set(part, filled)
      filled += part.byteLength
      at += part.byteLength
      if (filled < PING_BYTES) break
      filled = 0
      onAnswer(answer)
    }
  }
}

/** Returns a function that sends a ping on an open stream and waits for its answer. */
function echoing(stream) {
  const random = new Random(0)
  let answered
  takeEchoes(stream, (answer) => answered.resolve(answer)).then(
    () => answered?.reject(new Error('stream ended')),
    (error) => answered?.reject(error)
  )
  return async () => {
    const sent = random.bytes(PING_BYTES)
    answered = Promise.withResolvers()
    stream.send(sent)
    if (Buffer.compare(sent, await answered.promise) !== 0) {
      throw new Error('ping answer differs from what was sent')
    }
  }
}

async function pingOpenStream(options) {
  const once = echoing(await open(await connect(options), PING))
  await once()
  const watch = new Stopwatch()
  const latencies = await eachOf(options.n, 1, once)
  return watch.stop(options.n, options.n * PING_BYTES, latencies)
}

/** Sends each ping when it is due, regardless of earlier ones. */
async function pingOpenLoop(options) {
  const { n, rate } = options
  const stream = await open(await connect(options), PING)
  const [sent, expected] = [new Random(0), new Random(0)]
  const latencies = new Float64Array(n)
  const warm = Promise.withResolvers()
  const done = Promise.withResolvers()
  let start = 0
  let received = -1
  const due = (turn) => start + (turn / rate) * 1_000
  takeEchoes(stream, (answer) => {
    if (received >= 0) latencies[received] = performance.now() - due(received)
    if (Buffer.compare(answer, expected.bytes(PING_BYTES)) !== 0) {
      throw new Error('ping answer differs from what was sent')
    }
    received += 1
    if (received === 0) warm.resolve()
    if (received === n) done.resolve()
  }).then(() => done.reject(new Error('stream ended')), done.reject)
  done.promise.catch(() => {}) // Awaited below.
  stream.send(sent.bytes(PING_BYTES))
  await Promise.race([warm.promise, done.promise])
  const watch = new Stopwatch()
  start = performance.now()
  for (let turn = 0; turn < n; turn++) {
    // A timer is as coarse as the latencies measured.
    while (performance.now() < due(turn)) await new Promise(setImmediate)
    stream.send(sent.bytes(PING_BYTES))
  }
  await done.promise
  return watch.stop(n, n * PING_BYTES, latencies, [50, 99, 99.9])
}

async function requests(options, concurrency) {
  const connection = await connect(options)
  const request = frame(new Random(0).bytes(options.bytes))
  const watch = new Stopwatch()
  const latencies = await eachOf(options.n, concurrency, async () => {
    const stream = await open(connection, REQUEST)
    const answer = await exchange(stream, async () => {
      await write(stream, request)
      await stream.close()
    })
    if (Buffer.compare(answer, request.subarray(4)) !== 0) {
      throw new Error('answer differs from the request')
    }
  })
  return watch.stop(options.n, options.n * options.bytes, latencies)
}

async function messages(options) {
  const stream = await open(await connect(options), MESSAGES)
  const message = frame(new Uint8Array(options.bytes))
  const watch = new Stopwatch()
  const answer = await exchange(stream, async () => {
    for (let i = 0; i < options.n; i++) {
      await write(stream, message)
    }
    await stream.close()
  })
  const counted = readU64(answer)
  const line = watch.stop(options.n, options.n * options.bytes)
  if (counted !== options.n) {
    throw new Error(`server counted ${counted} messages, expected ${options.n}`)
  }
  return line
}

/** As `messages`, through js-libp2p's own reader and writer of messages at both ends. */
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

/** Uses a node for each concurrent dial, as the dial queue joins parallel dials to one peer. */
async function handshakes(options, concurrency) {
  const nodes = await createNodes(options, concurrency)
  const watch = new Stopwatch()
  const latencies = await eachOf(options.n, concurrency, async (worker) => {
    const connection = await dial(nodes[worker], options)
    await connection.close()
  })
  return watch.stop(options.n, 0, latencies)
}

async function firstByte(options) {
  const [node] = await createNodes(options, 1)
  const watch = new Stopwatch()
  const latencies = await eachOf(options.n, 1, async () => {
    const connection = await dial(node, options)
    await echoing(await open(connection, PING))()
    await connection.close()
  })
  return watch.stop(options.n, options.n * PING_BYTES, latencies)
}

async function idle(options) {
  const nodes = await createNodes(options, options.n)
  const connections = []
  const settledPhase = async (name) => {
    await sleep(IDLE_SETTLE_MS)
    await phase(name, { rss_kb: residentKiB() })
  }
  await settledPhase('base')
  let next = 0
  await eachOf(options.n, options.concurrency, async () => {
    connections.push(await dial(nodes[next++], options))
  })
  await settledPhase('full')
  await eachOf(options.n, options.concurrency, () => connections.pop().close())
  await settledPhase('gone')
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
  const send = async () => {
    await writePattern(stream, seed, bytes, (block) => sentHash.update(block))
    await stream.close()
  }
  const receive = async () => {
    for await (const chunk of stream) {
      receivedBytes += chunk.byteLength
      receivedHash.update(chunk.subarray())
    }
  }
  await Promise.all([send(), receive()])
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
  const received = await exchange(stream, async () => {
    await writePattern(stream, 0, options.bytes, (block) => sent.push(block))
    await stream.close()
  })
  if (!received.equals(Buffer.concat(sent))) {
    throw new Error(
      `echo of ${options.bytes} bytes differs: ${received.byteLength} bytes came back`
    )
  }
  return { ops: 1, bytes: options.bytes }
}

async function reset(options) {
  const stream = await open(await connect(options), RESET)
  try {
    await exchange(stream, () => write(stream, Uint8Array.of(1)))
  } catch (error) {
    if (error.name === 'StreamResetError' && stream.status === 'reset') {
      return { ops: 1, errorCode: null }
    }
    throw error
  }
  return await refusedWrite(stream)
}

/** Over QUIC a reset reads as an end, but the stream no longer takes a write. */
async function refusedWrite(stream) {
  const expired = AbortSignal.timeout(RESET_TIMEOUT_MS)
  while (!expired.aborted) {
    try {
      await write(stream, Uint8Array.of(1))
    } catch {
      return { ops: 1, errorCode: null }
    }
    await sleep(1)
  }
  throw new Error('expected a reset, the stream ended')
}

/** Typical uses of a stream by an application: it writes, closes its end and reads the answer. */
const ROUNDS = {
  async 'for await'(stream, request) {
    await write(stream, request)
    await stream.close()
    return await readAll(stream)
  },

  async byteStream(stream, request) {
    const bytes = byteStream(stream)
    await bytes.write(request)
    await stream.close()
    return await bytes.read({ bytes: request.byteLength })
  },

  async lpStream(stream, request) {
    const messages = lpStream(stream)
    await messages.write(request)
    await stream.close()
    return await messages.read()
  }
}

async function rounds(options) {
  const [node] = await createNodes(options, 1)
  const connection = await dial(node, options)
  const random = new Random(0)
  const round = async (name, exchange) => {
    for (let i = 0; i < options.n; i++) {
      const request = random.bytes(options.bytes)
      if (Buffer.compare((await exchange(request)).subarray(), request) !== 0) {
        throw new Error(`${name}: answer ${i} differs from the request`)
      }
    }
  }
  for (const [name, exchange] of Object.entries(ROUNDS)) {
    await round(name, async (request) => await exchange(await open(connection, ECHO), request))
  }
  await round('@libp2p/echo', (request) => node.services.echo.echo(connection.remotePeer, request))
  return { ops: options.n * (Object.keys(ROUNDS).length + 1), bytes: options.bytes }
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
    nodes.push(await createNode(options, options.addr))
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

/** Runs `operation` n times on the given number of workers; resolves to the latencies in milliseconds. */
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

/** Writes pseudo-random bytes, the same for the same seed, in blocks that `onBlock` is called with too. */
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
