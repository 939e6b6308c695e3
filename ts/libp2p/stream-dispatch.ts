/**
 * Opens and takes the streams of native connections in place of libp2p's `Connection`, which would negotiate, store and
 * wait for each of them. Limits, middleware, metrics and progress are libp2p's.
 *
 * It replaces the property `newStream` of a connection. Where libp2p does not have it as expected, the connection is
 * left alone, and libp2p does all this itself over the same muxer.
 */
import type {
  Connection,
  IdentifyResult,
  NewStreamOptions,
  NewStreamProgressEvents,
  Stream,
  StreamMiddleware
} from '@libp2p/interface'
import {
  ConnectionClosedError,
  LimitedConnectionError,
  TooManyInboundProtocolStreamsError,
  TooManyOutboundProtocolStreamsError
} from '@libp2p/interface'
import { InvalidParametersError } from '../errors.ts'
import type { Components } from './components.ts'
import { asError } from './errors.ts'
import { type Handlers, INBOUND_STREAMS_MAX } from './handlers.ts'
import { markNative } from './is-native.ts'
import type { NativeMuxer } from './muxer.ts'
import type { NativeStream } from './stream.ts'

/** Outbound streams of a protocol per connection, unless its handler or the caller says otherwise, as in libp2p. */
const OUTBOUND_STREAMS_MAX = 64

/** Milliseconds for the negotiation of a stream without a signal, unless the connection says otherwise. */
const NEGOTIATION_MS = 10_000

/** The streams of the native connections of one node. */
export class StreamDispatch {
  readonly #components: Components
  readonly #handlers: Handlers
  // Muxers of connections that the upgrader is about to announce, by the object that both have.
  readonly #expected = new WeakMap<object, NativeMuxer>()
  readonly #muxers = new WeakMap<Connection, NativeMuxer>()
  readonly #stopping = new AbortController()

  constructor(components: Components, handlers: Handlers) {
    this.#components = components
    this.#handlers = handlers
    const { signal } = this.#stopping
    const { events } = components
    events.addEventListener('connection:open', ({ detail }) => this.#opened(detail), { signal })
    events.addEventListener('peer:identify', ({ detail }) => this.#identified(detail), { signal })
  }

  /** Stops following the node. */
  stop(): void {
    this.#stopping.abort()
  }

  /** Takes the streams of the connection that has this timeline. */
  expect(timeline: object, muxer: NativeMuxer): void {
    this.#expected.set(timeline, muxer)
  }

  #opened(connection: Connection): void {
    const muxer = this.#expected.get(connection.timeline)
    if (muxer === undefined) return
    this.#muxers.set(connection, muxer)
    markNative(connection)
    const property = Object.getOwnPropertyDescriptor(connection, 'newStream')
    if (property?.writable !== true || typeof property.value !== 'function') return
    const streams = new ConnectionStreams(this.#components, this.#handlers, connection, muxer)
    connection.newStream = (protocols, options) => streams.open(protocols, options)
    muxer.takeStreams((stream) => streams.take(stream))
  }

  /** What the remote says that it speaks replaces what was known before. */
  #identified({ connection, protocols }: IdentifyResult): void {
    const muxer = this.#muxers.get(connection)
    if (muxer === undefined) return
    muxer.known.clear()
    for (const protocol of protocols) muxer.known.add(protocol)
  }
}

/** The streams of one connection. */
class ConnectionStreams {
  readonly #components: Components
  readonly #handlers: Handlers
  readonly #connection: Connection
  readonly #muxer: NativeMuxer
  // Protocols that the peer store has from this connection.
  readonly #stored = new Set<string>()

  constructor(
    components: Components,
    handlers: Handlers,
    connection: Connection,
    muxer: NativeMuxer
  ) {
    this.#components = components
    this.#handlers = handlers
    this.#connection = connection
    this.#muxer = muxer
  }

  async open(protocols: string | string[], options: NewStreamOptions = {}): Promise<Stream> {
    const connection = this.#connection
    const muxer = this.#muxer
    if (muxer.status !== 'open') {
      throw new ConnectionClosedError(`The connection muxer is "${muxer.status}" and not "open"`)
    }
    if (connection.status !== 'open') {
      throw new ConnectionClosedError(`The connection is "${connection.status}" and not "open"`)
    }
    if (connection.limits !== undefined && options.runOnLimitedConnection !== true) {
      throw new LimitedConnectionError('Cannot open protocol stream on limited connection')
    }
    const proposed = Array.isArray(protocols) ? protocols : [protocols]
    if (proposed.length === 0) {
      throw new InvalidParametersError('At least one protocol must be specified')
    }
    this.#report(options, 'connection:open-stream', { protocols: proposed })
    options.signal?.throwIfAborted()
    const stream =
      this.#muxer.openKnown(proposed, options) ?? (await this.#negotiated(proposed, options))
    try {
      this.#checkOutbound(stream.protocol, options)
      const opened = this.#track(stream)
      const passed = opened === undefined ? stream : await this.#passOutbound(stream, opened)
      this.#report(options, 'connection:opened-stream', { stream: passed })
      return passed
    } catch (err) {
      if (stream.status === 'open') stream.abort(asError(err))
      throw err
    }
  }

  #negotiated(protocols: readonly string[], options: NewStreamOptions): Promise<NativeStream> {
    if (options.signal != null) return this.#muxer.open(protocols, options)
    const { outboundStreamProtocolNegotiationTimeout: ms = NEGOTIATION_MS } = this.#connection as {
      outboundStreamProtocolNegotiationTimeout?: number
    }
    return this.#muxer.open(protocols, { ...options, signal: AbortSignal.timeout(ms) })
  }

  #checkOutbound(protocol: string, options: NewStreamOptions): void {
    const count = this.#muxer.count('outbound', protocol)
    if (count <= 1) return
    // The registrar throws for a protocol without a handler, which is the usual case.
    const own = this.#handlers.has(protocol)
      ? this.#components.registrar.getHandler(protocol).options.maxOutboundStreams
      : undefined
    const max = own ?? options.maxOutboundStreams ?? OUTBOUND_STREAMS_MAX
    if (count <= max) return
    throw new TooManyOutboundProtocolStreamsError(
      `Too many outbound protocol streams for protocol "${protocol}" - ${count}/${max}`
    )
  }

  /** Counts a stream of a protocol; returns the middleware for it, if there is any. */
  #track(stream: NativeStream): StreamMiddleware[] | undefined {
    const { metrics, registrar } = this.#components
    if (stream.direction === 'inbound' || this.#muxer.known.has(stream.protocol)) {
      this.#store(stream.protocol)
    }
    metrics?.trackProtocolStream(stream)
    const middleware = registrar.getMiddleware(stream.protocol)
    return middleware.length === 0 ? undefined : middleware
  }

  /** Tells the peer store once that the remote speaks a protocol. */
  #store(protocol: string): void {
    if (this.#stored.has(protocol)) return
    this.#stored.add(protocol)
    const { remotePeer, log } = this.#connection
    this.#components.peerStore
      .merge(remotePeer, { protocols: [protocol] })
      .catch((err: unknown) => {
        log.error('could not store that %p speaks %s - %e', remotePeer, protocol, err)
      })
  }

  async #passOutbound(stream: Stream, middleware: StreamMiddleware[]): Promise<Stream> {
    const passed = await pass(stream, this.#connection, middleware)
    return passed.stream
  }

  /** Passes an inbound stream to its handler. */
  take(stream: NativeStream): void {
    try {
      const { protocol } = stream
      const { handler, options } = this.#components.registrar.getHandler(protocol)
      const max = options.maxInboundStreams ?? INBOUND_STREAMS_MAX
      if (this.#muxer.count('inbound', protocol) > max) {
        throw new TooManyInboundProtocolStreamsError(
          `Too many inbound protocol streams for protocol "${protocol}" - limit ${max}`
        )
      }
      const middleware = this.#track(stream)
      if (this.#connection.limits !== undefined && options.runOnLimitedConnection !== true) {
        throw new LimitedConnectionError('Cannot open protocol stream on limited connection')
      }
      const handled =
        middleware === undefined
          ? handler(stream, this.#connection)
          : pass(stream, this.#connection, middleware).then((passed) =>
              handler(passed.stream, passed.connection)
            )
      if (handled instanceof Promise) handled.catch((err) => stream.abort(asError(err)))
    } catch (err) {
      stream.abort(asError(err))
    }
  }

  #report(options: NewStreamOptions, type: string, detail: object): void {
    if (options.onProgress === undefined) return
    const event = new CustomEvent(type, { detail: { connection: this.#connection, ...detail } })
    // The types of progress events are closed, and this is one of them.
    options.onProgress(event as unknown as NewStreamProgressEvents)
  }
}

interface Passed {
  readonly stream: Stream
  readonly connection: Connection
}

/** Runs the middleware in its order; each may replace the stream and the connection. */
async function pass(
  stream: Stream,
  connection: Connection,
  middleware: readonly StreamMiddleware[]
): Promise<Passed> {
  let passed: Passed = { stream, connection }
  for (const step of middleware) {
    passed = await new Promise<Passed>((resolve, reject) => {
      const next = (nextStream: Stream, nextConnection: Connection): void =>
        resolve({ stream: nextStream, connection: nextConnection })
      const result = step(passed.stream, passed.connection, next)
      if (result instanceof Promise) result.catch(reject)
    })
  }
  return passed
}
