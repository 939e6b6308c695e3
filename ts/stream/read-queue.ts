/**
 * The reading half of a stream: pending reads, and bytes buffered in JavaScript.
 *
 * Bytes are pulled: a call reads from the native side, and only one that finds nothing waits for `streamReadable`. The
 * buffer holds bytes taken but not delivered: those gathered by a `read()` that was given up, and the rest of a stream
 * whose native side is gone.
 */
import type { AbortOptions } from '../base/abort.ts'
import { ByteQueue } from '../base/byte-queue.ts'
import {
  allocate,
  CHUNK_BYTES_MAX,
  concat,
  copyOut,
  isShared,
  NOTHING,
  SCRATCH_BYTES,
  trim
} from '../base/bytes.ts'
import { READ_ALL_BYTES_MAX } from '../constants.ts'
import {
  ERROR_CODES,
  MessageTooLargeError,
  StreamClosedError,
  StreamEOFError,
  TimeoutError
} from '../errors.ts'
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'
import type { Deadline } from './deadlines.ts'
import { streamFacade } from './facade.ts'
import type { ReadOptions } from './facts.ts'
import { WaitingReads } from './waiting-reads.ts'

/** State of the reading half: open, or the side that ended it. */
export type ReadEnd = 'open' | 'remote' | 'local'

// The remote's end as a value: an error for every stream that ends normally would dominate the cost of the end.
const END = Symbol('end')

/** The reading half of one stream. */
export class ReadQueue {
  readonly #core: StreamCore
  readonly #waiting: WaitingReads
  readonly #buffered = new ByteQueue()
  // Lower bound of the bytes that the native side holds.
  #hint = 0
  // The native side is empty and will send `streamReadable`; initially true for an outbound stream.
  #armed: boolean
  #end: ReadEnd = 'open'
  #deadline: Deadline | undefined
  #expired = false

  constructor(core: StreamCore) {
    this.#core = core
    this.#waiting = new WaitingReads(core.engine)
    this.#armed = core.direction === 'outbound'
  }

  get isBusy(): boolean {
    return this.#waiting.isBusy
  }

  /** Whether JavaScript holds unread bytes. */
  get holdsBytes(): boolean {
    return this.#buffered.bytes > 0
  }

  /** The side that ended the reading half, if it has ended. */
  get end(): ReadEnd {
    return this.#end
  }

  read(max: number, options?: ReadOptions): Promise<Uint8Array> {
    if (max === 0) return Promise.resolve(NOTHING)
    return this.take(() => this.#pullOrThrow(max), options?.signal)
  }

  readInto(into: Uint8Array, options?: AbortOptions): Promise<number> {
    if (into.length === 0) return Promise.resolve(0)
    return this.take(() => this.#pullInto(into), options?.signal)
  }

  tryRead(max: number): Uint8Array | undefined {
    if (max === 0) return NOTHING
    // Reads past a pending record and past the turn's budget: the caller controls its own loop.
    this.#armed = false
    const { engine } = this.#core
    return engine.hasRoom ? this.#tryPull(max) : engine.mayReadNow(() => this.#tryPull(max))
  }

  /** Reads what is available behind the pending reads. */
  #tryPull(max: number): Uint8Array | undefined {
    if (this.#waiting.isBusy) this.serve()
    return this.#waiting.isBusy ? undefined : this.#pullOrThrow(max)
  }

  readAll(options: ReadOptions = {}): Promise<Uint8Array> {
    const maxBytes = options.maxBytes ?? READ_ALL_BYTES_MAX
    const gathered: Uint8Array[] = []
    let bytes = 0
    const putBack = (err: unknown): never => {
      this.#unshift(gathered, bytes)
      throw err
    }
    const gather = (): Uint8Array | undefined => {
      for (;;) {
        const alreadyEnded = this.#end !== 'open'
        const chunk = this.#pull(Number.POSITIVE_INFINITY)
        if (chunk === undefined) return undefined
        if (chunk === END) {
          // The end is the success of the call that reports it first; later calls fail.
          if (bytes === 0 && alreadyEnded) throw new StreamEOFError()
          return concat(gathered, bytes)
        }
        gathered.push(chunk)
        bytes += chunk.length
        if (bytes > maxBytes) {
          putBack(
            new MessageTooLargeError(
              `the stream holds more than ${maxBytes} bytes; pass maxBytes or read in parts`
            )
          )
        }
      }
    }
    return this.take(gather, options.signal, putBack)
  }

  /** Returns an iterator of chunks, which retains `stream`. Ends at an end from either side, throws at a reset. */
  iterator(stream: Stream): AsyncIterableIterator<Uint8Array> {
    const done = (err: unknown): IteratorResult<Uint8Array, undefined> => {
      if (this.#core.isEnd(err)) return { done: true, value: undefined }
      throw err
    }
    const take = (): IteratorResult<Uint8Array, undefined> | undefined => {
      try {
        const value = this.#pull(Number.POSITIVE_INFINITY)
        if (value === END) return { done: true, value: undefined }
        return value === undefined ? undefined : { done: false, value }
      } catch (err) {
        return done(err)
      }
    }
    return {
      next: () => streamFacade.coreOf(stream).reads.take(take, undefined, done),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this
      }
    }
  }

  /**
   * Resolves to the first result of `take()` that is not undefined; rejects with what it throws.
   *
   * `take` is called in order with the other reads, now and whenever something arrives. It reads from the native side
   * itself, so that an empty result has armed the stream. `giveUp` may turn the end of a wait into a result.
   */
  take<T>(
    take: () => T | undefined,
    signal?: AbortSignal,
    giveUp?: (err: unknown) => T
  ): Promise<T> {
    if (!this.#waiting.isBusy && signal?.aborted !== true) {
      try {
        const found = take()
        if (found !== undefined) return Promise.resolve(found)
      } catch (err) {
        return Promise.reject(err)
      }
    }
    return this.#wait(take, signal, giveUp)
  }

  /** Removes and returns all bytes held in JavaScript; they precede those of the native side. */
  takeHeld(): Uint8Array {
    return this.#buffered.takeAll()
  }

  /** Puts bytes back in front of everything unread. Dropped if the half was closed locally or has failed. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#unshift([bytes], bytes.length)
    this.serve()
  }

  setDeadline(at: number | undefined): void {
    const { deadlines } = this.#core
    if (this.#deadline !== undefined) deadlines.cancel(this.#deadline)
    this.#deadline = undefined
    this.#expired = at !== undefined && deadlines.isPast(at)
    // A half that has ended needs no deadline.
    if (at === undefined || this.#end !== 'open' || this.#core.isFailed()) return
    const expire = (): void => {
      this.#expired = true
      // Bytes that have arrived are delivered first.
      this.#armed = false
      this.#core.engine.mayReadNow(() => this.#waiting.expire(timedOut))
    }
    if (this.#expired) expire()
    else this.#deadline = deadlines.add(at, expire)
  }

  /** Called when the native side holds at least `bytes`, or has an end to report. */
  onReadable(bytes: number): void {
    this.#hint = bytes
    this.#armed = false
    this.serve()
    this.#core.emitReadable()
  }

  /** Resolves pending reads in order, as far as the bytes go. */
  serve(): void {
    this.#waiting.serve()
  }

  /** Closes the half locally: pending and later reads reject. */
  closeLocally(): void {
    if (this.#end === 'open') this.#end = 'local'
    this.#drop()
    this.#waiting.fail(() => new StreamClosedError('the stream was closed for reading'))
  }

  /** Drops unread bytes and rejects pending reads: the stream is in RESET or ERROR. */
  fail(): void {
    this.#drop()
    this.#waiting.fail(() => this.#core.failureError())
  }

  /** Takes the remaining bytes: the native side is about to free the stream. */
  takeTail(left: number): void {
    this.#stopDeadline()
    if (this.#end !== 'open' || left === 0) {
      this.serve()
      return
    }
    const tail = allocate(left)
    const length = this.#core.engine.hot.read(this.#core.handle, tail)
    if (length > 0) this.#buffered.push(trim(tail, length))
    this.serve()
  }

  #wait<T>(
    take: () => T | undefined,
    signal: AbortSignal | undefined,
    giveUp?: (err: unknown) => T
  ): Promise<T> {
    const refusal = this.#expired && !this.#waiting.isBusy ? timedOut() : undefined
    return this.#waiting.wait(take, signal, giveUp, refusal)
  }

  #pullOrThrow(max: number): Uint8Array | undefined {
    const found = this.#pull(max)
    if (found === END) throw new StreamEOFError()
    return found
  }

  /** Returns up to `max` bytes, undefined if there are none yet, END at the remote's end. Throws at any other end. */
  #pull(max: number): Uint8Array | typeof END | undefined {
    if (this.#buffered.bytes > 0) return this.#buffered.take(max)
    if (this.#hasEnded()) return END
    if (this.#armed) return undefined
    const { engine, handle } = this.#core
    const known = this.#hint > 0
    const size = Math.min(max, known ? Math.min(this.#hint, CHUNK_BYTES_MAX) : SCRATCH_BYTES)
    if (!engine.mayRead(this.#core)) return undefined
    if (known) {
      const chunk = allocate(size)
      const length = this.#handleRead(engine.hot.read(handle, chunk))
      if (length === END) return END
      return length === 0 ? undefined : trim(chunk, length)
    }
    const { scratch } = engine
    const length = this.#handleRead(
      engine.hot.read(handle, size === SCRATCH_BYTES ? scratch : scratch.subarray(0, size))
    )
    if (length === END) return END
    // A full scratch buffer suggests more bytes: the next read allocates its own memory directly.
    if (length === SCRATCH_BYTES) this.#hint = SCRATCH_BYTES
    return length === 0 ? undefined : copyOut(scratch, length)
  }

  #pullInto(into: Uint8Array): number | undefined {
    if (this.#buffered.bytes > 0) {
      const bytes = this.#buffered.take(into.length)
      into.set(bytes)
      return bytes.length
    }
    if (this.#hasEnded()) throw new StreamEOFError()
    const { engine, handle } = this.#core
    if (this.#armed || !engine.mayRead(this.#core)) return undefined
    const own = isShared(into) ? allocate(into.length) : into
    const length = this.#handleRead(engine.hot.read(handle, own))
    if (length === END) throw new StreamEOFError()
    if (own !== into) into.set(own.subarray(0, length))
    return length === 0 ? undefined : length
  }

  /** Throws if the half has ended. */
  check(): void {
    if (this.#hasEnded()) throw new StreamEOFError()
  }

  /** Returns whether the remote has ended the half, which reports the end; throws at any other end. */
  #hasEnded(): boolean {
    if (this.#core.isFailed()) throw this.#core.failureError()
    if (this.#end === 'local') throw new StreamClosedError('the stream was closed for reading')
    if (this.#end === 'remote') return true
    if (this.#core.isLive) return false
    // Freed, nothing left, and not closed locally: the remote had ended it.
    this.remoteEnded()
    return true
  }

  /** Handles the result of a native read; returns the number of bytes, 0 if armed. */
  #handleRead(result: number): number | typeof END {
    if (result > 0) {
      this.#core.engine.hasRead(result)
      this.#hint = Math.max(this.#hint - result, 0)
      return result
    }
    this.#hint = 0
    if (result === -ERROR_CODES.ERR_STREAM_EOF) {
      this.remoteEnded()
      return END
    }
    if (result < 0) this.#core.refused(-result)
    else this.#armed = true
    return 0
  }

  /** Records that the remote's end is being reported. */
  remoteEnded(): void {
    this.#end = 'remote'
    this.#stopDeadline()
    this.#core.remoteEnded()
  }

  #unshift(chunks: readonly Uint8Array[], bytes: number): void {
    if (bytes === 0 || this.#end === 'local' || this.#core.isFailed()) return
    this.#buffered.unshift(chunks, bytes)
  }

  #drop(): void {
    this.#buffered.clear()
    this.#hint = 0
    this.#stopDeadline()
  }

  #stopDeadline(): void {
    if (this.#deadline !== undefined) this.#core.deadlines.cancel(this.#deadline)
    this.#deadline = undefined
  }
}

function timedOut(): TimeoutError {
  return new TimeoutError('the read deadline has passed')
}
