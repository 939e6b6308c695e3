// The bytes of bulk transfers and pings: what is written, and the check of what was read.

/** Size of the writes in every bulk transfer. */
export const BLOCK_BYTES = 64 * 1024

/** Moved before the timed part. */
export const WARM_UP_BYTES = 32 * 1024 * 1024

export const PING_BYTES = 32

/** What every write begins with; a byte tells most places in it from their neighbours. */
const BLOCK = new Uint8Array(BLOCK_BYTES)
for (let at = 0; at < BLOCK_BYTES; at += 1) BLOCK[at] = (at * 31) ^ (at >> 8)

/** The writes that so many bytes take. */
export function* blocks(bytes) {
  for (let left = bytes; left > 0; left -= BLOCK_BYTES) {
    yield left < BLOCK_BYTES ? BLOCK.subarray(0, left) : BLOCK
  }
}

/** What has been received of a transfer. */
export class Received {
  bytes = 0

  /** Counts a chunk, and compares its ends with what belongs there. */
  take(chunk) {
    if (chunk.length === 0) return
    const end = this.bytes + chunk.length
    if (
      chunk[0] !== BLOCK[this.bytes % BLOCK_BYTES] ||
      chunk[chunk.length - 1] !== BLOCK[(end - 1) % BLOCK_BYTES]
    ) {
      throw new Error(`other bytes than were sent before byte ${end}`)
    }
    this.bytes = end
  }
}

export function expectCount(sent, came) {
  if (sent !== came) throw new Error(`${came} bytes came, expected ${sent}`)
}

/** What a ping carries in this turn; the next turn's is another. */
export function echoed(turn) {
  const at = turn % (BLOCK_BYTES - PING_BYTES)
  return BLOCK.subarray(at, at + PING_BYTES)
}

export function expectEcho(turn, answer) {
  if (Buffer.compare(echoed(turn), answer) !== 0) throw new Error('a ping answer differs')
}

/** A u32 length followed by its payload. */
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
