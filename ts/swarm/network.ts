/** The network interfaces of go-libp2p and py-libp2p, implemented by {@link Swarm} and by mocks of applications. */
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

/** Dials peers and manages connections to them. The members of `Swarm` are documented there. */
export interface Dialer {
  /** The local peer id. */
  readonly peerId: PeerId
  /** Resolves to a connection to a peer. See {@link Swarm.dialPeer}. */
  dialPeer(peer: PeerLike, options?: DialOptions): Promise<Connection>
  /** Resolves to a connection to an address. See {@link Swarm.dialAddr}. */
  dialAddr(addr: AddrLike, peer?: PeerLike, options?: DialOptions): Promise<Connection>
  /** Closes all connections to a peer. See {@link Swarm.closePeer}. */
  closePeer(peer: PeerLike, options?: AbortOptions): Promise<void>
  /** Returns whether a peer is connected. See {@link Swarm.connectedness}. */
  connectedness(peer: PeerLike): Connectedness
  /** Returns the connected peers. */
  getPeers(): PeerId[]
  /** Returns all open connections, or those to one peer. See {@link Swarm.getConnections}. */
  getConnections(peer?: PeerLike): Connection[]
  /** Registers a notifiee. See {@link Swarm.notify}. */
  notify(notifiee: Notifiee): boolean
  /** Unregisters a notifiee. See {@link Swarm.stopNotify}. */
  stopNotify(notifiee: Notifiee): void
}

/** Options of {@link Swarm.listen}. */
export interface ListenOptions {
  /**
   * Shares the port with other processes of the same user that set this too; the kernel spreads connections over them.
   * Defaults to false. Only on Linux, and for addresses with a port.
   */
  reusePort?: boolean
}

/** A {@link Dialer} that also listens, and opens and accepts streams. */
export interface Network extends Dialer {
  /** Listens on addresses. See {@link Swarm.listen}. */
  listen(...addrs: AddrLike[]): Promise<true>
  /** Listens on addresses with options. See {@link Swarm.listen}. */
  listen(...args: [...addrs: AddrLike[], options: ListenOptions]): Promise<true>
  /** Stops listening on an address. See {@link Swarm.unlisten}. */
  unlisten(addr: AddrLike): Promise<boolean>
  /** Returns the bound addresses. See {@link Swarm.getListenAddrs}. */
  getListenAddrs(): Multiaddr[]
  /** Returns them with wildcards expanded. See {@link Swarm.getInterfaceListenAddrs}. */
  getInterfaceListenAddrs(): Multiaddr[]
  /** Opens a stream to a peer. See {@link Swarm.newStream}. */
  newStream(
    peer: PeerLike,
    protocols?: string | readonly string[],
    options?: SwarmStreamOptions
  ): Promise<Stream>
  /** Sets the handler of all inbound streams. See {@link Swarm.setStreamHandler}. */
  setStreamHandler(handler: StreamHandler | null): void
  /** Closes the network. See {@link Swarm.close}. */
  close(options?: CloseOptions): Promise<void>
}
