/** The connection management of a swarm: its tags, and the parts that close, dial and make connections again. */
import { type Check, objectWith } from '../base/arguments.ts'
import { isThenable } from '../base/events.ts'
import type { ConnectionCore } from '../connection/core.ts'
import type { Connection } from '../connection.ts'
import type { Swarm } from '../swarm.ts'
import { AutoConnector } from './auto-connector.ts'
import { type ManagerHost, provideHost } from './host.ts'
import type {
  AutoConnectorLike,
  ConnectionObserver,
  ConnectionPrunerLike,
  ManagerParts,
  ReconnectQueueLike
} from './interfaces.ts'
import { ConnectionPruner } from './pruner.ts'
import { ReconnectQueue } from './reconnect-queue.ts'

// What the swarm and its users call.
const isPruner = objectWith('start', 'stop', 'maybePrune', 'trim', 'info', 'explain')
const isConnector = objectWith(
  'start',
  'stop',
  'maybeConnect',
  'recordFailedConnection',
  'recordSuccessfulConnection',
  'clearCooldown',
  'clearAllCooldowns'
)
const isQueue = objectWith('start', 'stop')

/** The parts of one swarm. Each is made at its first use, at the latest when the swarm starts. */
export class ConnectionManager {
  readonly #swarm: Swarm
  readonly #host: ManagerHost
  readonly #given: ManagerParts
  #pruner: ConnectionPrunerLike | undefined
  #connector: AutoConnectorLike | undefined
  #queue: ReconnectQueueLike | undefined
  /** The parts, while they are started. */
  #started: readonly ConnectionObserver[] = []

  constructor(swarm: Swarm, host: ManagerHost, parts: ManagerParts) {
    this.#swarm = swarm
    this.#host = host
    this.#given = parts
    provideHost(swarm, host)
  }

  get pruner(): ConnectionPrunerLike {
    this.#pruner ??= this.#make(
      this.#given.connectionPruner ?? ((swarm) => new ConnectionPruner(swarm)),
      isPruner,
      'the result of connectionPruner'
    )
    return this.#pruner
  }

  get connector(): AutoConnectorLike {
    this.#connector ??= this.#make(
      this.#given.autoConnector ?? ((swarm) => new AutoConnector(swarm)),
      isConnector,
      'the result of autoConnector'
    )
    return this.#connector
  }

  get queue(): ReconnectQueueLike {
    this.#queue ??= this.#make(
      this.#given.reconnectQueue ?? ((swarm) => new ReconnectQueue(swarm)),
      isQueue,
      'the result of reconnectQueue'
    )
    return this.#queue
  }

  /** Starts the parts. Throws what those of the application throw. */
  start(): void {
    const parts = [this.pruner, this.connector, this.queue]
    this.#started = parts
    for (const part of parts) {
      // A part of the application may have closed the swarm.
      if (this.#started === parts) this.#watch(part, part.start())
    }
  }

  /** Stops the parts: the swarm closes. */
  stop(): void {
    const parts = this.#started
    this.#started = []
    for (const part of parts) {
      try {
        this.#watch(part, part.stop())
      } catch (err) {
        this.#failed(part, err)
      }
    }
  }

  /** Called with each new connection, before anyone is notified of it. */
  opened({ peer, id }: ConnectionCore): void {
    this.#host.tags.connected(peer, id)
  }

  /** Called with each new connection, once everyone was notified of it. */
  connected(connection: Connection): void {
    for (const part of this.#started) this.#tell(part, 'connected', connection)
  }

  /** Called with each connection that has ended, before anyone is notified of that. */
  ended({ peer, id }: ConnectionCore): void {
    this.#host.tags.disconnected(peer, id)
  }

  /** Called with each connection that has ended, once everyone was notified of that. */
  disconnected(connection: Connection): void {
    for (const part of this.#started) this.#tell(part, 'disconnected', connection)
  }

  /** Calls a part, which may be the application's. */
  #tell(part: ConnectionObserver, call: 'connected' | 'disconnected', about: Connection): void {
    try {
      this.#watch(part, part[call]?.(about))
    } catch (err) {
      this.#failed(part, err)
    }
  }

  /** Reports the rejection of a call of a part. */
  #watch(part: ConnectionObserver, result: unknown): void {
    if (isThenable(result)) result.then(undefined, (err) => this.#failed(part, err))
  }

  #failed(part: ConnectionObserver, err: unknown): void {
    this.#host.onFailure(err, part, 'a part of the connection management failed')
  }

  /** Makes a part. */
  #make<Part>(make: (swarm: Swarm) => Part, check: Check, name: string): Part {
    const part = make(this.#swarm)
    check(part, name)
    return part
  }
}
