import { pEvent } from 'p-event'
import { BLOCK_BYTES } from './protocols.js'

/** Content of every write of a transfer; a byte distinguishes most offsets from their neighbours. */
const BLOCK = Uint8Array.from({ length: BLOCK_BYTES }, (_, at) => (at * 31) ^ (at >> 8))

/** Resolves to everything up to the end of the stream, in one piece. Rejects if the stream is reset instead. */
export async function readAll(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk.subarray())
  return Buffer.concat(chunks)
}

/**
 * Resolves to everything up to the end of the stream, while `send` runs. The read begins first: js-libp2p loses an end
 * that comes earlier.
 */
export async function exchange(stream, send) {
  const [answer] = await Promise.all([readAll(stream), send()])
  return answer
}

/** Writes, and waits while the stream has no room. */
export async function write(stream, bytes) {
  if (!stream.send(bytes)) {
    await pEvent(stream, 'drain', { rejectionEvents: ['close'] })
  }
}

/** Yields the writes of a transfer of `count` bytes. */
export function* blocks(count) {
  for (let left = count; left > 0; left -= BLOCK_BYTES) {
    yield left < BLOCK_BYTES ? BLOCK.subarray(0, left) : BLOCK
  }
}

export async function writeBlocks(stream, count) {
  for (const block of blocks(count)) await write(stream, block)
}

/** Receiver of a transfer: a number of 8 bytes, then bytes that are compared with the expected ones. */
export class Received {
  bytes = 0
  head = new Uint8Array(8)
  #headBytes = 0

  take(chunk) {
    let rest = chunk
    if (this.#headBytes < 8) {
      const part = chunk.subarray(0, 8 - this.#headBytes)
      this.head.set(part, this.#headBytes)
      this.#headBytes += part.byteLength
      rest = chunk.subarray(part.byteLength)
    }
    const { byteLength } = rest
    if (byteLength === 0) return
    const end = this.bytes + byteLength
    if (
      byteAt(rest, 0) !== BLOCK[this.bytes % BLOCK_BYTES] ||
      byteAt(rest, byteLength - 1) !== BLOCK[(end - 1) % BLOCK_BYTES]
    ) {
      throw new Error(`other bytes than were sent before byte ${end}`)
    }
    this.bytes = end
  }

  /** The number that precedes the rest. */
  get number() {
    if (this.#headBytes < 8) throw new Error('the stream ended inside the header')
    return readU64(this.head)
  }
}

/** Returns a byte of a Uint8Array or a Uint8ArrayList. */
function byteAt(bytes, at) {
  return bytes instanceof Uint8Array ? bytes[at] : bytes.get(at)
}

/** Returns a u32 length followed by its payload. */
export function frame(payload) {
  const bytes = new Uint8Array(4 + payload.byteLength)
  new DataView(bytes.buffer).setUint32(0, payload.byteLength)
  bytes.set(payload, 4)
  return bytes
}

export function u64(value) {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

export function readU64(bytes) {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0))
}
