/**
 * The opener of connections over a muxer of the application, see `connection/opener.ts`.
 *
 * The muxer is not trusted to behave: every call of it is guarded, and every wait for it is bounded. Its streams are
 * negotiated in JavaScript, each within a deadline, before a pump moves their bytes through native slots.
 */
import type { ConnectionEnd } from '../connection/facts.ts'
import type { ConnectionOwner, Opener } from '../connection/opener.ts'
import { StreamErrorCode, StreamState } from '../constants.ts'
import {
  ConnectionClosedError,
  Libp2pError,
  ResourceLimitExceededError,
  TimeoutError
} from '../errors.ts'
import type { ConnectionCounters } from '../native/counters.ts'
import { MultiselectClient } from '../negotiation/multiselect-client.ts'
import { MultiselectCommunicator } from '../negotiation/multiselect-communicator.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Attempt } from './attempt.ts'
import { CarriedStreams } from './carried-streams.ts'
import { closeReasonOf, errorOf } from './failure.ts'
import { type InboundHost, InboundStreams } from './inbound.ts'
import { aMuxedStream, type MuxedConn, type MuxedStream } from './muxed.ts'
import { MuxedCarrier } from './muxed-carrier.ts'

/** Milliseconds to wait for the muxer after a close at once. */
const CLOSE_AT_ONCE_MS = 1_000

/** What is not known of an application's muxer counts as 0. */
const COUNTERS: ConnectionCounters = Object.freeze({
  bytesReceived: 0,
  bytesSent: 0,
  framesReceived: 0,
  framesSent: 0,
  roundTripMs: undefined
})

/** The parts of an opener that need its owner. */
interface Parts {
  readonly owner: ConnectionOwner
  readonly streams: CarriedStreams
  readonly inbound: InboundStreams
}

/** The opener of one connection. */
export class MuxedOpener implements Opener {
  readonly muxed: MuxedConn
  readonly #peer: string
  readonly #host: InboundHost
  #attached: Parts | undefined
  #phase: 'open' | 'closing' | 'closed at once' | 'ended' = 'open'
  // Ends the wait of a graceful close.
  #endWait: () => void = () => {}

  constructor(muxed: MuxedConn, peer: string, host: InboundHost) {
    this.muxed = muxed
    this.#peer = peer
    this.#host = host
  }

  attach(owner: ConnectionOwner): void {
    const streams = new CarriedStreams(this.muxed, this.#peer, owner, this.#host)
    this.#attached = { owner, streams, inbound: new InboundStreams(streams, owner, this.#host) }
  }

  // Attached before any other call.
  get #parts(): Parts {
    if (this.#attached === undefined) throw new TypeError('the opener is not attached')
    return this.#attached
  }

  /** Begins to accept streams: the connection has been announced. */
  start(): void {
    if (this.#phase !== 'open') return
    this.#parts.inbound.take(this.muxed).catch((err) => this.#lost(err))
  }

  open(protocols: readonly string[]): StreamCore | Libp2pError {
    const { owner, streams } = this.#parts
    if (this.#hasLeft()) {
      this.#lost(undefined)
      return owner.closedError()
    }
    const only = protocols.length === 1 ? protocols[0] : undefined
    const charge = streams.charges.open('outbound', only)
    if (charge instanceof Libp2pError) return charge
    const core = streams.make({ direction: 'outbound', protocol: undefined, served: 0, charge })
    if (core instanceof Libp2pError) return core
    const attempt = streams.begin()
    core.pump = attempt
    void this.#open(core, protocols, attempt)
    return core
  }

  async #open(core: StreamCore, protocols: readonly string[], attempt: Attempt): Promise<void> {
    const { streams } = this.#parts
    const { signal } = attempt
    let muxed: MuxedStream | undefined
    try {
      const opened = await attempt.call(
        () => this.muxed.openStream({ signal }),
        (late) => streams.discard(late, StreamErrorCode.NoError)
      )
      aMuxedStream(opened, 'the stream of the muxer')
      muxed = opened
      const carrier = new MuxedCarrier(muxed)
      const protocol = await propose(protocols, carrier, signal)
      // Its caller or the connection may have given it up since the muxer has answered.
      if (core.state !== StreamState.INIT) attempt.giveUp(undefined)
      signal.throwIfAborted()
      if (protocols.length > 1 && protocol !== undefined) core.charge?.setProtocol(protocol)
      const pump = streams.carry(core, muxed)
      core.onNegotiated(protocol === undefined ? 0 : core.engine.protocols.id(protocol), 0)
      pump.start(carrier.rest)
    } catch (err) {
      const isRefused = err instanceof ResourceLimitExceededError
      const { NoError, ResourceLimitExceeded } = StreamErrorCode
      if (muxed !== undefined) streams.discard(muxed, isRefused ? ResourceLimitExceeded : NoError)
      if (this.#hasLeft()) this.#lost(err)
      fail(core, attempt.reason ?? errorOf(err, 'a stream could not be opened'))
    } finally {
      streams.finish(attempt)
    }
  }

  forget(stream: StreamCore): void {
    this.#parts.streams.charges.end(stream)
  }

  /** Whether the muxer says that it is closed, of itself. */
  #hasLeft(): boolean {
    try {
      return this.#phase === 'open' && this.muxed.isClosed
    } catch {
      return true
    }
  }

  /** Called when the muxed connection has ended of itself. */
  #lost(err: unknown): void {
    if (this.#phase !== 'open') return
    const wasClosed = this.#hasLeft()
    this.#stop('closing')
    void this.#leave(closeReasonOf(err), wasClosed)
  }

  async #leave(end: ConnectionEnd, wasClosed: boolean): Promise<void> {
    const { owner, streams } = this.#parts
    if (end.error === undefined) {
      owner.remoteGoesAway()
      // What the remote sent before an orderly end may still be in the muxer.
      await this.#within(this.#host.limits.writeStallTimeoutMs, () => streams.receive())
      if (this.#phase !== 'closing') return
    }
    if (!wasClosed) streams.call(() => this.muxed.closeWithError(0))
    this.#end(end)
  }

  close(code: number): void {
    if (this.#phase !== 'open') return
    this.#stop('closing')
    void this.#close(code)
  }

  async #close(code: number): Promise<void> {
    const { engine, limits } = this.#host
    const { streams } = this.#parts
    engine.outbox.submit()
    // A close within a record precedes the records of what was just submitted.
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#phase !== 'closing') return
    engine.drain()
    const failure = await this.#within(limits.writeStallTimeoutMs, async () => {
      await streams.deliver()
      await (code === 0 ? this.muxed.close() : this.muxed.closeWithError(code))
    })
    if (this.#phase !== 'closing') return
    if (failure !== undefined) streams.call(() => this.muxed.closeWithError(code))
    this.#end({ closeCode: code, remote: false, error: failure })
  }

  closeAtOnce(code: number): void {
    if (this.#phase !== 'open' && this.#phase !== 'closing') return
    this.#endWait()
    this.#stop('closed at once')
    void this.#closeAtOnce(code)
  }

  async #closeAtOnce(code: number): Promise<void> {
    const failure = await this.#within(CLOSE_AT_ONCE_MS, async () => {
      // The muxer first, whose remote is to learn the code.
      const closed = (async () => await this.muxed.closeWithError(code))()
      this.#parts.streams.lose(code)
      await closed
    })
    this.#end({ closeCode: code, remote: false, error: failure })
  }

  /** Waits for a call of the muxer, at most for `ms`; resolves to the error, if it fails or hangs. */
  async #within(ms: number, make: () => Promise<void>): Promise<Libp2pError | undefined> {
    const { clock } = this.#host
    const { promise, resolve } = Promise.withResolvers<Libp2pError | undefined>()
    this.#endWait = () => resolve(undefined)
    const late = (): void => resolve(new TimeoutError(`the muxer did not close within ${ms} ms`))
    const timer = clock.setTimer(late, ms)
    make().then(
      () => resolve(undefined),
      (err) => resolve(errorOf(err, 'the muxer failed to close'))
    )
    const failure = await promise
    clock.clearTimer(timer)
    return failure
  }

  /** Accepts and opens no more streams; those being opened fail. */
  #stop(phase: 'closing' | 'closed at once'): void {
    this.#phase = phase
    const { owner, inbound, streams } = this.#parts
    inbound.stop()
    streams.giveUp(new ConnectionClosedError({ transport: owner.transport }))
  }

  #end(end: ConnectionEnd): void {
    this.#phase = 'ended'
    this.#parts.owner.ended(end)
  }

  counters(): ConnectionCounters {
    return COUNTERS
  }

  scope(): undefined {
    return undefined
  }

  allowEarlyFin(): void {}
}

/** Proposes protocols on a stream; resolves to the accepted one, or at once for a raw stream. */
async function propose(
  protocols: readonly string[],
  carrier: MuxedCarrier,
  signal: AbortSignal
): Promise<string | undefined> {
  if (protocols.length === 0) return undefined
  const communicator = new MultiselectCommunicator(carrier)
  const options = { signal, timeout: Number.POSITIVE_INFINITY }
  return await new MultiselectClient().selectOneOf(protocols, communicator, options)
}

/** Fails a stream that is being opened, unless its caller has given it up. */
function fail(core: StreamCore, err: Libp2pError): void {
  if (core.state !== StreamState.INIT) return
  core.engine.hot.reset(core.handle, StreamErrorCode.NoError)
  core.fail(StreamState.ERROR, err)
}
