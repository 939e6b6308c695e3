// Bulk over a stream, either way.

import { StreamEOFError } from '../../../dist/index.js'
import { blocks, Received } from '../bulk.mjs'

/** Bytes of one read at most: all that the native side holds of one stream. */
const READ_BYTES = 256 * 1024

/** Memory of finished reads: what is read is looked at and forgotten. */
const spare = []

/** Reads to the end; how many bytes that was. */
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
