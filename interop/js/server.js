import { byteStream, lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { serveLengths } from './lengths.js'
import { UNLIMITED } from './node.js'
import { BULK, LENGTHS, LP, MESSAGES, REQUEST, RESET } from './protocols.js'
import { Received, readU64, u64, write, writeBlocks } from './streams.js'

const HANDLERS = {
  [BULK]: serveBulk,
  [REQUEST]: serveRequest,
  [MESSAGES]: serveMessages,
  [RESET]: serveReset,
  [LP]: serveLengthPrefixed,
  [LENGTHS]: serveLengths
}

/**
 * Registers the handlers of the contract; echo, ping and identify are services of the node.
 *
 * They are written like those of applications: a handler reads its stream with the readers of js-libp2p, which resets
 * the stream if the handler throws.
 */
export async function serve(node) {
  for (const [protocol, handler] of Object.entries(HANDLERS)) {
    await node.handle(protocol, handler, {
      maxInboundStreams: UNLIMITED,
      maxOutboundStreams: UNLIMITED
    })
  }
}

/** Connects to a peer, unless it is connected, and pings it once; resolves to the answer to the command. */
export async function dial(node, addr) {
  try {
    const { remotePeer } = await node.dial(multiaddr(addr))
    await node.services.ping.ping(remotePeer)
    return { dialled: addr }
  } catch (error) {
    return { error: `${error.name}: ${error.message}` }
  }
}

async function serveBulk(stream) {
  const received = new Received()
  for await (const chunk of stream) received.take(chunk)
  await write(stream, u64(received.bytes))
  await writeBlocks(stream, received.number)
  await stream.close()
}

async function serveRequest(stream) {
  const bytes = byteStream(stream)
  const length = (await bytes.read({ bytes: 4 })).getUint32(0)
  const payload = await bytes.read({ bytes: length })
  if ((await bytes.read()) !== null) {
    throw new Error('request and its length differ')
  }
  await bytes.write(payload)
  await stream.close()
}

async function serveMessages(stream) {
  let count = 0
  let length = 0
  let lengthBytes = 0
  let payloadLeft = 0
  for await (const chunk of stream) {
    const bytes = chunk.subarray()
    let at = 0
    while (at < bytes.byteLength) {
      if (payloadLeft > 0) {
        const taken = Math.min(payloadLeft, bytes.byteLength - at)
        payloadLeft -= taken
        at += taken
        continue
      }
      length = length * 256 + bytes[at++]
      if (++lengthBytes === 4) {
        count++
        payloadLeft = length
        length = lengthBytes = 0
      }
    }
  }
  if (payloadLeft > 0 || lengthBytes > 0) {
    throw new Error('stream ended inside a message')
  }
  await write(stream, u64(count))
  await stream.close()
}

async function serveLengthPrefixed(stream) {
  const messages = lpStream(stream)
  const wanted = readU64((await messages.read()).subarray())
  let count = 0
  for (; count < wanted; count++) {
    await messages.read()
  }
  await messages.write(u64(count))
  await stream.close()
}

async function serveReset(stream) {
  for await (const _ of stream) throw new Error('reset as the contract requires')
  await stream.close()
}
