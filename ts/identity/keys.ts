/** The identity of a node: its private key, and the public key and peer id derived from it. */
import type { PeerId, PrivateKey, PublicKey } from '@libp2p/interface'
import { oneOf } from '../base/arguments.ts'
import { unshared } from '../base/bytes.ts'
import { INSPECT, type InspectArguments, shown } from '../base/inspection.ts'
import { InvalidParametersError } from '../errors.ts'
import { native } from '../native/environment.ts'
import { loadCrypto } from './load.ts'
import { peerIdOf } from './peer-id.ts'

/** Types of keys. */
export type KeyTypeName = 'ed25519' | 'secp256k1' | 'rsa' | 'ecdsa'

// KeyType of the libp2p key protobuf.
const KEY_TYPES: Readonly<Record<string, number>> = { RSA: 0, Ed25519: 1, secp256k1: 2, ECDSA: 3 }

/** The identity of a node: its key in binary form and as objects. */
export interface Identity {
  /** The peer id as text. */
  readonly peer: string
  /** The peer id. */
  readonly peerId: PeerId
  /** The libp2p protobuf of the private key. Never logged. */
  readonly privateKeyBytes: Uint8Array
  /** The libp2p protobuf of the public key. */
  readonly publicKeyBytes: Uint8Array
  /** The private key as an object of @libp2p/crypto, which is loaded by the access. */
  readonly privateKey: PrivateKey
  /** Returns a signature of `message`. */
  sign(message: Uint8Array): Uint8Array
}

const aKeyType = oneOf('ed25519', 'secp256k1', 'rsa', 'ecdsa')

/**
 * Generates a private key. Returns its libp2p protobuf, for the option `privateKey` and for storage.
 *
 * @throws {@link InvalidParametersError} for an unknown key type.
 */
export function generatePrivateKey(type: KeyTypeName = 'ed25519'): Uint8Array {
  aKeyType(type, 'type')
  return native.generateKey(type)
}

/** Returns the identity of a key, or of a generated one. Throws `InvalidParametersError` for an invalid key. */
export function makeIdentity(key: PrivateKey | Uint8Array | undefined): Identity {
  return new KeyIdentity(key === undefined ? generatePrivateKey() : privateKeyBytes(key))
}

class KeyIdentity implements Identity {
  readonly peer: string
  readonly peerId: PeerId
  readonly publicKeyBytes: Uint8Array
  readonly #privateKeyBytes: Uint8Array
  #privateKey: PrivateKey | undefined

  constructor(bytes: Uint8Array) {
    this.#privateKeyBytes = bytes
    const { peerId, publicKey } = describe(bytes)
    this.peer = peerId
    this.peerId = peerIdOf(peerId)
    this.publicKeyBytes = publicKey
  }

  // A getter over a private field, so that inspection does not show the key even without the method below.
  get privateKeyBytes(): Uint8Array {
    return this.#privateKeyBytes
  }

  get privateKey(): PrivateKey {
    this.#privateKey ??= loadCrypto().privateKeyFromProtobuf(this.#privateKeyBytes)
    return this.#privateKey
  }

  sign(message: Uint8Array): Uint8Array {
    return native.sign(this.#privateKeyBytes, unshared(message))
  }

  /** Never shows the key: `inspect` with `getters` would call the getters above. */
  [INSPECT](...args: InspectArguments): string {
    return shown('Identity', this.peer, () => ({ peerId: this.peerId }), args)
  }
}

function describe(bytes: Uint8Array): { peerId: string; publicKey: Uint8Array } {
  try {
    return native.describeKey(bytes)
  } catch (err) {
    throw new InvalidParametersError('expected the libp2p protobuf of a private key', {
      cause: err
    })
  }
}

/** Returns a copy of the libp2p protobuf of a private key. Throws `InvalidParametersError` for an invalid key. */
export function privateKeyBytes(key: PrivateKey | Uint8Array): Uint8Array {
  // A copy, as the caller may wipe its own; `slice` of a Buffer is none.
  if (key instanceof Uint8Array) return Uint8Array.from(key)
  const type = KEY_TYPES[key?.type]
  if (type === undefined || !(key.raw instanceof Uint8Array)) {
    throw new InvalidParametersError('expected a private key, or the libp2p protobuf of one')
  }
  return Uint8Array.of(0x08, type, 0x12, ...lengthPrefix(key.raw.length), ...key.raw)
}

/**
 * Returns a copy of the libp2p protobuf of a public key. Throws `InvalidParametersError` for a value that is not one.
 */
export function publicKeyBytes(key: PublicKey | Uint8Array): Uint8Array {
  if (key instanceof Uint8Array) return Uint8Array.from(key)
  const type = KEY_TYPES[key?.type]
  if (type === undefined || !(key.raw instanceof Uint8Array)) {
    throw new InvalidParametersError('expected a public key, or the libp2p protobuf of one')
  }
  return Uint8Array.of(0x08, type, 0x12, ...lengthPrefix(key.raw.length), ...key.raw)
}

/** Returns the peer of a public key. Throws `InvalidParametersError` for an invalid one. */
export function peerOfKey(publicKey: Uint8Array): string {
  try {
    return native.peerOfKey(publicKey).peerId
  } catch (err) {
    throw new InvalidParametersError('expected the libp2p protobuf of a public key', { cause: err })
  }
}

function lengthPrefix(length: number): number[] {
  const bytes: number[] = []
  let left = length
  while (left >= 0x80) {
    bytes.push((left & 0x7f) | 0x80)
    left >>>= 7
  }
  bytes.push(left)
  return bytes
}
