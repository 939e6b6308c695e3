/** Numbers and keys that follow from the seed of a simulation. */
const { createHash, createPrivateKey, createPublicKey } = process.getBuiltinModule('node:crypto')

/** What precedes the 32 bytes of a private key in PKCS #8, RFC 8410. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Bytes of a key of Ed25519. */
const KEY_BYTES = 32

/** What precedes both halves of a key in the protobuf of libp2p: Ed25519, and 64 bytes. */
const PROTOBUF = Uint8Array.of(0x08, 0x01, 0x12, 0x40)

/**
 * Returns a source of numbers in [0, 1) that `text` determines: sfc32 over its SHA-256.
 *
 * Each use has a source of its own, so that a change in one place does not change every number after it.
 */
export function randomOf(text: string): () => number {
  const digest = digestOf(text)
  let a = digest.readInt32LE(0)
  let b = digest.readInt32LE(4)
  let c = digest.readInt32LE(8)
  let counter = 1
  return () => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return (sum >>> 0) / 2 ** 32
  }
}

/** Returns the private key that `text` determines, as a protobuf of libp2p. For simulations alone: it is no secret. */
export function keyOf(text: string): Uint8Array {
  const seed = digestOf(text).subarray(0, KEY_BYTES)
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return Buffer.concat([PROTOBUF, seed, spki.subarray(-KEY_BYTES)])
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
