/**
 * Access from the stream core to the public facade, without an import cycle: the facade imports the core, and
 * `stream.ts` provides these functions when its class is defined.
 */
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'

/** Operations that need private members of `Stream`. */
export interface StreamFacade {
  make(core: StreamCore): Stream
  /** Returns the core of a stream. */
  coreOf(stream: Stream): StreamCore
  /** Calls `ended` at any end of the stream. Unlike an event listener, does not prevent its garbage collection. */
  onEnd(stream: Stream, ended: () => void): void
  /** Calls `readable` when the stream may be readable. Does not prevent its garbage collection either. */
  onReadable(stream: Stream, readable: () => void): void
  /** Returns whether the stream has event listeners. */
  isHeard(stream: Stream): boolean
  emitReadable(facade: Stream | WeakRef<Stream>): void
  emitDrain(stream: Stream): void
  emitClose(stream: Stream): void
}

/** Set when `stream.ts` is loaded, which precedes any stream. */
export let streamFacade: StreamFacade

/** Called once, by `stream.ts`. */
export function provideStreamFacade(provided: StreamFacade): void {
  streamFacade = provided
}
