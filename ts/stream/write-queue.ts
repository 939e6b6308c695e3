/**
 * The writing half of a stream: small writes are staged, large ones are submitted at once, the rest waits for credit.
 *
 * Credit is learned from results: `submit` returns the credit left, `write` accepts fewer bytes than given, and
 * `streamWritable` reports new credit. Staging never exceeds the credit by more than the staging buffer.
 */
import type { AbortOptions } from '../base/abort.ts'
import { aborted } from '../base/abort.ts'
import { unshared } from '../base/bytes.ts'
import { StreamState } from '../constants.ts'
import { StreamClosedError, TimeoutError } from '../errors.ts'
import { Order, STAGED_WRITE_BYTES_MAX, STAGING_BYTES } from '../native/outbox.ts'
import type { StreamCore } from './core.ts'
import type { Deadline } from './deadlines.ts'

/** A write that waits for credit, or the end-of-stream behind such writes (then without bytes). */
interface PendingWrite {
  readonly bytes: Uint8Array | undefined
  accepted: number
  /** Undefined for `send`: accepted in any case, without a waiting caller. */
  resolve: (() => void) | undefined
  reject: ((err: unknown) => void) | undefined
  signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
}

/** Maximum bytes of one forced submission: the length must fit a row of the outbox. */
const FORCED_BYTES_MAX = 1 << 30

// Shared by every write that is accepted at once.
const DONE: Promise<void> = Promise.resolve()

/** The writing half of one stream. */
export class WriteQueue {
  readonly #core: StreamCore
  #waiting: PendingWrite[] | undefined
  #credit = STAGING_BYTES
  #staged = false
  // Out of credit: the native side is armed and will send `streamWritable`.
  #blocked = false
  #closing = false
  #deadline: Deadline | undefined
  #expired = false
  #needsDrain = false
  #hasWritten = false

  constructor(core: StreamCore) {
    this.#core = core
  }

  /** Whether `send` returned false and `drain` has not been emitted since. */
  get needsDrain(): boolean {
    return this.#needsDrain
  }

  /** Whether any byte was submitted or is pending. */
  get hasWritten(): boolean {
    return this.#hasWritten
  }

  write(bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    const signal = options?.signal
    if (signal?.aborted === true) {
      return Promise.reject(aborted(signal))
    }
    const accepted = this.isBusy ? 0 : this.#accept(bytes, 0)
    if (accepted === bytes.length && !this.isBusy) return DONE
    if (this.#core.isFailed()) return Promise.reject(this.#core.failureError())
    if (this.#expired) {
      return Promise.reject(
        new TimeoutError('the write deadline has passed', { bytesAccepted: accepted })
      )
    }
    return this.#wait(bytes, accepted, signal)
  }

  send(bytes: Uint8Array): boolean {
    const refusal = this.#refusal()
    if (refusal !== undefined) throw refusal
    const accepted = this.isBusy ? 0 : this.#accept(bytes, 0)
    if (accepted < bytes.length) {
      // Copied: the caller may reuse the memory once this returns.
      this.#push({
        bytes: bytes.slice(accepted),
        accepted: 0,
        resolve: undefined,
        reject: undefined,
        signal: undefined,
        onAbort: undefined
      })
    }
    this.#needsDrain = this.#blocked || this.isBusy
    return !this.#needsDrain
  }

  /** Sends end-of-stream behind everything accepted; returns undefined if it was staged at once. */
  closeWrite(signal: AbortSignal | undefined): Promise<void> | undefined {
    this.#closing = true
    if (this.isBusy) return this.#wait(undefined, 0, signal)
    this.#finish()
    return undefined
  }

  /** Whether `closeWrite` was called, completed or pending. */
  get isClosing(): boolean {
    return this.#closing
  }

  /**
   * Closes the half: writes that have not begun reject. One that has begun is submitted whole, like those of `send`: a
   * part of it followed by an orderly end would look complete.
   */
  closeBoth(): void {
    this.#closing = true
    this.#rejectWhere(
      ({ accepted }) => accepted === 0,
      () => new StreamClosedError('the stream was closed', { bytesAccepted: 0 })
    )
    this.handDown()
    this.#stopDeadline()
  }

  /** Closes the half by `setState` or `remove`: as {@link closeBoth}, but every pending write rejects. */
  closeByHand(): void {
    const closed = (accepted: number): Error => new StreamClosedError({ bytesAccepted: accepted })
    for (const pending of this.#waiting ?? []) {
      if (pending.bytes === undefined || pending.accepted === 0) continue
      unlisten(pending)
      pending.reject?.(closed(pending.bytes.length))
      pending.resolve = undefined
      pending.reject = undefined
    }
    this.#rejectWaiting(closed)
    this.handDown()
  }

  /** Submits everything pending regardless of credit: nothing can wait for it any more. */
  handDown(): void {
    const { engine } = this.#core
    const waiting = this.#waiting?.splice(0) ?? []
    if (waiting.length > 0) engine.outbox.submit()
    for (const pending of waiting) {
      unlisten(pending)
      if (pending.bytes === undefined) this.#finish()
      else this.#force(pending.bytes.subarray(pending.accepted))
      pending.resolve?.()
    }
  }

  #force(bytes: Uint8Array): void {
    const { engine, handle, isLive } = this.#core
    for (let at = 0; at < bytes.length && isLive; at += FORCED_BYTES_MAX) {
      const part = bytes.subarray(at, at + FORCED_BYTES_MAX)
      const row = Int32Array.of(handle, part.length, Order.none)
      engine.hot.submit(row, 1, part)
      // `submit` overwrites the length with the result.
      const result = row[1] as number
      if (result >= 0) continue
      this.#core.refused(-result)
      return
    }
    engine.outbox.flushSoon()
  }

  setDeadline(at: number | undefined): void {
    const { deadlines } = this.#core
    this.#stopDeadline()
    this.#expired = at !== undefined && deadlines.isPast(at)
    // A half that has ended needs no deadline.
    if (at === undefined || (!this.isBusy && this.#core.writeRefusal() !== undefined)) return
    if (this.#expired) {
      this.#core.engine.drain()
      this.#timeOut()
    } else {
      this.#deadline = deadlines.add(at, () => {
        this.#expired = true
        this.#timeOut()
      })
    }
  }

  /** Called when there is credit again. */
  onWritable(credit: number): void {
    this.#blocked = false
    this.#credit = credit
    this.serve()
  }

  /** Called with the result of the staged writes. */
  onSubmitted(result: number): void {
    this.#staged = false
    if (result < 0) {
      // A negated error code: the stream has ended meanwhile, and its record is pending.
      this.#blocked = true
      return
    }
    this.#credit = result
    if (result === 0) this.#blocked = true
  }

  /** Submits what this stream has staged, before a call that must not overtake it. */
  submit(): void {
    if (this.#staged) this.#core.engine.outbox.submit()
  }

  /** Rejects everything pending: the stream is in RESET or ERROR, or abandoned. */
  fail(make: (accepted: number) => Error): void {
    this.#stopDeadline()
    const waiting = this.#waiting?.splice(0)
    if (waiting === undefined) return
    for (const pending of waiting) {
      unlisten(pending)
      pending.reject?.(make(pending.accepted))
    }
  }

  #refusal(): Error | undefined {
    if (this.#closing) return new StreamClosedError('the stream was closed for writing')
    return this.#core.isFailed() ? this.#core.failureError() : this.#core.writeRefusal()
  }

  /** Whether bytes accepted by `send`, or end-of-stream, wait for credit. */
  get isOwed(): boolean {
    const isOwed = ({ bytes, resolve }: PendingWrite): boolean =>
      bytes === undefined || resolve === undefined
    return this.#waiting?.some(isOwed) === true
  }

  /** Whether bytes or end-of-stream wait for credit. */
  get isBusy(): boolean {
    return this.#waiting !== undefined && this.#waiting.length > 0
  }

  /** Submits or stages `bytes` from `offset` on; returns the number accepted. */
  #accept(bytes: Uint8Array, offset: number): number {
    const { engine, handle } = this.#core
    const length = bytes.length - offset
    if (length === 0) return 0
    this.#hasWritten = true
    if (this.#blocked || this.#core.state === StreamState.INIT) return 0
    if (length < STAGED_WRITE_BYTES_MAX) {
      this.#staged = true
      engine.outbox.stage(this.#core, offset === 0 ? bytes : bytes.subarray(offset))
      this.#credit -= length
      // The known credit is used up: submit to learn the current one.
      if (this.#credit <= 0) engine.outbox.submit()
      return length
    }
    this.submit()
    if (this.#blocked) return 0
    const rest = offset === 0 ? bytes : bytes.subarray(offset)
    const accepted = engine.hot.write(handle, unshared(rest))
    if (accepted < 0) {
      this.#core.refused(-accepted)
      this.#blocked = true
      return 0
    }
    engine.outbox.flushSoon()
    if (accepted < length) this.#blocked = true
    return accepted
  }

  /** Submits pending writes in order, as far as there is credit. */
  serve(): void {
    const waiting = this.#waiting
    if (waiting !== undefined) {
      for (let head = waiting[0]; head !== undefined; head = waiting[0]) {
        if (head.bytes !== undefined) {
          head.accepted += this.#accept(head.bytes, head.accepted)
          if (head.accepted < head.bytes.length) return
        } else {
          this.#finish()
        }
        waiting.shift()
        unlisten(head)
        head.resolve?.()
      }
    }
    if (this.#needsDrain && !this.#blocked) {
      this.#needsDrain = false
      this.#core.emitDrain()
    }
  }

  /** Stages the end of the half or of the stream behind the staged writes. */
  stageEnd(order: Order): void {
    this.#staged = true
    this.#core.engine.outbox.stageEnd(this.#core, order)
  }

  #finish(): void {
    this.#stopDeadline()
    this.#core.finishWriting()
  }

  #wait(
    bytes: Uint8Array | undefined,
    accepted: number,
    signal: AbortSignal | undefined
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const pending: PendingWrite = {
        bytes,
        accepted,
        resolve,
        reject,
        signal,
        onAbort: undefined
      }
      this.#push(pending)
      if (signal === undefined) return
      if (signal.aborted) {
        this.#abort(pending)
        return
      }
      pending.onAbort = () => this.#core.engine.aborted(signal, () => this.#abort(pending))
      signal.addEventListener('abort', pending.onAbort, { once: true })
    })
  }

  #push(pending: PendingWrite): void {
    this.#waiting ??= []
    this.#waiting.push(pending)
  }

  #abort(pending: PendingWrite): void {
    const at = this.#waiting?.indexOf(pending) ?? -1
    if (at < 0) return
    const err = aborted(pending.signal, pending.accepted)
    if (pending.bytes === undefined) {
      // Only the wait ends: end-of-stream still follows the accepted bytes.
      this.#waiting?.splice(at, 1, { ...pending, resolve: undefined, reject: undefined })
    } else {
      this.#waiting?.splice(at, 1)
    }
    pending.reject?.(err)
    if (at === 0) this.serve()
  }

  /** Rejects writes with a waiting caller; those of `send` stay, and so does the end-of-stream behind them. */
  #rejectWaiting(make: (accepted: number) => Error): void {
    this.#rejectWhere(() => true, make)
    this.serve()
  }

  #rejectWhere(is: (pending: PendingWrite) => boolean, make: (accepted: number) => Error): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    const isRejected = (pending: PendingWrite): boolean =>
      pending.bytes !== undefined && pending.reject !== undefined && is(pending)
    this.#waiting = waiting.filter((pending) => !isRejected(pending))
    for (const pending of waiting.filter(isRejected)) {
      unlisten(pending)
      pending.reject?.(make(pending.accepted))
    }
  }

  #timeOut(): void {
    const timeoutError = (accepted: number): TimeoutError =>
      new TimeoutError('the write deadline has passed', { bytesAccepted: accepted })
    // End-of-stream still follows the accepted bytes, but its caller no longer waits.
    for (const pending of this.#waiting ?? []) {
      if (pending.bytes !== undefined) continue
      unlisten(pending)
      pending.reject?.(timeoutError(0))
      pending.resolve = undefined
      pending.reject = undefined
    }
    this.#rejectWaiting(timeoutError)
  }

  #stopDeadline(): void {
    if (this.#deadline !== undefined) this.#core.deadlines.cancel(this.#deadline)
    this.#deadline = undefined
  }
}

function unlisten(pending: PendingWrite): void {
  if (pending.onAbort !== undefined) pending.signal?.removeEventListener('abort', pending.onAbort)
}
