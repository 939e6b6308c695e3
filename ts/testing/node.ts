/** A node of a simulated network: what stays the same across its restarts, and the swarm that it runs. */
import type { Connection } from '../connection.ts'
import { StateError } from '../errors.ts'
import type { Service } from '../protocols/services.ts'
import type { Notifiee } from '../swarm/notifiee.ts'
import type { SwarmOptions } from '../swarm/options.ts'
import { createSwarm, Swarm } from '../swarm.ts'
import type { SimulatedConn } from './conn.ts'
import { checkGiven, type NodeOptions } from './options.ts'
import { keyOf, randomOf } from './random.ts'
import type { TraceEventName } from './trace.ts'
import { type Places, SimulatedTransport, type Station } from './transport.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** The port that every node listens at, as is usual. */
const PORT = 4_001

/** The network of a node. */
export interface NodeHost {
  readonly seed: number
  readonly clock: VirtualClock
  readonly places: Places
  record(event: TraceEventName, remote?: string, detail?: string): void
  /** Throws `StateError` if the network is closed. */
  assertOpen(): void
  /** Returns the name of the node at an address; the address if there is none. */
  nameOf(address: string): string
}

/** One node. */
export class SimulatedNode implements Station {
  readonly name: string
  /** Its IP address. */
  readonly host: string
  /** The address that it listens at. */
  readonly address: string
  readonly peer: string
  readonly transport: SimulatedTransport
  /** The ends of its connections, in the order of their making. */
  readonly conns = new Set<SimulatedConn>()
  readonly #host: NodeHost
  readonly #given: NodeOptions
  #starts = 0
  #latest: Swarm | undefined
  #isUp = false
  #isStarting = false

  /** Throws `InvalidParametersError` for an invalid option. */
  constructor(
    { name, number }: { readonly name: string; readonly number: number },
    given: NodeOptions,
    host: NodeHost
  ) {
    this.name = name
    this.host = ['10', number >> 16, (number >> 8) & 0xff, number & 0xff].join('.')
    this.address = `/ip4/${this.host}/tcp/${PORT}`
    this.#host = host
    this.#given = given
    this.transport = new SimulatedTransport(this, host.places)
    checkGiven(given)
    // Checks all options, and has the identity.
    this.peer = new Swarm(this.options()).peerId.toString()
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** The latest swarm, which may be closed; undefined before the first one. */
  get latest(): Swarm | undefined {
    return this.#latest
  }

  /** Returns the options of the next swarm. */
  options(): SwarmOptions {
    const { seed, clock } = this.#host
    const { limits, services } = this.#given
    this.#starts += 1
    return {
      ...this.#given,
      clock,
      random: randomOf(`${seed} random ${this.name} ${this.#starts}`),
      privateKey: keyOf(`${seed} key ${this.name}`),
      transports: [this.transport],
      // It has nothing to do but to keep the accounts.
      ioThreads: 1,
      // Rates are those of real time, of which a simulation takes next to none.
      limits: withoutRates(limits),
      services: { ...services, custom: [this.#tracker(), ...(services?.custom ?? [])] }
    }
  }

  /** Starts a swarm that listens. Rejects with the error of what fails, and leaves the node down. */
  async start(): Promise<Swarm> {
    if (this.#isUp || this.#isStarting) throw new StateError(`the node ${this.name} is not down`)
    this.#isStarting = true
    try {
      const swarm = await createSwarm(this.options())
      await swarm.listen(this.address)
      return swarm
    } finally {
      this.#isStarting = false
    }
  }

  /** Ends all that the network has of it, as a crash of its process does. */
  crash(): void {
    this.#isUp = false
    this.transport.stop()
    for (const conn of [...this.conns]) conn.crash()
  }

  /** A service: it tells when a swarm starts and stops, also one that the application makes. */
  #tracker(): Service {
    let isRunning = false
    return {
      start: (swarm) => {
        this.#host.assertOpen()
        if (this.#isUp) throw new StateError(`the node ${this.name} runs already`)
        isRunning = true
        this.#isUp = true
        this.#latest = swarm
        this.#host.record('started')
        swarm.notify(this.#notifiee())
      },
      stop: () => {
        if (!isRunning) return
        this.#isUp = false
        this.#host.record('stopped')
      }
    }
  }

  #notifiee(): Notifiee {
    const { record, nameOf } = this.#host
    const remoteOf = ({ remoteAddr }: Connection): string => nameOf(remoteAddr.toString())
    return {
      connected: (_swarm, connection) => record('connected', remoteOf(connection)),
      disconnected: (_swarm, connection) => record('disconnected', remoteOf(connection)),
      openedStream: (_swarm, stream) =>
        record('openedStream', remoteOf(stream.connection), stream.protocol),
      closedStream: (_swarm, stream) =>
        record('closedStream', remoteOf(stream.connection), stream.protocol)
    }
  }
}

/** Lifts the limits on rates, unless they are given. */
function withoutRates(limits: NodeOptions['limits']): NonNullable<NodeOptions['limits']> {
  if (limits === 'unlimited') return limits
  if (limits === undefined || limits === 'auto') return { rates: [] }
  return { ...limits, rates: limits.rates ?? [] }
}
