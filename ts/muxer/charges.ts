/** The limits of one connection over a muxer of the application, and the charges of its streams. */
import { type Libp2pError, ResourceLimitExceededError } from '../errors.ts'
import type { ResourceManager, StreamManagementScope } from '../resource-manager/interfaces.ts'
import type { ResolvedLimits } from '../resource-manager/limits.ts'
import type { StreamCore } from '../stream/core.ts'
import { errorOf } from './failure.ts'

/** The dependencies of the charges. */
export interface StreamChargesHost {
  readonly limits: ResolvedLimits
  /** The native accounting. */
  readonly resourceManager: Pick<ResourceManager, 'openStream'>
}

/** The handler of inbound streams of a protocol. */
export interface InboundHandler {
  /** Its number in the handler table. */
  readonly protocol: number
  readonly inboundMax: number
  readonly service?: string | undefined
}

/** The streams of one connection: those open, and those that are yet to be made. */
export class StreamCharges {
  readonly #peer: string
  readonly #host: StreamChargesHost
  // With the numbers of their handlers; 0 for outbound and raw ones.
  readonly #streams = new Map<StreamCore, number>()
  // Charges of streams that are yet to be made: inbound ones are negotiated before.
  readonly #pending = new Map<StreamManagementScope, 'inbound' | 'outbound'>()

  constructor(peer: string, host: StreamChargesHost) {
    this.#peer = peer
    this.#host = host
  }

  /** Charges a stream; returns the error if it is refused. {@link add} or {@link drop} follows. */
  open(
    direction: 'inbound' | 'outbound',
    protocol: string | undefined
  ): StreamManagementScope | Libp2pError {
    const refusal = this.#refusal(direction)
    if (refusal !== undefined) return refusal
    let charge: StreamManagementScope | undefined
    try {
      charge = this.#host.resourceManager.openStream(this.#peer, direction)
      if (protocol !== undefined) charge.setProtocol(protocol)
      this.#pending.set(charge, direction)
      return charge
    } catch (err) {
      charge?.done()
      return errorOf(err, 'a stream could not be charged')
    }
  }

  /** Charges a negotiated stream to its protocol and service. Throws the refusal. */
  admit(protocol: string, handler: InboundHandler, charge: StreamManagementScope): void {
    const { inboundMax, service } = handler
    // The streams of one handler are only counted if there may be too many.
    if (this.#streams.size >= inboundMax) {
      const current = this.#count((_, served) => served === handler.protocol)
      if (current >= inboundMax) {
        throw limitError('maxInbound', 'streamsInbound', inboundMax, current)
      }
    }
    charge.setProtocol(protocol)
    if (service !== undefined) charge.setService(service)
  }

  /** Called when the stream of a charge was made. */
  add(stream: StreamCore, charge: StreamManagementScope, served: number): void {
    this.#pending.delete(charge)
    stream.charge = charge
    this.#streams.set(stream, served)
  }

  /** Ends the charge of a stream that is not made. */
  drop(charge: StreamManagementScope): void {
    this.#pending.delete(charge)
    charge.done()
  }

  /** Ends the charge of a stream. Idempotent. */
  end(stream: StreamCore): void {
    this.#streams.delete(stream)
    stream.charge?.done()
  }

  /** Returns the refusal if the connection has as many streams as `limits.connection` allows. */
  #refusal(direction: 'inbound' | 'outbound'): ResourceLimitExceededError | undefined {
    const { connection, dryRun } = this.#host.limits
    const resource = direction === 'inbound' ? 'streamsInbound' : 'streamsOutbound'
    const limit = connection[resource]
    const known = this.#streams.size + this.#pending.size
    if (dryRun || known < Math.min(connection.streams, limit)) return undefined
    const pending = [...this.#pending.values()].filter((of) => of === direction).length
    const current = pending + this.#count((stream) => stream.direction === direction)
    if (current >= limit)
      return limitError(`limits.connection.${resource}`, resource, limit, current)
    const total = this.#pending.size + this.#count(() => true)
    if (total < connection.streams) return undefined
    return limitError('limits.connection.streams', 'streams', connection.streams, total)
  }

  #count(is: (stream: StreamCore, served: number) => boolean): number {
    let count = 0
    for (const [stream, served] of this.#streams) {
      // One that failed has ended, although its record has yet to arrive.
      if (!stream.isFailed() && is(stream, served)) count += 1
    }
    return count
  }
}

/** Returns the refusal by a limit of the connection. */
export function limitError(
  option: string,
  resource: 'streams' | 'streamsInbound' | 'streamsOutbound',
  limit: number,
  current: number
): ResourceLimitExceededError {
  return new ResourceLimitExceededError(
    `connection: ${current} of ${limit} ${resource} are in use; ${option} sets the limit`,
    { scope: 'connection', resource, limit, current, requested: 1, option },
    'ERR_STREAM_LIMIT'
  )
}
