/**
 * Memory for what is read.
 *
 * Fresh zeroed memory costs 0.5-1 ns a byte, more than moving the bytes. So a read of unknown size goes into
 * one recycled scratch buffer and only what came is copied out; a read of known size gets memory that is not
 * zeroed, as every byte of it is about to be written.
 */

/** Bytes of the scratch buffer, and the most that a read of unknown size takes at once. */
export const SCRATCH_BYTES = 64 * 1024

/** Bytes of one chunk at most: the native side holds no more than this for a stream. */
export const CHUNK_BYTES_MAX = 256 * 1024

/** No bytes. */
export const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0)

// Below this a zeroed array is as cheap as the detour through Buffer.
const UNZEROED_BYTES_MIN = 4_096

/** Memory whose every byte the caller overwrites. Its contents are undefined until then. */
export function allocate(size: number): Uint8Array<ArrayBuffer> {
  if (size < UNZEROED_BYTES_MIN) return new Uint8Array(size)
  return new Uint8Array(Buffer.allocUnsafeSlow(size).buffer)
}

/** The first `length` bytes of recycled memory, in memory of their own. */
export function copyOut(from: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const copy = allocate(length)
  copy.set(from.length === length ? from : from.subarray(0, length))
  return copy
}

/** What a read of `length` bytes left in `chunk`: the chunk, a view of most of it, or a copy of little. */
export function trim(chunk: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  if (length === chunk.length) return chunk
  return length * 2 >= chunk.length ? chunk.subarray(0, length) : copyOut(chunk, length)
}

/** Whether other threads may write these bytes. The native side must not touch them: memory is its own while it runs. */
export function isShared(bytes: Uint8Array): boolean {
  const { buffer } = bytes
  return (
    !(buffer instanceof ArrayBuffer) &&
    process.getBuiltinModule('node:util').types.isSharedArrayBuffer(buffer)
  )
}

/** `bytes`, or a copy of them where other threads may write them. */
export function unshared(bytes: Uint8Array): Uint8Array {
  return isShared(bytes) ? new Uint8Array(bytes) : bytes
}

/** Several chunks as one array. A single one is given back as it is. */
export function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = chunks
  if (first !== undefined && chunks.length === 1) return first
  const whole = allocate(length)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}
