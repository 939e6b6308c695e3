/** A muxer of an application: length-prefixed frames that open, fill, close and reset streams. No flow control. */
import { once } from 'node:events'
import {
  MuxerClosedError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError
} from '../../ts/errors.ts'
import type { MuxedConn, MuxedStream, MuxerInit, NamedMultiplexer } from '../../ts/index.ts'
import { type ReadWriteCloser, VarintMsgReadWriter } from '../../ts/io/index.ts'

const OPEN = 0
const DATA = 1
const CLOSE = 2
const RESET = 3
const GO_AWAY = 4

/** Type, stream id and payload of a frame. */
type Send = (type: number, id: number, payload?: Uint8Array) => Promise<void>

class FrameStream implements MuxedStream {
  readonly direction: 'inbound' | 'outbound'
  readonly #id: number
  readonly #send: Send
  readonly #changed = new EventTarget()
  #received: Uint8Array = new Uint8Array(0)
  #hasEnded = false
  #isReadClosed = false
  #isWriteClosed = false
  #lost: Error | undefined

  constructor(direction: 'inbound' | 'outbound', id: number, send: Send) {
    this.direction = direction
    this.#id = id
    this.#send = send
  }

  receive(bytes: Uint8Array): void {
    if (!this.#isReadClosed) this.#received = Buffer.concat([this.#received, bytes])
    this.#notify()
  }

  end(): void {
    this.#hasEnded = true
    this.#notify()
  }

  lose(err: Error): void {
    this.#lost ??= err
    this.#notify()
  }

  async read(max = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
    for (;;) {
      if (this.#lost !== undefined) throw this.#lost
      if (this.#isReadClosed) throw new StreamClosedError()
      const bytes = this.#received.slice(0, max)
      this.#received = this.#received.subarray(bytes.length)
      if (bytes.length > 0) return bytes
      if (this.#hasEnded) throw new StreamEOFError()
      await once(this.#changed, 'changed')
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    if (this.#isWriteClosed) throw new StreamClosedError()
    await this.#send(DATA, this.#id, bytes)
  }

  async close(): Promise<void> {
    await this.closeRead()
    await this.closeWrite()
  }

  async closeRead(): Promise<void> {
    this.#isReadClosed = true
    this.#received = new Uint8Array(0)
    this.#notify()
  }

  async closeWrite(): Promise<void> {
    if (this.#isWriteClosed || this.#lost !== undefined) return
    this.#isWriteClosed = true
    await this.#send(CLOSE, this.#id)
  }

  async reset(code = 0): Promise<void> {
    if (this.#lost !== undefined) return
    this.lose(new StreamResetError({ errorCode: code, remote: false }))
    await this.#send(RESET, this.#id, Buffer.from([code >>> 8, code & 0xff]))
  }

  setDeadline(): void {}
  setReadDeadline(): void {}
  setWriteDeadline(): void {}

  #notify(): void {
    this.#changed.dispatchEvent(new Event('changed'))
  }
}

/** One end of a connection. */
class FrameConn implements MuxedConn {
  isClosed = false
  readonly #duplex: ReadWriteCloser
  readonly #frames: VarintMsgReadWriter
  readonly #streams = new Map<number, FrameStream>()
  readonly #waiting: FrameStream[] = []
  readonly #takers: PromiseWithResolvers<MuxedStream>[] = []
  #nextId: number
  #end: Error = new MuxerClosedError()

  constructor(duplex: ReadWriteCloser, isServer: boolean) {
    this.#duplex = duplex
    this.#frames = new VarintMsgReadWriter(duplex)
    this.#nextId = isServer ? 2 : 1
    this.#receive().catch((err) => this.#over(err))
  }

  async openStream(): Promise<MuxedStream> {
    if (this.isClosed) throw this.#end
    const id = this.#nextId
    this.#nextId += 2
    const stream = this.#add('outbound', id)
    await this.#send(OPEN, id)
    return stream
  }

  acceptStream(): Promise<MuxedStream> {
    const stream = this.#waiting.shift()
    if (stream !== undefined) return Promise.resolve(stream)
    if (this.isClosed) return Promise.reject(this.#end)
    const taker = Promise.withResolvers<MuxedStream>()
    this.#takers.push(taker)
    return taker.promise
  }

  close(): Promise<void> {
    return this.closeWithError(0)
  }

  async closeWithError(code: number): Promise<void> {
    if (this.isClosed) return
    const told = this.#send(GO_AWAY, 0, Buffer.from([code >>> 8, code & 0xff]))
    this.#over(undefined)
    await told.catch(() => {})
    await this.#duplex.close()
  }

  readonly #send: Send = (type, id, payload = new Uint8Array(0)) =>
    this.#frames.writeMsg(Buffer.concat([Buffer.from([type, id >>> 8, id & 0xff]), payload]))

  #add(direction: 'inbound' | 'outbound', id: number): FrameStream {
    const stream = new FrameStream(direction, id, this.#send)
    this.#streams.set(id, stream)
    return stream
  }

  async #receive(): Promise<void> {
    for await (const frame of this.#frames) {
      const [type, high = 0, low = 0] = frame
      const id = high * 256 + low
      const stream = this.#streams.get(id)
      const payload = frame.subarray(3)
      if (type === OPEN) this.#opened(this.#add('inbound', id))
      else if (type === DATA) stream?.receive(payload)
      else if (type === CLOSE) stream?.end()
      else if (type === RESET) stream?.lose(resetBy(payload))
      else break
    }
    this.#over(undefined)
  }

  #opened(stream: FrameStream): void {
    const taker = this.#takers.shift()
    if (taker === undefined) this.#waiting.push(stream)
    else taker.resolve(stream)
  }

  #over(err: unknown): void {
    if (this.isClosed) return
    this.isClosed = true
    if (err instanceof Error) this.#end = err
    for (const stream of this.#streams.values()) stream.lose(this.#end)
    for (const { reject } of this.#takers.splice(0)) reject(this.#end)
  }
}

function resetBy([high = 0, low = 0]: Uint8Array): StreamResetError {
  return new StreamResetError({ errorCode: high * 256 + low, remote: true })
}

/** Returns a muxer that counts its connections. */
export function frameMuxer(
  protocol = '/frames/1.0.0'
): NamedMultiplexer & { readonly inits: MuxerInit[] } {
  const inits: MuxerInit[] = []
  return {
    protocol,
    inits,
    newConnection(duplex, init) {
      inits.push(init)
      return new FrameConn(duplex, init.isServer)
    }
  }
}
