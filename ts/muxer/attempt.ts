/** Attempts to open or to negotiate a stream of a muxer of the application, which may take any time to answer. */
import { abortable } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { type Libp2pError, TimeoutError } from '../errors.ts'
import type { StreamPump } from '../stream/owner.ts'

/** One attempt. It stands in for the pump of its stream until it succeeds. */
export class Attempt implements StreamPump {
  readonly muxed = undefined
  readonly isSending = false
  readonly #clock: Clock
  readonly #timer: unknown
  readonly #controller = new AbortController()
  #reason: Libp2pError | undefined

  /** Gives up after `ms`. */
  constructor(clock: Clock, ms: number) {
    this.#clock = clock
    this.#timer = clock.setTimer(
      () => this.giveUp(new TimeoutError(`no protocol was negotiated within ${ms} ms`)),
      ms
    )
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The reason for which it was given up. */
  get reason(): Libp2pError | undefined {
    return this.#reason
  }

  giveUp(reason: Libp2pError | undefined): void {
    this.#reason ??= reason
    this.#controller.abort(reason)
  }

  /** Stops the clock. */
  end(): void {
    this.#clock.clearTimer(this.#timer)
  }

  /** Calls the muxer; rejects once the attempt is given up. `late` gets what the muxer returns after that. */
  async call<T>(make: () => Promise<T>, late: (result: T) => void): Promise<T> {
    const { signal } = this
    // A muxer may throw, or return no promise.
    const result = (async () => await make())()
    try {
      return await abortable(result, signal)
    } catch (err) {
      if (signal.aborted) result.then(late, () => {})
      throw err
    }
  }

  onOutgoing(): void {}

  /** Called when the stream has ended before it was opened: its caller has given up. */
  onClosed(): void {
    this.giveUp(undefined)
  }

  leave(): void {
    this.giveUp(undefined)
  }

  connectionLost(): void {
    this.giveUp(undefined)
  }
}
