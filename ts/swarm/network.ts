/** The shapes of go's and py's networks: {@link Swarm} has them, and so may a stand-in of an application's tests. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import type { Connection } from '../connection.ts'
import type { Connectedness } from '../constants.ts'
import type { DialOptions } from '../dial/options.ts'
import type { AddrLike } from '../identity/address.ts'
import type { PeerLike } from '../identity/peer-id.ts'
import type { StreamHandler } from '../negotiation/handler.ts'
import type { Stream } from '../stream.ts'
import type { CloseOptions, SwarmStreamOptions } from '../swarm.ts'
import type { Notifiee } from './notifiee.ts'

/** Connections to peers: who is connected, and who is to be. The members are those of `Swarm`, and documented there. */
export interface Dialer {
  /** Our peer id. */
  readonly peerId: PeerId
  dialPeer(peer: PeerLike, options?: DialOptions): Promise<Connection>
  dialAddr(addr: AddrLike, peer?: PeerLike, options?: DialOptions): Promise<Connection>
  closePeer(peer: PeerLike, options?: AbortOptions): Promise<void>
  connectedness(peer: PeerLike): Connectedness
  getPeers(): PeerId[]
  /** All of them, or those of one peer. */
  getConnections(peer?: PeerLike): Connection[]
  notify(notifiee: Notifiee): boolean
  stopNotify(notifiee: Notifiee): void
}

/** A {@link Dialer} that listens too, and carries streams both ways. */
export interface Network extends Dialer {
  listen(...addrs: AddrLike[]): Promise<true>
  unlisten(addr: AddrLike): Promise<boolean>
  getListenAddrs(): Multiaddr[]
  newStream(
    peer: PeerLike,
    protocols?: string | readonly string[],
    options?: SwarmStreamOptions
  ): Promise<Stream>
  setStreamHandler(handler: StreamHandler | null): void
  close(options?: CloseOptions): Promise<void>
}
