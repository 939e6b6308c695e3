/** One connection of `yamux()`. */
import { type AbortOptions, abortable, aborted, isAborted, onceAborted } from '../base/abort.ts'
import { ABORT_OPTIONS, aCode, checkOptions } from '../base/arguments.ts'
import { systemClock } from '../base/clock.ts'
import type { ConnectionCloseReason, ConnectionEnd } from '../connection/facts.ts'
import type { ConnectionOwner, Opener } from '../connection/opener.ts'
import { StreamErrorCode } from '../constants.ts'
import { Failures } from '../diagnostics/failures.ts'
import { ConnectionClosedError, MuxerClosedError } from '../errors.ts'
import type { Engine } from '../native/engine.ts'
import { nullScope } from '../resource-manager/null.ts'
import { AbandonedStreams } from '../stream/abandoned.ts'
import type { StreamCore } from '../stream/core.ts'
import { Deadlines } from '../stream/deadlines.ts'
import { addCause } from '../stream/failure.ts'
import { StreamList } from '../stream/list.ts'
import type { Stream } from '../stream.ts'
import type { MuxedConn } from './muxed.ts'

/** Inbound streams that wait for `acceptStream`; more are reset. */
const WAITING_MAX = 256

const RAW = new Uint32Array(0)

/** @internal Makes a connection; set by the class, whose constructor is private. */
export let makeYamuxConn: (engine: Engine, opener: Opener, ended: () => void) => YamuxConn

let made = 0

interface Accept {
  readonly resolve: (stream: Stream) => void
  readonly reject: (err: Error) => void
}

/** A yamux connection over a duplex. Its streams are as those of a swarm, but have no `connection`. */
export class YamuxConn implements MuxedConn, AsyncDisposable {
  readonly #owner: Owner

  static {
    makeYamuxConn = (...parts) => new YamuxConn(new Owner(...parts))
  }

  private constructor(owner: Owner) {
    this.#owner = owner
  }

  /**
   * Whether it was closed here, or has ended. After a GoAway of the remote alone, open streams go on, while `openStream`
   * rejects.
   */
  get isClosed(): boolean {
    return this.#owner.isClosing
  }

  /** The reason for its end; undefined before. */
  get closeReason(): Omit<ConnectionCloseReason, 'rule'> | undefined {
    return this.#owner.closeReason
  }

  /**
   * Opens a stream.
   *
   * @throws {@link ConnectionClosedError} if the connection is closed.
   * @throws {@link MuxerClosedError} if the remote accepts no more streams.
   * @throws {@link ResourceLimitExceededError} at the limit of streams.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  openStream(options: AbortOptions = {}): Promise<Stream> {
    checkOptions(options, ABORT_OPTIONS)
    if (isAborted(options.signal)) return Promise.reject(aborted(options.signal))
    const opened = this.#owner.open()
    return opened instanceof Error ? Promise.reject(opened) : Promise.resolve(opened)
  }

  /**
   * Resolves to the next stream of the remote, in their order. Up to 256 wait for a call; more are reset. One that the
   * remote resets meanwhile is dropped; one that it has ended can be taken, also after an orderly end of the connection.
   *
   * @throws {@link MuxerClosedError} once the connection has ended, and none of them is left.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  acceptStream(options: AbortOptions = {}): Promise<Stream> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#owner.accept(options.signal)
  }

  /**
   * Closes gracefully: what closed streams have accepted is delivered, others are reset. Then the duplex is closed.
   * Idempotent.
   *
   * @throws {@link AbortError} by `signal`, which ends the wait, not the delivery.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  close(options: AbortOptions = {}): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return abortable(this.#owner.close(), options.signal)
  }

  /**
   * Closes at once, with a `ConnectionErrorCode` for the remote.
   *
   * @throws {@link InvalidParametersError} for an invalid code.
   */
  closeWithError(code: number): Promise<void> {
    aCode(code, 'code')
    return this.#owner.closeAtOnce(code)
  }

  /** Alias of {@link YamuxConn.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The connection as its opener and streams see it. */
class Owner implements ConnectionOwner {
  readonly id: string
  readonly engine: Engine
  readonly clock = systemClock
  readonly deadlines: Deadlines
  readonly abandoned = new AbandonedStreams(systemClock, () => {})
  readonly connection = undefined
  readonly remoteAddress = undefined
  readonly transport = ''
  readonly onFailure = new Failures(undefined).report
  isClosing = false
  closeReason: ConnectionEnd | undefined
  readonly #opener: Opener
  readonly #onEnd: () => void
  readonly #streams = new StreamList()
  // In their order. The facades too: one that nobody holds would be ended as an abandoned one.
  readonly #waiting = new Map<StreamCore, Stream>()
  readonly #accepts = new Set<Accept>()
  readonly #closing = new AbortController()
  readonly #closed = Promise.withResolvers<void>()
  #streamsMade = 0
  #isGoingAway = false
  #lost: ConnectionClosedError | undefined

  constructor(engine: Engine, opener: Opener, onEnd: () => void) {
    made += 1
    this.id = `yamux-${made}`
    this.engine = engine
    this.deadlines = new Deadlines(systemClock, (then) => engine.afterDrain(then))
    this.#opener = opener
    this.#onEnd = onEnd
    opener.attach(this)
  }

  get signal(): AbortSignal {
    return this.#closing.signal
  }

  open(): Stream | Error {
    if (this.isClosing) return this.closedError()
    if (this.#isGoingAway) return new MuxerClosedError('the remote takes no more streams')
    const core = this.#opener.open([], RAW)
    if (core instanceof Error) return core
    this.#add(core)
    return core.stream
  }

  accept(signal: AbortSignal | undefined): Promise<Stream> {
    if (isAborted(signal)) return Promise.reject(aborted(signal))
    const [next] = this.#waiting
    if (next !== undefined) {
      const [core, stream] = next
      this.#waiting.delete(core)
      return Promise.resolve(stream)
    }
    if (this.closeReason !== undefined) return Promise.reject(this.#over())
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        this.#accepts.delete(accept)
        release()
      }
      const accept: Accept = {
        resolve: (stream) => {
          settled()
          resolve(stream)
        },
        reject: (err) => {
          settled()
          reject(err)
        }
      }
      const release = onceAborted(signal, () => accept.reject(aborted(signal)))
      this.#accepts.add(accept)
    })
  }

  streamRefused(): void {
    // Never called: the native muxer reports its refusals itself.
  }

  close(): Promise<void> {
    if (!this.isClosing) {
      for (const stream of this.#streams.inOrder()) stream.handDown()
      this.#beginClose()
      this.#opener.close(0)
    }
    return this.#closed.promise
  }

  closeAtOnce(code: number): Promise<void> {
    if (this.closeReason === undefined) {
      this.#beginClose()
      this.#opener.closeAtOnce(code)
    }
    return this.#closed.promise
  }

  #beginClose(): void {
    this.isClosing = true
    this.#closing.abort(new MuxerClosedError('the connection is closing'))
  }

  #add(stream: StreamCore): void {
    this.#streams.add(stream)
    this.abandoned.watch(this.#streams)
  }

  nextStream(): number {
    this.#streamsMade += 1
    return this.#streamsMade
  }

  streamOpened(stream: StreamCore): void {
    this.#add(stream)
    const [accept] = this.#accepts
    if (accept !== undefined) accept.resolve(stream.stream)
    else if (this.#waiting.size < WAITING_MAX) this.#waiting.set(stream, stream.stream)
    else void stream.reset(StreamErrorCode.ResourceLimitExceeded, undefined)
  }

  choose(): undefined {
    return undefined
  }

  remoteGoesAway(): void {
    this.#isGoingAway = true
  }

  ended(reason: ConnectionEnd): void {
    const { error, remote } = reason
    // What the remote has sent before an orderly end can still be accepted.
    if (this.isClosing || !remote || error !== undefined) this.#waiting.clear()
    this.#beginClose()
    this.closeReason = reason
    if (this.#lost !== undefined && error !== undefined) addCause(this.#lost, error)
    for (const { reject } of this.#accepts) reject(this.#over())
    this.deadlines.clear()
    this.abandoned.clear()
    this.#onEnd()
    this.#closed.resolve()
  }

  #over(): MuxerClosedError {
    const cause = this.closeReason?.error
    return new MuxerClosedError('the connection has ended', cause === undefined ? {} : { cause })
  }

  lost(closeCode: number): ConnectionClosedError {
    this.#lost ??= new ConnectionClosedError({ closeCode })
    return this.#lost
  }

  closedError(): ConnectionClosedError {
    const { closeCode, error } = this.closeReason ?? {}
    return new ConnectionClosedError({
      ...(closeCode === undefined ? {} : { closeCode }),
      ...(error === undefined ? {} : { cause: error })
    })
  }

  streamEnded(stream: StreamCore): void {
    // One that was reset has nothing to read, and must not take the place of another.
    if (stream.isFailed()) this.#waiting.delete(stream)
    this.forget(stream)
  }

  forget(stream: StreamCore): void {
    this.#streams.delete(stream)
  }

  setProtocol(): void {}

  streamScope(): typeof nullScope {
    return nullScope
  }
}
