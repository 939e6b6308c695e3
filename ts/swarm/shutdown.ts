/**
 * Graceful shutdown of a swarm.
 *
 * It waits only for work in progress, that is handlers that have not returned and services that are stopping, and for
 * accepted bytes that are unsent. Streams left when the timeout expires are reset.
 */
import { type Clock, stopwatch } from '../base/clock.ts'
import { StreamErrorCode, StreamState } from '../constants.ts'
import { AbortError } from '../errors.ts'
import type { NativeNode } from '../native/addon.ts'
import type { CommandHandle, Engine } from '../native/engine.ts'
import type { StreamCore } from '../stream/core.ts'

/** Milliseconds between two polls of writes that wait for credit. */
const POLL_MS = 5

/** The swarm's interface to its shutdown. */
export interface ShutdownHost {
  readonly node: Pick<NativeNode, 'cancel'>
  readonly clock: Clock
  readonly engine: Pick<Engine, 'retain' | 'release'>
  /** Waits until everything written is sent. */
  drain(timeoutMs: number): CommandHandle
  /** Returns the open streams of every connection. */
  streams(): Iterable<StreamCore>
}

/** The wait of one `close`. */
export class Shutdown {
  readonly #host: ShutdownHost
  readonly #drainTimeout: number
  readonly #elapsed: () => number
  readonly #over: Promise<void>
  #isOver = false
  #end: () => void = () => {}

  constructor(host: ShutdownHost, drainTimeout: number) {
    this.#host = host
    this.#drainTimeout = drainTimeout
    this.#elapsed = stopwatch(host.clock)
    this.#over = new Promise((resolve) => {
      this.#end = () => {
        this.#isOver = true
        resolve()
      }
    })
  }

  /** Stops waiting. */
  stopWaiting(): void {
    this.#end()
  }

  /** Milliseconds left; 0 once the wait has ended. */
  get left(): number {
    return this.#isOver ? 0 : Math.max(this.#drainTimeout - this.#elapsed(), 0)
  }

  /** Waits for `work` and for everything written to be sent. */
  async wait(work: Promise<unknown>): Promise<void> {
    const release = this.#after(this.left, this.#end)
    try {
      await Promise.race([work, this.#over])
      while (!this.#isOver && (await this.#drain())) await this.#sleep()
    } finally {
      release()
    }
  }

  /** Waits for `work`, for as long as there is time. */
  async within(work: Promise<unknown>): Promise<void> {
    const late = Promise.withResolvers<void>()
    const release = this.#after(this.left, late.resolve)
    await Promise.race([work, late.promise, this.#over])
    release()
  }

  /**
   * Resets the streams that are still open for writing, so that their remotes learn why. Those closed for writing end
   * with their connection, as a reset could overtake a slow reader; without time left, they are reset too.
   */
  resetStreams(): void {
    for (const core of this.#host.streams()) {
      const { state } = core
      const isWritten = state === StreamState.CLOSE_WRITE || state === StreamState.CLOSE_BOTH
      if (isWritten && this.left > 0) continue
      void core.reset(StreamErrorCode.Shutdown, new AbortError('the swarm was closed'))
    }
  }

  /** Waits until the native side has sent everything; resolves to whether writes still wait here for credit. */
  async #drain(): Promise<boolean> {
    const { request, result } = this.#host.drain(this.left)
    const cancelled = this.#over.then(() => this.#host.node.cancel(request))
    // Completion and cancellation are equivalent here, so errors are ignored.
    await Promise.race([result.catch(() => {}), cancelled])
    for (const { writes, pump } of this.#host.streams()) {
      if (writes.isOwed || pump?.isSending === true) return true
    }
    return false
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const release = this.#after(POLL_MS, () => {
        release()
        resolve()
      })
    })
  }

  /** Calls `then` after `ms`, and keeps the process alive until the function returned is called. */
  #after(ms: number, then: () => void): () => void {
    const { clock, engine } = this.#host
    engine.retain()
    if (ms === 0) {
      // Nothing need advance an injected clock to end a wait without time.
      const immediate = setImmediate(then)
      return () => {
        clearImmediate(immediate)
        engine.release()
      }
    }
    const timer = Number.isFinite(ms) ? clock.setTimer(then, ms) : undefined
    return () => {
      clock.clearTimer(timer)
      engine.release()
    }
  }
}
