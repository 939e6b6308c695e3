/** Checks that the events of a swarm come in a legal order: each once, streams within their connections. */
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'

/** The events of one swarm. */
export class LegalEvents {
  /** What was illegal. */
  readonly violations: string[] = []
  readonly #open = new Map<Connection, Set<Stream>>()
  readonly #ended = new WeakSet<object>()

  constructor(swarm: Swarm) {
    swarm.addEventListener('connected', ({ detail: connection }) => {
      this.#expect(!this.#open.has(connection), 'connected twice')
      this.#expect(!this.#ended.has(connection), 'connected after its end')
      this.#open.set(connection, new Set())
    })
    swarm.addEventListener('openedStream', ({ detail: stream }) => {
      const streams = this.#open.get(stream.connection as Connection)
      this.#expect(streams !== undefined, 'a stream without its connection')
      this.#expect(streams?.has(stream) === false, 'a stream opened twice')
      streams?.add(stream)
    })
    swarm.addEventListener('closedStream', ({ detail: stream }) => {
      this.#expect(
        this.#open.get(stream.connection as Connection)?.delete(stream) === true,
        'a stream closed that was not open'
      )
    })
    swarm.addEventListener('disconnected', ({ detail: connection }) => {
      const streams = this.#open.get(connection)
      this.#expect(streams !== undefined, 'disconnected without connected')
      this.#expect(streams?.size === 0, 'disconnected before the ends of its streams')
      this.#open.delete(connection)
      this.#ended.add(connection)
    })
  }

  /** Connections that are open by the events. */
  get connections(): number {
    return this.#open.size
  }

  #expect(isLegal: boolean, violation: string): void {
    // A fault that repeats itself is reported once or twice.
    if (!isLegal && this.violations.length < 10) this.violations.push(violation)
  }
}
