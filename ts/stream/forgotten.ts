/**
 * Streams that the application let go of without closing them: they are reset when their public face is collected,
 * or closed, if their writing half was.
 *
 * The first seconds of a stream cost nothing: its core holds its face as usual. After that it holds it weakly, unless
 * somebody listens to it or its muxer is the application's.
 */
import type { Clock } from '../base/clock.ts'
import { StreamErrorCode, StreamState } from '../constants.ts'
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'
import { streamFaces } from './face.ts'

/** Milliseconds after which a stream may be forgotten: most are over by then and never pay for a weak reference. */
export const FORGOTTEN_AFTER_MS = 5_000

/** The faces of a swarm's streams. */
export class Forgotten {
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

  /** Hold the face of a stream weakly, if it is time and nobody listens to it. */
  loosen(core: StreamCore): void {
    const { face } = core
    if (face instanceof WeakRef || core.pump !== undefined || streamFaces.isHeard(face)) return
    if (core.state >= StreamState.CLOSE_BOTH || !this.#isOld(core)) return
    this.#weaken(core, face)
  }

  /** Hold the face of a stream again. */
  hold(core: StreamCore, face: Stream): void {
    if (!(core.face instanceof WeakRef)) return
    this.#collected.unregister(face)
    core.face = face
  }

  /** Another face for a stream whose first one was collected; identity matters only while somebody holds it. */
  revive(core: StreamCore): Stream {
    const face = streamFaces.make(core)
    this.#weaken(core, face)
    return face
  }

  /** Forget everything. */
  clear(): void {
    this.#young.clear()
    this.#postponed.clear()
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  #isOld(core: StreamCore): boolean {
    return core.opened + FORGOTTEN_AFTER_MS <= this.#clock.now()
  }

  #weaken(core: StreamCore, face: Stream): void {
    core.face = new WeakRef(face)
    this.#collected.register(face, core, face)
  }

  #arm(): void {
    this.#timer ??= this.#clock.setTimer(() => this.#look(), FORGOTTEN_AFTER_MS)
  }

  #look(): void {
    this.#timer = undefined
    for (const streams of this.#young) {
      let hasYoung = false
      for (const core of streams) {
        if (this.#isOld(core)) this.loosen(core)
        else hasYoung = true
      }
      if (!hasYoung) this.#young.delete(streams)
    }
    const postponed = [...this.#postponed]
    this.#postponed.clear()
    for (const core of postponed) this.#end(core)
    if (this.#young.size > 0) this.#arm()
  }

  /** Nobody can reach the stream any more, unless it has got another face since. */
  #end(core: StreamCore): void {
    if (core.state >= StreamState.CLOSE_BOTH || !core.isLive) return
    if (!(core.face instanceof WeakRef) || core.face.deref() !== undefined) return
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
