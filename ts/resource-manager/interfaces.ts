/**
 * The interfaces of a resource manager and its scopes, as in go-libp2p.
 *
 * A scope counts the connections, streams, descriptors and bytes of one owner, such as a peer. What is reserved in a
 * scope is also reserved in those above it, up to the system's.
 */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Connection } from '../connection.ts'
import type { ResourceLimitExceededError } from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import type { PeerLike } from '../identity/peer-id.ts'
import type { ResolvedScopeLimits, ScopeLimits } from './scope-limits.ts'

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
   * @throws {@link ResourceLimitExceededError} if the peer has no room, or its subnet if only other peers are allowlisted
   *   at its address; the scope stays as it was.
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
 *     const done = () => {
 *       const left = (open.get(id) ?? 1) - 1
 *       if (left > 0) open.set(id, left)
 *       else open.delete(id)
 *     }
 *     return { ...nullScope, done, [Symbol.dispose]: done }
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
   * QUIC of a swarm decides by the native limits, and asks no manager of the application.
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

/** A scope whose limits can be read and changed: that of the system, a peer, a protocol, a service, ... */
export interface ResourceScopeLimiter {
  /** The limits in effect. */
  readonly limit: ResolvedScopeLimits
  /**
   * Changes the limits of this scope alone, from now on; omitted ones stay as they are. What is in use stays in use,
   * even beyond a lower limit. The scope keeps its limits while it is idle.
   *
   * @throws {@link InvalidParametersError} for an unknown resource or an invalid limit.
   */
  setLimit(limit: ScopeLimits): void
}

/** The usage of every scope but those of single connections, streams and spans. */
export interface ResourceManagerStat {
  /** Everything together. */
  readonly system: ScopeStat
  /** Connections without a known peer, and streams without a protocol. */
  readonly transient: ScopeStat
  /** Services by name. */
  readonly services: ReadonlyMap<string, ScopeStat>
  /** Protocols by id. */
  readonly protocols: ReadonlyMap<string, ScopeStat>
  /** Peers by the text of their ids. */
  readonly peers: ReadonlyMap<string, ScopeStat>
}

/** A row of a {@link ResourceReport}. */
export interface ResourceReportRow {
  /** Name of the scope, such as `peer:12D3…`. */
  readonly scope: string
  /** What it uses. */
  readonly usage: ResolvedScopeLimits
  /** Its limits; `Infinity` is none. */
  readonly limits: ResolvedScopeLimits
}

/** Usage and limits of every scope but those of single connections, streams and spans. */
export interface ResourceReport extends Iterable<ResourceReportRow> {
  /** The rows: the fixed scopes, then peers, protocols and services. */
  readonly rows: readonly ResourceReportRow[]
  /**
   * Returns a table for people, as `console.log` shows it: the four fixed scopes, and besides them at most `maxRows`, by
   * default 40, that use most of a limit.
   *
   * @throws {@link InvalidParametersError} unless `maxRows` is a whole number.
   */
  toString(maxRows?: number): string
  /** Returns the rows. */
  toJSON(): readonly ResourceReportRow[]
}

/**
 * The resource manager of a swarm: `swarm.resourceManager`. It accounts for what peers use, natively, and enforces
 * `limits`. It can be read after the swarm is closed.
 *
 * Scopes that it returns are the caller's, who ends them with `done`: they account for connections and streams of the
 * application's own making against the same limits. Those of the swarm's connections and streams are their property
 * `scope`. Limits by subnet and rate apply to the swarm's connections alone.
 *
 * @example
 * ```ts
 * console.log(swarm.resourceManager.report())
 * swarm.resourceManager.viewPeer(peerId, (scope) => scope.setLimit({ streams: 1_000 }))
 * ```
 */
export interface SwarmResourceManager extends ResourceManager {
  /**
   * Accounts for a connection of the application's own; `endpoint` is a multiaddr or an IP address, for the allowlist
   * and, of an inbound connection, for the limits on subnets and rates. The address of a relay counts for neither.
   *
   * @throws {@link ResourceLimitExceededError} if a scope or a subnet has no room, or the rate of a subnet is exceeded.
   * @throws {@link ResourceScopeClosedError} if the manager is closed.
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  openConnection(
    direction: 'inbound' | 'outbound',
    usesFd: boolean,
    endpoint?: AddrLike
  ): ConnManagementScope
  /**
   * Accounts for a stream of the application's own.
   *
   * @throws {@link ResourceLimitExceededError} if a scope has no room.
   * @throws {@link ResourceScopeClosedError} if the manager is closed.
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  openStream(peer: PeerLike, direction: 'inbound' | 'outbound'): StreamManagementScope
  /** Views the scope of everything. */
  viewSystem<T>(view: (scope: ResourceScope & ResourceScopeLimiter) => T): T
  /** Views the scope of connections without a peer and streams without a protocol. */
  viewTransient<T>(view: (scope: ResourceScope & ResourceScopeLimiter) => T): T
  /**
   * Views the scope of a service.
   *
   * @throws {@link InvalidParametersError} for an invalid name.
   */
  viewService<T>(service: string, view: (scope: ServiceScope & ResourceScopeLimiter) => T): T
  /**
   * Views the scope of a protocol.
   *
   * @throws {@link InvalidParametersError} for an invalid id.
   */
  viewProtocol<T>(protocol: string, view: (scope: ProtocolScope & ResourceScopeLimiter) => T): T
  /**
   * Views the scope of a peer.
   *
   * @throws {@link InvalidParametersError} for an invalid peer.
   */
  viewPeer<T>(peer: PeerLike, view: (scope: PeerScope & ResourceScopeLimiter) => T): T
  /**
   * Returns whether a remote has to prove that it receives at this IP address before it is answered: its subnet has
   * sent more than others. Each call counts as a packet from there.
   *
   * @throws {@link InvalidParametersError} if it is not an IP address.
   */
  verifySourceAddress(address: string): boolean
  /** Returns the services that have been used, or have limits set by {@link ResourceScopeLimiter.setLimit}. */
  listServices(): string[]
  /** Returns the protocols in use, recently used, or with limits set. */
  listProtocols(): string[]
  /** Returns the peers in use, recently used, or with limits set. */
  listPeers(): PeerId[]
  /** Returns the usage of all scopes that have a name. */
  stat(): ResourceManagerStat
  /** Returns usage and limits of all scopes that have a name. */
  report(): ResourceReport
  /**
   * Explains a refusal to a person: the scope, what it uses, what was asked, who uses it, the options that change the
   * limit, and the least limit that would have been enough. Of an error that is not a refusal, its causes and attempts
   * are searched for one. A scope is explained by what it uses of its limits.
   *
   * @throws {@link InvalidParametersError} for an error without a refusal, and for other values.
   * @example
   * ```ts
   * try {
   *   await connection.newStream('/chat/1.0.0')
   * } catch (err) {
   *   if (err instanceof ResourceLimitExceededError) console.log(swarm.resourceManager.explain(err))
   * }
   * ```
   */
  explain(refusal: Error | ResourceScope): string
  /**
   * Closes the manager: later calls that open scopes throw {@link ResourceScopeClosedError}, and the swarm refuses
   * connections. Open ones are not affected. Idempotent. `swarm.close` calls it at its end.
   */
  close(): void
}

/** A refusal by a limit: the detail of the event `limit`. With `swarm`, it is the message of `ferroswarm:limit`. */
export interface LimitDetail {
  /** The refusal; a {@link RateLimitError} if connections have come too fast. */
  readonly error: ResourceLimitExceededError
  /** Whether the operation was allowed nevertheless, as `limits.dryRun` is set. */
  readonly dryRun: boolean
  /** The direction of the refused connection or stream; undefined for memory, and if it is not known. */
  readonly direction: 'inbound' | 'outbound' | undefined
  /** The remote address, if it is known. */
  readonly address: string | undefined
  /** The connection of the stream that was refused or reset; undefined for a refused connection. */
  readonly connection: Connection | undefined
}
