/**
 * One stream of a connection: its public facade.
 *
 * The state machine, its bytes and its flow control live in Rust; what stands here is a copy of the state and
 * the queues of calls that wait. See docs/streams.md for the table of states and operations.
 */
import type { AbortOptions } from './base/abort.ts'
import {
  ABORT_OPTIONS,
  aCode,
  aLimit,
  anError,
  areOptions,
  aSignal,
  aSize,
  checkOptions,
  deadlineAt,
  integer,
  type OptionChecks,
  bytes as someBytes
} from './base/arguments.ts'
import { type EventHandler, type EventListenerOptions, TypedEventTarget } from './base/events.ts'
import { INSPECT, type InspectArguments, shown } from './base/inspection.ts'
import type { Connection } from './connection.ts'
import { StreamState } from './constants.ts'
import { type Libp2pError, StateError } from './errors.ts'
import type { HostPort } from './identity/address.ts'
import type { ConnState, StreamReader } from './io/interfaces.ts'
import type { MuxedStream } from './muxer/muxed.ts'
import { type StreamCounters, streamCounters } from './native/counters.ts'
import type { StreamCore } from './stream/core.ts'
import { type DuplexOptions, toDuplex } from './stream/duplex.ts'
import { provideStreamFacade } from './stream/facade.ts'
import {
  type ReadOptions,
  type StreamEvents,
  type StreamStat,
  shownOf,
  statOf
} from './stream/facts.ts'
import type { Messages, MessagesOptions } from './stream/messages.ts'
import { messages } from './stream/messages.ts'
import { readableStream, writableStream } from './stream/web-streams.ts'

export type { AbortOptions } from './base/abort.ts'
export type { DuplexOptions } from './stream/duplex.ts'
export type {
  ReadOptions,
  Stats,
  StreamCloseDetail,
  StreamEvents,
  StreamStat
} from './stream/facts.ts'

const READ_CHECKS: OptionChecks<ReadOptions> = { signal: aSignal, maxBytes: aLimit }

const aState = integer(StreamState.INIT, StreamState.ERROR)

type NodeDuplex = import('node:stream').Duplex

/**
 * A bidirectional, ordered, flow-controlled stream of bytes.
 *
 * Reads answer in call order and no byte twice; writes keep their order and never interleave. Every wait takes a
 * `signal`. Nothing here throws or rejects outside the call concerned.
 */
export class Stream
  extends TypedEventTarget<StreamEvents>
  implements MuxedStream, StreamReader, AsyncDisposable
{
  readonly #core: StreamCore
  #onEnd: (() => void)[] | undefined
  #onReadable: (() => void) | undefined
  #stat: StreamStat | undefined
  #readable: ReadableStream<Uint8Array> | undefined
  #writable: WritableStream<Uint8Array> | undefined

  // Applications get theirs from `newStream` and handlers.
  private constructor(core: StreamCore) {
    super()
    this.#core = core
  }

  static {
    provideStreamFacade({
      make: (core) => new Stream(core),
      coreOf: (stream) => stream.#core,
      onEnd(stream, ended) {
        stream.#onEnd ??= []
        stream.#onEnd.push(ended)
      },
      onReadable(stream, readable) {
        stream.#onReadable = readable
      },
      isHeard: (stream) => stream.hasListeners('close') || stream.hasListeners('drain'),
      emitReadable(facade) {
        const stream = facade instanceof WeakRef ? facade.deref() : facade
        if (stream !== undefined) stream.#onReadable?.()
      },
      emitDrain(stream) {
        if (stream.hasListeners('drain')) stream.emit('drain', new CustomEvent('drain'))
      },
      emitClose(stream) {
        if (stream.hasListeners('close')) {
          stream.emit('close', new CustomEvent('close', { detail: { error: stream.error } }))
        }
        stream.endEvents()
        for (const ended of stream.#onEnd ?? []) ended()
      }
    })
  }

  /** `<connection id>-<n>`; never reused in a process. */
  get id(): string {
    return this.#core.id
  }

  /** The connection that carries this stream. Throws `StateError` on one that was wrapped without a connection. */
  get connection(): Connection {
    const { connection } = this.#core.owner
    if (connection === undefined)
      throw new StateError('this stream was wrapped without a connection')
    return connection
  }

  /** The negotiated protocol; undefined on a raw stream until {@link Stream.setProtocol}. */
  get protocol(): string | undefined {
    return this.#core.protocol
  }

  /** The number of a `StreamState`, as last told by a call or an event. Costs nothing. */
  get state(): StreamState {
    return this.#core.state
  }

  /** `inbound` if the remote opened it. */
  get direction(): 'inbound' | 'outbound' {
    return this.#core.direction
  }

  /** Why the stream is in RESET or ERROR; undefined otherwise. */
  get error(): Libp2pError | undefined {
    return this.#core.failure
  }

  /**
   * Aborted from the call of `swarm.close` on: time to finish. What is open when the swarm has waited long enough is
   * reset with the code `Shutdown`. The same for every stream of a swarm, and never aborted without one.
   */
  get signal(): AbortSignal {
    return this.#core.owner.signal
  }

  /** Facts that do not change. */
  get stat(): StreamStat {
    this.#stat ??= statOf(this.#core)
    return this.#stat
  }

  /** What it has carried so far, and what waits. Undefined once it has ended. One crossing. */
  counters(): StreamCounters | undefined {
    return this.#core.isLive ? streamCounters(this.#core.engine.hot, this.#core.handle) : undefined
  }

  /** The host and port at the other end; kept after the close. Undefined where the transport has none. */
  get remoteAddress(): HostPort | undefined {
    return this.#core.owner.remoteAddress
  }

  /** What `wrapMuxedStream` was given; the stream itself on our own muxers, which are native. */
  get muxedStream(): MuxedStream {
    return this.#core.pump?.muxed ?? this
  }

  /** True after `send` answered false, until `drain`. */
  get writableNeedsDrain(): boolean {
    return this.#core.writes.needsDrain
  }

  /** Whether at least one half is open: INIT, OPEN, CLOSE_READ or CLOSE_WRITE. */
  isOperational(): boolean {
    return this.#core.state < StreamState.CLOSE_BOTH
  }

  /**
   * Read up to `max` bytes, as soon as any are there; without `max`, everything to the end.
   *
   * Without `max`, more than `maxBytes` (4 MiB unless given, Infinity lifts it) rejects with
   * `MessageTooLargeError` and consumes nothing. `read(0)` answers empty without looking.
   *
   * Rejects with `StreamEOFError` at the remote's end (also without `max`, if the end was reported before),
   * `StreamClosedError` after our own `closeRead`, `StreamResetError`, `StreamError`, `AbortError`, `TimeoutError`.
   * Throws `InvalidParametersError` for a negative or non-integer `max`.
   */
  read(max?: number, options?: ReadOptions): Promise<Uint8Array>
  /** Read everything to the end, with options. */
  read(options: ReadOptions): Promise<Uint8Array>
  read(first?: number | ReadOptions, second?: ReadOptions): Promise<Uint8Array> {
    const max = areOptions(first) ? undefined : first
    const options = areOptions(first) ? first : second
    checkOptions(options, READ_CHECKS)
    if (max === undefined) return this.#core.reads.readAll(options)
    aSize(max, 'max')
    return this.#core.reads.read(max, options)
  }

  /**
   * Take what is there, up to `max` bytes, without waiting. Undefined: nothing yet, or reads that wait take it all.
   *
   * Throws what {@link Stream.read} rejects with.
   */
  tryRead(max: number = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    if (max !== Number.POSITIVE_INFINITY) aSize(max, 'max')
    return this.#core.reads.tryRead(max)
  }

  /** Read into the caller's memory; answers with the number of bytes, at least 1 unless `into` is empty. */
  readInto(into: Uint8Array, options?: AbortOptions): Promise<number> {
    someBytes(into, 'into')
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.reads.readInto(into, options)
  }

  /**
   * Put bytes back in front of everything unread, so that a call that gives up loses none. They are the stream's from
   * here on. Where the reading half was closed here or failed they are dropped, as everything unread was.
   */
  unshift(bytes: Uint8Array): void {
    someBytes(bytes, 'bytes')
    this.#core.reads.unshift(bytes)
  }

  /** The transport of the connection under it, and since when it is there; undefined without a connection. */
  connState(): ConnState | undefined {
    const { connection } = this.#core.owner
    return connection && { transport: this.#core.owner.transport, openedAt: connection.stat.opened }
  }

  /**
   * Write; resolves when every byte is accepted for sending. The memory is the caller's again then.
   *
   * Waits while the peer's window and the 256 KiB send pipe are full. An aborted or timed-out write tells in
   * `bytesAccepted` how much went through; the next write continues right behind that.
   *
   * Rejects with `StreamClosedError`, `StreamResetError`, `StreamError`, `AbortError`, `TimeoutError`.
   */
  write(bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    someBytes(bytes, 'bytes')
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.writes.write(bytes, options)
  }

  /**
   * Write without waiting. The bytes are accepted in any case; false asks the caller to wait for `drain`.
   *
   * Throws what {@link Stream.write} rejects with. The memory is the caller's again at once.
   */
  send(bytes: Uint8Array): boolean {
    someBytes(bytes, 'bytes')
    return this.#core.writes.send(bytes)
  }

  /**
   * Close both halves: deliver what was accepted, then end-of-stream; read no more.
   *
   * Rejects waiting reads, and waiting writes that have not begun, with `StreamClosedError`; one that has begun is
   * accepted whole. Idempotent; on a reset stream it does nothing.
   *
   * Acts before it returns. The promise waits for nothing but the peer's answer to the protocol, where one alone was
   * proposed, bytes were written and it has not come yet; it rejects with {@link Stream.error} if the peer refuses, and
   * with `AbortError` if `signal` ends the wait.
   */
  close(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.close(options)
  }

  /**
   * Stop reading: waiting reads reject with `StreamClosedError`, later data is thrown away, writing goes on.
   *
   * Calling it again does nothing; on a reset stream it rejects with `StreamResetError`.
   */
  closeRead(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.closeRead(options)
  }

  /**
   * Close our writing half. The peer reads end-of-stream after everything already written.
   *
   * Reading goes on. Calling it again does nothing; on a reset stream it rejects with `StreamResetError`. Waits for the
   * peer's answer as {@link Stream.close} does.
   */
  closeWrite(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.closeWrite(options)
  }

  /**
   * End the stream at once in both directions, telling the remote `code`. Acts before it returns.
   *
   * Where both halves were closed it does nothing: what was accepted before is still delivered.
   */
  reset(code = 0): Promise<void> {
    aCode(code, 'code')
    return this.#core.reset(code, undefined)
  }

  /** {@link Stream.reset} with a cause, which waiting and later calls find in `cause`. */
  abort(err: Error): void {
    anError(err, 'err')
    void this.#core.reset(0, err)
  }

  /**
   * Set both deadlines to a point in time, no duration: see {@link Stream.setReadDeadline} and
   * {@link Stream.setWriteDeadline}.
   */
  setDeadline(at: Date | number | null): void {
    const ms = this.#deadline(at)
    this.#core.reads.setDeadline(ms)
    this.#core.writes.setDeadline(ms)
  }

  /**
   * From `at` (a date, or milliseconds since the epoch) on, reads that find nothing reject with `TimeoutError`.
   *
   * What has arrived by then is delivered first, and the stream stays usable. `null` lifts it. Throws
   * `InvalidParametersError` for a number that can only be a duration: one over a year before now.
   */
  setReadDeadline(at: Date | number | null): void {
    this.#core.reads.setDeadline(this.#deadline(at))
  }

  /** From `at` on, writes that have to wait reject with `TimeoutError`. `null` lifts it. */
  setWriteDeadline(at: Date | number | null): void {
    this.#core.writes.setDeadline(this.#deadline(at))
  }

  /** Name the protocol of a raw stream. Throws `InvalidParametersError` if it has one already. */
  setProtocol(protocol: string): void {
    this.#core.setProtocol(protocol)
  }

  /** Take another state, as far as the table allows; else throws `StreamStateError`. Writes that wait then reject. */
  setState(next: StreamState): void {
    aState(next, 'next')
    this.#core.setState(next)
  }

  /**
   * Forget the stream: out of `connection.streams`, one `close`, no frame to the remote. Idempotent.
   *
   * What was written before is delivered. A remote that does not end the stream within a minute sees it reset.
   */
  remove(): void {
    this.#core.remove()
  }

  /**
   * Read and write length-prefixed messages on this stream. Bytes read before stay in order.
   *
   * From here on read the stream through the messages only.
   */
  messages(options?: MessagesOptions): Messages {
    return messages(this, options)
  }

  /** A Web stream of what is read. Cancelling it closes the reading half. Made once. */
  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableStream(this)
    return this.#readable
  }

  /** A Web stream to write to. Closing it closes the writing half, aborting it resets. Made once. */
  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= writableStream(this)
    return this.#writable
  }

  /**
   * A `node:stream` Duplex over this stream. `end` closes the writing half, `destroy` before that resets.
   *
   * It emits an 'error' exactly when bytes were lost: not when its connection is closed after everything was written
   * and nobody reads, nor when we close it ourselves. Who waits for more then gets Node's own premature close.
   *
   * @example
   * await pipeline(createReadStream('file'), stream.toDuplex())
   */
  toDuplex(options?: DuplexOptions): NodeDuplex {
    return toDuplex(this, options)
  }

  /** Chunks as they come, until an end of the reading half; throws on a reset. Leaving the loop leaves the stream as it is. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.#core.reads.iterator(this)
  }

  /** {@link Stream.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Whoever listens is told, even if nobody holds the stream. */
  override addEventListener<K extends keyof StreamEvents>(
    type: K,
    handler: EventHandler<StreamEvents[K]>,
    options?: EventListenerOptions
  ): void {
    super.addEventListener(type, handler, options)
    if (this.hasListeners(type)) this.#core.owner.abandoned.hold(this.#core, this)
  }

  override removeEventListener<K extends keyof StreamEvents>(
    type: K,
    handler: EventHandler<StreamEvents[K]>
  ): void {
    super.removeEventListener(type, handler)
    this.#core.owner.abandoned.holdWeakly(this.#core)
  }

  /** @internal One crossing at most. */
  [INSPECT](...args: InspectArguments): unknown {
    // A proxy has none of the private fields.
    if (!(#core in this)) return this
    return shown('Stream', this.id, () => shownOf(this.#core, this.counters()), args)
  }

  /** As with listeners of the swarm. */
  protected override onListenerError(err: unknown, listener: object, message: string): void {
    this.#core.owner.onFailure(err, listener, message)
  }

  #deadline(at: Date | number | null): number | undefined {
    return deadlineAt(at, 'at', this.#core.owner.clock.now())
  }
}
