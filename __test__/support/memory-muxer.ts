/** A user-defined multiplexer in plain TypeScript: in-memory streams with a window and every way to fail. */
import { once } from 'node:events'
import type { AbortOptions } from '../../ts/base/abort.ts'
import {
  AbortError,
  ConnectionClosedError,
  MuxerClosedError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError
} from '../../ts/errors.ts'
import type { MuxedConn, MuxedStream, PeerLike } from '../../ts/index.ts'

/** One end of a stream; {@link memoryStreams} creates both. */
export class MemoryStream implements MuxedStream {
  readonly direction: 'inbound' | 'outbound'
  /** Calls, in order. */
  readonly calls: string[] = []
  /** Thrown by reads and writes while set. */
  failure: Error | undefined
  peer: MemoryStream = this
  readonly #window: number
  readonly #changed = new EventTarget()
  #received: Uint8Array = new Uint8Array(0)
  #ended = false
  #readClosed = false
  #writeClosed = false
  #reset: StreamResetError | undefined

  constructor(direction: 'inbound' | 'outbound', window: number) {
    this.direction = direction
    this.#window = window
  }

  /** Received bytes that have not been read. */
  get held(): number {
    return this.#received.length
  }

  /** Fails pending and later reads and writes. */
  fail(err: Error): void {
    this.failure = err
    this.#notify()
  }

  async read(max = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure
      if (this.#reset !== undefined) throw this.#reset
      if (this.#readClosed) throw new StreamClosedError()
      if (this.#received.length > 0) {
        const bytes = this.#received.slice(0, max)
        this.#received = this.#received.subarray(bytes.length)
        this.peer.#notify()
        return bytes
      }
      if (this.#ended) throw new StreamEOFError()
      await once(this.#changed, 'changed')
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.calls.push(`write ${bytes.length}`)
    let rest = bytes
    while (rest.length > 0) {
      if (this.failure !== undefined) throw this.failure
      if (this.#reset !== undefined) throw this.#reset
      if (this.#writeClosed) throw new StreamClosedError()
      const room = this.peer.#readClosed ? rest.length : this.#window - this.peer.held
      if (room > 0) {
        this.peer.#receive(rest.slice(0, room))
        rest = rest.subarray(room)
      } else {
        await once(this.#changed, 'changed')
      }
    }
  }

  async close(): Promise<void> {
    this.calls.push('close')
    this.#endWriting()
    this.#endReading()
  }

  async closeRead(): Promise<void> {
    this.calls.push('closeRead')
    this.#endReading()
  }

  async closeWrite(): Promise<void> {
    this.calls.push('closeWrite')
    this.#endWriting()
  }

  async reset(code = 0): Promise<void> {
    this.calls.push(`reset ${code}`)
    this.#reset ??= new StreamResetError({ errorCode: code, remote: false })
    this.peer.#reset ??= new StreamResetError({ errorCode: code, remote: true })
    this.#notify()
    this.peer.#notify()
  }

  setDeadline(): void {}
  setReadDeadline(): void {}
  setWriteDeadline(): void {}

  #receive(bytes: Uint8Array): void {
    if (!this.#readClosed) this.#received = Buffer.concat([this.#received, bytes])
    this.#notify()
  }

  #endReading(): void {
    this.#readClosed = true
    this.#received = new Uint8Array(0)
    this.#notify()
    this.peer.#notify()
  }

  #endWriting(): void {
    this.#writeClosed = true
    this.peer.#ended = true
    this.peer.#notify()
  }

  #notify(): void {
    this.#changed.dispatchEvent(new Event('changed'))
  }
}

/** Creates both ends of a stream. */
export function memoryStreams(window = 4_096): { near: MemoryStream; far: MemoryStream } {
  const near = new MemoryStream('outbound', window)
  const far = new MemoryStream('inbound', window)
  near.peer = far
  far.peer = near
  return { near, far }
}

/** One end of a connection; {@link memoryConns} creates both. */
export class MemoryConn implements MuxedConn {
  readonly remotePeer?: PeerLike
  /** Codes of `closeWithError`, and `close`, in the order of the calls. */
  readonly calls: string[] = []
  /** Streams of this end, in the order of their opening. */
  readonly streams: MemoryStream[] = []
  isClosed = false
  peer: MemoryConn = this
  readonly #waiting: MemoryStream[] = []
  #takers: PromiseWithResolvers<MemoryStream>[] = []
  #end: Error = new MuxerClosedError()

  constructor(remotePeer?: PeerLike) {
    if (remotePeer !== undefined) this.remotePeer = remotePeer
  }

  /** Number of pending `acceptStream` calls. */
  get accepting(): number {
    return this.#takers.length
  }

  async close(): Promise<void> {
    this.calls.push('close')
    this.#close(new MuxerClosedError())
  }

  async closeWithError(code: number): Promise<void> {
    this.calls.push(`close ${code}`)
    this.#close(
      code === 0 ? new MuxerClosedError() : new ConnectionClosedError({ closeCode: code })
    )
  }

  async openStream(_options?: AbortOptions): Promise<MuxedStream> {
    if (this.isClosed) throw this.#end
    const { near, far } = memoryStreams()
    this.streams.push(near)
    this.peer.receive(far)
    return near
  }

  acceptStream({ signal }: AbortOptions = {}): Promise<MuxedStream> {
    const stream = this.#waiting.shift()
    if (stream !== undefined) return Promise.resolve(stream)
    if (this.isClosed) return Promise.reject(this.#end)
    const taker = Promise.withResolvers<MemoryStream>()
    this.#takers.push(taker)
    signal?.addEventListener('abort', () => {
      this.#takers = this.#takers.filter((other) => other !== taker)
      taker.reject(new AbortError())
    })
    return taker.promise
  }

  /** Receives a stream that the other end has opened. */
  receive(stream: MemoryStream): void {
    this.streams.push(stream)
    const taker = this.#takers.shift()
    if (taker === undefined) this.#waiting.push(stream)
    else taker.resolve(stream)
  }

  /** Ends this end with `err`, without a call from its owner. */
  fail(err: unknown): void {
    this.isClosed = true
    // Anything may be thrown.
    this.#end = err as Error
    for (const taker of this.#takers.splice(0)) taker.reject(err)
    const lost = new ConnectionClosedError()
    for (const stream of this.streams) stream.fail(lost)
  }

  #close(err: Error): void {
    if (this.isClosed) return
    this.fail(err)
    if (!this.peer.isClosed) this.peer.fail(err)
  }
}

/** Creates both ends of a connection; each names the peer at the other end. */
export function memoryConns(
  farPeer?: PeerLike,
  nearPeer?: PeerLike
): { near: MemoryConn; far: MemoryConn } {
  const near = new MemoryConn(farPeer)
  const far = new MemoryConn(nearPeer)
  near.peer = far
  far.peer = near
  return { near, far }
}
