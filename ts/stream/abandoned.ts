/**
 * Streams that the application let go of without closing them: they are reset when their public facade is collected,
 * or closed, if their writing half was.
 *
 * The first seconds of a stream cost nothing: its core holds its facade as usual. After that it holds it weakly, unless
 * somebody listens to it or its muxer is the application's.
 */
import type { Clock } from '../base/clock.ts'
import { StreamErrorCode, StreamState } from '../constants.ts'
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'
import { streamFacade } from './facade.ts'

/** Milliseconds after which a stream may be abandoned: most are over by then and never pay for a weak reference. */
export const ABANDONED_AFTER_MS = 5_000

/** The faces of a swarm's streams. */
export class AbandonedStreams {
  readonly #clock: Clock
  readonly #tell: (core: StreamCore) => void
  // Lists that hold streams which are not old enough: the streams themselves may end meanwhile and be freed.
  readonly #young = new Set<ReadonlySet<StreamCore>>()
  // Collected, but a call of theirs is still under way.
  readonly #postponed = new Set<StreamCore>()
  readonly #collected = new FinalizationRegistry<StreamCore>((core) => this.#end(core))
  #timer: unknown

  /** `tell` hears of every stream that is ended. */
  constructor(clock: Clock, tell: (core: StreamCore) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** A stream was put on this list. */
  watch(streams: ReadonlySet<StreamCore>): void {
    this.#young.add(streams)
    this.#arm()
  }

  /** Hold the facade of a stream weakly, if it is time and nobody listens to it. */
  holdWeakly(core: StreamCore): void {
    const { facade } = core
    if (facade instanceof WeakRef || core.pump !== undefined || streamFacade.isHeard(facade)) return
    if (core.state >= StreamState.CLOSE_BOTH || !this.#isOld(core)) return
    this.#weaken(core, facade)
  }

  /** Hold the facade of a stream again. */
  hold(core: StreamCore, facade: Stream): void {
    if (!(core.facade instanceof WeakRef)) return
    this.#collected.unregister(facade)
    core.facade = facade
  }

  /** Another facade for a stream whose first one was collected; identity matters only while somebody holds it. */
  recreate(core: StreamCore): Stream {
    const facade = streamFacade.make(core)
    this.#weaken(core, facade)
    return facade
  }

  /** Forget everything. */
  clear(): void {
    this.#young.clear()
    this.#postponed.clear()
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  #isOld(core: StreamCore): boolean {
    return core.opened + ABANDONED_AFTER_MS <= this.#clock.now()
  }

  #weaken(core: StreamCore, facade: Stream): void {
    core.facade = new WeakRef(facade)
    this.#collected.register(facade, core, facade)
  }

  #arm(): void {
    this.#timer ??= this.#clock.setTimer(() => this.#look(), ABANDONED_AFTER_MS)
  }

  #look(): void {
    this.#timer = undefined
    for (const streams of this.#young) {
      let hasYoung = false
      for (const core of streams) {
        if (this.#isOld(core)) this.holdWeakly(core)
        else hasYoung = true
      }
      if (!hasYoung) this.#young.delete(streams)
    }
    const postponed = [...this.#postponed]
    this.#postponed.clear()
    for (const core of postponed) this.#end(core)
    if (this.#young.size > 0) this.#arm()
  }

  /** Nobody can reach the stream any more, unless it has got another facade since. */
  #end(core: StreamCore): void {
    if (core.state >= StreamState.CLOSE_BOTH || !core.isLive) return
    if (!(core.facade instanceof WeakRef) || core.facade.deref() !== undefined) return
    if (core.state === StreamState.INIT || core.reads.isBusy || core.writes.isBusy) {
      this.#postponed.add(core)
      this.#arm()
      return
    }
    this.#tell(core)
    // A half that was finished still arrives whole; the end of one that was not would look like it. Whoever read to the
    // end and wrote nothing has nothing to cut off.
    const nothingIsCut = core.state === StreamState.CLOSE_READ && !core.writes.hasWritten
    if (core.state === StreamState.CLOSE_WRITE || nothingIsCut) void core.close()
    else void core.reset(StreamErrorCode.GarbageCollected, undefined)
  }
}
