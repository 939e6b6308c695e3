/**
 * Memory for reads.
 *
 * Fresh zeroed memory costs 0.5-1 ns per byte, more than moving the bytes. So a read of unknown size goes into
 * one recycled scratch buffer, and only the bytes received are copied out; a read of known size gets uninitialised
 * memory, as every byte of it is about to be written.
 */

/** Size of the scratch buffer, and the maximum of one read of unknown size. */
export const SCRATCH_BYTES = 64 * 1024

/** Maximum bytes of one chunk: the native side buffers no more than this per stream. */
export const CHUNK_BYTES_MAX = 256 * 1024

/** No bytes. */
export const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0)

// Below this size a zeroed array is as cheap as allocating through Buffer.
const UNZEROED_BYTES_MIN = 4_096

/** Allocates memory of undefined contents; the caller must overwrite every byte. */
export function allocate(size: number): Uint8Array<ArrayBuffer> {
  if (size < UNZEROED_BYTES_MIN) return new Uint8Array(size)
  return new Uint8Array(Buffer.allocUnsafeSlow(size).buffer)
}

/** Copies the first `length` bytes out of recycled memory. */
export function copyOut(from: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const copy = allocate(length)
  copy.set(from.length === length ? from : from.subarray(0, length))
  return copy
}

/** Returns the first `length` bytes of `chunk`: itself, a view of half or more of it, or a copy of less. */
export function trim(chunk: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  if (length === chunk.length) return chunk
  return length * 2 >= chunk.length ? chunk.subarray(0, length) : copyOut(chunk, length)
}

/**
 * Returns whether other threads may write these bytes. The native side must not touch such memory, as it assumes
 * exclusive access while it runs.
 */
export function isShared(bytes: Uint8Array): boolean {
  const { buffer } = bytes
  return (
    !(buffer instanceof ArrayBuffer) &&
    process.getBuiltinModule('node:util').types.isSharedArrayBuffer(buffer)
  )
}

/** Returns `bytes`, or a copy if other threads may write them. */
export function unshared(bytes: Uint8Array): Uint8Array {
  return isShared(bytes) ? new Uint8Array(bytes) : bytes
}

/** Joins chunks of `length` bytes in total. A single chunk is returned as is. */
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
