/** How the native side takes the writes of a stream: as far as there is credit, small ones at the end of the tick. */
import { unshared } from '../base/bytes.ts'
import type { Engine } from '../native/engine.ts'
import { type Sender, STAGED_WRITE_BYTES_MAX, STAGING_BYTES } from '../native/outbox.ts'
import { HANDLE_PENDING } from '../native/record.ts'

/** The writes of one stream. */
export class Writer {
  readonly #engine: Engine
  readonly #sender: Sender
  #credit = STAGING_BYTES
  #isStaged = false
  // Out of credit: the native side will send `streamWritable`.
  #isBlocked = false

  constructor(engine: Engine, sender: Sender) {
    this.#engine = engine
    this.#sender = sender
  }

  /** Whether nothing is accepted until {@link Writer.writable}. */
  get isBlocked(): boolean {
    return this.#isBlocked
  }

  /** Stages or submits what there is credit for; returns the number of those bytes. */
  accept(bytes: Uint8Array): number {
    const { hot, outbox } = this.#engine
    const { byteLength } = bytes
    if (this.#isBlocked || byteLength === 0) return 0
    if (byteLength < STAGED_WRITE_BYTES_MAX) {
      this.#isStaged = true
      outbox.stage(this.#sender, bytes)
      this.#credit -= byteLength
      // The known credit is used up: submit to learn the current one.
      if (this.#credit <= 0) outbox.submit()
      return byteLength
    }
    if (this.#isStaged) outbox.submit()
    if (this.#isBlocked) return 0
    const accepted = hot.write(this.#sender.handle, unshared(bytes))
    outbox.flushSoon()
    this.#isBlocked = accepted < byteLength
    // A negative result: the stream has ended, and its record is pending.
    return Math.max(accepted, 0)
  }

  /** Takes the answer to what was staged: the credit left, or a negated error code. */
  submitted(answer: number): void {
    this.#isStaged = false
    const credit = answer < 0 ? 0 : answer & ~HANDLE_PENDING
    this.#credit = credit
    if (credit === 0) this.#isBlocked = true
  }

  /** Takes new credit. */
  writable(credit: number): void {
    this.#isBlocked = false
    this.#credit = credit
  }
}
