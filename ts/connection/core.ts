/**
 * The implementation of a {@link Connection}: its facts, streams and end. Its opener, native or not, opens the streams
 * and closes the connection: see `opener.ts`.
 */
import type { PeerId, PublicKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import { abortable, aborted, onceGivenUp } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import { StreamErrorCode, StreamState } from '../constants.ts'
import {
  ConnectionClosedError,
  LimitedConnectionError,
  MuxerClosedError,
  ResourceLimitExceededError,
  StateError,
  TimeoutError
} from '../errors.ts'
import { type HostPort, hostPort, multiaddrOf, NO_ADDRESS } from '../identity/address.ts'
import { publicKeyOf } from '../identity/load.ts'
import { isRelayed } from '../identity/parsed-address.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { MuxedConn } from '../muxer/muxed.ts'
import type { ConnectionCounters } from '../native/counters.ts'
import type { Engine, Served } from '../native/engine.ts'
import type { ConnScope, ResourceScopeSpan, StreamScope } from '../resource-manager/interfaces.ts'
import type { AbandonedStreams } from '../stream/abandoned.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Deadlines } from '../stream/deadlines.ts'
import { streamFacade } from '../stream/facade.ts'
import { addCause } from '../stream/failure.ts'
import { StreamList } from '../stream/list.ts'
import type { Stream } from '../stream.ts'
import { connectionFacade } from './facade.ts'
import type {
  ConnectionCloseReason,
  ConnectionDirection,
  ConnectionEnd,
  ConnectionFacts,
  ConnectionSecurity,
  Dialled,
  DialReport,
  NewStreamOptions
} from './facts.ts'
import type { ConnectionHost, Proposal } from './host.ts'
import type { ConnectionOwner, Opener } from './opener.ts'

// Shared by all swarms, so that connection ids are unique in the process.
let connectionsMade = 0

const RAW = new Uint32Array(0)
const NO_PROTOCOLS: readonly string[] = Object.freeze([])
const GOING_AWAY = 'the peer takes no more streams on this connection'

const NO_ATTEMPTS: Dialled['attempts'] = Object.freeze([])

/** How the remote is reached, in place of what its address tells. */
export interface KnownTransport {
  readonly type: 'direct' | 'relayed'
  readonly addresses: readonly Multiaddr[]
}

/** The implementation of one connection. */
export class ConnectionCore implements ConnectionOwner {
  readonly id: string
  readonly host: ConnectionHost
  readonly connection: Connection
  readonly opened: number
  readonly streams = new StreamList()
  closing = false
  /** The remote's GoAway has arrived: it accepts no more streams. */
  goingAway = false
  closeReason: ConnectionCloseReason | undefined
  /** Time of its end, in milliseconds since the epoch. */
  endedAt: number | undefined
  /** Whether every `connected` callback has returned. */
  isAnnounced = false
  /** Set by the application. */
  transportInfo: KnownTransport | undefined

  readonly #opener: Opener
  readonly #facts: ConnectionFacts
  #remotePeer: PeerId | undefined
  #remoteAddr: Multiaddr | undefined
  #localAddr: Multiaddr | undefined
  #remotePublicKey: PublicKey | undefined
  #closed: PromiseWithResolvers<void> | undefined
  #streamsMade = 0
  // Batch of the record that announced the connection.
  readonly #openedInBatch: number
  #lost: ConnectionClosedError | undefined
  #dialled: Dialled | undefined
  // Why this side closes it, if a rule of the swarm does.
  #rule = ''
  // A scope other than the native one of a native connection; ends with the connection.
  #ownScope: ResourceScopeSpan | undefined

  constructor(opener: Opener, facts: ConnectionFacts, host: ConnectionHost) {
    connectionsMade += 1
    this.id = `${facts.remotePeer.slice(-8)}-${connectionsMade}`
    this.host = host
    this.#opener = opener
    this.#facts = facts
    this.opened = host.clock.now()
    this.#openedInBatch = host.engine.batch
    this.connection = connectionFacade.make(this)
    opener.attach(this)
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

  get abandoned(): AbandonedStreams {
    return this.host.abandoned
  }

  get direction(): ConnectionDirection {
    return this.#facts.direction
  }

  /** The muxer, if it is the application's. */
  get muxed(): MuxedConn | undefined {
    return this.#opener.muxed
  }

  get transport(): ConnectionSecurity['transport'] {
    return this.#facts.security.transport
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
    const bytes = this.remotePublicKeyBytes
    if (bytes.length === 0) throw new StateError('the public key of the peer is not known')
    this.#remotePublicKey ??= publicKeyOf(bytes)
    return this.#remotePublicKey
  }

  /** The peer's public key in its protobuf form; empty if it is not known. */
  get remotePublicKeyBytes(): Uint8Array {
    return this.#facts.remotePublicKey
  }

  /** The remote address as text. */
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

  /** Whether it is limited in time or bytes. */
  get limited(): boolean {
    return this.#facts.limited
  }

  get connectionType(): 'direct' | 'relayed' {
    if (this.transportInfo !== undefined) return this.transportInfo.type
    return isRelayed(this.#facts.remoteAddress) ? 'relayed' : 'direct'
  }

  /** The remote addresses that the application has set, else the one of the connection, if it is known. */
  get transportAddresses(): Multiaddr[] {
    if (this.transportInfo !== undefined) return [...this.transportInfo.addresses]
    return this.#facts.remoteAddress === NO_ADDRESS ? [] : [this.remoteAddr]
  }

  /** Its share of the resources that the swarm accounts for. */
  get resourceScope(): ConnScope {
    return this.#ownScope ?? this.host.connectionScope(this)
  }

  /** Sets the scope, which ends with the connection; one that was set before ends now. */
  setScope(scope: ResourceScopeSpan): void {
    this.#endScope()
    this.#ownScope = scope
  }

  #endScope(): void {
    const scope = this.#ownScope
    try {
      scope?.done()
    } catch (err) {
      this.onFailure(err, scope ?? this, 'the end of a resource scope failed')
    }
  }

  get security(): ConnectionSecurity {
    return { ...this.#facts.security }
  }

  get dialReport(): DialReport {
    const { resolvedFrom, attempts = NO_ATTEMPTS } = this.#dialled ?? {}
    return { ...this.#facts.dialReport, resolvedFrom, attempts }
  }

  /** Sets how the connection was dialled. */
  dialled(how: Dialled): void {
    // Nothing is kept for most connections.
    if (how.attempts.length > 0 || how.resolvedFrom !== undefined) this.#dialled = how
  }

  /** Bytes and frames carried so far, or until its end. At most one native call. */
  measure(): ConnectionCounters {
    return this.#opener.counters()
  }

  newStream(proposal: Proposal, options: NewStreamOptions = {}): Promise<Stream> {
    const { admission } = this.host
    const numbers = this.#numbersOf(proposal)
    if (options.signal?.aborted === true) {
      return Promise.reject(aborted(options.signal))
    }
    const { allowLimited = false } = options
    if (this.limited && allowLimited === false) return Promise.reject(new LimitedConnectionError())
    if (admission !== undefined) return admission.newStream(this, proposal, options)
    const core = this.open(proposal, numbers)
    return core instanceof Error ? this.rejected(core) : this.whenOpen(core, proposal, options)
  }

  /** Rejects a call to open a stream; the refusal of a limit is reported. */
  rejected(err: Error): Promise<never> {
    return Promise.reject(this.reported(err))
  }

  /** Returns the error of a call to open a stream; the refusal of a limit is reported. */
  reported(err: Error): Error {
    if (err instanceof ResourceLimitExceededError) this.host.limitRefused(err, this, 'outbound')
    return err
  }

  /** Opens a stream, which is not announced yet; returns the error if it cannot be opened. */
  open(proposal: Proposal, numbers: Uint32Array = this.#numbersOf(proposal)): StreamCore | Error {
    const refusal = this.refusal(proposal)
    if (refusal !== undefined) return refusal
    return this.#opener.open(proposedOf(proposal), numbers)
  }

  /** {@link open} for a caller that has asked for the {@link refusal}: the limit of the protocol is not checked again. */
  openAdmitted(proposal: Proposal): StreamCore | Error {
    // Names are numbered now: those of before a callback of the application may have been evicted.
    return this.#departure() ?? this.#opener.open(proposedOf(proposal), this.#numbersOf(proposal))
  }

  /** Returns the error of opening a stream if its opener need not be asked. */
  refusal(proposal: Proposal): Error | undefined {
    const departure = this.#departure()
    if (departure !== undefined || typeof proposal !== 'string') return departure
    return this.host.refusal(proposal, this.streams)
  }

  /** Returns the error of opening a stream on a connection that opens no more; undefined on any other. */
  #departure(): Error | undefined {
    if (this.closing) return this.closedError()
    return this.goingAway ? new MuxerClosedError(GOING_AWAY) : undefined
  }

  /** Resolves to a stream of {@link open} once it is negotiated and announced. */
  whenOpen(core: StreamCore, proposal: Proposal, options: NewStreamOptions): Promise<Stream> {
    if (core.state === StreamState.INIT) {
      return this.#whenNegotiated(core, proposedOf(proposal), options)
    }
    this.announce(core)
    return Promise.resolve(core.stream)
  }

  #numbersOf(proposal: Proposal): Uint32Array {
    return proposal === undefined ? RAW : this.host.engine.protocols.proposals(proposal)
  }

  /** Closes gracefully: bytes that streams accepted before they were closed are delivered first. */
  close(options?: AbortOptions): Promise<void> {
    this.#closeGracefully(0)
    return abortable(this.closed, options?.signal)
  }

  /** Closes gracefully, by a rule of the swarm: `code` is for the remote, `rule` for this side. */
  closeBy(rule: string, code: number): void {
    if (!this.closing) this.#rule = rule
    this.#closeGracefully(code)
  }

  #closeGracefully(code: number): void {
    if (this.closing) return
    for (const stream of this.streams.inOrder()) stream.handDown()
    this.#beginClose()
    this.#opener.close(code)
  }

  /** Closes at once, even while {@link close} is still delivering. */
  closeAtOnce(code: number): Promise<void> {
    if (this.closeReason === undefined) {
      this.#beginClose()
      this.#opener.closeAtOnce(code)
    }
    return this.closed
  }

  /** Marks the connection as closing and removes it from the lists of the swarm, once. */
  #beginClose(): void {
    if (this.closing) return
    this.closing = true
    this.host.connectionClosing(this)
  }

  /** Marks the peer as tolerating a FIN before it has answered our proposal: see `docs/streams.md`. */
  allowEarlyFin(): void {
    if (this.closeReason === undefined) this.#opener.allowEarlyFin()
  }

  streamOpened(stream: StreamCore, protocol: number): void {
    const refusal = this.host.admission?.admit(this, stream)
    if (refusal !== undefined) {
      void stream.reset(StreamErrorCode.ResourceLimitExceeded, refusal)
      return
    }
    this.announce(stream)
    this.host.dispatch(stream, this.connection, protocol)
    // It has left the transient scope.
    this.host.admission?.placeFreed(this)
  }

  choose(protocol: string): Served | undefined {
    return this.host.choose(protocol)
  }

  remoteGoesAway(): void {
    this.goingAway = true
    this.host.admission?.opensNoMore(this)
  }

  ended(end: ConnectionEnd): void {
    const { closeCode, error, remote } = end
    const reason = { ...end, rule: remote ? '' : this.#rule }
    this.closing = true
    this.endedAt = this.host.clock.now()
    this.closeReason = reason
    // Streams of native muxers have ended already; the rest belong to application muxers.
    if (this.streams.size > 0) {
      const isOrderly = error === undefined && closeCode === 0
      for (const { pump } of this.streams.inOrder()) {
        pump?.connectionLost(closeCode, { remote, isOrderly })
      }
    }
    if (this.#lost !== undefined && error !== undefined) addCause(this.#lost, error)
    this.#endScope()
    this.host.connectionEnded(this)
    const { connection } = this
    // The dialler's promise resolves after this batch; the close event must follow it.
    if (this.#openedInBatch === this.host.engine.batch) {
      setImmediate(() => connectionFacade.emitClose(connection, reason))
    } else {
      connectionFacade.emitClose(connection, reason)
    }
    this.#closed?.resolve()
  }

  streamRefused(refusal: ResourceLimitExceededError): void {
    this.host.limitRefused(refusal, this, 'inbound')
  }

  /** One error shared by all streams: their records precede the connection's, whose error is added as the cause. */
  lost(closeCode: number): ConnectionClosedError {
    this.#lost ??= this.#closedBy({ closeCode })
    return this.#lost
  }

  /** Adds a stream to the list and notifies. */
  announce(stream: StreamCore): void {
    this.streams.add(stream)
    this.abandoned.watch(this.streams)
    this.host.notify('openedStream', stream.stream)
  }

  /** Returns the number of the next stream, of either direction; starts at 1. */
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

  streamEnded(stream: StreamCore): void {
    this.forget(stream)
  }

  /** Removes a stream from the list and notifies once. */
  forget(stream: StreamCore): void {
    const { admission } = this.host
    this.#opener.forget(stream)
    admission?.release(stream)
    if (this.streams.delete(stream)) {
      this.host.streamEnded(this.connection, stream.failure)
      this.host.notify('closedStream', stream.stream)
    }
    admission?.placeFreed(this)
  }

  /** Returns the number of its scope; undefined after its end. */
  scope(): number | undefined {
    return this.closeReason === undefined ? this.#opener.scope() : undefined
  }

  streamScope(stream: StreamCore): StreamScope {
    return this.host.streamScope(stream)
  }

  /** Charges a stream of this connection to a service. Throws the refusal, which is reported. */
  chargeService(stream: Stream, service: string): void {
    try {
      this.host.setService(streamFacade.coreOf(stream), service)
    } catch (err) {
      if (err instanceof ResourceLimitExceededError) this.host.limitRefused(err, this, 'outbound')
      throw err
    }
  }

  /** Charges a raw stream to a protocol. Throws the refusal, which is reported. */
  setProtocol(stream: StreamCore, protocol: string): void {
    const { admission } = this.host
    try {
      // The native charge comes last: it cannot be undone.
      const refusal = admission?.setProtocol(stream, protocol)
      if (refusal !== undefined) throw refusal
      this.host.setProtocol(stream, protocol)
    } catch (err) {
      if (err instanceof ResourceLimitExceededError) this.host.limitRefused(err, this, 'outbound')
      throw err
    }
    // It has left the transient scope.
    admission?.placeFreed(this)
  }

  closedError(): ConnectionClosedError {
    const { closeCode, error } = this.closeReason ?? {}
    return this.#closedBy({
      ...(closeCode === undefined ? {} : { closeCode }),
      ...(error === undefined ? {} : { cause: error })
    })
  }

  #closedBy(details: { closeCode?: number; cause?: Error }): ConnectionClosedError {
    const { transport } = this
    const rule = this.#rule
    if (rule === '') return new ConnectionClosedError({ transport, ...details })
    const message = `the connection was closed by us: ${rule}`
    return new ConnectionClosedError(message, { transport, closeReason: rule, ...details })
  }

  /** Resolves to the stream once negotiated; it is listed before that, so that callbacks find it there. */
  #whenNegotiated(
    core: StreamCore,
    proposed: readonly string[],
    options: NewStreamOptions
  ): Promise<Stream> {
    const { clock, engine } = this.host
    const { signal, negotiationTimeout } = options
    // The record of the remote's choice refers to the protocol by number.
    for (const name of proposed) engine.protocols.keep(name)
    return new Promise((resolve) => {
      let reason: Error | undefined
      const release = onceGivenUp(engine, clock, signal, negotiationTimeout, (why) => {
        if (core.state !== StreamState.INIT) return
        reason =
          why === 'aborted'
            ? aborted(signal)
            : new TimeoutError(`no protocol was chosen within ${negotiationTimeout} ms`)
        core.stream.abort(reason)
      })
      core.onceNegotiated((err) => {
        for (const name of proposed) engine.protocols.release(name)
        release()
        const full = err === undefined ? this.#refusalOf(core, proposed) : undefined
        if (full !== undefined) core.stream.abort(full)
        const failure = reason ?? this.#withFigures(err, core) ?? full
        if (failure === undefined) {
          this.announce(core)
          resolve(core.stream)
        } else {
          resolve(this.rejected(failure))
        }
        // It has left the transient scope, in which one with a single proposal never was.
        if (proposed.length > 1) this.host.admission?.placeFreed(this)
      })
    })
  }

  /** Returns the error of a negotiation; with the figures of the limit, if the protocol's has refused the stream. */
  #withFigures(err: Error | undefined, { handle }: StreamCore): Error | undefined {
    if (!(err instanceof ResourceLimitExceededError)) return err
    const refusal = this.host.takeRefusal(handle)
    return refusal === null ? err : this.host.refusalError(refusal, 'ERR_STREAM_LIMIT')
  }

  /** Returns the error if a negotiated stream is refused for its protocol. */
  #refusalOf(core: StreamCore, proposed: readonly string[]): Error | undefined {
    const { host } = this
    const { protocol } = core
    const full = host.refusal(protocol, this.streams)
    // A stream is charged to its only proposal when it is opened.
    if (full !== undefined || protocol === undefined || proposed.length === 1) return full
    return host.admission?.setProtocol(core, protocol)
  }
}

function proposedOf(proposal: Proposal): readonly string[] {
  return typeof proposal === 'string' ? [proposal] : (proposal ?? NO_PROTOCOLS)
}
