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

/** A key of a datastore. */
export interface DatastoreKey {
  /** Returns its text. */
  toString(): string
}

/** What a peerstore uses of an `interface-datastore` of the js-libp2p ecosystem, such as `datastore-level`. */
export interface DatastoreLike {
  /** Yields the entries whose keys begin with `prefix`. */
  query(query: {
    prefix: string
  }):
    | AsyncIterable<{ readonly key: DatastoreKey; readonly value: Uint8Array }>
    | Iterable<{ readonly key: DatastoreKey; readonly value: Uint8Array }>
  /** Begins changes that `commit` stores together. */
  batch(): {
    put(key: DatastoreKey, value: Uint8Array): void
    delete(key: DatastoreKey): void
    commit(): unknown
  }
}
