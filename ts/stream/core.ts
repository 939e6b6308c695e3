/**
 * What stands behind a {@link Stream}: the handle, the copy of its state, and its two queues.
 *
 * The state machine is Rust's. This copy changes only by the answer of a call, by a record, or, when the native
 * side has let the stream go with bytes left to read, by the read that reports their end.
 */
import type { AbortOptions } from '../base/abort.ts'
import { abortable } from '../base/abort.ts'
import { StreamErrorCode, StreamState } from '../constants.ts'
import {
  ERROR_CODES,
  InvalidParametersError,
  type Libp2pError,
  StreamClosedError,
  StreamError,
  StreamResetError,
  StreamStateError
} from '../errors.ts'
import { streamCounters } from '../native/counters.ts'
import type { Engine, StreamSink } from '../native/engine.ts'
import type { StreamHandle } from '../native/handles.ts'
import { nativeError, withoutStack } from '../native/native-error.ts'
import { Order } from '../native/outbox.ts'
import {
  FLAG_ORDERLY,
  FLAG_REMOTE,
  FLAG_UNREAD,
  FLAG_UNSENT,
  HANDLE_PENDING
} from '../native/record.ts'
import type { Stream } from '../stream.ts'
import type { Deadlines } from './deadlines.ts'
import { streamFacade } from './facade.ts'
import { failureError, faultOf, isEnd, ownReset, resetFailure, writeRefusal } from './failure.ts'
import type { StreamInit, StreamOwner, StreamPump } from './owner.ts'
import { ReadQueue } from './read-queue.ts'
import { WriteQueue } from './write-queue.ts'

const DONE: Promise<void> = Promise.resolve()
const NOTHING = { bytesUnsent: 0, bytesUnread: 0 }

/** The machinery of one stream. */
export class StreamCore implements StreamSink {
  readonly handle: StreamHandle
  readonly direction: 'inbound' | 'outbound'
  readonly opened: number
  readonly reads: ReadQueue
  readonly writes: WriteQueue
  readonly engine: Engine
  state: StreamState
  protocol: string | undefined
  /** Why the state is RESET or ERROR. */
  failure: Libp2pError | undefined
  /** The flags of the records that told of the end. */
  flags = 0
  /** A call of ours put it in RESET. */
  isResetHere = false
  /** The public facade; held weakly where the application may let go of it: see {@link AbandonedStreams}. */
  facade: Stream | WeakRef<Stream>
  /** What the application keeps beside the stream, made when it asks for it. */
  extra: Map<unknown, unknown> | undefined
  /** Of a stream whose muxer is the application's. */
  pump: StreamPump | undefined

  readonly owner: StreamOwner
  readonly #number: number
  readonly #proposed: readonly string[]
  // The peer has not answered the only protocol that was proposed, as far as is known here.
  #isUnanswered: boolean
  #answered: PromiseWithResolvers<void> | undefined
  // The peer refused it, or was lost before it answered, and no call has rejected for that yet: `close` does.
  #isRefusalUnheard = false
  #settled: ((err: Error | undefined) => void) | undefined
  // The native side still knows the handle.
  #live = true
  #closesBoth = false
  #ended = false
  // The batch that told what was chosen: whoever waits for the stream has it after that.
  #negotiatedIn = 0

  constructor(init: StreamInit) {
    this.handle = init.handle
    this.#number = init.number
    this.direction = init.direction
    this.state = init.state
    this.protocol = init.protocol
    this.owner = init.owner
    this.#proposed = init.proposed
    this.#isUnanswered = init.direction === 'outbound' && init.proposed.length === 1
    this.engine = init.owner.engine
    this.opened = init.owner.clock.now()
    this.reads = new ReadQueue(this)
    this.writes = new WriteQueue(this)
    this.facade = streamFacade.make(this)
    this.engine.adoptStream(this)
  }

  /** The public facade; another one if nobody held the last one. */
  get stream(): Stream {
    const { facade } = this
    if (!(facade instanceof WeakRef)) return facade
    return facade.deref() ?? this.owner.abandoned.recreate(this)
  }

  /** `<connection>-<n>`, of either direction. */
  get id(): string {
    return `${this.owner.id}-${this.#number}`
  }

  get deadlines(): Deadlines {
    return this.owner.deadlines
  }

  /** Whether the native side still knows this stream. */
  get isLive(): boolean {
    return this.#live
  }

  isFailed(): boolean {
    return this.state >= StreamState.RESET
  }

  /** Nothing can be taken back any more: failed, or both halves closed and nothing waits to be handed down. */
  get #isDone(): boolean {
    return this.state >= StreamState.CLOSE_BOTH && !(this.writes.isBusy && !this.isFailed())
  }

  /** Whether the stream failed because its connection was closed here, in good order. */
  get isClosedHere(): boolean {
    return (this.flags & (FLAG_ORDERLY | FLAG_REMOTE)) === FLAG_ORDERLY
  }

  /** Whether `err` tells whoever reads to the end of an end and of no loss. */
  isEnd(err: unknown): boolean {
    if (isEnd(err)) return true
    return err instanceof StreamResetError && this.isClosedHere && (this.flags & FLAG_UNREAD) === 0
  }

  /** What a call on this stream in RESET or ERROR gets. */
  failureError(): StreamError {
    this.#isRefusalUnheard = false
    return failureError(this.state, this.failure)
  }

  /** The error of a write in this state, if it has one. */
  writeRefusal(): Error | undefined {
    return writeRefusal(this.state, this.failure)
  }

  /** The remote's end has been reported. */
  remoteEnded(): void {
    if (this.state === StreamState.CLOSE_WRITE) this.state = StreamState.CLOSE_BOTH
    else if (this.state < StreamState.CLOSE_READ) this.state = StreamState.CLOSE_READ
  }

  /**
   * The native side refused a call by its state, which the record on its way will tell: the caller waits for that.
   * Should none come, the code itself becomes the stream's failure.
   */
  refused(code: number): void {
    setImmediate(() => {
      this.engine.drain()
      if (this.#live && !this.isFailed()) this.fail(StreamState.ERROR, nativeError(code))
    })
  }

  close(options?: AbortOptions): Promise<void> {
    if (this.#isDone) return this.#whenAnswered(options)
    this.#closesBoth = true
    if (this.state !== StreamState.CLOSE_WRITE || this.writes.isBusy) this.writes.closeBoth()
    this.reads.closeLocally()
    if (this.state < StreamState.CLOSE_BOTH) this.finishWriting()
    return this.#whenAnswered(options)
  }

  /**
   * Resolves when the peer has agreed to what it was proposed, so that a writer which reads nothing learns that it did
   * not. At once where nothing was written, or the peer is known to have agreed.
   */
  #whenAnswered(options: AbortOptions | undefined): Promise<void> {
    if (this.#isRefusalUnheard) {
      // Ends that are called together share the refusal, as they do where it is still to come.
      queueMicrotask(() => {
        this.#isRefusalUnheard = false
      })
      return handled(Promise.reject(failureError(this.state, this.failure)))
    }
    const isDue = this.#isUnanswered && this.#live && !this.isFailed()
    if (!isDue || !this.writes.hasWritten) return DONE
    this.#answered ??= Promise.withResolvers()
    return abortable(this.#answered.promise, options?.signal)
  }

  /** It fails before the peer has agreed to its only proposal, by no doing of ours. */
  #refusedUnheard(): void {
    this.#isRefusalUnheard = this.#isUnanswered && this.writes.hasWritten
  }

  #hasAnswer(): void {
    if (!this.#isUnanswered) return
    this.#isUnanswered = false
    this.#answered?.resolve()
    this.#answered = undefined
  }

  /** The connection is being closed: what waits behind an end of the writing half goes down with that now. */
  handDown(): void {
    if (this.writes.isClosing && this.writes.isBusy) this.writes.handDown()
  }

  closeRead(_options?: AbortOptions): Promise<void> {
    if (this.isFailed()) return Promise.reject(this.failureError())
    if (this.state === StreamState.CLOSE_READ || this.state === StreamState.CLOSE_BOTH) return DONE
    const next =
      this.state === StreamState.CLOSE_WRITE ? StreamState.CLOSE_BOTH : StreamState.CLOSE_READ
    this.#transition((handle) => this.engine.hot.closeRead(handle), next)
    this.reads.closeLocally()
    return DONE
  }

  closeWrite(options?: AbortOptions): Promise<void> {
    if (this.isFailed()) return Promise.reject(this.failureError())
    const isClosed = this.state === StreamState.CLOSE_WRITE || this.state === StreamState.CLOSE_BOTH
    if (isClosed || this.writes.isClosing) return this.#whenAnswered(options)
    const waits = this.writes.closeWrite(options?.signal)
    if (waits === undefined) return this.#whenAnswered(options)
    // The native side learns it behind the writes that wait.
    this.#writesEnded()
    return waits.then(() => this.#whenAnswered(options))
  }

  /** The writing half is over for callers. One that waits for its protocol stays in INIT until it is told. */
  #writesEnded(): void {
    if (this.state === StreamState.OPEN) this.state = StreamState.CLOSE_WRITE
    else if (this.state === StreamState.CLOSE_READ) this.state = StreamState.CLOSE_BOTH
  }

  /** Everything accepted is handed down: the end goes with it, at the end of the tick. */
  finishWriting(): void {
    if (this.#live) this.writes.stageEnd(this.#closesBoth ? Order.close : Order.closeWrite)
    const readEnds =
      this.#closesBoth ||
      this.state === StreamState.CLOSE_READ ||
      this.state === StreamState.CLOSE_BOTH
    this.state = readEnds ? StreamState.CLOSE_BOTH : StreamState.CLOSE_WRITE
  }

  reset(code: number, cause: Error | undefined): Promise<void> {
    if (this.#isDone) return DONE
    if (code === StreamErrorCode.Shutdown) this.#shutDown()
    else this.isResetHere = true
    if (this.#live) {
      this.engine.hot.reset(this.handle, code)
      this.engine.outbox.flushSoon()
    }
    this.fail(StreamState.RESET, ownReset(code, cause))
    return DONE
  }

  /** The reset of a stream that ends with its swarm or connection, in good order: what it takes with it is told. */
  #shutDown(): void {
    const { bytesUnsent, bytesUnread } = streamCounters(this.engine.hot, this.handle) ?? NOTHING
    const isUnsent = bytesUnsent > 0 || this.writes.isBusy
    this.flags |= FLAG_ORDERLY | (isUnsent ? FLAG_UNSENT : 0) | (bytesUnread > 0 ? FLAG_UNREAD : 0)
  }

  remove(): void {
    if (!this.#isDone) {
      this.writes.closeByHand()
      this.writes.submit()
      this.pump?.leave()
      if (this.#live) {
        this.engine.hot.remove(this.handle)
        this.engine.outbox.flushSoon()
      }
      this.state = StreamState.CLOSE_BOTH
      this.reads.closeLocally()
      this.failWrites()
    }
    this.owner.forget(this)
  }

  setProtocol(protocol: string): void {
    if (this.protocol !== undefined) {
      throw new InvalidParametersError(`the stream already speaks ${JSON.stringify(this.protocol)}`)
    }
    this.engine.protocols.id(protocol)
    this.protocol = protocol
  }

  setState(next: StreamState): void {
    if (next === this.state) return
    if (!this.#live) throw new StreamStateError(`a stream that has ended cannot move to ${next}`)
    if (next === StreamState.CLOSE_WRITE || next === StreamState.CLOSE_BOTH) {
      // An end of that kind asks the native side for no answer.
      this.#hasAnswer()
      this.writes.closeByHand()
      // An end that waited has gone down with them.
      if (next === this.state) return
    }
    this.writes.submit()
    const answer = this.engine.hot.setState(this.handle, next)
    if (answer < 0) {
      throw -answer === ERROR_CODES.ERR_STREAM_STATE
        ? new StreamStateError(`a stream in state ${this.state} cannot move to ${next}`)
        : nativeError(-answer)
    }
    this.engine.outbox.flushSoon()
    switch (next) {
      case StreamState.RESET:
        this.isResetHere = true
        this.fail(next, ownReset(0, undefined))
        return
      case StreamState.ERROR:
        this.fail(next, new StreamError('the application put the stream in ERROR'))
        return
      default:
        // An answer that is no error is the state, as in `#transition`.
        this.#follow(answer as StreamState)
        if (next !== StreamState.CLOSE_READ) this.failWrites()
    }
  }

  /** Call `settled` when the protocol is chosen, or with the reason why none is. */
  onceNegotiated(settled: (err: Error | undefined) => void): void {
    this.#settled = settled
  }

  onNegotiated(protocol: number, code: number): void {
    if (protocol === 0 && code !== 0) {
      this.#refusedUnheard()
      withoutStack(() => this.fail(StreamState.ERROR, faultOf(code, this.#proposed)))
      return
    }
    if (this.#isUnanswered && this.state !== StreamState.INIT) {
      this.#hasAnswer()
      return
    }
    this.protocol = this.engine.protocols.name(protocol)
    if (this.state === StreamState.INIT) this.state = StreamState.OPEN
    this.#negotiatedIn = this.engine.batch
    if (this.writes.isClosing) this.#writesEnded()
    this.writes.serve()
    this.#settle(undefined)
  }

  onReadable(bytes: number): void {
    this.#hasAnswer()
    this.reads.onReadable(bytes)
  }

  onWritable(credit: number): void {
    this.writes.onWritable(credit)
  }

  onTurn(): void {
    this.reads.serve()
  }

  onSubmitted(answer: number, order: Order): void {
    this.writes.onSubmitted(answer < 0 ? answer : answer & ~HANDLE_PENDING)
    if (order !== Order.none && answer >= 0 && (answer & HANDLE_PENDING) === 0) this.#hasAnswer()
    if (answer < 0 && this.#live && !this.isFailed()) this.refused(-answer)
  }

  onReset(wireCode: number, code: number, flags: number): void {
    if (this.isFailed()) return
    this.flags |= flags | (wireCode === StreamErrorCode.Shutdown ? FLAG_ORDERLY : 0)
    if (!this.isClosedHere) this.#refusedUnheard()
    withoutStack(() => {
      if (code === 0) {
        this.fail(StreamState.RESET, resetFailure(wireCode, flags, this.owner))
      } else {
        this.fail(StreamState.ERROR, faultOf(code, this.#proposed))
      }
    })
  }

  onClosed(left: number, flags: number): void {
    this.flags |= flags
    if (!this.isFailed()) this.reads.takeTail(left)
    this.#live = false
    if (!this.isFailed()) this.#hasAnswer()
    // What waits beyond the tail gets the end now.
    this.reads.serve()
    this.failWrites()
    // A reset behind the remote's end leaves what was read before it; what would be written goes nowhere.
    if (this.state === StreamState.OPEN) this.state = StreamState.CLOSE_WRITE
    else if (this.state === StreamState.CLOSE_READ) this.state = StreamState.CLOSE_BOTH
    if (this.#settled !== undefined) this.#settle(new StreamClosedError())
    if (this.#ended) return
    this.#ended = true
    this.pump?.onClosed(this.isFailed())
    this.owner.streamEnded(this)
    const { stream } = this
    // Who opened it gets it behind this batch, and hears of its end after that.
    if (this.#negotiatedIn === this.engine.batch) setImmediate(() => streamFacade.emitClose(stream))
    else streamFacade.emitClose(stream)
  }

  onOutgoing(): void {
    this.pump?.onOutgoing()
  }

  emitReadable(): void {
    streamFacade.emitReadable(this.facade)
  }

  emitDrain(): void {
    streamFacade.emitDrain(this.stream)
  }

  /** Change state by a call; without a native side, straight to `otherwise`. */
  #transition(call: (handle: StreamHandle) => number, otherwise: StreamState): void {
    if (!this.#live) {
      this.state = otherwise
      return
    }
    this.writes.submit()
    const answer = call(this.handle)
    this.engine.outbox.flushSoon()
    if (answer < 0) this.refused(-answer)
    else this.#follow(answer as StreamState)
  }

  /** The native side's answer to a call of ours. */
  #follow(state: StreamState): void {
    if (state >= StreamState.RESET) {
      // The record on its way says by whom, and with which code.
      this.refused(ERROR_CODES.ERR_STREAM_RESET)
      return
    }
    this.state = state
    // Its end may still wait behind writes, where the native side does not see it.
    if (this.writes.isClosing) this.#writesEnded()
    if (state === StreamState.CLOSE_READ || state === StreamState.CLOSE_BOTH) {
      this.reads.closeLocally()
    }
  }

  /** Into RESET or ERROR: whatever waits rejects. */
  fail(state: StreamState, failure: Libp2pError): void {
    this.state = state
    this.failure = failure
    if (this.reads.holdsBytes) this.flags |= FLAG_UNREAD
    this.reads.fail()
    this.writes.fail((accepted) => {
      const err = this.failureError()
      return accepted === 0 ? err : Object.assign(err, { bytesAccepted: accepted })
    })
    if (this.#answered !== undefined) {
      handled(this.#answered.promise)
      this.#answered.reject(this.failureError())
    }
    this.#settle(failure)
  }

  /** The writing half is over: whatever waits to be written is refused. */
  failWrites(): void {
    this.writes.fail((accepted) => new StreamClosedError({ bytesAccepted: accepted }))
  }

  #settle(err: Error | undefined): void {
    const settled = this.#settled
    this.#settled = undefined
    settled?.(err)
  }
}

/** A rejection that the caller need not look at: the stream has its error, too. */
function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => {})
  return promise
}
