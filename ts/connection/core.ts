/**
 * What stands behind a {@link Connection}: the handle, its facts and its streams.
 */
import type { PeerId, PublicKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import { abortable, aborted, onceGivenUp } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import { Direction, StreamState } from '../constants.ts'
import {
  ConnectionClosedError,
  ERROR_CODES,
  type Libp2pError,
  ResourceLimitExceededError,
  TimeoutError
} from '../errors.ts'
import { type HostPort, hostPort, multiaddrOf } from '../identity/address.ts'
import { publicKeyOf } from '../identity/load.ts'
import { transportOf } from '../identity/parsed-address.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { ConnectionFacts } from '../native/addon.ts'
import {
  type ConnectionCounters,
  connectionCounters,
  connectionFigures
} from '../native/counters.ts'
import type { ConnectionSink, Engine, Served } from '../native/engine.ts'
import { endError, nativeError, stackless } from '../native/native-error.ts'
import { FLAG_REMOTE, UNSETTLED } from '../native/record.ts'
import { StreamCore } from '../stream/core.ts'
import type { Deadlines } from '../stream/deadlines.ts'
import type { Forgotten } from '../stream/forgotten.ts'
import type { StreamHome } from '../stream/home.ts'
import type { Stream } from '../stream.ts'
import { connectionFaces } from './face.ts'
import type {
  ConnectionCloseReason,
  ConnectionSecurity,
  DialReport,
  NewStreamOptions
} from './facts.ts'
import type { ConnectionHost } from './host.ts'

// Connections of all swarms count together: their ids are unique in the process.
let connectionsMade = 0

const RAW = new Uint32Array(0)
const NO_PROTOCOLS: readonly string[] = Object.freeze([])

/** The machinery of one connection. */
export class ConnectionCore implements ConnectionSink, StreamHome {
  readonly id: string
  readonly handle: number
  readonly host: ConnectionHost
  readonly connection: Connection
  readonly direction: 'inbound' | 'outbound'
  readonly opened: number
  readonly streams: Set<StreamCore> = new Set()
  closing = false
  /** The remote takes no more streams. */
  goingAway = false
  closeReason: ConnectionCloseReason | undefined
  /** When it ended. */
  ended: number | undefined

  readonly #facts: ConnectionFacts
  #remotePeer: PeerId | undefined
  #remoteAddr: Multiaddr | undefined
  #localAddr: Multiaddr | undefined
  #remotePublicKey: PublicKey | undefined
  #closed: PromiseWithResolvers<void> | undefined
  #streamsMade = 0
  // The batch that told of it.
  readonly #openedIn: number
  #lost: ConnectionClosedError | undefined
  // As of its end.
  readonly #carried: number[] = []

  constructor(handle: number, facts: ConnectionFacts, host: ConnectionHost) {
    connectionsMade += 1
    this.id = `${facts.remotePeer.slice(-8)}-${connectionsMade}`
    this.handle = handle
    this.host = host
    this.#facts = facts
    this.direction = facts.direction === Direction.Inbound ? 'inbound' : 'outbound'
    this.opened = host.clock.now()
    this.#openedIn = host.engine.batch
    this.connection = connectionFaces.make(this)
    host.engine.adoptConnection(handle, this)
  }

  get engine(): Engine {
    return this.host.engine
  }

  get clock(): Clock {
    return this.host.clock
  }

  get deadlines(): Deadlines {
    return this.host.deadlines
  }

  get forgotten(): Forgotten {
    return this.host.forgotten
  }

  get transport(): string {
    return transportOf(this.#facts.remoteAddress)
  }

  get takesStreams(): boolean {
    return !this.closing && !this.goingAway
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    this.#closed ??= Promise.withResolvers()
    if (this.closeReason !== undefined) this.#closed.resolve()
    return this.#closed.promise
  }

  get remotePeer(): PeerId {
    this.#remotePeer ??= peerIdOf(this.#facts.remotePeer)
    return this.#remotePeer
  }

  /** The peer's id as text. */
  get peer(): string {
    return this.#facts.remotePeer
  }

  get remotePublicKey(): PublicKey {
    this.#remotePublicKey ??= publicKeyOf(this.remotePublicKeyBytes)
    return this.#remotePublicKey
  }

  /** The peer's public key in its protobuf form. */
  get remotePublicKeyBytes(): Uint8Array {
    return Uint8Array.from(Buffer.from(this.#facts.remotePublicKey, 'latin1'))
  }

  /** Where the other end is, as text. */
  get remoteAddressText(): string {
    return this.#facts.remoteAddress
  }

  get remoteAddr(): Multiaddr {
    this.#remoteAddr ??= multiaddrOf(this.#facts.remoteAddress)
    return this.#remoteAddr
  }

  get localAddr(): Multiaddr {
    this.#localAddr ??= multiaddrOf(this.#facts.localAddress)
    return this.#localAddr
  }

  get remoteAddress(): HostPort | undefined {
    return hostPort(this.#facts.remoteAddress)
  }

  get connectionType(): 'direct' | 'relayed' {
    return this.#facts.remoteAddress.includes('/p2p-circuit') ? 'relayed' : 'direct'
  }

  get security(): ConnectionSecurity {
    return {
      transport: this.transport,
      security: this.#facts.security,
      muxer: this.#facts.muxer,
      muxerEngine: this.#facts.muxerEngine,
      usedEarlyMuxerNegotiation: this.#facts.earlyMuxer
    }
  }

  get dialReport(): DialReport {
    const { dialUs, securityUs, muxerUs } = this.#facts
    return { dial: dialUs / 1_000, security: securityUs / 1_000, muxer: muxerUs / 1_000 }
  }

  /** What it has carried: as of now, and once it has ended as of its end. One crossing while it lives. */
  measure(): ConnectionCounters {
    const isOver = this.closeReason !== undefined
    return connectionCounters(
      isOver ? this.#carried : connectionFigures(this.engine.hot, this.handle)
    )
  }

  newStream(
    protocols: string | readonly string[] | undefined,
    options: NewStreamOptions = {}
  ): Promise<Stream> {
    const { engine } = this.host
    const proposals = protocols === undefined ? RAW : engine.protocols.proposals(protocols)
    if (options.signal?.aborted === true) {
      return Promise.reject(aborted(options.signal))
    }
    if (this.closing) return Promise.reject(this.#closedError())
    if (this.goingAway) return Promise.reject(nativeError(ERROR_CODES.ERR_MUXER_CLOSED))
    const full =
      typeof protocols === 'string' ? this.host.refusal(protocols, this.streams) : undefined
    if (full !== undefined) return Promise.reject(full)
    const answer = engine.hot.open(this.handle, proposals)
    if (answer < 0) return Promise.reject(this.#openError(-answer))
    engine.outbox.flushSoon()
    const unsettled = (answer & UNSETTLED) !== 0
    const proposed = typeof protocols === 'string' ? [protocols] : (protocols ?? NO_PROTOCOLS)
    const core = new StreamCore({
      handle: answer & ~UNSETTLED,
      number: this.nextStream(),
      home: this,
      direction: 'outbound',
      state: unsettled ? StreamState.INIT : StreamState.OPEN,
      protocol: unsettled ? undefined : proposed[0],
      proposed
    })
    if (unsettled) return this.#settle(core, proposed, options)
    this.announce(core)
    return Promise.resolve(core.stream)
  }

  /** Close in good order: what streams accepted before they were closed is delivered first. */
  close(options?: AbortOptions): Promise<void> {
    if (!this.closing) {
      for (const stream of this.streams) stream.handDown()
      this.#end(0, false)
    }
    return abortable(this.closed, options?.signal)
  }

  /** Close at once, also while {@link close} still delivers. */
  closeAtOnce(code: number): Promise<void> {
    if (this.closeReason === undefined) this.#end(code, true)
    return this.closed
  }

  #end(code: number, atOnce: boolean): void {
    const { engine } = this.host
    if (!this.closing) {
      this.closing = true
      this.host.connectionClosing(this)
    }
    engine.outbox.submit()
    engine.hot.closeConnection(this.handle, code, atOnce)
    engine.outbox.flushSoon()
  }

  /** The peer bears the end of a stream before it has answered our proposal: see `docs/streams.md`. */
  allowEarlyFin(): void {
    if (this.closeReason === undefined) this.host.engine.hot.allowEarlyFin(this.handle)
  }

  onStreamOpened(handle: number, protocol: number): void {
    const core = new StreamCore({
      handle,
      number: this.nextStream(),
      home: this,
      direction: 'inbound',
      state: StreamState.OPEN,
      protocol: this.host.engine.protocols.of(handle, protocol),
      proposed: NO_PROTOCOLS
    })
    this.announce(core)
    this.host.dispatch(core, this.connection, protocol)
  }

  onStreamAsked(protocol: string): Served | undefined {
    return this.host.choose(protocol)
  }

  onGoingAway(): void {
    this.goingAway = true
  }

  onCarried(figure: number, value: number): void {
    this.#carried[figure] = value
  }

  onClosed(wireCode: number, code: number, flags: number): void {
    this.closing = true
    this.ended = this.host.clock.now()
    this.closeReason = {
      closeCode: wireCode,
      remote: (flags & FLAG_REMOTE) !== 0,
      error: code === 0 ? undefined : stackless(() => this.#endError(code, wireCode, flags))
    }
    // Those of our own muxers have ended before; these are of the application's.
    for (const stream of [...this.streams]) {
      const isOrderly = code === 0 && wireCode === 0
      stream.pump?.connectionLost(wireCode, { remote: this.closeReason.remote, isOrderly })
    }
    const { error } = this.closeReason
    if (this.#lost !== undefined && error !== undefined) {
      // As the constructor has it: on the error, and not among what is listed of it.
      Object.defineProperty(this.#lost, 'cause', {
        value: error,
        configurable: true,
        writable: true
      })
    }
    this.host.connectionEnded(this)
    const { connection, closeReason } = this
    // Who dialled it gets it behind this batch, and hears of its end after that.
    if (this.#openedIn === this.host.engine.batch) {
      setImmediate(() => connectionFaces.emitClose(connection, closeReason))
    } else {
      connectionFaces.emitClose(connection, closeReason)
    }
    this.#closed?.resolve()
  }

  /** One error for all of them: what broke the connection is told behind its streams, and is added then. */
  lost(closeCode: number): ConnectionClosedError {
    this.#lost ??= new ConnectionClosedError(undefined, { transport: this.transport, closeCode })
    return this.#lost
  }

  /** Put a stream on the list, and say so. */
  announce(stream: StreamCore): void {
    this.streams.add(stream)
    this.forgotten.watch(this.streams)
    this.host.notify('openedStream', stream.stream)
  }

  /** Number of the next stream, of either direction; from 1. */
  nextStream(): number {
    this.#streamsMade += 1
    return this.#streamsMade
  }

  get onFailure(): OnFailure {
    return this.host.onFailure
  }

  get signal(): AbortSignal {
    return this.host.signal
  }

  /** A stream has ended. */
  streamEnded(stream: StreamCore): void {
    this.forget(stream)
  }

  /** Take a stream off the list, and say so once. */
  forget(stream: StreamCore): void {
    if (this.streams.delete(stream)) this.host.notify('closedStream', stream.stream)
  }

  /** What broke the connection. */
  #endError(code: number, closeCode: number, flags: number): Libp2pError {
    return endError(code, flags, { transport: this.transport, closeCode })
  }

  #closedError(): ConnectionClosedError {
    const { closeCode, error } = this.closeReason ?? {}
    return new ConnectionClosedError(undefined, {
      transport: this.transport,
      ...(closeCode === undefined ? {} : { closeCode }),
      ...(error === undefined ? {} : { cause: error })
    })
  }

  /** Why no stream could be opened. */
  #openError(code: number): Libp2pError {
    if (code === ERROR_CODES.ERR_CONNECTION_CLOSED) return this.#closedError()
    if (code !== ERROR_CODES.ERR_STREAM_LIMIT) return nativeError(code)
    // It is refused exactly when there are as many as there may be.
    const limit = this.host.limits.outboundStreamsMax
    return new ResourceLimitExceededError(
      `${limit} outbound streams reach the limit of ${limit} a connection`,
      { code: 'ERR_STREAM_LIMIT', scope: 'connection', resource: 'streams', limit, current: limit }
    )
  }

  /** The stream, once a protocol is chosen: on the list by then, so that whatever follows finds it there. */
  #settle(
    core: StreamCore,
    proposed: readonly string[],
    options: NewStreamOptions
  ): Promise<Stream> {
    const { clock, engine } = this.host
    const { signal, negotiationTimeout } = options
    // By its number the remote names what it has chosen.
    for (const name of proposed) engine.protocols.keep(name)
    return new Promise((resolve, reject) => {
      let reason: Error | undefined
      const release = onceGivenUp(engine, clock, signal, negotiationTimeout, (why) => {
        if (core.state !== StreamState.INIT) return
        reason =
          why === 'aborted'
            ? aborted(signal)
            : new TimeoutError(`no protocol was chosen within ${negotiationTimeout} ms`)
        core.stream.abort(reason)
      })
      core.onceSettled((err) => {
        for (const name of proposed) engine.protocols.release(name)
        release()
        const full = err === undefined ? this.host.refusal(core.protocol, this.streams) : undefined
        if (full !== undefined) core.stream.abort(full)
        const failure = reason ?? err ?? full
        if (failure !== undefined) {
          reject(failure)
          return
        }
        this.announce(core)
        resolve(core.stream)
      })
    })
  }
}
