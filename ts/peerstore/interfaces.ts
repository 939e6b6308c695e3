/** Types of the calls of a peerstore. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { PeerLike } from '../identity/peer-id.ts'

/** A peer and its addresses. */
export interface PeerInfo {
  /** The peer id. */
  readonly id: PeerId
  /** Its addresses, those to dial first in front. */
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

/** An entry of a datastore. */
export interface DatastoreEntry {
  /** Its key. */
  readonly key: DatastoreKey
  /** Its value. */
  readonly value: Uint8Array
}

/** Changes of a datastore. */
export interface DatastoreBatch {
  /** Adds an entry to be stored. */
  put(key: DatastoreKey, value: Uint8Array): void
  /** Adds an entry to be removed. */
  delete(key: DatastoreKey): void
  /** Stores the changes; may return a promise. */
  commit(): unknown
}

/** What a peerstore uses of an `interface-datastore` of the js-libp2p ecosystem, such as `datastore-level`. */
export interface DatastoreLike {
  /** Yields the entries whose keys begin with `prefix`. */
  query(query: { prefix: string }): AsyncIterable<DatastoreEntry> | Iterable<DatastoreEntry>
  /** Begins changes that are stored together. */
  batch(): DatastoreBatch
}
