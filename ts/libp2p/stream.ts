/**
 * A stream of a native connection, as the interface `Stream` of libp2p.
 *
 * What has arrived is delivered by events, synchronously, as long as somebody listens. While nobody does, or the stream
 * is paused, up to {@link READ_AHEAD_BYTES} are read ahead, so that an end behind them is noticed; the rest stays on the
 * native side, and the remote gets no credit for it.
 */
import type {
  AbortOptions,
  Logger,
  MessageStreamEvents,
  MessageStreamReadStatus,
  MessageStreamStatus,
  MessageStreamTimeline,
  MessageStreamWriteStatus,
  Stream,
  StreamOptions
} from '@libp2p/interface'
import {
  StreamAbortEvent,
  StreamBufferError,
  StreamCloseEvent,
  StreamResetError,
  StreamResetEvent,
  StreamStateError
} from '@libp2p/interface'
import { isUint8ArrayList, Uint8ArrayList } from 'uint8arraylist'
import { CHUNK_BYTES_MAX, SCRATCH_BYTES } from '../base/bytes.ts'
import { StreamErrorCode } from '../constants.ts'
import { ERROR_CODES, InvalidParametersError, StreamClosedError } from '../errors.ts'
import type { Engine, StreamSink } from '../native/engine.ts'
import type { StreamHandle } from '../native/handles.ts'
import { nativeError } from '../native/native-error.ts'
import { Order } from '../native/outbox.ts'
import { FLAG_CONNECTION_LOST } from '../native/record.ts'
import { abortable } from './abortable.ts'
import { trimmed } from './buffers.ts'
import { drained } from './drained.ts'
import { Events, OwnMessageEvent } from './events.ts'
import { iterate } from './iterate.ts'
import { Writer } from './writer.ts'

/** Bytes that are read although nobody listens: the window with which a remote begins. */
export const READ_AHEAD_BYTES = 256 * 1024

/** As `AbstractMessageStream` of @libp2p/utils. */
const MAX_READ_BUFFER_BYTES = 4 * 1024 * 1024
const INACTIVITY_TIMEOUT_MS = 120_000

/** The muxer of a stream, as the stream sees it. */
export interface StreamOwner {
  readonly engine: Engine
  /** Logger of the connection. */
  readonly log: Logger
  /** Called if the remote does not speak the protocol that a stream was opened for. */
  protocolRefused(protocol: string): void
  /** Called when both halves are closed here, before the remote has ended its own. */
  streamDone(stream: NativeStream): void
  /** Called once, before the event `close`. */
  streamEnded(stream: NativeStream): void
}

/** Initial state of a stream. */
export interface StreamInit {
  readonly owner: StreamOwner
  readonly handle: StreamHandle
  readonly id: string
  readonly direction: 'inbound' | 'outbound'
  /** Empty while it is not negotiated. */
  readonly protocol: string
  readonly options?: StreamOptions | undefined
}

/** Receives the answer to the proposal of a stream: the number of the protocol, or an error. */
export type OnNegotiated = (protocol: number, error: Error | undefined) => void

/** One stream. */
export class NativeStream extends Events<MessageStreamEvents> implements Stream, StreamSink {
  readonly handle: StreamHandle
  readonly id: string
  readonly direction: 'inbound' | 'outbound'
  protocol: string
  status: MessageStreamStatus = 'open'
  readStatus: MessageStreamReadStatus = 'readable'
  writeStatus: MessageStreamWriteStatus = 'writable'
  remoteReadStatus: MessageStreamReadStatus = 'readable'
  remoteWriteStatus: MessageStreamWriteStatus = 'writable'
  readonly timeline: MessageStreamTimeline
  inactivityTimeout: number
  maxReadBufferLength: number
  maxWriteBufferLength?: number
  writableNeedsDrain = false
  /** Its place in the list of its muxer. */
  place = -1
  /** Whether its muxer counts it among those of its protocol. */
  isCounted = false

  readonly #owner: StreamOwner
  readonly #writer: Writer
  #log: Logger | undefined
  // Delivered before anything that arrives later. The names are those of `AbstractMessageStream`.
  protected readonly readBuffer = new Uint8ArrayList()
  protected readonly writeBuffer = new Uint8ArrayList()
  // Lower bound of the bytes that the native side holds.
  #hint = 0
  // The native side is empty and will send `streamReadable`.
  #isArmed: boolean
  #isPulling = false
  // The handle is valid.
  #isLive = true
  #readableEnded = false
  #onNegotiated: OnNegotiated | undefined
  // The end of the writing half, while it waits for what was sent before.
  #closing: Promise<void> | undefined
  #onClosed: ((error?: Error) => void) | undefined

  constructor(init: StreamInit) {
    super()
    const { owner, options = {} } = init
    this.handle = init.handle
    this.id = init.id
    this.direction = init.direction
    this.protocol = init.protocol
    this.timeline = { open: Date.now() }
    this.inactivityTimeout = options.inactivityTimeout ?? INACTIVITY_TIMEOUT_MS
    this.maxReadBufferLength = options.maxReadBufferLength ?? MAX_READ_BUFFER_BYTES
    if (options.maxWriteBufferLength !== undefined) {
      this.maxWriteBufferLength = options.maxWriteBufferLength
    }
    this.#owner = owner
    this.#writer = new Writer(owner.engine, this)
    // `open` arms a stream.
    this.#isArmed = init.direction === 'outbound'
    owner.engine.adoptStream(this)
  }

  /** The connection's logger: a scope for each stream would cost as much as the rest of its opening. */
  get log(): Logger {
    return this.#log ?? this.#owner.log
  }

  set log(log: Logger) {
    this.#log = log
  }

  get readBufferLength(): number {
    return this.readBuffer.byteLength
  }

  get writeBufferLength(): number {
    return this.writeBuffer.byteLength
  }

  get readableEnded(): boolean {
    return this.#readableEnded
  }

  /** Calls `callback` with the answer of the remote to what was proposed. */
  onceNegotiated(callback: OnNegotiated): void {
    this.#onNegotiated = callback
  }

  isReadable(): boolean {
    return this.status === 'open'
  }

  // ---------------------------------------------------------------------------------------------------------- writing

  send(data: Uint8Array | Uint8ArrayList): boolean {
    if (this.writeStatus !== 'writable') {
      throw new StreamStateError(`Cannot write to a stream that is ${this.writeStatus}`)
    }
    if (!(data instanceof Uint8Array || isUint8ArrayList(data))) {
      throw new InvalidParametersError('expected data to be a Uint8Array or a Uint8ArrayList')
    }
    if (this.writeBuffer.byteLength > 0) this.writeBuffer.append(data)
    else if (data instanceof Uint8Array) this.#submit(data)
    else for (const chunk of data) this.#submit(chunk)
    return this.#checkSent()
  }

  /** Returns whether more may be sent at once; marks the need of `drain` otherwise. */
  #checkSent(): boolean {
    if (this.writeBuffer.byteLength === 0 && !this.#writer.isBlocked) {
      this.safeDispatchEvent('idle')
      return true
    }
    this.writableNeedsDrain = true
    const { maxWriteBufferLength: max, writeBufferLength: length } = this
    if (max !== undefined && length > max) {
      const what = `Write buffer length of ${length} exceeded limit of ${max}`
      this.abort(new StreamBufferError(`${what}, write status is ${this.writeStatus}`))
    }
    return false
  }

  /** Submits or stages what there is credit for, and keeps the rest. */
  #submit(bytes: Uint8Array): void {
    if (this.writeBuffer.byteLength > 0) {
      this.writeBuffer.append(bytes)
      return
    }
    const accepted = this.#writer.accept(bytes)
    if (accepted < bytes.byteLength) this.writeBuffer.append(bytes.subarray(accepted))
  }

  onSubmitted(answer: number): void {
    this.#writer.submitted(answer)
  }

  onWritable(credit: number): void {
    this.#writer.writable(credit)
    while (this.writeBuffer.byteLength > 0 && !this.#writer.isBlocked) {
      // The first chunk is a view, not a copy.
      const [chunk] = this.writeBuffer
      if (chunk === undefined) break
      const accepted = this.#writer.accept(chunk)
      this.writeBuffer.consume(accepted)
    }
    if (this.writeBuffer.byteLength > 0) return
    if (this.writeStatus === 'closing') this.#finish()
    this.safeDispatchEvent('idle')
    if (this.#writer.isBlocked || !this.writableNeedsDrain || this.writeStatus !== 'writable')
      return
    this.writableNeedsDrain = false
    this.safeDispatchEvent('drain')
  }

  onDrain(options?: AbortOptions): Promise<void> {
    return this.writableNeedsDrain ? drained(this, options?.signal ?? undefined) : Promise.resolve()
  }

  /**
   * Ends the writing half behind everything sent, and resolves when all of that is handed down; rejects if the stream
   * ends before. A further call waits for the same. The signal ends the wait alone.
   */
  async close(options?: AbortOptions): Promise<void> {
    if (this.writeStatus === 'writable') {
      this.writeStatus = 'closing'
      if (this.writeBuffer.byteLength === 0) this.#finish()
      else {
        // The end follows when the last of it is submitted.
        this.#closing = new Promise((resolve, reject) => {
          this.#onClosed = (error) => (error === undefined ? resolve() : reject(error))
        })
      }
    }
    if (this.#closing !== undefined) await abortable(this.#closing, options?.signal)
  }

  #finish(): void {
    this.sendCloseWrite()
    this.#onClosed?.()
    queueMicrotask(() => {
      if (this.writeStatus === 'closed') return
      this.writeStatus = 'closed'
      if (this.remoteWriteStatus === 'closed') this.#closed()
      else if (this.readStatus === 'closed') this.#owner.streamDone(this)
    })
  }

  protected sendCloseWrite(): void {
    if (this.#isLive) this.#owner.engine.outbox.stageEnd(this, Order.closeWrite)
  }

  // ---------------------------------------------------------------------------------------------------------- reading

  /** Reads what has arrived. */
  pull(): void {
    // A listener that resumes the stream, or adds another, is within the loop already.
    if (this.#isPulling) return
    this.#isPulling = true
    try {
      while (this.#isLive && !this.#isArmed && this.remoteWriteStatus !== 'closed') {
        const max = this.#isFlowing ? CHUNK_BYTES_MAX : READ_AHEAD_BYTES - this.readBufferLength
        if (max <= 0 || !this.#owner.engine.mayRead(this)) return
        const chunk = this.#read(max)
        if (chunk !== undefined) this.#received(chunk)
      }
    } finally {
      this.#isPulling = false
    }
  }

  get #isFlowing(): boolean {
    return this.readStatus === 'readable' && this.listenerCount('message') > 0
  }

  /** Reads once; undefined if there is nothing, which has armed the stream, or at the end, which is reported. */
  #read(max: number): Uint8Array | undefined {
    const { engine } = this.#owner
    const isKnown = this.#hint > 0
    const size = Math.min(max, isKnown ? Math.min(this.#hint, CHUNK_BYTES_MAX) : SCRATCH_BYTES)
    const { scratch } = engine
    const own = isKnown ? Buffer.allocUnsafe(size) : undefined
    const recycled = size < SCRATCH_BYTES ? scratch.subarray(0, size) : scratch
    const length = engine.hot.read(this.handle, own ?? recycled)
    if (length > 0) {
      engine.hasRead(length)
      this.#hint = isKnown
        ? Math.max(this.#hint - length, 0)
        : // A full scratch buffer suggests more bytes, to be read into memory of their own.
          Number(length === SCRATCH_BYTES) * SCRATCH_BYTES
      return own === undefined ? Buffer.from(scratch.subarray(0, length)) : trimmed(own, length)
    }
    this.#hint = 0
    if (length === -ERROR_CODES.ERR_STREAM_EOF) this.#remoteEnded()
    // Any other error: the record of the stream's end is pending.
    else this.#isArmed = true
    return undefined
  }

  onReadable(bytes: number): void {
    this.#hint = bytes
    this.#isArmed = false
    this.pull()
  }

  onTurn(): void {
    this.pull()
  }

  #received(bytes: Uint8Array): void {
    if (this.readStatus === 'closing' || this.readStatus === 'closed') return
    if (this.readBuffer.byteLength === 0 && this.#isFlowing) {
      this.dispatchEvent(new OwnMessageEvent(new Uint8ArrayList(bytes), this))
      return
    }
    this.readBuffer.append(bytes)
    this.#dispatchUnread()
  }

  #dispatchUnread(): void {
    if (this.#isFlowing && this.readBuffer.byteLength > 0) {
      const data = this.readBuffer.sublist()
      this.readBuffer.consume(data.byteLength)
      this.dispatchEvent(new OwnMessageEvent(data, this))
    }
    if (this.readBuffer.byteLength === 0 && this.remoteWriteStatus === 'closed') {
      if (this.readStatus !== 'paused') this.readStatus = 'closed'
      this.#maybeEnd()
    }
    this.#checkReadBuffer()
  }

  #checkReadBuffer(): void {
    const { maxReadBufferLength: max, readBufferLength: length } = this
    if (length <= max) return
    const what = `Read buffer length of ${length} exceeded limit of ${max}`
    this.abort(new StreamBufferError(`${what}, read status is ${this.readStatus}`))
  }

  protected override listenerAdded(type: string): void {
    // In a microtask, as a listener may be added by a constructor that has yet to set its properties.
    if (type === 'message') queueMicrotask(() => this.#flow())
  }

  /** Delivers what was kept, then what the native side holds. */
  #flow(): void {
    this.#dispatchUnread()
    this.pull()
  }

  pause(): void {
    this.#checkReadable('pause')
    this.readStatus = 'paused'
  }

  resume(): void {
    this.#checkReadable('resume')
    if (this.readStatus === 'readable') return
    this.readStatus = 'readable'
    this.#flow()
  }

  #checkReadable(what: string): void {
    if (this.readStatus === 'closed' || this.readStatus === 'closing') {
      throw new StreamStateError(`Cannot ${what} a stream that is closing/closed`)
    }
  }

  push(data: Uint8Array | Uint8ArrayList): void {
    this.#putBack(data, () => this.readBuffer.append(data))
  }

  unshift(data: Uint8Array | Uint8ArrayList): void {
    this.#putBack(data, () => this.readBuffer.prepend(data))
  }

  #putBack(data: Uint8Array | Uint8ArrayList, put: () => void): void {
    if (this.readStatus === 'closed' || this.readStatus === 'closing') {
      throw new StreamStateError(`Cannot push data onto a stream that is ${this.readStatus}`)
    }
    if (data.byteLength === 0) return
    put()
    if (this.#isFlowing) setTimeout(() => this.#dispatchUnread(), 0)
    else this.#checkReadBuffer()
  }

  closeRead(_options?: AbortOptions): Promise<void> {
    if (this.readStatus !== 'closing' && this.readStatus !== 'closed') {
      this.readBuffer.consume(this.readBuffer.byteLength)
      this.readStatus = 'closed'
      if (this.#isLive && this.remoteWriteStatus !== 'closed') this.sendCloseRead()
      if (this.writeStatus === 'closed') this.#owner.streamDone(this)
      this.#maybeEnd()
    }
    return Promise.resolve()
  }

  /** yamux cannot ask the remote to stop; its end is still to be noticed. */
  protected sendCloseRead(): void {
    this.#owner.engine.hot.discard(this.handle)
    this.#owner.engine.outbox.flushSoon()
    this.#isArmed = false
    this.pull()
  }

  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array | Uint8ArrayList> {
    return iterate(this)
  }

  // -------------------------------------------------------------------------------------------------------------- end

  onNegotiated(protocol: number, code: number): void {
    const callback = this.#onNegotiated
    this.#onNegotiated = undefined
    callback?.(protocol, code === 0 ? undefined : nativeError(code))
  }

  #remoteEnded(): void {
    if (this.remoteWriteStatus === 'closed') return
    this.remoteWriteStatus = 'closed'
    this.safeDispatchEvent('remoteCloseWrite')
    this.#maybeEnd()
    if (this.writeStatus === 'closed') this.#closed()
  }

  #maybeEnd(): void {
    if (this.#readableEnded || this.readBuffer.byteLength > 0) return
    if (this.remoteWriteStatus !== 'closed' && this.readStatus !== 'closed') return
    this.#readableEnded = true
    this.safeDispatchEvent('end')
  }

  abort(err: Error): void {
    if (this.#isOver) return
    if (this.#isLive) {
      const { hot, outbox } = this.#owner.engine
      // What was sent goes first, as far as there is credit; the flush opens a stream that is new.
      outbox.submit()
      hot.flush()
      hot.resetBehind(this.handle, StreamErrorCode.NoError)
      outbox.flushSoon()
    }
    this.#aborted(err)
  }

  get #isOver(): boolean {
    return this.status === 'aborted' || this.status === 'reset' || this.status === 'closed'
  }

  #aborted(err: Error): void {
    this.status = 'aborted'
    this.readBuffer.consume(this.readBuffer.byteLength)
    this.readStatus = 'closed'
    this.#ended(new StreamAbortEvent(err))
  }

  /** Closes what is left, and reports the end. */
  #ended(event: StreamCloseEvent): void {
    if (this.writeBuffer.byteLength > 0) {
      this.writeBuffer.consume(this.writeBuffer.byteLength)
      this.#onClosed?.(event.error ?? new StreamClosedError())
      this.safeDispatchEvent('idle')
    }
    this.writeStatus = 'closed'
    this.remoteWriteStatus = 'closed'
    this.remoteReadStatus = 'closed'
    // A paused stream that has ended in good order may be resumed.
    const isPaused = this.status === 'closed' && this.readStatus === 'paused'
    if (this.readBuffer.byteLength === 0 && !isPaused) this.readStatus = 'closed'
    this.timeline.close = Date.now()
    this.#maybeEnd()
    this.#onNegotiated?.(0, event.error ?? new StreamClosedError())
    this.#onNegotiated = undefined
    this.#owner.streamEnded(this)
    this.dispatchEvent(event)
  }

  /** Both ends have closed the stream, or the connection has ended. */
  #closed(): void {
    if (this.#isOver) return
    this.status = 'closed'
    this.#ended(new StreamCloseEvent())
  }

  onReset(_wireCode: number, code: number, flags: number): void {
    if (code === 0) this.#receiveLeft()
    if (this.#isOver) return
    if (code === ERROR_CODES.ERR_UNSUPPORTED_PROTOCOL) this.#owner.protocolRefused(this.protocol)
    if (code !== 0) this.#aborted(nativeError(code))
    else if ((flags & FLAG_CONNECTION_LOST) !== 0) this.#closed()
    else {
      this.status = 'reset'
      this.#ended(new StreamResetEvent(new StreamResetError()))
    }
  }

  /** Receives what had arrived before a reset or the loss of the connection, as far as there is room for it. */
  #receiveLeft(): void {
    const { hot, scratch } = this.#owner.engine
    const room = this.maxReadBufferLength - SCRATCH_BYTES
    while (!this.#isOver && this.remoteWriteStatus !== 'closed' && this.readBufferLength <= room) {
      const length = hot.readLeft(this.handle, scratch)
      if (length <= 0) return
      this.#received(Buffer.from(scratch.subarray(0, length)))
    }
  }

  onClosed(left: number): void {
    if (left > 0 && !this.#isOver && this.remoteWriteStatus !== 'closed') {
      const tail = Buffer.allocUnsafe(left)
      const length = this.#owner.engine.hot.read(this.handle, tail)
      if (length > 0) this.#received(trimmed(tail, length))
    }
    this.#isLive = false
    this.#remoteEnded()
    this.#closed()
  }

  onOutgoing(): void {
    // Only streams of muxers in JavaScript have it.
  }
}
