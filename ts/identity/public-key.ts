/** Public keys of peers as objects of @libp2p/crypto. */
import type { PublicKey } from '@libp2p/interface'
import { loadCrypto } from './load.ts'

/** A public key from its libp2p protobuf. Loads @libp2p/crypto. */
export function publicKeyOf(bytes: Uint8Array): PublicKey {
  return loadCrypto().publicKeyFromProtobuf(bytes)
}
