/**
 * How the machinery of streams reaches their public facade. The facade depends on the machinery and not the other way
 * round: `stream.ts` hands these over when its class is made.
 */
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'

/** What only the class `Stream` itself can do. */
export interface StreamFacade {
  make(core: StreamCore): Stream
  /** The machinery behind a stream. */
  coreOf(stream: Stream): StreamCore
  /**
   * Call `ended` when the stream has ended, however it did. Unlike a listener it does not keep the stream from being
   * abandoned.
   */
  onEnd(stream: Stream, ended: () => void): void
  /** Call `readable` when there may be something to read. Does not keep the stream either. */
  onReadable(stream: Stream, readable: () => void): void
  /** Whether anybody listens. */
  isHeard(stream: Stream): boolean
  emitReadable(facade: Stream | WeakRef<Stream>): void
  emitDrain(stream: Stream): void
  emitClose(stream: Stream): void
}

/** Those of the class `Stream`. Whoever has a stream has loaded it. */
export let streamFacade: StreamFacade

/** Called once, by `stream.ts`. */
export function provideStreamFacade(provided: StreamFacade): void {
  streamFacade = provided
}
