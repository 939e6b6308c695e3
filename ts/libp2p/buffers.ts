/**
 * What streams deliver are Buffers, as those of the stock components are, although the interfaces of libp2p say
 * `Uint8Array`: programs parse them, print them and read numbers from them without a conversion.
 */

/** Returns bytes as a Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Returns the first `length` bytes of `chunk`: a view of half or more of it, or a copy of less. */
export function trimmed(chunk: Buffer<ArrayBuffer>, length: number): Buffer<ArrayBuffer> {
  const bytes = length === chunk.length ? chunk : chunk.subarray(0, length)
  return length * 2 >= chunk.length ? bytes : Buffer.from(bytes)
}
