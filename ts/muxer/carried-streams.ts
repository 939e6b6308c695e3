/** The streams of one connection over a muxer of the application: those open, and those being opened or negotiated. */
import type { Clock } from '../base/clock.ts'
import { isThenable, type OnFailure } from '../base/events.ts'
import type { ConnectionOwner } from '../connection/opener.ts'
import { Direction, StreamState } from '../constants.ts'
import type { Libp2pError } from '../errors.ts'
import type { Engine } from '../native/engine.ts'
import type { StreamHandle } from '../native/handles.ts'
import { nativeError } from '../native/native-error.ts'
import type { StreamManagementScope } from '../resource-manager/interfaces.ts'
import { StreamCore } from '../stream/core.ts'
import { Attempt } from './attempt.ts'
import { StreamCharges, type StreamChargesHost } from './charges.ts'
import type { MuxedConn, MuxedStream } from './muxed.ts'
import { MuxedPump } from './muxed-pump.ts'

/** The dependencies of the streams. */
export interface CarriedStreamsHost extends StreamChargesHost {
  readonly engine: Engine
  readonly clock: Clock
  readonly onFailure: OnFailure
  readonly options: { readonly connections: { readonly streamNegotiationTimeout: number } }
}

/** What a stream is made of. */
export interface CarriedInit {
  readonly direction: 'inbound' | 'outbound'
  /** Undefined for a raw stream, and for one that is yet to be negotiated. */
  readonly protocol: string | undefined
  /** Number of its handler; 0 if it has none. */
  readonly served: number
  /** Ends with the stream, or now if it cannot be made. */
  readonly charge: StreamManagementScope
}

/** The streams of one connection. */
export class CarriedStreams {
  readonly charges: StreamCharges
  readonly #muxed: MuxedConn
  readonly #owner: ConnectionOwner
  readonly #host: CarriedStreamsHost
  // Pumps that have not passed on the ends of both halves, and their streams.
  readonly #pumps = new Map<MuxedPump, StreamCore>()
  readonly #attempts = new Set<Attempt>()

  constructor(muxed: MuxedConn, peer: string, owner: ConnectionOwner, host: CarriedStreamsHost) {
    this.charges = new StreamCharges(peer, host)
    this.#muxed = muxed
    this.#owner = owner
    this.#host = host
  }

  /** Makes a stream: an inbound one is OPEN, an outbound one in INIT. Returns the error if it cannot be made. */
  make({ direction, protocol, served, charge }: CarriedInit): StreamCore | Libp2pError {
    const { engine } = this.#host
    const isInbound = direction === 'inbound'
    const result = engine.hot.openForeign(isInbound ? Direction.Inbound : Direction.Outbound)
    if (result < 0) {
      this.charges.drop(charge)
      return nativeError(-result)
    }
    const core = new StreamCore({
      // A non-negative result is the handle of the stream.
      handle: result as StreamHandle,
      number: this.#owner.nextStream(),
      owner: this.#owner,
      direction,
      state: isInbound ? StreamState.OPEN : StreamState.INIT,
      protocol,
      proposed: []
    })
    this.charges.add(core, charge, served)
    return core
  }

  /** Returns the pump of a stream, which is not started. */
  carry(core: StreamCore, muxed: MuxedStream): MuxedPump {
    const pump = new MuxedPump(core, muxed)
    core.pump = pump
    this.#pumps.set(pump, core)
    void Promise.all([pump.written, pump.received]).then(() => this.#pumps.delete(pump))
    return pump
  }

  /** Begins an attempt to open or to negotiate a stream. */
  begin(): Attempt {
    const { clock, options } = this.#host
    const attempt = new Attempt(clock, options.connections.streamNegotiationTimeout)
    this.#attempts.add(attempt)
    return attempt
  }

  finish(attempt: Attempt): void {
    attempt.end()
    this.#attempts.delete(attempt)
  }

  /** Gives up every attempt. */
  giveUp(reason: Libp2pError): void {
    for (const attempt of this.#attempts) attempt.giveUp(reason)
  }

  /** Resets the streams that are open for writing; resolves once the others have passed on all that was written. */
  async deliver(): Promise<void> {
    const delivered: Promise<void>[] = []
    for (const [pump, core] of this.#pumps) {
      const isWritten =
        core.state === StreamState.CLOSE_WRITE || core.state === StreamState.CLOSE_BOTH
      if (core.isLive && !isWritten) pump.cut()
      else delivered.push(pump.written)
    }
    await Promise.all(delivered)
  }

  /** Resolves once every stream has received all that the remote has sent. */
  async receive(): Promise<void> {
    await Promise.all(Array.from(this.#pumps.keys(), ({ received }) => received))
  }

  /** Ends every stream: the connection was closed here with `code`. */
  lose(code: number): void {
    for (const [pump, core] of this.#pumps) {
      if (core.isLive) pump.connectionLost(code, { remote: false, isOrderly: code === 0 })
    }
  }

  /** Resets a stream of the muxer that the connection has no use for. */
  discard(muxed: MuxedStream, code: number): void {
    this.call(() => muxed.reset(code))
  }

  /** Calls the muxer and does not wait for it; a failure is reported. */
  call(make: () => unknown): void {
    const failed = (err: unknown): void =>
      this.#host.onFailure(err, this.#muxed, 'a muxer of the application failed')
    try {
      const result = make()
      if (isThenable(result)) result.then(undefined, failed)
    } catch (err) {
      failed(err)
    }
  }
}
