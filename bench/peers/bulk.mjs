// The content of bulk transfers and pings, and its verification.

/** Write size of every bulk transfer. */
export const BLOCK_BYTES = 64 * 1024

/** Bytes transferred before the timed part. */
export const WARM_UP_BYTES = 32 * 1024 * 1024

export const PING_BYTES = 32

/** Content of a write; most bytes in it differ from their neighbours. */
const BLOCK = new Uint8Array(BLOCK_BYTES)
for (let at = 0; at < BLOCK_BYTES; at += 1) BLOCK[at] = (at * 31) ^ (at >> 8)

/** Yields the writes of a transfer. */
export function* blocks(bytes) {
  for (let left = bytes; left > 0; left -= BLOCK_BYTES) {
    yield left < BLOCK_BYTES ? BLOCK.subarray(0, left) : BLOCK
  }
}

/** The received part of a transfer. */
export class Received {
  bytes = 0

  /** Counts a chunk, and compares its first and last bytes with those sent. */
  take(chunk) {
    if (chunk.length === 0) return
    const end = this.bytes + chunk.length
    if (
      chunk[0] !== BLOCK[this.bytes % BLOCK_BYTES] ||
      chunk[chunk.length - 1] !== BLOCK[(end - 1) % BLOCK_BYTES]
    ) {
      throw new Error(`bytes before ${end} differ from those sent`)
    }
    this.bytes = end
  }
}

export function expectCount(sent, received) {
  if (sent !== received) throw new Error(`received ${received} bytes, expected ${sent}`)
}

/** Returns the payload of this turn's ping, which differs from the next one's. */
export function echoed(turn) {
  const at = turn % (BLOCK_BYTES - PING_BYTES)
  return BLOCK.subarray(at, at + PING_BYTES)
}

export function expectEcho(turn, answer) {
  if (Buffer.compare(echoed(turn), answer) !== 0) throw new Error('a ping answer differs')
}

/** Returns `payload` prefixed with its length as u32. */
export function framed(payload) {
  const bytes = new Uint8Array(4 + payload.length)
  new DataView(bytes.buffer).setUint32(0, payload.length)
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
