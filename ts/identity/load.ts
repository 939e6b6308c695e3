/**
 * Lazy loading of the js-libp2p packages, which would add 120 ms to the start of a plain node.
 *
 * Loading is synchronous (Node's `require` of an ES module), as the properties that need it are. Never `import()` these
 * packages, nor a module that imports one: `require` throws while Node links it.
 */
import { createRequire } from 'node:module'
import type { PublicKey } from '@libp2p/interface'

type Crypto = typeof import('@libp2p/crypto/keys')
type PeerIds = typeof import('@libp2p/peer-id')
type Multiaddrs = typeof import('@multiformats/multiaddr')

const require = createRequire(import.meta.url)

let crypto: Crypto | undefined
let peerIds: PeerIds | undefined
let multiaddrs: Multiaddrs | undefined

// `require` returns the same module as `import`, without its type.
export function loadCrypto(): Crypto {
  crypto ??= require('@libp2p/crypto/keys') as Crypto
  return crypto
}

/** Returns the public key of a libp2p protobuf. */
export function publicKeyOf(bytes: Uint8Array): PublicKey {
  return loadCrypto().publicKeyFromProtobuf(bytes)
}

export function loadPeerIds(): PeerIds {
  peerIds ??= require('@libp2p/peer-id') as PeerIds
  return peerIds
}

export function loadMultiaddrs(): Multiaddrs {
  multiaddrs ??= require('@multiformats/multiaddr') as Multiaddrs
  return multiaddrs
}
