// js-libp2p in a page; the driver calls `browse`. See ../contract.md.

import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { pEvent } from 'p-event'

const ECHO = '/bench/echo/1.0.0'
/** Size of the writes. */
const BLOCK_BYTES = 64 * 1024

/** Dials `addr`, identifies the peer, pings it n times and echoes the bytes; resolves to the line of the result. */
globalThis.browse = async ({ addr, n, bytes }) => {
  const node = await createLibp2p({
    transports: [webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // In a page js-libp2p dials neither private addresses nor those without TLS by default.
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify(), ping: ping() }
  })
  try {
    const identified = pEvent(node, 'peer:identify')
    const connection = await node.dial(multiaddr(addr))
    const { agentVersion, protocolVersion } = (await identified).detail
    const latenciesMs = []
    for (let i = 0; i < n; i++)
      latenciesMs.push(await node.services.ping.ping(connection.remotePeer))
    const start = performance.now()
    await echo(await connection.newStream(ECHO), bytes)
    const seconds = (performance.now() - start) / 1_000
    return {
      ops: n,
      bytes,
      seconds,
      MBps: bytes / 1e6 / seconds,
      ping_ms: latenciesMs,
      agentVersion,
      protocolVersion,
      userAgent: navigator.userAgent
    }
  } finally {
    await node.stop()
  }
}

async function echo(stream, bytes) {
  const sent = pattern(bytes)
  const chunks = []
  const receive = async () => {
    for await (const chunk of stream) chunks.push(chunk.subarray())
  }
  const send = async () => {
    for (let at = 0; at < bytes; at += BLOCK_BYTES) {
      if (!stream.send(sent.subarray(at, at + BLOCK_BYTES))) {
        await pEvent(stream, 'drain', { rejectionEvents: ['close'] })
      }
    }
    await stream.close()
  }
  await Promise.all([receive(), send()])
  const received = await new Blob(chunks).arrayBuffer()
  if ((await checksum(received)) !== (await checksum(sent))) {
    throw new Error(`echo of ${bytes} bytes differs: ${received.byteLength} bytes came back`)
  }
}

async function checksum(bytes) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)).join()
}

/** Returns pseudo-random bytes by xorshift32; quality does not matter here, repeatability does. */
function pattern(count) {
  const words = new Uint32Array(Math.ceil(count / 4))
  let state = 0x9e3779b1
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer, 0, count)
}
