// The workloads that check correctness, not speed; see interop/contract.md.

import { createCipheriv, createHash } from 'node:crypto'
import { identify as identifyPeer, StreamResetError } from '../../../dist/index.js'
import { BLOCK_BYTES } from '../bulk.mjs'
import { startWatch } from '../measure.mjs'
import { PROTOCOLS } from './server.mjs'

/** The initial window: the echo never blocks on a client that does not read yet. */
const HALF_CLOSE_BYTES_MAX = 256 * 1024

/** Workloads by name. Each resolves to its result line. */
export const CORRECTNESS = { echo, identify, 'half-close': halfClose, reset }

async function echo({ connect, counters, bytes, concurrency }) {
  const connection = await connect()
  const watch = startWatch(counters)
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
  const received = await stream.read({ maxBytes: HALF_CLOSE_BYTES_MAX })
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
    throw new Error('expected a reset, the stream failed with another error', { cause: err })
  }
  throw new Error('expected a reset, received a byte')
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

/** Returns a generator of pseudo-random bytes, deterministic for a seed. */
function pattern(seed) {
  const key = Buffer.alloc(32)
  key.writeUInt32BE(seed)
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  return (size) => cipher.update(Buffer.alloc(size))
}
