/**
 * One stream of a connection: its public facade.
 *
 * The state machine, buffers and flow control are in Rust; this side holds a copy of the state and the queues of
 * pending calls. See docs/streams.md for the table of states and operations.
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
import type { StreamScope } from './resource-manager/interfaces.ts'
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
 * Reads resolve in call order, and each byte is delivered once; writes keep their order and never interleave. Every
 * call that waits takes a `signal`. Errors are only reported by the call concerned.
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

  // Applications obtain streams from `newStream` and handlers.
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

  /** The id, `<connection id>-<n>`; never reused in a process. */
  get id(): string {
    return this.#core.id
  }

  /**
   * The connection that carries this stream.
   *
   * @throws {@link StateError} if it has none: it was wrapped without one, or is of `yamux()`.
   */
  get connection(): Connection {
    const { connection } = this.#core.owner
    if (connection === undefined) {
      throw new StateError('this stream has no connection: it was wrapped, or is of yamux()')
    }
    return connection
  }

  /** The negotiated protocol; undefined on a raw stream until {@link Stream.setProtocol}. */
  get protocol(): string | undefined {
    return this.#core.protocol
  }

  /** The state, as of the last call or event. Does not cross into native code. */
  get state(): StreamState {
    return this.#core.state
  }

  /** `inbound` if the remote opened the stream, `outbound` if this side did. */
  get direction(): 'inbound' | 'outbound' {
    return this.#core.direction
  }

  /** The failure of a stream in state RESET or ERROR; undefined otherwise. */
  get error(): Libp2pError | undefined {
    return this.#core.failure
  }

  /**
   * Aborted when `swarm.close` is called, as a request to finish: streams that are still open when the swarm stops
   * waiting are reset with the code `Shutdown`. Shared by all streams of a swarm; never aborted without a connection.
   */
  get signal(): AbortSignal {
    return this.#core.owner.signal
  }

  /** Direction, time of opening and application data, which do not depend on the state. */
  get stat(): StreamStat {
    this.#stat ??= statOf(this.#core)
    return this.#stat
  }

  /** Returns bytes carried, unread and unsent; undefined once the stream has ended. Crosses into native code once. */
  counters(): StreamCounters | undefined {
    return this.#core.isLive ? streamCounters(this.#core.engine.hot, this.#core.handle) : undefined
  }

  /** The remote host and port, also after the close; undefined if the transport has none. */
  get remoteAddress(): HostPort | undefined {
    return this.#core.owner.remoteAddress
  }

  /** The argument of `wrapMuxedStream`; the stream itself on the native muxers. */
  get muxedStream(): MuxedStream {
    return this.#core.pump?.muxed ?? this
  }

  /**
   * The stream's share of the resources that the swarm accounts for. After its end the usage is 0, and `reserveMemory`
   * throws `ResourceScopeClosedError`. `setService` charges it to a service. A stream of `wrapMuxedStream`
   * has `nullScope`: nothing is accounted for.
   *
   * @example
   * ```ts
   * stream.scope.setService('chat')
   * using span = stream.scope.beginSpan()
   * span.reserveMemory(1024 * 1024, RESERVATION_PRIORITY_MEDIUM)
   * ```
   */
  get scope(): StreamScope {
    return this.#core.owner.streamScope(this.#core)
  }

  /** True after `send` returned false, until `drain`. */
  get writableNeedsDrain(): boolean {
    return this.#core.writes.needsDrain
  }

  /** Returns whether at least one half is open: INIT, OPEN, CLOSE_READ or CLOSE_WRITE. */
  isOperational(): boolean {
    return this.#core.state < StreamState.CLOSE_BOTH
  }

  /**
   * Reads up to `max` bytes as soon as any are available; without `max`, everything up to the remote's end.
   *
   * `read(0)` resolves to an empty array at once. A call that is aborted, times out or exceeds `maxBytes` consumes
   * nothing.
   *
   * @throws {@link StreamEOFError} at the remote's end; without `max`, only if the end was reported before.
   * @throws {@link MessageTooLargeError} without `max`, for more than `maxBytes`.
   * @throws {@link StreamClosedError} after `closeRead` or `close`.
   * @throws {@link StreamResetError} if either side reset the stream, or its connection was lost.
   * @throws {@link StreamError} if it failed otherwise; an {@link UnsupportedProtocolError} is its `cause`.
   * @throws {@link TimeoutError} after the read deadline.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for a `max` that is not a non-negative integer.
   * @example
   * ```ts
   * const header = await stream.read(16)
   * const rest = await stream.read({ maxBytes: 64 * 1024, signal: AbortSignal.timeout(5_000) })
   * console.log(header.length, rest.length)
   * ```
   */
  read(max?: number, options?: ReadOptions): Promise<Uint8Array>
  /** Reads everything up to the remote's end, with options. */
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
   * Returns up to `max` available bytes without waiting; undefined if there are none, or pending reads take them all.
   *
   * Throws the errors of {@link Stream.read} except those of waiting.
   *
   * @throws {@link InvalidParametersError} for a `max` that is neither a non-negative integer nor Infinity.
   */
  tryRead(max: number = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    if (max !== Number.POSITIVE_INFINITY) aSize(max, 'max')
    return this.#core.reads.tryRead(max)
  }

  /**
   * Reads into the caller's memory. Resolves to the number of bytes, at least 1 unless `into` is empty.
   *
   * Rejects as {@link Stream.read} with `max` does.
   *
   * @throws {@link InvalidParametersError} if `into` is not a `Uint8Array`.
   */
  readInto(into: Uint8Array, options?: AbortOptions): Promise<number> {
    someBytes(into, 'into')
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.reads.readInto(into, options)
  }

  /**
   * Puts bytes back in front of all unread ones, so that an abandoned call loses none. The stream owns them from now
   * on. Drops them if the reading half was closed locally or has failed, as all unread bytes were.
   *
   * @throws {@link InvalidParametersError} if `bytes` is not a `Uint8Array`.
   */
  unshift(bytes: Uint8Array): void {
    someBytes(bytes, 'bytes')
    this.#core.reads.unshift(bytes)
  }

  /** Returns transport and time of opening of the connection; undefined without one. */
  connState(): ConnState | undefined {
    const { connection } = this.#core.owner
    return connection && { transport: this.#core.owner.transport, openedAt: connection.stat.opened }
  }

  /**
   * Writes; resolves when all bytes are accepted for sending. Until then the stream borrows their memory.
   *
   * Waits while the peer's window and the 256 KiB send pipe are full. An interrupted write reports the accepted bytes
   * in `bytesAccepted`; the next write continues right after them.
   *
   * @throws {@link StreamClosedError} after `closeWrite` or `close`.
   * @throws {@link StreamResetError} if either side reset the stream, or its connection was lost.
   * @throws {@link StreamError} if it failed otherwise; an {@link UnsupportedProtocolError} is its `cause`.
   * @throws {@link TimeoutError} after the write deadline.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} if `bytes` is not a `Uint8Array`.
   * @example
   * ```ts
   * import { AbortError } from 'ferroswarm'
   *
   * try {
   *   await stream.write(Buffer.from('hello'), { signal: AbortSignal.timeout(5_000) })
   * } catch (err) {
   *   if (!(err instanceof AbortError)) throw err
   *   console.log(`the peer will receive ${err.bytesAccepted} bytes`)
   * }
   * ```
   */
  write(bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    someBytes(bytes, 'bytes')
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.writes.write(bytes, options)
  }

  /**
   * Writes without waiting. All bytes are accepted, and the caller may reuse their memory at once. Returns false if the
   * caller should wait for `drain`.
   *
   * Throws the errors of {@link Stream.write} except those of waiting.
   *
   * @throws {@link InvalidParametersError} if `bytes` is not a `Uint8Array`.
   */
  send(bytes: Uint8Array): boolean {
    someBytes(bytes, 'bytes')
    return this.#core.writes.send(bytes)
  }

  /**
   * Closes both halves: delivers the accepted bytes, then end-of-stream, and reads no more.
   *
   * Pending reads, and pending writes of which nothing was accepted, reject with `StreamClosedError`; a partly accepted
   * write is accepted whole. Idempotent; does nothing on a reset stream.
   *
   * Takes effect before it returns. The promise only waits for the pending negotiation of a single proposed protocol,
   * if bytes were written.
   *
   * @throws {@link StreamError} if the peer refuses the protocol; an {@link UnsupportedProtocolError} is its `cause`.
   * @throws {@link StreamResetError} if the stream is reset while the negotiation is pending.
   * @throws {@link AbortError} by `signal`, which ends the wait only.
   * @throws {@link InvalidParametersError} for an invalid option.
   * @example
   * ```ts
   * const request = await stream.read(1_024)
   * await stream.write(request)
   * await stream.close()
   * ```
   */
  close(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.close(options)
  }

  /**
   * Closes the reading half: pending reads reject with `StreamClosedError` and later data is discarded. The writing
   * half stays open. Idempotent.
   *
   * @throws {@link StreamResetError} on a reset stream.
   * @throws {@link StreamError} on a stream that failed otherwise.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  closeRead(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.closeRead(options)
  }

  /**
   * Closes the writing half: the peer reads end-of-stream after everything written. The reading half stays open.
   *
   * Resolves when pending writes are accepted, and waits for a pending negotiation as {@link Stream.close} does.
   * Idempotent.
   *
   * @throws {@link StreamResetError} on a reset stream.
   * @throws {@link StreamError} if the stream failed otherwise; an {@link UnsupportedProtocolError} is its `cause`.
   * @throws {@link TimeoutError} after the write deadline, if writes are pending.
   * @throws {@link AbortError} by `signal`, which ends the wait only.
   * @throws {@link InvalidParametersError} for an invalid option.
   * @example
   * ```ts
   * await stream.write(Buffer.from('request'))
   * await stream.closeWrite()
   * const response = await stream.read()
   * console.log(String(Buffer.from(response)))
   * ```
   */
  closeWrite(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.closeWrite(options)
  }

  /**
   * Resets the stream: ends both halves at once and sends `code`, a `StreamErrorCode`, to the remote. Takes effect
   * before it returns.
   *
   * Does nothing if both halves are closed: accepted bytes are still delivered.
   *
   * @throws {@link InvalidParametersError} for a code that is not an unsigned 32-bit integer.
   */
  reset(code = 0): Promise<void> {
    aCode(code, 'code')
    return this.#core.reset(code, undefined)
  }

  /**
   * Resets the stream with code 0; pending and later calls reject with `err` as their `cause`.
   *
   * @throws {@link InvalidParametersError} if `err` is not an `Error`.
   */
  abort(err: Error): void {
    anError(err, 'err')
    void this.#core.reset(0, err)
  }

  /**
   * Sets both deadlines to a point in time, not a duration: see {@link Stream.setReadDeadline} and
   * {@link Stream.setWriteDeadline}.
   *
   * @throws {@link InvalidParametersError} for an invalid point in time.
   */
  setDeadline(at: Date | number | null): void {
    const ms = this.#deadline(at)
    this.#core.reads.setDeadline(ms)
    this.#core.writes.setDeadline(ms)
  }

  /**
   * Sets the time (a `Date`, or milliseconds since the epoch) after which reads that would wait reject with
   * `TimeoutError`. `null` removes it.
   *
   * Bytes that have arrived by then are delivered first, and the stream stays usable.
   *
   * @throws {@link InvalidParametersError} for an invalid point in time, or a number that can only be a duration: more
   * than a year ago.
   */
  setReadDeadline(at: Date | number | null): void {
    this.#core.reads.setDeadline(this.#deadline(at))
  }

  /**
   * Sets the time after which writes that would wait reject with `TimeoutError`. `null` removes it.
   *
   * @throws {@link InvalidParametersError} as {@link Stream.setReadDeadline} does.
   */
  setWriteDeadline(at: Date | number | null): void {
    this.#core.writes.setDeadline(this.#deadline(at))
  }

  /**
   * Sets the protocol of a raw stream. Local only: nothing is negotiated.
   *
   * @throws {@link ResourceLimitExceededError} if a limit of the protocol, or the application's resource manager, refuses
   * it.
   * @throws {@link InvalidParametersError} if the stream has a protocol, or the name is invalid.
   */
  setProtocol(protocol: string): void {
    this.#core.setProtocol(protocol)
  }

  /**
   * Moves the stream to another state. Pending writes reject if that ends the writing half.
   *
   * @throws {@link StreamStateError} for a transition that docs/streams.md does not list.
   * @throws {@link InvalidParametersError} for a number that is not a {@link StreamState}.
   */
  setState(next: StreamState): void {
    aState(next, 'next')
    this.#core.setState(next)
  }

  /**
   * Removes the stream from `connection.streams` and emits `close`, without a frame to the remote. Idempotent.
   *
   * Accepted bytes are delivered. If the remote does not end the stream within a minute, it is reset.
   */
  remove(): void {
    this.#core.remove()
  }

  /**
   * Returns the reader and writer of length-prefixed messages of this stream; the same object on every call.
   *
   * It starts with the first unread byte. From now on, read the stream only through it.
   *
   * @throws {@link InvalidParametersError} for an invalid option, or one that differs from the first call.
   * @example
   * ```ts
   * const messages = stream.messages({ framing: 'fixed32', maxMessageBytes: 64 * 1024 })
   * await messages.writeMsg(Buffer.from(JSON.stringify({ op: 'list' })))
   * for await (const message of messages) console.log(JSON.parse(String(Buffer.from(message))))
   * await messages.close()
   * ```
   */
  messages(options?: MessagesOptions): Messages {
    return messages(this, options)
  }

  /** The reading half as a Web stream, created once. Cancelling it closes the reading half. */
  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableStream(this)
    return this.#readable
  }

  /** The writing half as a Web stream, created once. Closing it closes that half, aborting it resets the stream. */
  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= writableStream(this)
    return this.#writable
  }

  /**
   * Returns a `node:stream` Duplex over this stream. `end` closes the writing half; `destroy` before that resets.
   *
   * It emits `error` exactly if bytes were lost: not if its connection is closed after everything was written and
   * nothing reads, nor if it is closed locally. A caller that waits for more then gets Node's premature close error.
   *
   * @throws {@link InvalidParametersError} for an invalid option.
   * @example
   * ```ts
   * import { createReadStream } from 'node:fs'
   * import { pipeline } from 'node:stream/promises'
   *
   * await pipeline(createReadStream('file'), stream.toDuplex())
   * console.log(String(Buffer.from(await stream.read())))
   * ```
   */
  toDuplex(options?: DuplexOptions): NodeDuplex {
    return toDuplex(this, options)
  }

  /**
   * Iterates over chunks as they arrive, until the end of the reading half. Leaving the loop does not end the stream.
   *
   * Throws on a reset, as {@link Stream.read} rejects.
   *
   * @example
   * ```ts
   * let bytes = 0
   * for await (const chunk of stream) bytes += chunk.length
   * console.log(`${bytes} bytes`)
   * await stream.close()
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.#core.reads.iterator(this)
  }

  /** Alias of {@link Stream.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Adds a listener, which keeps the stream from being garbage-collected. */
  override addEventListener<K extends keyof StreamEvents>(
    type: K,
    handler: EventHandler<StreamEvents[K]>,
    options?: EventListenerOptions
  ): void {
    super.addEventListener(type, handler, options)
    if (this.hasListeners(type)) this.#core.owner.abandoned.hold(this.#core, this)
  }

  /** Removes a listener. */
  override removeEventListener<K extends keyof StreamEvents>(
    type: K,
    handler: EventHandler<StreamEvents[K]>
  ): void {
    super.removeEventListener(type, handler)
    this.#core.owner.abandoned.holdWeakly(this.#core)
  }

  /** @internal Crosses into native code at most once. */
  [INSPECT](...args: InspectArguments): unknown {
    // A proxy does not have the private fields.
    if (!(#core in this)) return this
    return shown('Stream', this.id, () => shownOf(this.#core, this.counters()), args)
  }

  /** Reports the failure as that of a listener of the swarm. */
  protected override onListenerError(err: unknown, listener: object, message: string): void {
    this.#core.owner.onFailure(err, listener, message)
  }

  #deadline(at: Date | number | null): number | undefined {
    return deadlineAt(at, 'at', this.#core.owner.clock.now())
  }
}
