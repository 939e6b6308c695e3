/** Notifications of streams that the application requests, for muxers that the swarm does not know of. */
import { misuse } from '../base/arguments.ts'
import type { ConnectionHost } from '../connection/host.ts'
import { streamFacade } from '../stream/facade.ts'
import { Stream } from '../stream.ts'

/** Notifies once of the opening, and once of the end, of each stream. */
export class StreamNotices {
  readonly #host: ConnectionHost
  // Streams without a connection, and whether their end is notified.
  readonly #hasEnded = new WeakMap<Stream, boolean>()

  constructor(host: ConnectionHost) {
    this.#host = host
  }

  opened(stream: Stream): void {
    // Streams of connections are announced by them.
    if (!this.#isStandalone(stream) || this.#hasEnded.has(stream)) return
    this.#hasEnded.set(stream, false)
    this.#host.notify('openedStream', stream)
    const { isLive } = streamFacade.coreOf(stream)
    if (isLive) streamFacade.onEnd(stream, () => this.closed(stream))
    else this.closed(stream)
  }

  closed(stream: Stream): void {
    if (!this.#isStandalone(stream)) {
      const core = streamFacade.coreOf(stream)
      core.owner.forget(core)
      return
    }
    if (this.#hasEnded.get(stream) !== false) return
    this.#hasEnded.set(stream, true)
    this.#host.notify('closedStream', stream)
  }

  /** Returns whether a stream has no connection. Throws `InvalidParametersError` for one of another swarm. */
  #isStandalone(stream: Stream): boolean {
    if (!(stream instanceof Stream)) throw misuse('stream', 'a Stream', stream)
    const { connection } = streamFacade.coreOf(stream).owner
    if (connection === undefined) return true
    if (connection.swarm === this.#host.swarm) return false
    throw misuse('stream', 'one of this swarm or without a connection', stream)
  }
}
