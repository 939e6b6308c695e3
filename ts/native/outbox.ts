/**
 * Batches small writes, and the ends of streams behind them, of all streams: one buffer and one native call per tick.
 */
import type { HotCalls } from './addon.ts'
import type { ConnectionHandle, StreamHandle } from './handles.ts'

/** Maximum bytes of small writes that wait for the end of the tick. */
export const STAGING_BYTES = 64 * 1024

/** Writes of this size or more are submitted directly: copying them twice would cost more than the call. */
export const STAGED_WRITE_BYTES_MAX = 4_096

const ENTRIES_MAX = 1_024

/** A stream that stages writes. */
export interface Sender {
  readonly handle: StreamHandle
  /**
   * Called with the result of its staged entry: the credit left, with {@link HANDLE_PENDING} for an end whose proposal
   * is unanswered, or a negated error code.
   */
  onSubmitted(answer: number, order: Order): void
}

/** The end that an entry requests behind its bytes: the third word of its row. */
export const Order = { none: 0, closeWrite: 1, close: 2 } as const
export type Order = (typeof Order)[keyof typeof Order]

const ROW_WORDS = 3

/** Its reactions take the place of queueMicrotask, which creates an async resource per call. */
export const RESOLVED = Promise.resolve()

/** Staged writes of one tick. */
export class Outbox {
  readonly #hot: HotCalls
  readonly #flush: () => void
  readonly #staging = new Uint8Array(STAGING_BYTES)
  // Rows of handle, length and order, in the order of the bytes.
  readonly #table = new Int32Array(ENTRIES_MAX * ROW_WORDS)
  readonly #senders: Sender[] = []
  #bytes = 0
  #isFlushScheduled = false
  #isDeferred = false

  readonly #endTick = (): void => {
    this.#isFlushScheduled = false
    this.submit()
    this.#flush()
  }

  readonly #afterPromises = (): void => {
    this.#isDeferred = false
    this.flushSoon()
  }

  /** `flush` ends a tick. */
  constructor(hot: HotCalls, flush: () => void) {
    this.#hot = hot
    this.#flush = flush
  }

  /** Stages a write of fewer than {@link STAGED_WRITE_BYTES_MAX} bytes behind the others of this tick. */
  stage(sender: Sender, bytes: Uint8Array): void {
    const { length } = bytes
    if (this.#bytes + length > STAGING_BYTES) {
      this.submit()
      this.#hot.flush()
    }
    this.#staging.set(bytes, this.#bytes)
    this.#bytes += length
    this.#addEntry(sender, length, Order.none)
  }

  /** Stages the end of the writing half, or of both, behind the stream's writes; its last entry. */
  stageEnd(sender: Sender, order: Order): void {
    this.#addEntry(sender, 0, order)
  }

  #addEntry(sender: Sender, length: number, order: Order): void {
    const last = (this.#senders.length - 1) * ROW_WORDS
    if (this.#senders.at(-1) === sender) {
      // Merge with the sender's own row, the last one.
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

  /** Submits everything staged; each sender is called with the result of each of its entries. */
  submit(): void {
    const count = this.#senders.length
    if (count === 0) return
    this.#bytes = 0
    const senders = this.#senders.splice(0)
    this.#hot.submit(this.#table, count, this.#staging)
    for (let index = 0; index < count; index += 1) {
      const row = index * ROW_WORDS
      // There is one sender per row.
      const sender = senders[index] as Sender
      sender.onSubmitted(this.#table[row + 1] as number, this.#table[row + 2] as Order)
    }
  }

  /**
   * Schedules a flush behind the reactions of promises settled so far: frames that are due anyway go out in one record
   * with the response that a handler writes after its first read.
   */
  flushAfterPromises(): void {
    if (this.#isFlushScheduled || this.#isDeferred) return
    this.#isDeferred = true
    void RESOLVED.then(this.#afterPromises)
  }

  /** Closes a connection behind everything staged, with the flush of this tick. */
  closeConnection(connection: ConnectionHandle, code: number, atOnce: boolean): void {
    this.submit()
    this.#hot.closeConnection(connection, code, atOnce)
    this.flushSoon()
  }

  /** Schedules a flush at the end of this tick. */
  flushSoon(): void {
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    process.nextTick(this.#endTick)
  }
}
