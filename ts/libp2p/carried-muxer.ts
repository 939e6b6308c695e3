/** `/yamux/1.0.0` over a stream that JavaScript carries, as a muxer of @libp2p/utils: frames and windows are native. */
import type { CreateStreamOptions, MessageStream } from '@libp2p/interface'
import { MuxerClosedError, TooManyOutboundProtocolStreamsError } from '@libp2p/interface'
import {
  AbstractStream,
  type AbstractStreamInit,
  AbstractStreamMuxer,
  type SendResult
} from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import { unshared } from '../base/bytes.ts'
import { DEFAULT_LIMITS, StreamErrorCode } from '../constants.ts'
import type { NativeMuxerInit, NativeMuxerSession } from '../native/addon.ts'
import { thrownByNative } from '../native/command-error.ts'
import { native } from '../native/environment.ts'
import { MUXER_EVENT_WORDS, MuxerEvent } from '../native/record.ts'
import { abortable } from './abortable.ts'
import { asBuffer } from './buffers.ts'
import { asError } from './errors.ts'
import { iterate } from './iterate.ts'
import { YAMUX } from './muxer.ts'
import { SecuredStream } from './secured-stream.ts'
import type { MuxerLimits } from './yamux-options.ts'

/** Multiplexes a stream. One that was just secured hands its session over, so that bytes cross once. */
export function multiplexed(stream: MessageStream, limits: MuxerLimits): CarriedMuxer {
  const init: NativeMuxerInit = {
    initiator: stream.direction === 'outbound',
    streamsInbound: limits.streamsInbound,
    streamsOutbound: limits.streamsOutbound,
    windowMaxBytes: limits.windowMaxBytes,
    keepaliveIntervalMs: limits.keepaliveIntervalMs,
    keepaliveTimeoutMs: DEFAULT_LIMITS.keepaliveTimeoutMs
  }
  if (!(stream instanceof SecuredStream)) {
    return new CarriedMuxer(stream, new native.NativeMuxerSession(init), limits)
  }
  const { carrier, session, unread } = stream.handOver((secure) => secure.multiplex(init))
  return new CarriedMuxer(carrier, session, limits, unread)
}

/** The muxer of one stream. */
export class CarriedMuxer extends AbstractStreamMuxer<CarriedStream> {
  readonly session: NativeMuxerSession
  readonly #byKey = new Map<number, CarriedStream>()
  readonly #isOutbound: boolean
  // Streams that the remote has yet to make room for.
  readonly #waiting: (() => void)[] = []
  #isFlushing = false
  #timer: NodeJS.Timeout | undefined

  constructor(
    stream: MessageStream,
    session: NativeMuxerSession,
    { streamOptions, earlyStreams: maxEarlyStreams }: MuxerLimits,
    unread?: Uint8Array
  ) {
    super(stream, { protocol: YAMUX, name: 'ferroswarm:yamux', streamOptions, maxEarlyStreams })
    this.session = session
    this.#isOutbound = stream.direction === 'outbound'
    stream.addEventListener('close', () => this.#stop())
    if (unread !== undefined && unread.length > 0) session.receivePlaintext(unread)
    this.#handleEvents()
    this.#schedule()
    this.flush()
  }

  onData(data: Uint8Array | Uint8ArrayList): void {
    try {
      this.session.receive(data.subarray())
    } catch (err) {
      this.#handleEvents()
      this.#send()
      throw thrownByNative(err)
    }
    this.#handleEvents()
    this.flush()
    if (this.session.hasEnded) this.onTransportClosed()
  }

  #handleEvents(): void {
    const events = this.session.takeEvents()
    if (events.length === 0) return
    const data = asBuffer(this.session.takeData())
    let at = 0
    for (let row = 0; row < events.length; row += MUXER_EVENT_WORDS) {
      const kind = events[row] as number
      const key = events[row + 1] as number
      const value = events[row + 2] as number
      if (kind === MuxerEvent.data) {
        this.#byKey.get(key)?.received(data.subarray(at, at + value))
        at += value
      } else {
        this.#handle(kind, key)
      }
    }
  }

  #handle(kind: number, key: number): void {
    const stream = this.#byKey.get(key)
    switch (kind) {
      case MuxerEvent.opened:
        this.onRemoteStream(this.#made(key, 'inbound', this.streamOptions ?? {}))
        return
      case MuxerEvent.finished:
        stream?.onRemoteCloseWrite()
        return
      case MuxerEvent.reset:
        stream?.onRemoteReset()
        return
      case MuxerEvent.writable:
        stream?.onMuxerDrain()
        return
      case MuxerEvent.acked:
        this.#waiting.shift()?.()
        return
      case MuxerEvent.goAway:
        this.onTransportClosed()
        this.#stop()
        return
    }
  }

  override async createStream(options?: CreateStreamOptions): Promise<CarriedStream> {
    options?.signal?.throwIfAborted()
    return super.createStream(options)
  }

  async onCreateStream(options: CreateStreamOptions): Promise<CarriedStream> {
    for (;;) {
      const key = this.#open()
      if (key !== null) {
        const stream = this.#made(key, 'outbound', options)
        this.flush()
        return stream
      }
      await this.#room(options.signal)
      if (this.status !== 'open') throw new MuxerClosedError()
    }
  }

  /** Waits in turn for a stream that is acknowledged or ends. */
  async #room(signal: AbortSignal | undefined): Promise<void> {
    let wake = (): void => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#waiting.push(wake)
    try {
      await abortable(woken, signal)
    } catch (err) {
      const at = this.#waiting.indexOf(wake)
      if (at >= 0) this.#waiting.splice(at, 1)
      // Woken and aborted at once: the room is that of the next one.
      else this.#waiting.shift()?.()
      throw err
    }
  }

  #open(): number | null {
    try {
      return this.session.open()
    } catch (err) {
      const error = thrownByNative(err)
      const isFull = (error as { code?: string }).code === 'ERR_STREAM_LIMIT'
      throw isFull
        ? new TooManyOutboundProtocolStreamsError('max outbound streams exceeded')
        : new MuxerClosedError(error.message)
    }
  }

  #made(
    key: number,
    direction: 'inbound' | 'outbound',
    options: CreateStreamOptions
  ): CarriedStream {
    // As the ids on the wire: odd for streams of the side that has opened the connection.
    const isOdd = (direction === 'outbound') === this.#isOutbound
    const id = `${2 * key + Number(isOdd)}`
    // The protocol is negotiated over the stream.
    const { signal: _, protocol: __, ...streamOptions } = options
    const log = this.log.newScope(`${direction}:${id}`)
    const stream = new CarriedStream(this, key, { ...streamOptions, direction, id, log })
    this.#byKey.set(key, stream)
    return stream
  }

  /** Frees the key of a stream that has ended. */
  ended(key: number): void {
    this.#byKey.delete(key)
    this.session.remove(key)
    this.flush()
    this.#waiting.shift()?.()
  }

  /** Sends what is pending, once for everything that is written in this microtask. */
  flush(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    queueMicrotask(() => {
      this.#isFlushing = false
      this.#send()
      this.#schedule()
    })
  }

  #send(): void {
    if (this.maConn.status !== 'open') return
    const output = this.session.takeOutput()
    if (output.length === 0) return
    try {
      this.send(output)
    } catch (err) {
      // The connection below takes nothing any more, although it is open: a relayed one whose stream has ended.
      const error = asError(err)
      this.abort(error)
      this.maConn.abort(error)
    }
  }

  /** Calls the native side when it is due: pings, acknowledgements. */
  #schedule(): void {
    clearTimeout(this.#timer)
    const ms = this.session.deadlineMs()
    if (ms === null || this.status === 'closed') return
    this.#timer = setTimeout(() => this.#due(), Math.min(Math.ceil(ms), 2 ** 31 - 1)).unref()
  }

  #due(): void {
    try {
      this.session.handleDeadline()
    } catch (err) {
      const error = thrownByNative(err)
      this.#send()
      this.abort(error)
      this.maConn.abort(error)
      return
    }
    this.flush()
  }

  override async close(options?: Parameters<AbstractStreamMuxer['close']>[0]): Promise<void> {
    if (this.status !== 'open') return
    await super.close(options)
    this.#goAway()
  }

  override abort(err: Error): void {
    if (this.status === 'closed') return
    super.abort(err)
    this.#goAway()
  }

  #goAway(): void {
    this.#stop()
    this.session.close(StreamErrorCode.NoError)
    this.#send()
  }

  #stop(): void {
    clearTimeout(this.#timer)
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** A stream of a muxer. */
export class CarriedStream extends AbstractStream {
  readonly #muxer: CarriedMuxer
  readonly #key: number
  // Received, and not credited yet.
  #owed = 0

  constructor(muxer: CarriedMuxer, key: number, init: AbstractStreamInit) {
    super(init)
    this.#muxer = muxer
    this.#key = key
    this.addEventListener('close', () => muxer.ended(key))
  }

  /** Takes bytes of the remote. */
  received(bytes: Uint8Array): void {
    this.#owed += bytes.byteLength
    this.onData(bytes)
    this.#credit()
  }

  /** Returns the credit of what the application has got. */
  #credit(): void {
    const read = this.#owed - this.readBufferLength
    if (read <= 0) return
    this.#owed -= read
    this.#muxer.session.consumed(this.#key, read)
    this.#muxer.flush()
  }

  protected override dispatchReadBuffer(): void {
    super.dispatchReadBuffer()
    this.#credit()
  }

  override [Symbol.asyncIterator](): AsyncGenerator<Uint8Array | Uint8ArrayList> {
    return iterate(this)
  }

  sendData(data: Uint8ArrayList): SendResult {
    let sentBytes = 0
    for (const chunk of data) {
      const sent = this.#muxer.session.write(this.#key, unshared(chunk))
      sentBytes += sent
      if (sent < chunk.byteLength) break
    }
    this.#muxer.flush()
    return { sentBytes, canSendMore: sentBytes === data.byteLength }
  }

  sendReset(): void {
    this.#muxer.session.reset(this.#key, StreamErrorCode.NoError)
    this.#muxer.flush()
  }

  sendCloseWrite(): Promise<void> {
    this.#muxer.session.finish(this.#key)
    this.#muxer.flush()
    return Promise.resolve()
  }

  sendCloseRead(): Promise<void> {
    // yamux cannot tell the remote. Nothing is owed any more, and what comes is dropped.
    this.#muxer.session.discard(this.#key)
    this.#owed = 0
    this.#muxer.flush()
    return Promise.resolve()
  }

  sendPause(): void {
    // The remote gets no credit for what stays in the buffer.
  }

  sendResume(): void {}
}
