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
  areOptions,
  aSignal,
  checkOptions,
  misuse,
  type OptionChecks
} from './base/arguments.ts'
import { TypedEventTarget } from './base/events.ts'
import { INSPECT, type InspectArguments, shown } from './base/inspection.ts'
import type { ConnectionCore } from './connection/core.ts'
import { provideConnectionFacade } from './connection/facade.ts'
import type {
  ConnectionCloseReason,
  ConnectionEvents,
  ConnectionSecurity,
  ConnectionStat,
  ConnectionStats,
  ConnMultiaddrs,
  ConnSecurity,
  ConnStat,
  DialReport,
  NewStreamOptions
} from './connection/facts.ts'
import { tracedStreamOpen } from './diagnostics/channels.ts'
import type { HostPort } from './identity/address.ts'
import type { ConnectionCounters } from './native/counters.ts'
import { protocolNames } from './negotiation/protocol-name.ts'
import { streamFacade } from './stream/facade.ts'
import { Stream } from './stream.ts'
import type { Swarm } from './swarm.ts'

export type {
  ConnectionCloseReason,
  ConnectionEvents,
  ConnectionSecurity,
  ConnectionStat,
  ConnectionStats,
  ConnMultiaddrs,
  ConnSecurity,
  ConnStat,
  ConnStats,
  DialReport,
  NewStreamOptions
} from './connection/facts.ts'

/** @internal The options of `newStream`. */
export const NEW_STREAM_CHECKS: OptionChecks<NewStreamOptions> = {
  signal: aSignal,
  negotiationTimeout: aDuration
}

/**
 * A connection. It appears in the swarm with `connected` and leaves with `disconnected`.
 */
export class Connection
  extends TypedEventTarget<ConnectionEvents>
  implements ConnSecurity, ConnMultiaddrs, ConnStat, AsyncDisposable
{
  readonly #core: ConnectionCore
  #extra: Map<unknown, unknown> | undefined

  // Made by the swarm.
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

  /** Unique in the process, for logs and maps. */
  get id(): string {
    return this.#core.id
  }

  /** The swarm it belongs to. */
  get swarm(): Swarm {
    return this.#core.host.swarm
  }

  /** Our own peer id. */
  get localPeer(): PeerId {
    return this.#core.host.swarm.peerId
  }

  /** Our own private key. Loads @libp2p/crypto. */
  get localPrivateKey(): PrivateKey {
    return this.#core.host.swarm.privateKey
  }

  /** The authenticated peer at the other end. */
  get remotePeer(): PeerId {
    return this.#core.remotePeer
  }

  /** Its public key. Loads @libp2p/crypto. */
  get remotePublicKey(): PublicKey {
    return this.#core.remotePublicKey
  }

  /** Where the other end is, without `/p2p`. */
  get remoteAddr(): Multiaddr {
    return this.#core.remoteAddr
  }

  /** Our own end, without `/p2p`. */
  get localAddr(): Multiaddr {
    return this.#core.localAddr
  }

  /** Host and port of the other end; undefined where the transport has none. */
  get remoteAddress(): HostPort | undefined {
    return this.#core.remoteAddress
  }

  /** `inbound` if the remote dialled. */
  get direction(): 'inbound' | 'outbound' {
    return this.#core.direction
  }

  /** `relayed` if it goes through a circuit. */
  get connectionType(): 'direct' | 'relayed' {
    return this.#core.connectionType
  }

  /** What secures, multiplexes and carries it. */
  get state(): ConnectionSecurity {
    return this.#core.security
  }

  /** Facts as of now. */
  get stat(): ConnectionStat {
    this.#extra ??= new Map()
    return {
      direction: this.#core.direction,
      opened: this.#core.opened,
      limited: false,
      transient: false,
      numStreams: this.#core.streams.size,
      extra: this.#extra
    }
  }

  /** What it has carried so far, and its round trip. Undefined once it has ended. One crossing. */
  counters(): ConnectionCounters | undefined {
    return this.#core.closeReason === undefined ? this.#core.measure() : undefined
  }

  /**
   * {@link Connection.stat} and {@link Connection.counters} in one, taken at the call. Once it has ended, what it had
   * carried by then; it has no streams any more. One crossing while it lives, none after.
   */
  stats(): ConnectionStats {
    return { ...this.stat, ...this.#core.measure(), ended: this.#core.endedAt }
  }

  /** The open streams, oldest first: a copy. */
  get streams(): Stream[] {
    return Array.from(this.#core.streams, ({ stream }) => stream)
  }

  /** {@link Connection.streams}. */
  getStreams(): Stream[] {
    return this.streams
  }

  /** True from the first `close`, by whichever side, on. */
  get isClosed(): boolean {
    return this.#core.closing
  }

  /** Resolves when the connection and its streams have ended. Never rejects. */
  get closed(): Promise<void> {
    return this.#core.closed
  }

  /** Why it ended; undefined while it lives. */
  get closeReason(): ConnectionCloseReason | undefined {
    return this.#core.closeReason
  }

  /** What setting it up took. */
  get dialReport(): DialReport {
    return this.#core.dialReport
  }

  /**
   * Open a stream. No protocol: raw. One: usable at once, its refusal shows on the first read or write.
   * Several: resolves when the peer has chosen, in our order.
   *
   * Rejects with `UnsupportedProtocolError`, `ConnectionClosedError`, `MuxerClosedError` (the peer takes no more
   * streams), `ResourceLimitExceededError`, `TimeoutError`, `AbortError`. Throws `InvalidParametersError` for a bad name.
   */
  newStream(protocols?: string | readonly string[], options?: NewStreamOptions): Promise<Stream>
  /** Open a raw stream, with options. */
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
   * Close in good order. Streams that were closed for writing deliver what they accepted, and their end; all others are
   * reset at once. Then the peer is told, and `closed` settles. Idempotent.
   *
   * A peer that takes nothing of it for `limits.writeStallTimeoutMs` loses the rest: `closeReason.error` and the
   * `error` of the streams concerned tell so. An aborted `signal` ends the wait, not the delivery.
   */
  close(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.close(options)
  }

  /**
   * Close at once, with a `ConnectionErrorCode` for the peer: every stream is reset, and what it has not sent is lost.
   * While {@link Connection.close} still delivers it ends that.
   */
  closeWithError(code: number): Promise<void> {
    aCode(code, 'code')
    return this.#core.closeAtOnce(code)
  }

  /** Forget a stream of this connection: `stream.remove()`. Throws `InvalidParametersError` for another one's. */
  removeStream(stream: Stream): void {
    if (!(stream instanceof Stream) || streamFacade.coreOf(stream).owner !== this.#core) {
      throw misuse('stream', 'a stream of this connection', stream)
    }
    stream.remove()
  }

  /** Connections start by themselves: does nothing, for go's and py's callers. */
  start(): void {}

  /** {@link Connection.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal Never a key, and one crossing at most. */
  [INSPECT](...args: InspectArguments): unknown {
    // A proxy has none of the private fields.
    if (!(#core in this)) return this
    const core = this.#core
    return shown('Connection', core.id, () => factsOf(core), args)
  }

  protected override onListenerError(err: unknown, listener: object, message: string): void {
    this.#core.host.onFailure(err, listener, message)
  }
}

/** What `console.log` shows. */
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

/** @internal Throws `InvalidParametersError` for what is no connection of this package. */
export function checkConnection(connection: unknown): void {
  if (!(connection instanceof Connection)) throw misuse('connection', 'a Connection', connection)
}

/** What to propose. A list of one name is that name: there is nothing to choose. */
function proposalOf(
  protocols: string | readonly string[] | undefined
): string | readonly string[] | undefined {
  // A name gets its number at its first use, and is checked there.
  if (protocols === undefined || typeof protocols === 'string') return protocols
  const names = protocolNames(protocols)
  return names.length === 1 ? names[0] : names
}
