/**
 * Small writes of all streams and what ends them, on their way down: they gather in one buffer and go in one call a
 * tick.
 */
import type { HotCalls } from './addon.ts'
import type { StreamHandle } from './handles.ts'

/** Bytes of small writes that wait for the end of the tick at most. */
export const STAGING_BYTES = 64 * 1024

/** Writes of this size and more go down by themselves: copying them twice would cost more than the call. */
export const STAGED_WRITE_BYTES_MAX = 4_096

const ENTRIES_MAX = 1_024

/** Who stages writes. */
export interface Sender {
  readonly handle: StreamHandle
  /**
   * The answer to what it had staged, and to an end behind that: the credit left, with {@link HANDLE_PENDING} for an end, or
   * minus an error code.
   */
  onSubmitted(answer: number, order: Order): void
}

/** What an entry asks for behind its bytes: the third word of its row. */
export const Order = { none: 0, closeWrite: 1, close: 2 } as const
export type Order = (typeof Order)[keyof typeof Order]

const ROW_WORDS = 3

// Not queueMicrotask, which makes an async resource for each call.
const NEGOTIATED = Promise.resolve()

/** The writes of one tick. */
export class Outbox {
  readonly #hot: HotCalls
  readonly #staging = new Uint8Array(STAGING_BYTES)
  // Rows of handle, length and order, in the order of the bytes.
  readonly #table = new Int32Array(ENTRIES_MAX * ROW_WORDS)
  readonly #senders: Sender[] = []
  #bytes = 0
  #tickEnds = false
  #isDeferred = false

  readonly #endTick = (): void => {
    this.#tickEnds = false
    this.submit()
    this.#hot.flush()
  }

  readonly #afterPromises = (): void => {
    this.#isDeferred = false
    this.flushSoon()
  }

  constructor(hot: HotCalls) {
    this.#hot = hot
  }

  /** Copy a write of fewer than {@link STAGED_WRITE_BYTES_MAX} bytes behind the others of this tick. */
  stage(sender: Sender, bytes: Uint8Array): void {
    const { length } = bytes
    if (this.#bytes + length > STAGING_BYTES) {
      this.submit()
      this.#hot.flush()
    }
    this.#staging.set(bytes, this.#bytes)
    this.#bytes += length
    this.#enter(sender, length, Order.none)
  }

  /** End a half or both behind what the stream has staged; nothing of it is staged after that. */
  stageEnd(sender: Sender, order: Order): void {
    this.#enter(sender, 0, order)
  }

  #enter(sender: Sender, length: number, order: Order): void {
    const last = (this.#senders.length - 1) * ROW_WORDS
    if (this.#senders.at(-1) === sender) {
      // The last sender has a row.
      this.#table[last + 1] = (this.#table[last + 1] as number) + length
      this.#table[last + 2] = order
    } else {
      this.#table[last + ROW_WORDS] = sender.handle
      this.#table[last + ROW_WORDS + 1] = length
      this.#table[last + ROW_WORDS + 2] = order
      this.#senders.push(sender)
      if (this.#senders.length === ENTRIES_MAX) this.submit()
    }
    this.flushSoon()
  }

  /** Hand down what is staged; each sender hears its answer, once for each of its entries. */
  submit(): void {
    const count = this.#senders.length
    if (count === 0) return
    this.#bytes = 0
    const senders = this.#senders.splice(0)
    this.#hot.submit(this.#table, count, this.#staging)
    for (let index = 0; index < count; index += 1) {
      const row = index * ROW_WORDS
      // Each of the senders has a row.
      const sender = senders[index] as Sender
      sender.onSubmitted(this.#table[row + 1] as number, this.#table[row + 2] as Order)
    }
  }

  /**
   * Send once the promises that are settled by now have been followed: what is due anyway goes out in one record with
   * the answer that a handler writes after its first read.
   */
  flushAfterPromises(): void {
    if (this.#tickEnds || this.#isDeferred) return
    this.#isDeferred = true
    void NEGOTIATED.then(this.#afterPromises)
  }

  /** Send at the end of this tick. */
  flushSoon(): void {
    if (this.#tickEnds) return
    this.#tickEnds = true
    process.nextTick(this.#endTick)
  }
}
