/**
 * The orderly end of a swarm: what it waits for, and for how long.
 *
 * It waits for work that was begun, handlers that have not returned and services that stop, and for bytes that were
 * accepted and are not sent; for nothing else. What is left when the time is up is reset.
 */
import { StreamErrorCode, StreamState } from '../constants.ts'
import { AbortError } from '../errors.ts'
import type { NativeNode } from '../native/addon.ts'
import type { CommandHandle } from '../native/engine.ts'
import type { StreamCore } from '../stream/core.ts'

/** Milliseconds between two looks at writes that wait for room. */
const LOOK_MS = 5

/** What an orderly end needs of the swarm that ends. */
export interface ShutdownHost {
  readonly node: Pick<NativeNode, 'cancel'>
  /** Wait until what was written is sent. */
  drain(timeoutMs: number): CommandHandle
  /** Open streams of every connection. */
  streams(): Iterable<StreamCore>
}

/** The wait of one `close`. */
export class Shutdown {
  readonly #host: ShutdownHost
  readonly #deadline: number
  readonly #over: Promise<void>
  #isOver = false
  #end: () => void = () => {}

  constructor(host: ShutdownHost, drainTimeout: number) {
    this.#host = host
    this.#deadline = performance.now() + drainTimeout
    this.#over = new Promise((resolve) => {
      this.#end = () => {
        this.#isOver = true
        resolve()
      }
    })
  }

  /** Wait no longer. */
  stopWaiting(): void {
    this.#end()
  }

  /** Milliseconds that are left; 0 once it is over. */
  get left(): number {
    return this.#isOver ? 0 : Math.max(this.#deadline - performance.now(), 0)
  }

  /** Wait for `work` and for what was written. */
  async wait(work: Promise<unknown>): Promise<void> {
    const left = this.left
    const timer = Number.isFinite(left) ? setTimeout(this.#end, left) : undefined
    try {
      await Promise.race([work, this.#over])
      while (!this.#isOver && (await this.#drain())) await this.#look()
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * End the streams that are still open for writing, so that their remotes know why. Those that were closed for it end
   * with their connection, as a reset could overtake a slow reader; where no time is left, with the others.
   */
  resetStreams(): void {
    for (const core of this.#host.streams()) {
      const { state } = core
      const isWritten = state === StreamState.CLOSE_WRITE || state === StreamState.CLOSE_BOTH
      if (isWritten && this.left > 0) continue
      void core.reset(StreamErrorCode.Shutdown, new AbortError('the swarm was closed'))
    }
  }

  /** Wait until what the native side has is sent; returns whether more waits here for room. */
  async #drain(): Promise<boolean> {
    const { request, result } = this.#host.drain(this.left)
    const cancelled = this.#over.then(() => this.#host.node.cancel(request))
    // It ends in time, or is cancelled: either way there is nothing to tell.
    await Promise.race([result.catch(() => {}), cancelled])
    for (const core of this.#host.streams()) if (core.writes.isOwed) return true
    return false
  }

  #look(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
