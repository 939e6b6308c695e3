/** Pending reads, in call order. */
import { aborted } from '../base/abort.ts'
import type { Engine } from '../native/engine.ts'

/** A pending read of any result type. */
interface Waiting {
  attempt(): boolean
  fail(err: unknown): void
  readonly signal: AbortSignal | undefined
  readonly onAbort: (() => void) | undefined
}

/** A pending read. `attempt` settles it and returns true, or returns false if nothing is available. */
class PendingRead<T> implements Waiting {
  readonly #take: () => T | undefined
  readonly #resolve: (found: T) => void
  readonly #reject: (err: unknown) => void
  readonly #giveUp: ((err: unknown) => T) | undefined
  signal: AbortSignal | undefined
  onAbort: (() => void) | undefined

  constructor(
    take: () => T | undefined,
    resolve: (found: T) => void,
    reject: (err: unknown) => void,
    giveUp: ((err: unknown) => T) | undefined
  ) {
    this.#take = take
    this.#resolve = resolve
    this.#reject = reject
    this.#giveUp = giveUp
  }

  attempt(): boolean {
    try {
      const found = this.#take()
      if (found === undefined) return false
      this.#resolve(found)
    } catch (err) {
      this.#reject(err)
    }
    return true
  }

  fail(err: unknown): void {
    if (this.#giveUp === undefined) {
      this.#reject(err)
      return
    }
    try {
      this.#resolve(this.#giveUp(err))
    } catch (cause) {
      this.#reject(cause)
    }
  }
}

/** The queue of one stream, allocated on first use. */
export class WaitingReads {
  readonly #engine: Engine
  #queue: Waiting[] | undefined

  constructor(engine: Engine) {
    this.#engine = engine
  }

  get isBusy(): boolean {
    return this.#queue !== undefined && this.#queue.length > 0
  }

  /** Queues a read; rejects at once with `refusal`, or if the signal is aborted. */
  wait<T>(
    take: () => T | undefined,
    signal: AbortSignal | undefined,
    giveUp: ((err: unknown) => T) | undefined,
    refusal: Error | undefined
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const pending = new PendingRead(take, resolve, reject, giveUp)
      if (signal?.aborted === true) {
        pending.fail(aborted(signal))
        return
      }
      if (refusal !== undefined) {
        pending.fail(refusal)
        return
      }
      this.#queue ??= []
      this.#queue.push(pending)
      if (signal === undefined) return
      pending.signal = signal
      pending.onAbort = () => this.#engine.aborted(signal, () => this.#abort(pending))
      signal.addEventListener('abort', pending.onAbort, { once: true })
    })
  }

  /** Resolves reads in order, as far as the bytes go. */
  serve(): void {
    const queue = this.#queue
    if (queue === undefined) return
    for (let head = queue[0]; head !== undefined; head = queue[0]) {
      if (!head.attempt()) return
      // An attempt may have ended the stream and with it the queue.
      if (queue[0] === head) queue.shift()
      unlisten(head)
    }
  }

  /** Rejects, in order, reads that find nothing, including bytes put back by an earlier one. */
  expire(make: () => Error): void {
    const queue = this.#queue
    if (queue === undefined) return
    const late = [...queue]
    for (const pending of late) {
      if (queue[0] !== pending) continue
      const isSettled = pending.attempt()
      if (queue[0] === pending) queue.shift()
      unlisten(pending)
      if (!isSettled) pending.fail(make())
    }
  }

  /** Rejects all reads. */
  fail(make: () => Error): void {
    const queue = this.#queue?.splice(0)
    if (queue === undefined) return
    for (const pending of queue) {
      unlisten(pending)
      pending.fail(make())
    }
  }

  #abort(pending: Waiting): void {
    const at = this.#queue?.indexOf(pending) ?? -1
    if (at < 0) return
    this.#queue?.splice(at, 1)
    pending.fail(aborted(pending.signal))
    // The next read may need fewer bytes.
    if (at === 0) this.serve()
  }
}

function unlisten(pending: Waiting): void {
  if (pending.onAbort !== undefined) pending.signal?.removeEventListener('abort', pending.onAbort)
}
