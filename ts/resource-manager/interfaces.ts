/**
 * The interfaces of a resource manager and its scopes, as in go-libp2p.
 *
 * A scope counts the connections, streams, descriptors and bytes of one owner, such as a peer. What is reserved in a
 * scope is also reserved in those above it, up to the system's.
 */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { PeerLike } from '../identity/peer-id.ts'

/** The usage of a scope. */
export interface ScopeStat {
  /** Open inbound streams. */
  readonly numStreamsInbound: number
  /** Open outbound streams. */
  readonly numStreamsOutbound: number
  /** Open inbound connections. */
  readonly numConnsInbound: number
  /** Open outbound connections. */
  readonly numConnsOutbound: number
  /** File descriptors in use. */
  readonly numFD: number
  /** Bytes reserved. */
  readonly memory: number
}

/** A scope: an owner of resources, and their usage. */
export interface ResourceScope {
  /** A snapshot of the usage. */
  readonly stat: ScopeStat
  /**
   * Reserves `size` bytes here and in every scope above, or nowhere.
   *
   * `priority`, 0 to 255, is the share of the limit that may be used: a reservation succeeds while the usage after it
   * is at most limit · (1 + priority) / 256. See {@link RESERVATION_PRIORITY_LOW} and the constants beside it.
   *
   * @throws {@link ResourceLimitExceededError} if a scope has no room.
   * @throws {@link ResourceScopeClosedError} after the end of the scope.
   */
  reserveMemory(size: number, priority: number): void
  /** Releases `size` bytes of earlier reservations. */
  releaseMemory(size: number): void
  /**
   * Returns a span: a scope within this one, whose reservations are released together when it is done. Spans nest.
   *
   * @throws {@link ResourceScopeClosedError} after the end of the scope.
   */
  beginSpan(): ResourceScopeSpan
}

/** A scope with an end: for a part of some work, a stream, a connection. */
export interface ResourceScopeSpan extends ResourceScope, Disposable {
  /** Ends the scope and releases everything reserved in it. Idempotent. */
  done(): void
  /** Alias of {@link ResourceScopeSpan.done}, for `using`. */
  [Symbol.dispose](): void
}

/** The scope of a peer. */
export interface PeerScope extends ResourceScope {
  /** The peer. */
  readonly peer: PeerId
}

/** The scope of a protocol. */
export interface ProtocolScope extends ResourceScope {
  /** The protocol's id. */
  readonly protocol: string
}

/** The scope of a service, which is one protocol or several. */
export interface ServiceScope extends ResourceScope {
  /** The service's name. */
  readonly name: string
}

/** The scope of a connection, as its users see it. */
export interface ConnScope extends ResourceScope {}

/** The scope of a connection, as its owner sees it. */
export interface ConnManagementScope extends ResourceScopeSpan {
  /** The scope of the peer; undefined until it is set. */
  readonly peerScope: PeerScope | undefined
  /**
   * Assigns the connection to its peer, once the handshake has authenticated it.
   *
   * @throws {@link ResourceLimitExceededError} if the peer has no room; the scope stays as it was.
   * @throws {@link InvalidParametersError} if the peer is set already.
   */
  setPeer(peer: PeerLike): void
}

/** The scope of a stream, as its users see it. */
export interface StreamScope extends ResourceScope {
  /**
   * Assigns the stream to a service. Its protocol has to be set.
   *
   * @throws {@link ResourceLimitExceededError} if the service has no room; the scope stays as it was.
   * @throws {@link InvalidParametersError} if the service is set already, or the protocol is not.
   */
  setService(service: string): void
}

/** The scope of a stream, as its owner sees it. */
export interface StreamManagementScope extends ResourceScopeSpan, StreamScope {
  /** The scope of the protocol; undefined until it is set. */
  readonly protocolScope: ProtocolScope | undefined
  /** The scope of the service; undefined until it is set. */
  readonly serviceScope: ServiceScope | undefined
  /** The scope of the peer. */
  readonly peerScope: PeerScope | undefined
  /**
   * Assigns the stream to its protocol, once it is negotiated.
   *
   * @throws {@link ResourceLimitExceededError} if the protocol has no room; the scope stays as it was.
   * @throws {@link InvalidParametersError} if the protocol is set already.
   */
  setProtocol(protocol: string): void
}

/**
 * Access to the scopes of a resource manager. Each method calls `view` with a scope, returns its result, and lets what
 * it throws pass. The scope is only valid during the call.
 */
export interface ResourceScopeViewer {
  /** Views the scope of everything. */
  viewSystem<T>(view: (scope: ResourceScope) => T): T
  /** Views the scope of connections without a peer and streams without a protocol. */
  viewTransient<T>(view: (scope: ResourceScope) => T): T
  /** Views the scope of a service. */
  viewService<T>(service: string, view: (scope: ServiceScope) => T): T
  /** Views the scope of a protocol. */
  viewProtocol<T>(protocol: string, view: (scope: ProtocolScope) => T): T
  /** Views the scope of a peer. */
  viewPeer<T>(peer: PeerLike, view: (scope: PeerScope) => T): T
}

/**
 * A resource manager: admits connections and streams, and accounts for their resources.
 *
 * An application's own, passed to {@link Swarm.setResourceManager} or as the option `resourceManager`, vetoes and
 * observes the connections and streams of a swarm, in addition to the native limits. The swarm calls `openConnection`
 * and `openStream`, then `setPeer` and `setProtocol` on the scopes that they return, and `done` once for each scope.
 * The calls are synchronous, on the JavaScript thread: a promise is not a scope, and refuses.
 *
 * @example
 * ```ts
 * // At most 100 streams with each peer; `nullResourceManager` admits everything else.
 * const open = new Map<string, number>()
 * const manager: ResourceManager = {
 *   ...nullResourceManager,
 *   openStream(peer) {
 *     const id = String(peer)
 *     const current = open.get(id) ?? 0
 *     if (current >= 100) {
 *       const scope = `peer:${id}`
 *       throw new ResourceLimitExceededError('the peer has 100 streams', { scope, resource: 'streams' })
 *     }
 *     open.set(id, current + 1)
 *     return { ...nullScope, done: () => void open.set(id, (open.get(id) ?? 1) - 1) }
 *   }
 * }
 * swarm.setResourceManager(manager)
 * ```
 */
export interface ResourceManager extends ResourceScopeViewer {
  /**
   * Admits a connection; returns its scope. A swarm calls it when the connection is secured and muxed, and `setPeer` of
   * the scope right after it.
   *
   * `usesFd` is whether the transport has a descriptor per connection, as TCP has and QUIC has not. `endpoint` is the
   * remote address, without `/p2p`.
   *
   * @throws {@link ResourceLimitExceededError} to refuse the connection, with itself as the error of a dial. Anything
   * else that is thrown refuses it too, and becomes the `cause` of such an error.
   */
  openConnection(
    direction: 'inbound' | 'outbound',
    usesFd: boolean,
    endpoint?: Multiaddr
  ): ConnManagementScope
  /**
   * Admits a stream; returns its scope. A swarm passes the `PeerId` of the connection, and calls `setProtocol` of the
   * scope as soon as the stream has a protocol.
   *
   * @throws {@link ResourceLimitExceededError} to refuse the stream. With a `resource` of `streams`, `streamsInbound`
   * or `streamsOutbound`, `newStream` waits for a place if the swarm has a queue, see
   * {@link ResourceManagerOptions.streamSemaphore}; streams that are refused by the same `scope` are then retried one
   * at a time. Anything else that is thrown refuses the stream at once, and becomes the `cause` of such an error.
   */
  openStream(peer: PeerLike, direction: 'inbound' | 'outbound'): StreamManagementScope
  /**
   * Returns whether a remote has to prove that it receives at this IP address before it is answered (QUIC Retry).
   * No transport of this version asks.
   */
  verifySourceAddress(address: string): boolean
  /** Closes the manager: later calls throw {@link ResourceScopeClosedError}. Idempotent. Swarms do not call it. */
  close(): void
}

/** Options of {@link Swarm.setResourceManager}. */
export interface ResourceManagerOptions {
  /**
   * Let `newStream` wait for a place instead of rejecting when the limit of streams is reached, be it a native one or
   * one of the manager: see {@link Connection.newStream}. Defaults to true with a manager, to false without one.
   */
  streamSemaphore?: boolean
}
