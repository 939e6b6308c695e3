// Socket operations of both sides.

import { once } from 'node:events'
import { blocks } from '../bulk.mjs'

/** Purposes of a connection: its first byte. */
export const PURPOSE = { bulk: 0x42, ping: 0x50, requests: 0x52, messages: 0x4d }

/** Writes, and waits for `drain` if the socket's buffer is full. */
export async function write(socket, bytes) {
  if (!socket.write(bytes)) await once(socket, 'drain')
}

export async function send(socket, bytes) {
  for (const block of blocks(bytes)) await write(socket, block)
}

/**
 * Calls `onHead` with the first `size` bytes, and `onRest` with every chunk after them. Resolves at the end of the
 * stream; rejects with the error of the socket or of a callback.
 */
export function read(socket, size, onHead, onRest) {
  const head = Buffer.alloc(size)
  let filled = 0
  return new Promise((resolve, reject) => {
    const fail = (err) => {
      socket.destroy()
      reject(err)
    }
    socket.on('error', fail)
    socket.on('end', () => {
      if (filled === size) resolve()
      else fail(new Error(`the stream ended after ${filled} of ${size} bytes`))
    })
    socket.on('data', (chunk) => {
      try {
        let rest = chunk
        if (filled < size) {
          const taken = chunk.copy(head, filled)
          filled += taken
          if (filled < size) return
          onHead(head)
          rest = chunk.subarray(taken)
        }
        if (rest.length > 0) onRest(rest)
      } catch (err) {
        fail(err)
      }
    })
  })
}
