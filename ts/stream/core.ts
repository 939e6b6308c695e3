/**
 * The implementation of a {@link Stream}: the handle, a copy of its state, and its two queues.
 *
 * The state machine is Rust's. The copy changes only by the result of a call, by a record, or, if the native side has
 * freed the stream with bytes left to read, by the read that reports their end.
 */
import type { AbortOptions } from '../base/abort.ts'
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
import type { StreamManagementScope } from '../resource-manager/interfaces.ts'
import type { Stream } from '../stream.ts'
import type { Deadlines } from './deadlines.ts'
import { streamFacade } from './facade.ts'
import {
  failureError,
  faultOf,
  isEnd,
  ownReset,
  PendingAnswer,
  resetFailure,
  writeRefusal
} from './failure.ts'
import type { StreamInit, StreamOwner, StreamPump } from './owner.ts'
import { ReadQueue } from './read-queue.ts'
import { WriteQueue } from './write-queue.ts'

const DONE: Promise<void> = Promise.resolve()
const NOTHING = { bytesUnsent: 0, bytesUnread: 0 }

/** The implementation of one stream. */
export class StreamCore implements StreamSink {
  readonly handle: StreamHandle
  readonly direction: 'inbound' | 'outbound'
  readonly opened: number
  readonly reads: ReadQueue
  readonly writes: WriteQueue
  readonly engine: Engine
  state: StreamState
  protocol: string | undefined
  /** Cause of the state RESET or ERROR. */
  failure: Libp2pError | undefined
  /** Flags of the records of its end. */
  flags = 0
  /** Whether it was reset locally. */
  isResetHere = false
  /** The public facade; held weakly once the stream may be abandoned: see {@link AbandonedStreams}. */
  facade: Stream | WeakRef<Stream>
  /** Application data of the stream; created on first use. */
  extra: Map<unknown, unknown> | undefined
  /** Set if the muxer is the application's. */
  pump: StreamPump | undefined
  /** Its place in the list of its connection. */
  place = -1
  /** Its share of the native accounting, if its connection is one of `addConnection`. */
  charge: StreamManagementScope | undefined

  readonly owner: StreamOwner
  /** Its number in its connection, by the order of opening. */
  readonly number: number
  readonly #proposed: readonly string[]
  // Undefined once the peer is known to have accepted the only proposal, and for every other stream.
  #answer: PendingAnswer | undefined
  #onNegotiationEnd: ((err: Error | undefined) => void) | undefined
  // The handle is valid.
  #live = true
  #closesBoth = false
  #ended = false
  // Batch of the record of the chosen protocol; the opener's promise resolves after it.
  #negotiatedIn = 0

  constructor(init: StreamInit) {
    this.handle = init.handle
    this.number = init.number
    this.direction = init.direction
    this.state = init.state
    this.protocol = init.protocol
    this.owner = init.owner
    this.#proposed = init.proposed
    if (init.direction === 'outbound' && init.proposed.length === 1) {
      this.#answer = new PendingAnswer()
    }
    this.engine = init.owner.engine
    this.opened = init.owner.clock.now()
    this.reads = new ReadQueue(this)
    this.writes = new WriteQueue(this)
    this.facade = streamFacade.make(this)
    this.engine.adoptStream(this)
  }

  /** The public facade; a new one if the last one was collected. */
  get stream(): Stream {
    const { facade } = this
    if (!(facade instanceof WeakRef)) return facade
    return facade.deref() ?? this.owner.abandoned.recreate(this)
  }

  /** `<connection>-<n>`, of either direction. */
  get id(): string {
    return `${this.owner.id}-${this.number}`
  }

  get deadlines(): Deadlines {
    return this.owner.deadlines
  }

  /** Whether the native handle is valid. */
  get isLive(): boolean {
    return this.#live
  }

  isFailed(): boolean {
    return this.state >= StreamState.RESET
  }

  /** Whether ending the stream has no effect any more: failed, or both halves closed and no write pending. */
  get #isDone(): boolean {
    return this.state >= StreamState.CLOSE_BOTH && !(this.writes.isBusy && !this.isFailed())
  }

  /** Whether the stream failed because its connection was closed locally without an error. */
  get isClosedHere(): boolean {
    return (this.flags & (FLAG_ORDERLY | FLAG_REMOTE)) === FLAG_ORDERLY
  }

  /** Returns whether `err` means end-of-stream to a reader, without lost bytes. */
  isEnd(err: unknown): boolean {
    if (isEnd(err)) return true
    return err instanceof StreamResetError && this.isClosedHere && (this.flags & FLAG_UNREAD) === 0
  }

  /** Returns the error of a call on this stream in RESET or ERROR. */
  failureError(): StreamError {
    this.#answer?.reported()
    return failureError(this.state, this.failure)
  }

  /** Returns the error of a write in this state, if any. */
  writeRefusal(): Error | undefined {
    return writeRefusal(this.state, this.failure)
  }

  /** Called when the remote's end has been reported. */
  remoteEnded(): void {
    this.state = withReadEnded(this.state)
  }

  /**
   * Called when the native side refused a call because of a state change whose record is pending: the caller waits for
   * the record. If none arrives, the code becomes the stream's failure.
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
   * Resolves when the peer has accepted the proposal, so that a writer that reads nothing learns of a refusal. Resolves
   * at once if nothing was written or the peer is known to have accepted.
   */
  #whenAnswered(options: AbortOptions | undefined): Promise<void> {
    const answer = this.#answer
    if (answer === undefined) return DONE
    if (answer.isUnreported) return answer.refuse(failureError(this.state, this.failure))
    const isDue = this.#live && !this.isFailed() && this.writes.hasWritten
    return isDue ? answer.wait(options?.signal) : DONE
  }

  #hasAnswer(): void {
    this.#answer?.accept()
    this.#answer = undefined
  }

  /** Called when the connection is being closed: submits pending writes and end-of-stream now. */
  handDown(): void {
    if (this.writes.isClosing && this.writes.isBusy) this.writes.handDown()
  }

  closeRead(_options?: AbortOptions): Promise<void> {
    if (this.isFailed()) return Promise.reject(this.failureError())
    if (this.state === StreamState.CLOSE_READ || this.state === StreamState.CLOSE_BOTH) return DONE
    this.#transition((handle) => this.engine.hot.closeRead(handle), withReadEnded(this.state))
    this.reads.closeLocally()
    return DONE
  }

  closeWrite(options?: AbortOptions): Promise<void> {
    if (this.isFailed()) return Promise.reject(this.failureError())
    const isClosed = this.state === StreamState.CLOSE_WRITE || this.state === StreamState.CLOSE_BOTH
    if (isClosed || this.writes.isClosing) return this.#whenAnswered(options)
    const pending = this.writes.closeWrite(options?.signal)
    if (pending === undefined) return this.#whenAnswered(options)
    // The native side gets end-of-stream behind the pending writes.
    this.#writesEnded()
    return pending.then(() => this.#whenAnswered(options))
  }

  /** Closes the writing half for callers. */
  #writesEnded(): void {
    this.state = withWriteEnded(this.state)
  }

  /** Stages end-of-stream behind everything accepted; it is submitted at the end of the tick. */
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
    if (code === StreamErrorCode.Shutdown) this.#markShutdown()
    else this.isResetHere = true
    if (this.#live) {
      this.engine.hot.reset(this.handle, code)
      this.engine.outbox.flushSoon()
    }
    this.fail(StreamState.RESET, ownReset(code, cause))
    return DONE
  }

  /** Sets the flags of a stream reset by the close of its swarm or connection: orderly, and bytes lost by that. */
  #markShutdown(): void {
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
    this.owner.setProtocol(this, protocol)
    this.protocol = protocol
  }

  setState(next: StreamState): void {
    if (next === this.state) return
    if (!this.#live) throw new StreamStateError(`a stream that has ended cannot move to ${next}`)
    if (next === StreamState.CLOSE_WRITE || next === StreamState.CLOSE_BOTH) {
      // Closing by `setState` does not wait for the peer's answer.
      this.#hasAnswer()
      this.writes.closeByHand()
      // A pending end-of-stream was submitted with the writes.
      if (next === this.state) return
    }
    this.writes.submit()
    const result = this.engine.hot.setState(this.handle, next)
    if (result < 0) {
      throw -result === ERROR_CODES.ERR_STREAM_STATE
        ? new StreamStateError(`a stream in state ${this.state} cannot move to ${next}`)
        : nativeError(-result)
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
        // A non-negative result is the state, as in `#transition`.
        this.#applyState(result as StreamState)
        if (next !== StreamState.CLOSE_READ) this.failWrites()
    }
  }

  /** Calls `callback` once the protocol is negotiated, or with the error of a failed negotiation. */
  onceNegotiated(callback: (err: Error | undefined) => void): void {
    this.#onNegotiationEnd = callback
  }

  onNegotiated(protocol: number, code: number): void {
    if (protocol === 0 && code !== 0) {
      this.#answer?.fail(this.writes.hasWritten)
      withoutStack(() => this.fail(StreamState.ERROR, faultOf(code, this.#proposed)))
      return
    }
    if (this.#answer !== undefined && this.state !== StreamState.INIT) {
      this.#hasAnswer()
      return
    }
    this.protocol = this.engine.protocols.name(protocol)
    if (this.state === StreamState.INIT) this.state = StreamState.OPEN
    this.#negotiatedIn = this.engine.batch
    if (this.writes.isClosing) this.#writesEnded()
    this.writes.serve()
    this.#negotiationEnded(undefined)
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

  onSubmitted(result: number, order: Order): void {
    this.writes.onSubmitted(result < 0 ? result : result & ~HANDLE_PENDING)
    if (order !== Order.none && result >= 0 && (result & HANDLE_PENDING) === 0) this.#hasAnswer()
    if (result < 0 && this.#live && !this.isFailed()) this.refused(-result)
  }

  onReset(wireCode: number, code: number, flags: number): void {
    if (this.isFailed()) return
    this.flags |= flags | (wireCode === StreamErrorCode.Shutdown ? FLAG_ORDERLY : 0)
    if (!this.isClosedHere) this.#answer?.fail(this.writes.hasWritten)
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
    // Reads beyond the tail get end-of-stream now.
    this.reads.serve()
    this.failWrites()
    // A reset behind the remote's end leaves the bytes before it readable; only the writing half is lost.
    this.state = withWriteEnded(this.state)
    if (this.#onNegotiationEnd !== undefined) this.#negotiationEnded(new StreamClosedError())
    if (this.#ended) return
    this.#ended = true
    this.pump?.onClosed(this.isFailed())
    this.owner.streamEnded(this)
    const { stream } = this
    // The opener's promise resolves after this batch; the close event must follow it.
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

  /** Changes the state by a native call; without a valid handle, directly to `fallback`. */
  #transition(call: (handle: StreamHandle) => number, fallback: StreamState): void {
    if (!this.#live) {
      this.state = fallback
      return
    }
    this.writes.submit()
    const result = call(this.handle)
    this.engine.outbox.flushSoon()
    if (result < 0) this.refused(-result)
    else this.#applyState(result as StreamState)
  }

  /** Applies the state returned by a native call. */
  #applyState(state: StreamState): void {
    if (state >= StreamState.RESET) {
      // The pending record has the side and the code of the reset.
      this.refused(ERROR_CODES.ERR_STREAM_RESET)
      return
    }
    this.state = state
    // End-of-stream may still be pending behind writes, unknown to the native side.
    if (this.writes.isClosing) this.#writesEnded()
    if (state === StreamState.CLOSE_READ || state === StreamState.CLOSE_BOTH) {
      this.reads.closeLocally()
    }
  }

  /** Moves to RESET or ERROR; every pending call rejects. */
  fail(state: StreamState, failure: Libp2pError): void {
    this.state = state
    this.failure = failure
    if (this.reads.holdsBytes) this.flags |= FLAG_UNREAD
    this.reads.fail()
    this.writes.fail((accepted) => {
      const err = this.failureError()
      return accepted === 0 ? err : Object.assign(err, { bytesAccepted: accepted })
    })
    if (this.#answer?.isAwaited === true) this.#answer.reject(this.failureError())
    this.#negotiationEnded(failure)
  }

  /** Rejects pending writes: the writing half has ended. */
  failWrites(): void {
    this.writes.fail((accepted) => new StreamClosedError({ bytesAccepted: accepted }))
  }

  #negotiationEnded(err: Error | undefined): void {
    const callback = this.#onNegotiationEnd
    this.#onNegotiationEnd = undefined
    callback?.(err)
  }
}

/** Returns the state after the reading half of a stream in `state` has ended. */
function withReadEnded(state: StreamState): StreamState {
  if (state === StreamState.CLOSE_WRITE) return StreamState.CLOSE_BOTH
  return state < StreamState.CLOSE_READ ? StreamState.CLOSE_READ : state
}

/** Returns the state after the writing half has; a stream in INIT stays there until it is negotiated. */
function withWriteEnded(state: StreamState): StreamState {
  if (state === StreamState.OPEN) return StreamState.CLOSE_WRITE
  return state === StreamState.CLOSE_READ ? StreamState.CLOSE_BOTH : state
}
