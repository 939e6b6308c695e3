/** The streams of a native connection, as the interface `StreamMuxer` of libp2p. */
import type {
  AbortOptions,
  CreateStreamOptions,
  Logger,
  NewStreamOptions,
  StreamMuxer,
  StreamMuxerEvents,
  StreamMuxerStatus,
  StreamOptions
} from '@libp2p/interface'
import { MuxerClosedError, TooManyOutboundProtocolStreamsError } from '@libp2p/interface'
import type { MuxerProtocol } from '../constants.ts'
import { ERROR_CODES, UnsupportedProtocolError } from '../errors.ts'
import { connectionCounters, connectionFigures } from '../native/counters.ts'
import type { ConnectionSink, Engine, Served } from '../native/engine.ts'
import type { ConnectionHandle, StreamHandle } from '../native/handles.ts'
import { endError, nativeError } from '../native/native-error.ts'
import { HANDLE_PENDING } from '../native/record.ts'
import { abortable } from './abortable.ts'
import { systemError } from './errors.ts'
import { Events } from './events.ts'
import { NativeStream, type StreamOwner } from './stream.ts'

/** Protocol id of the native muxer. */
export const YAMUX: MuxerProtocol = '/yamux/1.0.0'

const NONE: readonly string[] = []

/** The dependencies of a muxer. */
export interface MuxerHost {
  readonly engine: Engine
  /** Returns the handler of a protocol that is not in the native table; undefined if there is none. */
  serve(protocol: string): Served | undefined
}

/** Options of a stream; without `negotiateFully`, what is known about the remote decides. */
export type OpenOptions = CreateStreamOptions & Pick<NewStreamOptions, 'negotiateFully'>

/** Takes the streams of a muxer in place of its event `stream`. */
export type TakeStream = (stream: NativeStream) => void

/** The muxer of one connection. */
export class NativeMuxer
  extends Events<StreamMuxerEvents<NativeStream>>
  implements StreamMuxer<NativeStream>, ConnectionSink, StreamOwner
{
  readonly protocol = YAMUX
  readonly streams: NativeStream[] = []
  status: StreamMuxerStatus = 'open'
  /** Resolves when the native connection has ended. */
  readonly ended: Promise<void>
  /** Protocols that the remote is known to speak: a stream of one of them is usable at once. */
  readonly known = new Set<string>()

  readonly #host: MuxerHost
  readonly #handle: ConnectionHandle
  readonly log: Logger
  readonly #streamOptions: StreamOptions
  #resolveEnded: () => void = () => {}
  #isClosing = false
  #hasEnded = false
  #onEnd: ((error: Error | undefined) => void) | undefined
  // Undefined once it has been told.
  #end: { readonly error: Error | undefined } | undefined
  // Streams that came before anybody takes them: as many at most as the native side announces without an answer.
  #early: NativeStream[] = []
  #take: TakeStream | undefined
  #streamsMade = 0
  // Final counters, by figure.
  readonly #totals: number[] = []
  readonly #counts = {
    inbound: new Map<string, number>(),
    outbound: new Map<string, number>()
  }

  /** Takes a connection that was just announced. */
  constructor(
    host: MuxerHost,
    handle: ConnectionHandle,
    log: Logger,
    streamOptions: StreamOptions
  ) {
    super()
    this.#host = host
    this.#handle = handle
    this.log = log
    this.#streamOptions = streamOptions
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    host.engine.retain()
    host.engine.adoptConnection(handle, this)
  }

  get engine(): Engine {
    return this.#host.engine
  }

  /** Calls `onEnd` with the end of the native connection, also if that is over. */
  onceEnded(onEnd: (error: Error | undefined) => void): void {
    this.#onEnd = onEnd
    this.#tellEnd()
  }

  /** Passes inbound streams to `take` from now on, and those that came before. */
  takeStreams(take: TakeStream): void {
    this.#take = take
    this.#announceEarly()
  }

  #announceEarly(): void {
    const early = this.#early
    this.#early = []
    for (const stream of early) this.#announce(stream)
  }

  protected override listenerAdded(type: string): void {
    // In a microtask, as the listener may be added by a constructor, which may also take the streams otherwise.
    if (type === 'stream') queueMicrotask(() => this.#announceEarly())
  }

  #announce(stream: NativeStream): void {
    if (this.#take !== undefined) this.#take(stream)
    else this.safeDispatchEvent('stream', { detail: stream })
    stream.pull()
  }

  // --------------------------------------------------------------------------------------------------------- streams

  createStream(options: CreateStreamOptions = {}): Promise<NativeStream> {
    const { protocol } = options
    return this.open(protocol === undefined ? NONE : [protocol], options)
  }

  /**
   * Opens a stream. Resolves once it is usable: at once without a protocol, in which case its bytes are those of the
   * caller's negotiation, or for one that the remote is known to speak; otherwise with the remote's choice.
   */
  async open(protocols: readonly string[], options: OpenOptions = {}): Promise<NativeStream> {
    options.signal?.throwIfAborted()
    const [first = ''] = protocols
    const opened = this.openKnown(protocols, options)
    if (opened !== undefined) return opened
    return this.#negotiate(protocols, first, options)
  }

  /** Opens a stream that is usable at once; undefined if the remote has to choose or confirm its protocol. */
  openKnown(protocols: readonly string[], options: OpenOptions = {}): NativeStream | undefined {
    const [first = ''] = protocols
    const mayBeLazy = !(options.negotiateFully ?? !this.known.has(first))
    const isLazy = protocols.length === 0 || (protocols.length === 1 && mayBeLazy)
    return isLazy ? this.#open(protocols, true, options) : undefined
  }

  async #negotiate(
    protocols: readonly string[],
    first: string,
    options: CreateStreamOptions
  ): Promise<NativeStream> {
    const opened = this.#open(protocols, false, options)
    const negotiated = new Promise<NativeStream>((resolve, reject) => {
      opened.onceNegotiated((number, error) => {
        if (error !== undefined) {
          reject(error instanceof UnsupportedProtocolError ? unsupported(protocols) : error)
          return
        }
        opened.protocol = this.engine.protocols.name(number) ?? first
        this.known.add(opened.protocol)
        this.#counted(opened, 1)
        resolve(opened)
      })
    })
    try {
      return await abortable(negotiated, options.signal)
    } catch (err) {
      opened.abort(err instanceof Error ? err : new Error('the negotiation was given up'))
      throw err
    }
  }

  #open(protocols: readonly string[], isLazy: boolean, options: StreamOptions): NativeStream {
    if (this.status !== 'open') throw new MuxerClosedError()
    const { engine } = this
    const numbers = engine.protocols.proposals(
      protocols.length === 1 ? (protocols[0] ?? '') : protocols
    )
    const result = engine.hot.open(this.#handle, numbers, isLazy)
    if (result < 0) throw openError(-result)
    engine.outbox.flushSoon()
    const handle = (result & ~HANDLE_PENDING) as StreamHandle
    const protocol = isLazy ? (protocols[0] ?? '') : ''
    return this.#add(handle, 'outbound', protocol, options)
  }

  #add(
    handle: StreamHandle,
    direction: 'inbound' | 'outbound',
    protocol: string,
    options: StreamOptions = {}
  ): NativeStream {
    this.#streamsMade += 1
    const stream = new NativeStream({
      owner: this,
      handle,
      id: `${this.#streamsMade}`,
      direction,
      protocol,
      options: { ...this.#streamOptions, ...options }
    })
    stream.place = this.streams.push(stream) - 1
    if (protocol !== '') this.#counted(stream, 1)
    return stream
  }

  /** Returns the number of streams of a protocol in one direction. */
  count(direction: 'inbound' | 'outbound', protocol: string): number {
    return this.#counts[direction].get(protocol) ?? 0
  }

  #counted(stream: NativeStream, change: 1 | -1): void {
    stream.isCounted = change === 1
    const counts = this.#counts[stream.direction]
    const count = (counts.get(stream.protocol) ?? 0) + change
    if (count === 0) counts.delete(stream.protocol)
    else counts.set(stream.protocol, count)
  }

  protocolRefused(protocol: string): void {
    this.known.delete(protocol)
  }

  /** The application may open the next one: the remote's end is on its way, and needs no negotiation to overtake. */
  streamDone(stream: NativeStream): void {
    if (stream.direction === 'outbound' && stream.isCounted) this.#counted(stream, -1)
  }

  streamEnded(stream: NativeStream): void {
    if (stream.isCounted) this.#counted(stream, -1)
    const { streams } = this
    const last = streams.pop()
    if (last === undefined || last === stream) return
    streams[stream.place] = last
    last.place = stream.place
  }

  onStreamOpened(handle: StreamHandle, protocol: number): void {
    const name = this.engine.protocols.of(handle, protocol) ?? ''
    const stream = this.#add(handle, 'inbound', name)
    if (this.#take === undefined && this.listenerCount('stream') === 0) this.#early.push(stream)
    else this.#announce(stream)
  }

  onProtocolQuery(protocol: string): Served | undefined {
    return this.#host.serve(protocol)
  }

  // ------------------------------------------------------------------------------------------------------------- end

  /** Closes the streams for writing, then the native connection; resolves when all of that is delivered. */
  async close(options: AbortOptions = {}): Promise<void> {
    // The remote may have announced its own end.
    if (this.#isClosing || this.status === 'closed') return
    this.#isClosing = true
    this.status = 'closing'
    try {
      const closing = Promise.all(this.streams.map((stream) => stream.close(options)))
      await abortable(closing, options.signal)
    } finally {
      this.status = 'closed'
      this.closeGracefully()
    }
    await abortable(this.ended, options.signal)
  }

  abort(err: Error): void {
    if (this.status === 'closed') return
    this.status = 'closed'
    for (const stream of [...this.streams]) stream.abort(err)
    this.closeAtOnce()
  }

  /** Closes the native connection: streams that were closed for writing deliver what they accepted. */
  closeGracefully(): void {
    this.#close(false)
  }

  /** Closes the native connection at once. */
  closeAtOnce(): void {
    this.#close(true)
  }

  #close(atOnce: boolean): void {
    if (this.#hasEnded) return
    this.engine.outbox.closeConnection(this.#handle, 0, atOnce)
  }

  onGoingAway(): void {
    // The remote accepts no more streams; those that are open go on.
    if (this.status === 'open') this.status = 'closing'
  }

  onCarried(figure: number, value: number): void {
    this.#totals[figure] = value
  }

  /** Bytes received and sent on its streams so far. Takes one native call while the connection is alive. */
  get traffic(): readonly [received: number, sent: number] {
    const figures = this.#hasEnded ? this.#totals : connectionFigures(this.engine.hot, this.#handle)
    const { bytesReceived, bytesSent } = connectionCounters(figures)
    return [bytesReceived, bytesSent]
  }

  onClosed(wireCode: number, code: number, flags: number): void {
    this.#hasEnded = true
    this.status = 'closed'
    const isOrderly = code === 0 || code === ERROR_CODES.ERR_CONNECTION_ENDED
    const error = isOrderly
      ? undefined
      : systemError(endError(code, flags, { closeCode: wireCode }))
    this.#end = { error }
    this.#tellEnd()
    this.engine.release()
    this.#resolveEnded()
  }

  #tellEnd(): void {
    if (this.#end === undefined || this.#onEnd === undefined) return
    const { error } = this.#end
    this.#end = undefined
    this.#onEnd(error)
  }
}

function openError(code: number): Error {
  const isOver = code === ERROR_CODES.ERR_CONNECTION_CLOSED || code === ERROR_CODES.ERR_MUXER_CLOSED
  if (isOver) return new MuxerClosedError()
  return code === ERROR_CODES.ERR_STREAM_LIMIT
    ? new TooManyOutboundProtocolStreamsError('max outbound streams exceeded')
    : nativeError(code)
}

function unsupported(protocols: readonly string[]): Error {
  return new UnsupportedProtocolError(
    `Protocol selection failed - could not negotiate ${protocols.join()}`
  )
}
