/** A user-defined multiplexer in plain TypeScript: in-memory streams with a window and every way to fail. */
import { once } from 'node:events'
import {
  MuxerClosedError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError
} from '../../ts/errors.ts'
import type { MuxedConn, MuxedStream } from '../../ts/index.ts'

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

/** A connection that hands out {@link memoryStreams}. */
export class MemoryConn implements MuxedConn {
  readonly #waiting: MemoryStream[] = []
  isClosed = false

  async close(): Promise<void> {
    this.isClosed = true
  }

  async closeWithError(_code: number): Promise<void> {
    this.isClosed = true
  }

  async openStream(): Promise<MemoryStream> {
    if (this.isClosed) throw new MuxerClosedError()
    const { near, far } = memoryStreams()
    this.#waiting.push(far)
    return near
  }

  async acceptStream(): Promise<MemoryStream> {
    const stream = this.#waiting.shift()
    if (stream === undefined) throw new MuxerClosedError()
    return stream
  }
}
