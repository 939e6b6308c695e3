/**
 * The reading half of a stream: calls that wait, and bytes that JavaScript holds already.
 *
 * Bytes are pulled: a call looks for itself, and only one that finds nothing waits for `streamReadable`. The
 * stash holds what was taken and not handed out: the gatherings of a `read()` that gave up, and the rest of a
 * stream whose native side is gone.
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

/** Why a half that can no longer be read ended. */
export type ReadEnd = 'open' | 'remote' | 'local'

// The remote's end, as an answer: an error for every stream that ends in good order would cost the most.
const END = Symbol('end')

/** The reading half of one stream. */
export class ReadQueue {
  readonly #core: StreamCore
  readonly #waiting: WaitingReads
  readonly #stash = new ByteQueue()
  // Bytes the native side is known to hold at least.
  #hint = 0
  // The native side has nothing and tells when it has; it begins so where the stream was opened here.
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

  /** Whether JavaScript holds bytes that nobody has read. */
  get holdsBytes(): boolean {
    return this.#stash.bytes > 0
  }

  /** How the reading half ended, if it did. */
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
    // What is on its way up is found as well, and so is what this turn has no room for: the caller's loop is its own.
    this.#armed = false
    const { engine } = this.#core
    return engine.hasRoom ? this.#look(max) : engine.mayReadNow(() => this.#look(max))
  }

  /** What is there behind the reads that wait. */
  #look(max: number): Uint8Array | undefined {
    if (this.#waiting.isBusy) this.serve()
    return this.#waiting.isBusy ? undefined : this.#pullOrThrow(max)
  }

  readAll(options: ReadOptions = {}): Promise<Uint8Array> {
    const maxBytes = options.maxBytes ?? READ_ALL_BYTES_MAX
    const gathered: Uint8Array[] = []
    let bytes = 0
    const giveBack = (err: unknown): never => {
      this.#unshift(gathered, bytes)
      throw err
    }
    const gather = (): Uint8Array | undefined => {
      for (;;) {
        const alreadyEnded = this.#end !== 'open'
        const chunk = this.#pull(Number.POSITIVE_INFINITY)
        if (chunk === undefined) return undefined
        if (chunk === END) {
          // The end that this call itself reports is its success; one reported before it is not.
          if (bytes === 0 && alreadyEnded) throw new StreamEOFError()
          return concat(gathered, bytes)
        }
        gathered.push(chunk)
        bytes += chunk.length
        if (bytes > maxBytes) {
          giveBack(
            new MessageTooLargeError(
              `the stream holds more than ${maxBytes} bytes; pass maxBytes or read in parts`
            )
          )
        }
      }
    }
    return this.take(gather, options.signal, giveBack)
  }

  /** Chunks for `for await`, which holds `stream`. Ends at an end of either side's making, throws at a reset. */
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
   * Resolves with `take()`'s first answer that is not undefined; what it throws rejects.
   *
   * `take` runs in turn with the other reads, now and whenever something arrives. It looks at the native side
   * itself, so that an empty answer has armed the stream. `giveUp` may turn the end of a wait into an answer.
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

  /** Bytes that JavaScript holds already, all of them; they come before anything the native side has. */
  takeHeld(): Uint8Array {
    return this.#stash.takeAll()
  }

  /** Put bytes back in front of everything unread. Nothing becomes of them where the half was closed here or failed. */
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
    // A half that has ended waits for nothing.
    if (at === undefined || this.#end !== 'open' || this.#core.isFailed()) return
    const expire = (): void => {
      this.#expired = true
      // What has arrived is delivered first.
      this.#armed = false
      this.#core.engine.mayReadNow(() => this.#waiting.expire(timedOut))
    }
    if (this.#expired) expire()
    else this.#deadline = deadlines.add(at, expire)
  }

  /** The native side holds at least `bytes`, or has an end to report. */
  onReadable(bytes: number): void {
    this.#hint = bytes
    this.#armed = false
    this.serve()
    this.#core.emitReadable()
  }

  /** Answer the calls that wait, in their order, as far as the bytes go. */
  serve(): void {
    this.#waiting.serve()
  }

  /** Our own `closeRead`: calls that wait and later ones reject. */
  closeLocally(): void {
    if (this.#end === 'open') this.#end = 'local'
    this.#drop()
    this.#waiting.fail(() => new StreamClosedError('the stream was closed for reading'))
  }

  /** The stream is in RESET or ERROR: unread bytes are dropped, calls that wait reject. */
  fail(): void {
    this.#drop()
    this.#waiting.fail(() => this.#core.failureError())
  }

  /** The native side is about to forget the stream: take what is left of it. */
  takeTail(left: number): void {
    this.#stopDeadline()
    if (this.#end !== 'open' || left === 0) {
      this.serve()
      return
    }
    const tail = allocate(left)
    const length = this.#core.engine.hot.read(this.#core.handle, tail)
    if (length > 0) this.#stash.push(trim(tail, length))
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

  /** Up to `max` bytes; undefined if there are none yet. Throws where there will be none but for the remote's end. */
  #pull(max: number): Uint8Array | typeof END | undefined {
    if (this.#stash.bytes > 0) return this.#stash.take(max)
    if (this.#hasEnded()) return END
    if (this.#armed) return undefined
    const { engine, handle } = this.#core
    const known = this.#hint > 0
    const size = Math.min(max, known ? Math.min(this.#hint, CHUNK_BYTES_MAX) : SCRATCH_BYTES)
    if (!engine.mayRead(this.#core)) return undefined
    if (known) {
      const chunk = allocate(size)
      const length = this.#settle(engine.hot.read(handle, chunk))
      if (length === END) return END
      return length === 0 ? undefined : trim(chunk, length)
    }
    const { scratch } = engine
    const length = this.#settle(
      engine.hot.read(handle, size === SCRATCH_BYTES ? scratch : scratch.subarray(0, size))
    )
    if (length === END) return END
    // A full scratch means that more waits: the next read gets memory of its own at once.
    if (length === SCRATCH_BYTES) this.#hint = SCRATCH_BYTES
    return length === 0 ? undefined : copyOut(scratch, length)
  }

  #pullInto(into: Uint8Array): number | undefined {
    if (this.#stash.bytes > 0) {
      const bytes = this.#stash.take(into.length)
      into.set(bytes)
      return bytes.length
    }
    if (this.#hasEnded()) throw new StreamEOFError()
    const { engine, handle } = this.#core
    if (this.#armed || !engine.mayRead(this.#core)) return undefined
    const own = isShared(into) ? allocate(into.length) : into
    const length = this.#settle(engine.hot.read(handle, own))
    if (length === END) throw new StreamEOFError()
    if (own !== into) into.set(own.subarray(0, length))
    return length === 0 ? undefined : length
  }

  /** Throw if no read can find anything any more. */
  check(): void {
    if (this.#hasEnded()) throw new StreamEOFError()
  }

  /** Whether the remote's end has been or is herewith reported; throws if the half ended otherwise. */
  #hasEnded(): boolean {
    if (this.#core.isFailed()) throw this.#core.failureError()
    if (this.#end === 'local') throw new StreamClosedError('the stream was closed for reading')
    if (this.#end === 'remote') return true
    if (this.#core.isLive) return false
    // Gone, nothing left, and not by our doing: the remote had ended it.
    this.remoteEnded()
    return true
  }

  /** The answer of a native read: the number of bytes, 0 if armed. */
  #settle(answer: number): number | typeof END {
    if (answer > 0) {
      this.#core.engine.hasRead(answer)
      this.#hint = Math.max(this.#hint - answer, 0)
      return answer
    }
    this.#hint = 0
    if (answer === -ERROR_CODES.ERR_STREAM_EOF) {
      this.remoteEnded()
      return END
    }
    if (answer < 0) this.#core.refused(-answer)
    else this.#armed = true
    return 0
  }

  /** The remote's end is being reported. */
  remoteEnded(): void {
    this.#end = 'remote'
    this.#stopDeadline()
    this.#core.remoteEnded()
  }

  #unshift(chunks: readonly Uint8Array[], bytes: number): void {
    if (bytes === 0 || this.#end === 'local' || this.#core.isFailed()) return
    this.#stash.unshift(chunks, bytes)
  }

  #drop(): void {
    this.#stash.clear()
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
