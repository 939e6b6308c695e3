import { lpStream } from '@libp2p/utils'
import { serveLengths } from './lengths.js'
import { UNLIMITED } from './node.js'
import { BULK, ECHO, LENGTHS, LP, MESSAGES, REQUEST, RESET } from './protocols.js'
import {
  drained,
  Received,
  readAll,
  readToEnd,
  readU64,
  u64,
  write,
  writeBlocks
} from './streams.js'

const HANDLERS = {
  [BULK]: serveBulk,
  [REQUEST]: serveRequest,
  [MESSAGES]: serveMessages,
  [ECHO]: serveEcho,
  [RESET]: serveReset,
  [LP]: serveLengthPrefixed,
  [LENGTHS]: serveLengths
}

/** Registers every handler of the contract; ping and identify are services of the node. */
export async function serve(node) {
  for (const [protocol, handler] of Object.entries(HANDLERS)) {
    await node.handle(
      protocol,
      async (stream) => {
        try {
          await handler(stream)
          await stream.close()
        } catch (error) {
          stream.abort(error)
        }
      },
      { maxInboundStreams: UNLIMITED, maxOutboundStreams: UNLIMITED }
    )
  }
}

async function serveBulk(stream) {
  const received = new Received()
  await readToEnd(stream, (chunk) => received.take(chunk))
  await write(stream, u64(received.bytes))
  await writeBlocks(stream, received.number)
}

async function serveRequest(stream) {
  const request = await readAll(stream)
  if (request.byteLength < 4 || request.readUInt32BE(0) !== request.byteLength - 4) {
    throw new Error('request and its length differ')
  }
  await write(stream, request.subarray(4))
}

async function serveMessages(stream) {
  let count = 0
  let length = 0
  let lengthBytes = 0
  let payloadLeft = 0
  await readToEnd(stream, (chunk) => {
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
  })
  if (payloadLeft > 0 || lengthBytes > 0) {
    throw new Error('stream ended inside a message')
  }
  await write(stream, u64(count))
}

async function serveLengthPrefixed(stream) {
  const messages = lpStream(stream)
  const wanted = readU64((await messages.read()).subarray())
  let count = 0
  for (; count < wanted; count++) {
    await messages.read()
  }
  await messages.write(u64(count))
}

async function serveEcho(stream) {
  await readToEnd(stream, (chunk) => {
    if (!stream.send(chunk)) {
      holdReading(stream)
    }
  })
}

/** Withholds window credit until what was sent back has left, so that a client that does not read stops us. */
function holdReading(stream) {
  if (stream.readStatus !== 'readable') {
    return
  }
  stream.pause()
  drained(stream).then(
    () => {
      if (stream.readStatus === 'paused') {
        stream.resume()
      }
    },
    () => {}
  ) // The stream is gone; readToEnd tells.
}

async function serveReset(stream) {
  await readToEnd(stream, () => {
    throw new Error('reset as the contract says')
  })
}
