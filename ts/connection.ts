/**
 * One secured and multiplexed connection to a peer: its public facade.
 */
import type { PeerId, PrivateKey, PublicKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from './base/abort.ts'
import {
  ABORT_OPTIONS,
  aCode,
  aDuration,
  aFlag,
  anArray,
  anObject,
  anything,
  areOptions,
  aSignal,
  type Check,
  checkOptions,
  misuse,
  type OptionChecks,
  objectWith,
  oneOf
} from './base/arguments.ts'
import { TypedEventTarget } from './base/events.ts'
import { INSPECT, type InspectArguments, shown } from './base/inspection.ts'
import type { ConnectionCore } from './connection/core.ts'
import { provideConnectionFacade } from './connection/facade.ts'
import type {
  ConnectionCloseReason,
  ConnectionDirection,
  ConnectionEvents,
  ConnectionSecurity,
  ConnectionStat,
  ConnectionStats,
  ConnMultiaddrs,
  ConnSecurity,
  ConnStat,
  DialReport,
  NewStreamOptions,
  TransportInfo
} from './connection/facts.ts'
import { tracedStreamOpen } from './diagnostics/channels.ts'
import { InvalidParametersError } from './errors.ts'
import { type HostPort, multiaddrOf } from './identity/address.ts'
import { parseAddress } from './identity/parsed-address.ts'
import type { MuxedConn } from './muxer/muxed.ts'
import type { ConnectionCounters } from './native/counters.ts'
import { protocolNames } from './negotiation/protocol-name.ts'
import type { ConnScope, ResourceScopeSpan } from './resource-manager/interfaces.ts'
import { streamFacade } from './stream/facade.ts'
import { Stream } from './stream.ts'
import type { Swarm } from './swarm.ts'

export type {
  ConnectionCloseReason,
  ConnectionDirection,
  ConnectionEvents,
  ConnectionSecurity,
  ConnectionStat,
  ConnectionStats,
  ConnMultiaddrs,
  ConnSecurity,
  ConnStat,
  ConnStats,
  DialReport,
  NewStreamOptions,
  TransportInfo
} from './connection/facts.ts'

/** @internal Checks of the options of `newStream`. */
export const NEW_STREAM_CHECKS: OptionChecks<NewStreamOptions> = {
  allowLimited: aFlag,
  signal: aSignal,
  negotiationTimeout: aDuration,
  timeout: aDuration
}

const TRANSPORT_CHECKS: OptionChecks<TransportInfo> = { type: anything, addresses: anything }

const aTransportType = oneOf('direct', 'relayed')

/** @internal A scope that accounts for a connection. */
export const aScope: Check = objectWith('reserveMemory', 'releaseMemory', 'beginSpan', 'done')

/**
 * A secured and multiplexed connection to a peer. The swarm lists it from `connected` to `disconnected`.
 */
export class Connection
  extends TypedEventTarget<ConnectionEvents>
  implements ConnSecurity, ConnMultiaddrs, ConnStat, AsyncDisposable
{
  readonly #core: ConnectionCore
  #extra: Map<unknown, unknown> | undefined

  // Constructed by the swarm.
  private constructor(core: ConnectionCore) {
    super()
    this.#core = core
  }

  static {
    provideConnectionFacade({
      make: (core) => new Connection(core),
      coreOf: (connection) => connection.#core,
      emitClose(connection, reason) {
        if (connection.hasListeners('close')) {
          connection.emit('close', new CustomEvent('close', { detail: reason }))
        }
        connection.endEvents()
      }
    })
  }

  /** An id that is unique in the process, for logs and maps. */
  get id(): string {
    return this.#core.id
  }

  /** The swarm that owns the connection. */
  get swarm(): Swarm {
    return this.#core.host.swarm
  }

  /** The local peer id. */
  get localPeer(): PeerId {
    return this.#core.host.swarm.peerId
  }

  /** The local private key. Loads @libp2p/crypto. */
  get localPrivateKey(): PrivateKey {
    return this.#core.host.swarm.privateKey
  }

  /** The authenticated remote peer. */
  get remotePeer(): PeerId {
    return this.#core.remotePeer
  }

  /**
   * The public key of the remote peer. Loads @libp2p/crypto.
   *
   * @throws {@link StateError} if it is not known: of a connection of `addConnection` whose peer id does not contain it.
   */
  get remotePublicKey(): PublicKey {
    return this.#core.remotePublicKey
  }

  /** The remote address, without `/p2p`. */
  get remoteAddr(): Multiaddr {
    return this.#core.remoteAddr
  }

  /** The local address, without `/p2p`. */
  get localAddr(): Multiaddr {
    return this.#core.localAddr
  }

  /** The remote host and port; undefined if the transport has none. */
  get remoteAddress(): HostPort | undefined {
    return this.#core.remoteAddress
  }

  /** `inbound` if the remote dialled, `outbound` if this swarm did, `unknown` if `addConnection` was not told. */
  get direction(): ConnectionDirection {
    return this.#core.direction
  }

  /** `relayed` if the connection uses a circuit relay. */
  get connectionType(): 'direct' | 'relayed' {
    return this.#core.connectionType
  }

  /** The addresses of the remote on this connection: the remote address if it is known, or those that were set. */
  getTransportAddresses(): Multiaddr[] {
    return this.#core.transportAddresses
  }

  /**
   * Sets type and addresses of the transport, of which the swarm knows nothing for connections of `addConnection`.
   *
   * @throws {@link InvalidParametersError} for any other connection, and for an invalid type or address.
   */
  setTransportInfo(info: TransportInfo): void {
    if (this.#core.muxed === undefined) {
      throw new InvalidParametersError('the transport of this connection is known: it is native')
    }
    anObject(info, 'info')
    checkOptions(info, TRANSPORT_CHECKS, 'info')
    aTransportType(info.type, 'info.type')
    anArray(info.addresses, 'info.addresses')
    const addresses = info.addresses.map((address) => {
      parseAddress(address)
      return multiaddrOf(address.toString())
    })
    this.#core.transportInfo = { type: info.type, addresses }
  }

  /** The connection of a muxer of the application, such as the argument of `swarm.addConnection`; undefined for others. */
  get muxedConn(): MuxedConn | undefined {
    return this.#core.muxed
  }

  /** Transport, security protocol and muxer of the connection. */
  get state(): ConnectionSecurity {
    return this.#core.security
  }

  /** A snapshot of direction, age and open streams. */
  get stat(): ConnectionStat {
    this.#extra ??= new Map()
    return {
      direction: this.#core.direction,
      opened: this.#core.opened,
      limited: this.#core.limited,
      transient: this.#core.limited,
      numStreams: this.#core.streams.size,
      extra: this.#extra
    }
  }

  /** Returns bytes and frames carried, and the round trip; undefined after the end. Crosses into native code once. */
  counters(): ConnectionCounters | undefined {
    return this.#core.closeReason === undefined ? this.#core.measure() : undefined
  }

  /**
   * Returns a snapshot of {@link Connection.stat} and {@link Connection.counters}. After the end of the connection the
   * counters keep their final values, and `numStreams` is 0. Crosses into native code once, and not after the end.
   */
  stats(): ConnectionStats {
    return { ...this.stat, ...this.#core.measure(), ended: this.#core.endedAt }
  }

  /** A copy of the list of open streams, oldest first. */
  get streams(): Stream[] {
    return this.#core.streams.inOrder().map(({ stream }) => stream)
  }

  /**
   * The connection's share of the resources that the swarm accounts for, those of its streams included. After its end
   * the usage is 0, and `reserveMemory` throws `ResourceScopeClosedError`. What the application reserves is released
   * with the connection.
   */
  get scope(): ConnScope {
    return this.#core.resourceScope
  }

  /**
   * Sets the scope that accounts for this connection, in place of the one that the swarm has opened. It becomes
   * {@link Connection.scope} and is ended with the connection. Only possible until every `connected` callback has
   * returned; the option `scope` of `swarm.addConnection` does the same without charging the connection before.
   *
   * A connection over a native muxer stays accounted for natively, too.
   *
   * @throws {@link InvalidParametersError} later, and for a value that is not a scope.
   */
  setResourceScope(scope: ResourceScopeSpan): void {
    aScope(scope, 'scope')
    if (this.#core.isAnnounced) {
      throw new InvalidParametersError(
        'the scope can only be set until the connection is announced'
      )
    }
    this.#core.setScope(scope)
  }

  /** Alias of {@link Connection.streams}. */
  getStreams(): Stream[] {
    return this.streams
  }

  /** True once either side has begun to close the connection. */
  get isClosed(): boolean {
    return this.#core.closing
  }

  /** Resolves when the connection and its streams have ended. Never rejects. */
  get closed(): Promise<void> {
    return this.#core.closed
  }

  /** The reason for the end of the connection; undefined before it. */
  get closeReason(): ConnectionCloseReason | undefined {
    return this.#core.closeReason
  }

  /** Durations of the stages of connection setup. */
  get dialReport(): DialReport {
    return this.#core.dialReport
  }

  /**
   * Opens a stream.
   *
   * Without a protocol the stream is raw. With one it is usable at once, and a refusal surfaces on the first read or
   * write. Several are proposed in order; resolves when the peer has selected one.
   *
   * At the limit of streams it rejects, or waits for a place if the swarm lets streams wait: see
   * {@link Swarm.setResourceManager} and docs/resource-manager.md.
   *
   * @throws {@link LimitedConnectionError} if the connection is limited, unless `allowLimited` is set.
   * @throws {@link UnsupportedProtocolError} if the peer supports none of several protocols.
   * @throws {@link ConnectionClosedError} if the connection is closed.
   * @throws {@link MuxerClosedError} if the peer has sent GoAway and accepts no more streams.
   * @throws {@link ResourceLimitExceededError} at a limit of streams, such as `limits.connection.streamsOutbound`, at
   * `maxOutbound` of the handler, or if the application's resource manager refuses the stream.
   * @throws {@link StreamResetError} if the stream is reset while several protocols are negotiated.
   * @throws {@link StateError} if the swarm begins to close while the call waits for a place.
   * @throws {@link TimeoutError} after `negotiationTimeout`, or `timeout`.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid protocol name or option.
   * @example
   * ```ts
   * const stream = await connection.newStream(['/chat/2.0.0', '/chat/1.0.0'])
   * console.log(stream.protocol)
   * await stream.write(Buffer.from('hello'))
   * await stream.close()
   * ```
   */
  newStream(protocols?: string | readonly string[], options?: NewStreamOptions): Promise<Stream>
  /** Opens a raw stream with options. */
  newStream(options: NewStreamOptions): Promise<Stream>
  newStream(
    first?: string | readonly string[] | NewStreamOptions,
    second?: NewStreamOptions
  ): Promise<Stream> {
    const options = areOptions(first) ? first : second
    checkOptions(options, NEW_STREAM_CHECKS)
    const proposal = areOptions(first) ? undefined : proposalOf(first)
    if (!tracedStreamOpen.hasSubscribers) return this.#core.newStream(proposal, options)
    const proposed = [proposal ?? []].flat()
    return tracedStreamOpen.tracePromise(() => this.#core.newStream(proposal, options), {
      swarm: this.swarm,
      connection: this,
      protocols: proposed
    })
  }

  /**
   * Closes the connection gracefully. Streams closed for writing deliver the bytes they accepted and their end; all
   * others are reset at once. Then GoAway is sent and `closed` resolves. Idempotent.
   *
   * If the peer accepts none of the pending bytes for `limits.writeStallTimeoutMs`, they are lost: `closeReason.error`
   * and the `error` of the affected streams report it.
   *
   * @throws {@link AbortError} by `signal`, which ends the wait, not the delivery.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  close(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.close(options)
  }

  /**
   * Closes the connection at once with a `ConnectionErrorCode` for the peer. All streams are reset and unsent bytes are
   * lost, also those that a pending {@link Connection.close} still delivers.
   *
   * @throws {@link InvalidParametersError} for a code that is not an unsigned 32-bit integer.
   */
  closeWithError(code: number): Promise<void> {
    aCode(code, 'code')
    return this.#core.closeAtOnce(code)
  }

  /**
   * Removes a stream of this connection: `stream.remove()`.
   *
   * @throws {@link InvalidParametersError} if it is not a stream of this connection.
   */
  removeStream(stream: Stream): void {
    if (!(stream instanceof Stream) || streamFacade.coreOf(stream).owner !== this.#core) {
      throw misuse('stream', 'a stream of this connection', stream)
    }
    stream.remove()
  }

  /** Does nothing: connections need no start. Exists for parity with go-libp2p and py-libp2p. */
  start(): void {}

  /** Alias of {@link Connection.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal Never shows a key; crosses into native code at most once. */
  [INSPECT](...args: InspectArguments): unknown {
    // A proxy does not have the private fields.
    if (!(#core in this)) return this
    const core = this.#core
    return shown('Connection', core.id, () => factsOf(core), args)
  }

  protected override onListenerError(err: unknown, listener: object, message: string): void {
    this.#core.host.onFailure(err, listener, message)
  }
}

/** Properties shown by `console.log`. */
function factsOf(core: ConnectionCore): Record<string, unknown> {
  const { id, direction, remotePeer, remoteAddr, streams, closeReason } = core
  const { transport, security, muxer } = core.security
  const { bytesReceived, bytesSent, roundTripMs } = core.measure()
  return {
    id,
    state: stateOf(core),
    direction,
    remotePeer,
    remoteAddr,
    stack: [transport, security, muxer].filter((layer) => layer !== '').join(' '),
    streams: streams.size,
    bytesReceived,
    bytesSent,
    roundTripMs,
    closeReason
  }
}

function stateOf({ closeReason, closing, goingAway }: ConnectionCore): string {
  if (closeReason !== undefined) return 'closed'
  if (closing) return 'closing'
  return goingAway ? 'going away' : 'open'
}

/** @internal Throws `InvalidParametersError` if `connection` is not a {@link Connection}. */
export function checkConnection(connection: unknown): void {
  if (!(connection instanceof Connection)) throw misuse('connection', 'a Connection', connection)
}

/** Returns the proposal. A list of one name is that name: there is nothing to negotiate. */
function proposalOf(
  protocols: string | readonly string[] | undefined
): string | readonly string[] | undefined {
  // A name is checked when it is assigned its number, at its first use.
  if (protocols === undefined || typeof protocols === 'string') return protocols
  const names = protocolNames(protocols)
  return names.length === 1 ? names[0] : names
}
