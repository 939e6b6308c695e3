/**
 * Admission of connections and streams beyond the native limits: by a resource manager of the application, and by the
 * queue for a stream's place. A swarm that was never given either has none.
 */
import type { OnFailure } from '../base/events.ts'
import type { ConnectionCore } from '../connection/core.ts'
import type { ConnectionFacts, NewStreamOptions } from '../connection/facts.ts'
import type { Proposal, StreamAdmission, StreamCharge } from '../connection/host.ts'
import type { ResourceLimitExceededError } from '../errors.ts'
import { StateError } from '../errors.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Stream } from '../stream.ts'
import { type Charge, Charges } from './charges.ts'
import type { ConnManagementScope, ResourceManager, StreamManagementScope } from './interfaces.ts'
import { StreamQueue, type StreamQueueHost } from './stream-queue.ts'

/** The swarm's interface to its admission. */
export interface AdmissionHost extends StreamQueueHost {
  readonly onFailure: OnFailure
  /** Reports that the application's resource manager has refused an inbound stream. */
  streamRefused(core: ConnectionCore, refusal: ResourceLimitExceededError): void
}

/** The charge of a connection; it ends with {@link Admission.connectionEnded}. */
export type ConnectionCharge = Charge<ConnManagementScope>

/** The admission of one swarm. */
export class Admission implements StreamAdmission {
  readonly #host: AdmissionHost
  // Weak, as the tables that a `Map` has outgrown keep its entries alive: see `StreamList`.
  readonly #connections = new WeakMap<ConnectionCore, ConnectionCharge>()
  readonly #streams = new WeakMap<StreamCore, Charge<StreamManagementScope>>()
  #charges: Charges | undefined
  #queue: StreamQueue | undefined

  constructor(host: AdmissionHost) {
    this.#host = host
  }

  /** Replaces the manager, and adds or removes the queue. Charges to an earlier manager remain until their ends. */
  set(manager: ResourceManager | null, hasQueue: boolean): void {
    if (manager !== this.#charges?.manager) {
      this.#charges = manager === null ? undefined : new Charges(manager, this.#host.onFailure)
    }
    if (hasQueue) {
      this.#queue ??= new StreamQueue(this.#host, (core, proposal) => this.#open(core, proposal))
      this.#queue.retryAll()
    } else {
      const queue = this.#queue
      this.#queue = undefined
      queue?.close((refusal) => refusal)
    }
  }

  /** Rejects waiting calls, and lets none wait from now on: the swarm closes. */
  close(): void {
    this.#queue?.close(() => new StateError('the swarm is closed'))
  }

  /** Charges a connection; returns the refusal, or undefined if there is no manager. */
  chargeConnection(
    facts: ConnectionFacts
  ): ConnectionCharge | ResourceLimitExceededError | undefined {
    return this.#charges?.connection(facts)
  }

  /** Lets a charge end with its connection. */
  connectionOpened(core: ConnectionCore, charge: ConnectionCharge): void {
    this.#connections.set(core, charge)
  }

  connectionEnded(core: ConnectionCore): void {
    const charge = this.#connections.get(core)
    this.#connections.delete(core)
    charge?.done()
    this.opensNoMore(core)
  }

  newStream(core: ConnectionCore, proposal: Proposal, options: NewStreamOptions): Promise<Stream> {
    if (this.#queue !== undefined) return this.#queue.newStream(core, proposal, options)
    const opened = this.#open(core, proposal)
    return opened instanceof Error
      ? core.rejected(opened)
      : core.whenOpen(opened, proposal, options)
  }

  charge(
    core: ConnectionCore,
    direction: 'inbound' | 'outbound'
  ): StreamCharge | ResourceLimitExceededError | undefined {
    const charge = this.#charges?.stream(core.peer, direction, undefined)
    if (charge === undefined || charge instanceof Error) return charge
    return {
      follow: (stream) => void this.#streams.set(stream, charge),
      done: () => charge.done()
    }
  }

  admit(core: ConnectionCore, stream: StreamCore): ResourceLimitExceededError | undefined {
    const charge = this.#charges?.stream(core.peer, stream.direction, stream.protocol)
    if (charge === undefined) return undefined
    if (charge instanceof Error) {
      this.#host.streamRefused(core, charge)
      return charge
    }
    this.#streams.set(stream, charge)
    return undefined
  }

  setProtocol(stream: StreamCore, protocol: string): ResourceLimitExceededError | undefined {
    const charge = this.#streams.get(stream)
    // The manager has granted it; it was the native limit that refused it.
    if (charge === undefined || charge.protocol === protocol) return undefined
    const what = `a stream of ${JSON.stringify(protocol)}`
    const refusal = charge.set(what, (scope) => scope.setProtocol(protocol))
    if (refusal === undefined) charge.protocol = protocol
    return refusal
  }

  release(stream: StreamCore): void {
    const charge = this.#streams.get(stream)
    this.#streams.delete(stream)
    charge?.done()
  }

  placeFreed(core: ConnectionCore): void {
    this.#queue?.retry(core.peer)
  }

  opensNoMore(core: ConnectionCore): void {
    this.#queue?.opensNoMore(core)
  }

  #open(core: ConnectionCore, proposal: Proposal): StreamCore | Error {
    if (this.#charges === undefined) return core.open(proposal)
    // The manager is not asked about streams that cannot be opened anyway.
    const refusal = core.refusal(proposal)
    if (refusal !== undefined) return refusal
    const protocol = typeof proposal === 'string' ? proposal : undefined
    const charge = this.#charges.stream(core.peer, 'outbound', protocol)
    if (charge instanceof Error) return charge
    const stream = core.openAdmitted(proposal)
    if (stream instanceof Error) charge.done()
    else this.#streams.set(stream, charge)
    return stream
  }
}
