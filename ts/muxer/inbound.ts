/** The inbound streams of one connection over a muxer of the application: taken one at a time, and negotiated. */
import type { ConnectionOwner } from '../connection/opener.ts'
import { StreamErrorCode } from '../constants.ts'
import { Libp2pError, MultiselectError, ResourceLimitExceededError } from '../errors.ts'
import { type Offers, respond } from '../negotiation/multiselect.ts'
import { MultiselectCommunicator } from '../negotiation/multiselect-communicator.ts'
import { negotiation } from '../negotiation/negotiation.ts'
import type { StreamManagementScope } from '../resource-manager/interfaces.ts'
import type { CarriedStreams, CarriedStreamsHost } from './carried-streams.ts'
import { type InboundHandler, limitError } from './charges.ts'
import { aMuxedStream, type MuxedConn, type MuxedStream } from './muxed.ts'
import { MuxedCarrier } from './muxed-carrier.ts'

/** Streams taken from the muxer in one turn of the event loop. */
const ACCEPTS_PER_TURN = 64

/** The handler table of the swarm. */
export interface InboundTable extends Offers<InboundHandler> {
  /** Whether every inbound stream goes to one handler, without a negotiation. */
  readonly isRaw: boolean
}

/** The dependencies of inbound streams. */
export interface InboundHost extends CarriedStreamsHost {
  readonly inbound: InboundTable
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
  /** Reports what a remote may provoke at will. */
  debug(line: string, err: unknown): void
}

/** What a stream has negotiated; undefined for a raw one. */
type Served = { readonly protocol: string; readonly handler: InboundHandler } | undefined

/** The inbound streams of one connection. */
export class InboundStreams {
  readonly #streams: CarriedStreams
  readonly #owner: ConnectionOwner
  readonly #host: InboundHost
  readonly #stopped = new AbortController()
  #negotiating = 0

  constructor(streams: CarriedStreams, owner: ConnectionOwner, host: InboundHost) {
    this.#streams = streams
    this.#owner = owner
    this.#host = host
  }

  /** Takes streams until {@link stop}; rejects with what ends the muxer before. */
  async take(muxed: MuxedConn): Promise<void> {
    const { signal } = this.#stopped
    for (let taken = 1; !signal.aborted; taken += 1) {
      const stream = await muxed.acceptStream({ signal })
      aMuxedStream(stream, 'the stream of the muxer')
      this.#taken(stream)
      // A muxer that always has one must not keep the event loop from polling.
      if (taken % ACCEPTS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Takes no more: the connection closes. */
  stop(): void {
    this.#stopped.abort()
  }

  #taken(muxed: MuxedStream): void {
    const { limits, signal, inbound } = this.#host
    if (this.#stopped.signal.aborted || signal.aborted) {
      this.#streams.discard(muxed, StreamErrorCode.Shutdown)
      return
    }
    const { acceptBacklog: max } = limits
    if (this.#negotiating >= max) {
      this.#refuse(muxed, limitError('limits.acceptBacklog', 'streamsInbound', max, max))
      return
    }
    const charge = this.#streams.charges.open('inbound', undefined)
    if (charge instanceof Libp2pError) this.#refuse(muxed, charge)
    else if (inbound.isRaw) this.#dispatch(muxed, charge, undefined)
    else void this.#negotiate(muxed, charge)
  }

  async #negotiate(muxed: MuxedStream, charge: StreamManagementScope): Promise<void> {
    const attempt = this.#streams.begin()
    const { signal } = attempt
    this.#negotiating += 1
    const carrier = new MuxedCarrier(muxed)
    const communicator = new MultiselectCommunicator(carrier)
    try {
      const [protocol, handler] = await negotiation(
        MultiselectError,
        { signal, timeout: Number.POSITIVE_INFINITY },
        (abort) => respond(communicator, this.#host.inbound, abort)
      )
      // The connection may have closed since.
      signal.throwIfAborted()
      this.#streams.charges.admit(protocol, handler, charge)
      this.#dispatch(muxed, charge, { protocol, handler }, carrier.rest)
    } catch (err) {
      this.#streams.charges.drop(charge)
      if (err instanceof ResourceLimitExceededError) this.#refuse(muxed, err)
      else {
        this.#host.debug('an inbound stream was not negotiated', attempt.reason ?? err)
        this.#streams.discard(muxed, StreamErrorCode.ProtocolNegotiationFailed)
      }
    } finally {
      this.#negotiating -= 1
      this.#streams.finish(attempt)
    }
  }

  /** Passes a stream to its handler; `received` are bytes that were read behind its negotiation. */
  #dispatch(
    muxed: MuxedStream,
    charge: StreamManagementScope,
    served: Served,
    received?: Uint8Array
  ): void {
    const { protocol, handler } = served ?? {}
    const number = handler?.protocol ?? 0
    const core = this.#streams.make({ direction: 'inbound', protocol, served: number, charge })
    if (core instanceof Libp2pError) {
      this.#refuse(muxed, core)
      return
    }
    const pump = this.#streams.carry(core, muxed)
    this.#owner.streamOpened(core, number)
    pump.start(received)
  }

  /** Resets a stream that was refused. */
  #refuse(muxed: MuxedStream, err: Libp2pError): void {
    if (err instanceof ResourceLimitExceededError) this.#owner.streamRefused(err)
    else this.#host.debug('an inbound stream was refused', err)
    this.#streams.discard(muxed, StreamErrorCode.ResourceLimitExceeded)
  }
}
