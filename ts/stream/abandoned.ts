/**
 * Streams that the application abandoned without closing them: when their public facade is garbage-collected they are
 * reset, or closed if nothing is cut off by that.
 *
 * A stream's core holds its facade strongly for the first seconds, at no cost, and weakly afterwards, unless the facade
 * has listeners or the muxer is the application's.
 */
import type { Clock } from '../base/clock.ts'
import { StreamErrorCode, StreamState } from '../constants.ts'
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'
import { streamFacade } from './facade.ts'
import type { StreamList } from './list.ts'

/** Age in milliseconds from which facades are held weakly: most streams end earlier and need no weak reference. */
export const ABANDONED_AFTER_MS = 5_000

/** Ends the abandoned streams of a swarm. */
export class AbandonedStreams {
  readonly #clock: Clock
  readonly #report: (core: StreamCore) => void
  // Lists with streams that are too young: lists, so that streams that end meanwhile are not retained.
  readonly #young = new Set<StreamList>()
  // Streams whose facade was collected while a call is still pending.
  readonly #postponed = new Set<StreamCore>()
  readonly #collected = new FinalizationRegistry<StreamCore>((core) => this.#end(core))
  #timer: unknown

  /** `report` is called with every stream that is ended. */
  constructor(clock: Clock, report: (core: StreamCore) => void) {
    this.#clock = clock
    this.#report = report
  }

  /** Tracks a list to which a stream was added. */
  watch(streams: StreamList): void {
    this.#young.add(streams)
    this.#arm()
  }

  /** Holds the facade of a stream weakly if the stream is old enough and the facade has no listeners. */
  holdWeakly(core: StreamCore): void {
    const { facade } = core
    if (facade instanceof WeakRef || core.pump !== undefined || streamFacade.isHeard(facade)) return
    if (core.state >= StreamState.CLOSE_BOTH || !this.#isOld(core)) return
    this.#weaken(core, facade)
  }

  /** Holds the facade of a stream strongly again. */
  hold(core: StreamCore, facade: Stream): void {
    if (!(core.facade instanceof WeakRef)) return
    this.#collected.unregister(facade)
    core.facade = facade
  }

  /** Creates a new facade for a stream whose facade was collected: no reference to the old one remains to compare. */
  recreate(core: StreamCore): Stream {
    const facade = streamFacade.make(core)
    this.#weaken(core, facade)
    return facade
  }

  /** Stops tracking all streams. */
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
    this.#timer ??= this.#clock.setTimer(() => this.#sweep(), ABANDONED_AFTER_MS)
  }

  #sweep(): void {
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

  /** Ends a stream whose facade was collected, unless it has a new one. */
  #end(core: StreamCore): void {
    if (core.state >= StreamState.CLOSE_BOTH || !core.isLive) return
    if (!(core.facade instanceof WeakRef) || core.facade.deref() !== undefined) return
    if (core.state === StreamState.INIT || core.reads.isBusy || core.writes.isBusy) {
      this.#postponed.add(core)
      this.#arm()
      return
    }
    this.#report(core)
    // A closed writing half is still delivered in full; closing one that is open would make truncated data look
    // complete. If the remote's end was read and nothing was written, nothing is cut off.
    const nothingIsCut = core.state === StreamState.CLOSE_READ && !core.writes.hasWritten
    if (core.state === StreamState.CLOSE_WRITE || nothingIsCut) void core.close()
    else void core.reset(StreamErrorCode.GarbageCollected, undefined)
  }
}
