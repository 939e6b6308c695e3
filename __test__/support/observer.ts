/** Checks the events of swarms: each once, and in a legal order. */
import type { Connection, Notifiee, Stream, Swarm } from '../../ts/index.ts'

/** Checks the order of the events of one node's swarms. */
export class Observer implements Notifiee {
  readonly faults: string[] = []
  /** Numbers of all events. */
  connectedCount = 0
  openedCount = 0
  readonly #open = new Map<Connection, Set<Stream>>()
  readonly #ended = new WeakSet<object>()

  /** Number of connections that have not ended. */
  get size(): number {
    return this.#open.size
  }

  /** Number of streams that have not ended. */
  get streams(): number {
    return [...this.#open.values()].reduce((sum, { size }) => sum + size, 0)
  }

  connected(_swarm: Swarm, connection: Connection): void {
    this.connectedCount += 1
    this.#expect(!this.#open.has(connection), 'connected twice')
    this.#expect(!this.#ended.has(connection), 'connected after disconnected')
    this.#open.set(connection, new Set())
  }

  disconnected(_swarm: Swarm, connection: Connection): void {
    const streams = this.#open.get(connection)
    this.#expect(streams !== undefined, 'disconnected without connected')
    this.#expect((streams?.size ?? 0) === 0, `disconnected with ${streams?.size} open streams`)
    this.#open.delete(connection)
    this.#ended.add(connection)
  }

  openedStream(_swarm: Swarm, stream: Stream): void {
    this.openedCount += 1
    const streams = this.#open.get(stream.connection)
    this.#expect(streams !== undefined, 'openedStream without a connection')
    this.#expect(!this.#ended.has(stream), 'openedStream after closedStream')
    this.#expect(streams?.has(stream) !== true, 'openedStream twice')
    streams?.add(stream)
  }

  closedStream(_swarm: Swarm, stream: Stream): void {
    const streams = this.#open.get(stream.connection)
    this.#expect(streams?.delete(stream) === true, 'closedStream without openedStream')
    this.#ended.add(stream)
  }

  #expect(isRight: boolean, fault: string): void {
    if (!isRight) this.faults.push(fault)
  }
}
