// The server side.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { Received, readU64, u64 } from '../bulk.mjs'
import { hostPort } from '../command.mjs'
import { printLine, serveStats } from '../measure.mjs'
import { PURPOSE, read, send, write } from './wire.mjs'

const PREFIX_BYTES = 4
/** Maximum payload, which bounds the memory that a length prefix can claim. */
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024

const HANDLERS = {
  [PURPOSE.bulk]: answerBulk,
  [PURPOSE.ping]: answerPings,
  [PURPOSE.requests]: answerRequest,
  [PURPOSE.messages]: countMessages
}

/** Serves until the input ends. */
export async function serve({ listen }) {
  const sockets = new Set()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // The client reports a failed connection itself.
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.once('data', (chunk) => {
      const handler = HANDLERS[chunk[0]]
      if (handler === undefined) {
        socket.destroy()
        return
      }
      handler(socket).catch(() => socket.destroy())
      if (chunk.length > 1) socket.emit('data', chunk.subarray(1))
    })
  })
  server.listen(hostPort(listen))
  await once(server, 'listening')
  const { address, port } = server.address()
  printLine({ addr: `/ip4/${address}/tcp/${port}` })
  await serveStats()
  server.close()
  for (const socket of sockets) socket.destroy()
}

async function answerBulk(socket) {
  // The download follows the end of the upload.
  socket.removeAllListeners('end')
  const received = new Received()
  let wanted = 0
  await read(
    socket,
    8,
    (head) => {
      wanted = readU64(head)
    },
    (chunk) => received.take(chunk)
  )
  await write(socket, u64(received.bytes))
  await send(socket, wanted)
  socket.end()
}

async function answerPings(socket) {
  socket.on('data', (chunk) => socket.write(chunk))
}

/** Closes first, so that no client port stays in TIME_WAIT. */
async function answerRequest(socket) {
  const chunks = []
  let left = 0
  const finish = () => socket.end(Buffer.concat(chunks))
  await read(
    socket,
    PREFIX_BYTES,
    (head) => {
      left = head.readUInt32BE()
      if (left > PAYLOAD_BYTES_MAX) throw new Error('a request that is too long')
      if (left === 0) finish()
    },
    (chunk) => {
      chunks.push(chunk)
      left -= chunk.length
      if (left === 0) finish()
    }
  )
}

async function countMessages(socket) {
  socket.removeAllListeners('end')
  let count = 0
  let length = 0
  let lengthBytes = 0
  let payloadLeft = 0
  const take = (bytes) => {
    for (let at = 0; at < bytes.length; ) {
      if (payloadLeft > 0) {
        const taken = Math.min(payloadLeft, bytes.length - at)
        payloadLeft -= taken
        at += taken
        continue
      }
      length = length * 256 + bytes[at]
      at += 1
      lengthBytes += 1
      if (lengthBytes === PREFIX_BYTES) {
        count += 1
        payloadLeft = length
        length = lengthBytes = 0
      }
    }
  }
  await read(socket, 0, () => {}, take)
  if (payloadLeft > 0 || lengthBytes > 0) throw new Error('the stream ended inside a message')
  socket.end(u64(count))
}
