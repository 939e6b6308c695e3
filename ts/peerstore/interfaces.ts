/** Types of the calls of a peerstore. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { PeerLike } from '../identity/peer-id.ts'

/** A peer and its addresses. */
export interface PeerInfo {
  readonly id: PeerId
  readonly addrs: readonly Multiaddr[]
}

/** Options of {@link Peerstore.consumePeerRecord}. */
export interface PeerRecordOptions {
  /** Milliseconds for which its addresses are kept. */
  ttl: number
  /** The peer that the record must be of. Defaults to any. */
  expectedPeer?: PeerLike
}
