/** The identity of a node: its private key in bytes, and what follows from it. */
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { oneOf } from '../base/arguments.ts'
import { unshared } from '../base/bytes.ts'
import { INSPECT, type InspectArguments, shown } from '../base/inspection.ts'
import { InvalidParametersError } from '../errors.ts'
import { native } from '../native/environment.ts'
import { loadCrypto } from './load.ts'
import { peerIdOf } from './peer-id.ts'

/** Kinds of keys. */
export type KeyTypeName = 'ed25519' | 'secp256k1' | 'rsa' | 'ecdsa'

// KeyType of libp2p's protobuf.
const KEY_TYPES: Readonly<Record<string, number>> = { RSA: 0, Ed25519: 1, secp256k1: 2, ECDSA: 3 }

/** Our own key, in bytes and as objects. */
export interface Identity {
  /** The peer id as text. */
  readonly peer: string
  readonly peerId: PeerId
  /** libp2p's protobuf of the private key. Never logged. */
  readonly privateKeyBytes: Uint8Array
  /** libp2p's protobuf of the public key. */
  readonly publicKeyBytes: Uint8Array
  /** The private key as an object of @libp2p/crypto, which it loads. */
  readonly privateKey: PrivateKey
  /** A signature over `message`. */
  sign(message: Uint8Array): Uint8Array
}

const aKeyType = oneOf('ed25519', 'secp256k1', 'rsa', 'ecdsa')

/** A fresh private key as libp2p's protobuf, for `options.privateKey` and for files. */
export function generatePrivateKey(type: KeyTypeName = 'ed25519'): Uint8Array {
  aKeyType(type, 'type')
  return native.generateKey(type)
}

/** The identity of a key; of a fresh one if none is given. Throws `InvalidParametersError` for a bad key. */
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

  // A getter over a private field: not even `console.log` without the method below shows it.
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

  /** No key, with no option of `inspect`: `getters` would call those above. */
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

/** libp2p's protobuf of a private key, in memory of its own. Throws `InvalidParametersError` for what is no key. */
export function privateKeyBytes(key: PrivateKey | Uint8Array): Uint8Array {
  // A copy: the caller may wipe its own.
  if (key instanceof Uint8Array) return key.slice()
  const type = KEY_TYPES[key?.type]
  if (type === undefined || !(key.raw instanceof Uint8Array)) {
    throw new InvalidParametersError('expected a private key, or the libp2p protobuf of one')
  }
  return Uint8Array.of(0x08, type, 0x12, ...lengthPrefix(key.raw.length), ...key.raw)
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
