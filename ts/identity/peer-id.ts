/**
 * Peer ids as text, converted to other forms on demand.
 *
 * They have the interface and the symbol of @libp2p/peer-id, so that `isPeerId` and `equals` work across both.
 * Multihash, CID and public key are obtained from that package at the first use.
 */
import type { PeerId, PublicKey } from '@libp2p/interface'
import { misuse } from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'
import { loadPeerIds } from './load.ts'

/** A peer id: an object of @libp2p/peer-id or of this package, or its text. */
export type PeerLike = PeerId | string

const PEER_ID = Symbol.for('@libp2p/peer-id')
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

// Base58 of the three multihashes in use: inlined ed25519 and secp256k1 keys, SHA-256 of an RSA or ECDSA key.
const ED25519 = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/
const SECP256K1 = /^16Uiu2HA[1-9A-HJ-NP-Za-km-z]{45}$/
const HASHED = /^Qm[1-9A-HJ-NP-Za-km-z]{44}$/

class TextPeerId {
  readonly #text: string
  #loaded: PeerId | undefined
  readonly [PEER_ID] = true

  constructor(text: string) {
    this.#text = text
  }

  get type(): PeerId['type'] {
    if (ED25519.test(this.#text)) return 'Ed25519'
    if (SECP256K1.test(this.#text)) return 'secp256k1'
    return HASHED.test(this.#text) ? 'RSA' : this.#load().type
  }

  get publicKey(): PublicKey | undefined {
    return this.#load().publicKey
  }

  toString(): string {
    return this.#text
  }

  toJSON(): string {
    return this.#text
  }

  toMultihash(): ReturnType<PeerId['toMultihash']> {
    return this.#load().toMultihash()
  }

  toCID(): ReturnType<PeerId['toCID']> {
    return this.#load().toCID()
  }

  equals(other?: unknown): boolean {
    if (other === this) return true
    if (typeof other === 'string') return other === this.#text
    if (other instanceof Uint8Array) return this.#load().equals(other)
    return isPeer(other) && other.toString() === this.#text
  }

  get [Symbol.toStringTag](): string {
    return `PeerId(${this.#text})`
  }

  [INSPECT](): string {
    return `PeerId(${this.#text})`
  }

  #load(): PeerId {
    this.#loaded ??= loadPeerIds().peerIdFromString(this.#text)
    return this.#loaded
  }
}

/** Returns the peer id of canonical text. */
export function peerIdOf(text: string): PeerId {
  // @libp2p/interface declares a union discriminated by `type`; here one class implements all members.
  return new TextPeerId(text) as unknown as PeerId
}

/** Returns the canonical text of a peer id. Throws `InvalidParametersError` for an invalid one. */
export function peerText(peer: PeerLike): string {
  if (isPeer(peer)) return peer.toString()
  if (typeof peer !== 'string') {
    throw misuse('the peer', 'a peer id', peer)
  }
  if (ED25519.test(peer) || SECP256K1.test(peer) || HASHED.test(peer)) return peer
  try {
    // CIDs and rarer multihashes. The canonical text is the multihash in base58.
    return loadPeerIds().peerIdFromString(peer).toString()
  } catch (err) {
    throw new InvalidParametersError(`expected a peer id, received ${JSON.stringify(peer)}`, {
      cause: err
    })
  }
}

/** Returns whether a value is a peer id object of this package or of @libp2p/peer-id. */
export function isPeer(value: unknown): value is PeerId {
  return typeof value === 'object' && value !== null && PEER_ID in value
}
