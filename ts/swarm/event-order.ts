/**
 * The order of a swarm's events: an event that a callback causes waits until everyone has been notified of the one before
 * it. So a stream opened in a `connected` callback is announced to nobody before its connection.
 */
export class EventOrder {
  readonly #waiting: (() => void)[] = []
  #isDelivering = false

  /** Delivers an event, now or after the present one. */
  deliver(notify: () => void): void {
    if (this.#isDelivering) this.#waiting.push(notify)
    else this.hold(notify)
  }

  /** Calls `cause` now; the events that it delivers follow when it has returned. */
  hold(cause: () => void): void {
    if (this.#isDelivering) {
      cause()
      return
    }
    this.#isDelivering = true
    try {
      // Neither throws: callbacks of the application are guarded where they are called.
      cause()
      while (this.#waiting.length > 0) this.#waiting.shift()?.()
    } finally {
      this.#isDelivering = false
    }
  }

  /** Calls `then` once the events so far are delivered: now, unless this is called by one of their callbacks. */
  after(then: () => void): void {
    if (this.#isDelivering) this.#waiting.push(then)
    else then()
  }
}
