/** The opener of native connections: maps handles, native calls and records. */
import type { Connection } from '../connection.ts'
import {
  Direction,
  type MuxerName,
  type MuxerProtocol,
  type SecurityProtocol,
  StreamState
} from '../constants.ts'
import { ERROR_CODES, type ErrorCode, type Libp2pError } from '../errors.ts'
import { transportOf } from '../identity/parsed-address.ts'
import type { NativeConnectionFacts, NativeRefusal } from '../native/addon.ts'
import {
  type ConnectionCounters,
  connectionCounters,
  connectionFigures
} from '../native/counters.ts'
import type { ConnectionSink, Engine, Served } from '../native/engine.ts'
import type { ConnectionHandle, StreamHandle } from '../native/handles.ts'
import { endError, nativeError, withoutStack } from '../native/native-error.ts'
import { FLAG_EXPLAINED, FLAG_REMOTE, HANDLE_PENDING } from '../native/record.ts'
import { StreamCore } from '../stream/core.ts'
import type { CarriedConnection } from './carried.ts'
import type { ConnectionFacts, ConnectionSecurity, StageTimes } from './facts.ts'
import type { ConnectionOwner, Opener } from './opener.ts'

const NO_PROTOCOLS: readonly string[] = Object.freeze([])

/** The dependencies of an opener. */
export interface NativeOpenerHost {
  readonly engine: Engine
  /** Returns the number of the scope of a connection; undefined after its end. */
  scopeOf(handle: ConnectionHandle): number | undefined
  /** Returns what the transport of a connection that has just ended said of it; null if nothing. */
  endText(handle: ConnectionHandle): string | null
  /** Takes the refusal behind the last call that was refused by a limit. */
  takeRefusal(): NativeRefusal | null
  /** Returns the error of a refusal. */
  refusalError(refusal: NativeRefusal, code?: ErrorCode): Libp2pError
}

/** The opener of one native connection. */
export class NativeOpener implements Opener, ConnectionSink {
  readonly muxed = undefined
  readonly #handle: ConnectionHandle
  readonly #host: NativeOpenerHost
  readonly #carried: CarriedConnection | undefined
  #attached: ConnectionOwner | undefined
  #hasEnded = false
  // Final counters, by figure.
  #totals: number[] | undefined

  /** `carried` is the duplex below, if that is the application's. */
  constructor(handle: ConnectionHandle, host: NativeOpenerHost, carried?: CarriedConnection) {
    this.#handle = handle
    this.#host = host
    this.#carried = carried
  }

  get #engine(): Engine {
    return this.#host.engine
  }

  attach(owner: ConnectionOwner): void {
    this.#attached = owner
    this.#engine.adoptConnection(this.#handle, this)
  }

  /** The public facade of the connection. */
  get connection(): Connection | undefined {
    return this.#attached?.connection
  }

  // Records and `open` calls reach this object only once it is attached.
  get #owner(): ConnectionOwner {
    if (this.#attached === undefined) throw new TypeError('the opener is not attached')
    return this.#attached
  }

  open(protocols: readonly string[], numbers: Uint32Array): StreamCore | Libp2pError {
    const result = this.#engine.hot.open(this.#handle, numbers, true)
    if (result < 0) return this.#openError(-result)
    this.#engine.outbox.flushSoon()
    const isPending = (result & HANDLE_PENDING) !== 0
    const owner = this.#owner
    return new StreamCore({
      // A non-negative result is the stream's handle and that flag.
      handle: (result & ~HANDLE_PENDING) as StreamHandle,
      number: owner.nextStream(),
      owner: owner,
      direction: 'outbound',
      state: isPending ? StreamState.INIT : StreamState.OPEN,
      protocol: isPending ? undefined : protocols[0],
      proposed: protocols
    })
  }

  #openError(code: number): Libp2pError {
    if (code === ERROR_CODES.ERR_CONNECTION_CLOSED) return this.#owner.closedError()
    if (code !== ERROR_CODES.ERR_STREAM_LIMIT) return nativeError(code)
    const refusal = this.#host.takeRefusal()
    if (refusal === null) return nativeError(code)
    return this.#host.refusalError(refusal, 'ERR_STREAM_LIMIT')
  }

  close(code: number): void {
    this.#engine.outbox.closeConnection(this.#handle, code, false)
  }

  closeAtOnce(code: number): void {
    this.#engine.outbox.closeConnection(this.#handle, code, true)
  }

  /** Takes one native call while the connection is alive. */
  counters(): ConnectionCounters {
    const { hot } = this.#engine
    const figures = this.#hasEnded ? (this.#totals ?? []) : connectionFigures(hot, this.#handle)
    return connectionCounters(figures)
  }

  scope(): number | undefined {
    return this.#hasEnded ? undefined : this.#host.scopeOf(this.#handle)
  }

  forget(): void {}

  allowEarlyFin(): void {
    this.#engine.hot.allowEarlyFin(this.#handle)
  }

  onStreamOpened(handle: StreamHandle, protocol: number): void {
    const owner = this.#owner
    const stream = new StreamCore({
      handle,
      number: owner.nextStream(),
      owner: owner,
      direction: 'inbound',
      state: StreamState.OPEN,
      protocol: this.#engine.protocols.of(handle, protocol),
      proposed: NO_PROTOCOLS
    })
    owner.streamOpened(stream, protocol)
  }

  onProtocolQuery(protocol: string): Served | undefined {
    return this.#owner.choose(protocol)
  }

  onGoingAway(): void {
    this.#owner.remoteGoesAway()
  }

  onCarried(figure: number, value: number): void {
    this.#totals ??= []
    this.#totals[figure] = value
  }

  onClosed(closeCode: number, code: number, flags: number): void {
    this.#hasEnded = true
    const owner = this.#owner
    const reset = ERROR_CODES.ERR_CONNECTION_RESET
    // A duplex that fails during our own close loses what that was to deliver.
    const isLost = code === reset || (code === 0 && (flags & FLAG_REMOTE) === 0)
    const cause = isLost ? this.#carried?.failure : undefined
    let error: Libp2pError | undefined
    if (code !== 0 || cause !== undefined) {
      const isExplained = (flags & FLAG_EXPLAINED) !== 0
      const closeReason = isExplained ? (this.#host.endText(this.#handle) ?? '') : ''
      const options = { transport: owner.transport, closeCode, closeReason }
      error = withoutStack(() =>
        cause === undefined
          ? endError(code, flags, options)
          : nativeError(reset, cause.message, { ...options, cause })
      )
    }
    this.#carried?.connectionEnded(error === undefined && closeCode === 0)
    // A duplex that failed does not tell which side has ended it.
    const remote = (flags & FLAG_REMOTE) !== 0 && cause === undefined
    owner.ended({ closeCode, remote, error })
  }
}

/** Places in {@link NativeConnectionFacts}. */
const Fact = {
  remotePeer: 0,
  remotePublicKey: 1,
  remoteAddress: 2,
  localAddress: 3,
  direction: 4,
  security: 5,
  muxer: 6,
  muxerEngine: 7,
  earlyMuxer: 8,
  connectUs: 9,
  securityUs: 10,
  muxerUs: 11
} as const

/** The facts of a native connection, each converted at access, as most are never read. */
export class NativeFacts implements ConnectionFacts {
  readonly #native: NativeConnectionFacts
  readonly #addresses: ReturnType<CarriedConnection['addresses']> | undefined
  readonly limited: boolean

  /** `carried` is the duplex below, if that is the application's. */
  constructor(native: NativeConnectionFacts, carried?: CarriedConnection) {
    this.#native = native
    this.#addresses = carried?.addresses()
    this.limited = carried?.isLimited ?? false
  }

  get remotePeer(): string {
    return this.#native[Fact.remotePeer]
  }

  get remotePublicKey(): Uint8Array {
    return Uint8Array.from(Buffer.from(this.#native[Fact.remotePublicKey], 'latin1'))
  }

  get remoteAddress(): string {
    return this.#addresses?.remote ?? this.#native[Fact.remoteAddress]
  }

  get localAddress(): string {
    return this.#addresses?.local ?? this.#native[Fact.localAddress]
  }

  get direction(): 'inbound' | 'outbound' {
    return this.#native[Fact.direction] === Direction.Inbound ? 'inbound' : 'outbound'
  }

  get security(): ConnectionSecurity {
    const native = this.#native
    return {
      transport: transportOf(this.remoteAddress),
      // The native side negotiates only these.
      security: native[Fact.security] as SecurityProtocol,
      muxer: native[Fact.muxer] as MuxerProtocol,
      muxerEngine: native[Fact.muxerEngine] as MuxerName,
      usedEarlyMuxerNegotiation: native[Fact.earlyMuxer] !== 0
    }
  }

  get dialReport(): StageTimes {
    const native = this.#native
    return {
      connect: native[Fact.connectUs] / 1_000,
      security: native[Fact.securityUs] / 1_000,
      muxer: native[Fact.muxerUs] / 1_000
    }
  }
}
