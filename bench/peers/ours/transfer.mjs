// Bulk transfers over a stream.

import { StreamEOFError } from '../../../dist/index.js'
import { blocks, Received } from '../bulk.mjs'

/** Maximum bytes of one read: all that the native side buffers per stream. */
const READ_BYTES = 256 * 1024

/** Buffers of finished transfers, for reuse. */
const spare = []

/** Reads to the end; resolves to the number of bytes. */
export async function receive(stream) {
  const memory = spare.pop() ?? new Uint8Array(READ_BYTES)
  const received = new Received()
  try {
    for (;;) received.take(memory.subarray(0, await stream.readInto(memory)))
  } catch (err) {
    if (err instanceof StreamEOFError) return received.bytes
    throw err
  } finally {
    spare.push(memory)
  }
}

export async function send(stream, bytes) {
  for (const block of blocks(bytes)) await stream.write(block)
}

export async function readFully(stream, into) {
  for (let filled = 0; filled < into.length; ) {
    try {
      filled += await stream.readInto(filled === 0 ? into : into.subarray(filled))
    } catch (err) {
      if (!(err instanceof StreamEOFError)) throw err
      throw new Error(`the stream ended after ${filled} of ${into.length} bytes`, { cause: err })
    }
  }
  return into
}
