/**
 * The writing half of a stream: small writes are staged, large ones go down at once, the rest waits for room.
 *
 * Room is learned from answers: `submit` tells the credit left, `write` accepts less than it was given, and
 * `streamWritable` says when to go on. Staging never exceeds the credit by more than the staging buffer.
 */
import type { AbortOptions } from '../base/abort.ts'
import { aborted } from '../base/abort.ts'
import { unshared } from '../base/bytes.ts'
import { StreamState } from '../constants.ts'
import { StreamClosedError, TimeoutError } from '../errors.ts'
import { Order, STAGED_WRITE_BYTES_MAX, STAGING_BYTES } from '../native/outbox.ts'
import type { StreamCore } from './core.ts'
import type { Deadline } from './deadlines.ts'

/** A write that waits for room, or the end-of-stream behind such writes (then without bytes). */
interface PendingWrite {
  readonly bytes: Uint8Array | undefined
  accepted: number
  /** Undefined for `send`: accepted in any case, nobody waits. */
  resolve: (() => void) | undefined
  reject: ((err: unknown) => void) | undefined
  signal: AbortSignal | undefined
  onAbort: (() => void) | undefined
}

/** Bytes handed down in one call whatever the room: their number has to fit a row of the outbox. */
const FORCED_BYTES_MAX = 1 << 30

// One settled promise for every write that was accepted at once.
const DONE: Promise<void> = Promise.resolve()

/** The writing half of one stream. */
export class WriteQueue {
  readonly #core: StreamCore
  #waiting: PendingWrite[] | undefined
  #credit = STAGING_BYTES
  #staged = false
  // The native side is armed: `streamWritable` follows.
  #blocked = false
  #closing = false
  #deadline: Deadline | undefined
  #expired = false
  #needsDrain = false
  #hasWritten = false

  constructor(core: StreamCore) {
    this.#core = core
  }

  /** Whether `send` answered false and `drain` has not come yet. */
  get needsDrain(): boolean {
    return this.#needsDrain
  }

  /** Whether any byte was handed down, or waits for that. */
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
      // The memory is the caller's again when this returns.
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

  /** End-of-stream behind everything accepted; returns undefined if it went out at once. */
  closeWrite(signal: AbortSignal | undefined): Promise<void> | undefined {
    this.#closing = true
    if (this.isBusy) return this.#wait(undefined, 0, signal)
    this.#finish()
    return undefined
  }

  /** Whether `closeWrite` was called, done or waiting. */
  get isClosing(): boolean {
    return this.#closing
  }

  /**
   * Close: writes that have not begun reject. One that has begun goes down whole, like what `send` accepted: its
   * front alone, with an orderly end behind it, would look like all of it.
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

  /** The writing half is ended by hand, whatever waits: as {@link closeBoth}, but every write that waits rejects. */
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

  /** Hand down everything that waits, whatever the room: nobody can wait for that any more. */
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
      // `submit` has written the answer over the length.
      const answer = row[1] as number
      if (answer >= 0) continue
      this.#core.refused(-answer)
      return
    }
    engine.outbox.flushSoon()
  }

  setDeadline(at: number | undefined): void {
    const { deadlines } = this.#core
    this.#stopDeadline()
    this.#expired = at !== undefined && deadlines.isPast(at)
    // A half that has ended waits for nothing.
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

  /** There is room again. */
  onWritable(credit: number): void {
    this.#blocked = false
    this.#credit = credit
    this.serve()
  }

  /** The answer to what was staged. */
  onSubmitted(answer: number): void {
    this.#staged = false
    if (answer < 0) {
      // Minus an error code: the state has ended meanwhile, and the record that says so is on its way.
      this.#blocked = true
      return
    }
    this.#credit = answer
    if (answer === 0) this.#blocked = true
  }

  /** Hand down what this stream has staged, before a call that must not pass it. */
  submit(): void {
    if (this.#staged) this.#core.engine.outbox.submit()
  }

  /** The stream is in RESET or ERROR, or abandoned: whatever waits rejects. */
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

  /** Whether bytes that `send` has accepted, or an end, wait for room. */
  get isOwed(): boolean {
    const isOwed = ({ bytes, resolve }: PendingWrite): boolean =>
      bytes === undefined || resolve === undefined
    return this.#waiting?.some(isOwed) === true
  }

  /** Whether bytes or the end wait for room. */
  get isBusy(): boolean {
    return this.#waiting !== undefined && this.#waiting.length > 0
  }

  /** Hand down `bytes` from `offset` on; answers how many were accepted. */
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
      // The credit known is used up: ask for the present one.
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

  /** Hand down what waits, in its order, as far as there is room. */
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

  /** The end of the half or of the stream goes down behind what is staged. */
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
      // Only the wait ends: end-of-stream still follows what was accepted.
      this.#waiting?.splice(at, 1, { ...pending, resolve: undefined, reject: undefined })
    } else {
      this.#waiting?.splice(at, 1)
    }
    pending.reject?.(err)
    if (at === 0) this.serve()
  }

  /** Writes that somebody waits for reject; what `send` accepted stays, and so does the end behind it. */
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
    const late = (accepted: number): TimeoutError =>
      new TimeoutError('the write deadline has passed', { bytesAccepted: accepted })
    // The end still follows what was accepted, although nobody waits for it any more.
    for (const pending of this.#waiting ?? []) {
      if (pending.bytes !== undefined) continue
      unlisten(pending)
      pending.reject?.(late(0))
      pending.resolve = undefined
      pending.reject = undefined
    }
    this.#rejectWaiting(late)
  }

  #stopDeadline(): void {
    if (this.#deadline !== undefined) this.#core.deadlines.cancel(this.#deadline)
    this.#deadline = undefined
  }
}

function unlisten(pending: PendingWrite): void {
  if (pending.onAbort !== undefined) pending.signal?.removeEventListener('abort', pending.onAbort)
}
