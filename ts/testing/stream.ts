/** The streams of simulated connections: bytes in order, within a window, both halves closed on their own. */
import type { AbortOptions } from '../base/abort.ts'
import { NOTHING } from '../base/bytes.ts'
import { StreamClosedError, StreamResetError } from '../errors.ts'
import type { MuxedStream } from '../muxer/muxed.ts'

/** Bytes that a stream sends before its remote reads: the initial window of yamux. */
const WINDOW_BYTES = 256 * 1024

/** Bytes of a frame's header, as those of yamux. */
const FRAME_BYTES = 12

/** The connection of a stream, as the stream sees it. */
export interface StreamCarrier {
  /** Sends a message to the other end of the stream. */
  write(bytes: number, message: () => void): void
  /** Called when the stream has ended in both directions. */
  ended(stream: SimulatedStream): void
}

/** One end of a stream. Reads are one at a time, and so are writes, as the swarm's calls are. */
export class SimulatedStream implements MuxedStream {
  readonly direction: 'inbound' | 'outbound'
  readonly #carrier: StreamCarrier
  #remote: SimulatedStream | undefined
  readonly #received: Uint8Array[] = []
  #credit = WINDOW_BYTES
  // Read, and not yet given back to the remote as credit.
  #consumed = 0
  #remoteHasClosed = false
  #isReadClosed = false
  #isWriteClosed = false
  #failure: Error | undefined
  #wakeReader: (() => void) | undefined
  #wakeWriter: (() => void) | undefined

  constructor(direction: 'inbound' | 'outbound', carrier: StreamCarrier) {
    this.direction = direction
    this.#carrier = carrier
  }

  /** Makes two streams the ends of one. */
  static join(one: SimulatedStream, other: SimulatedStream): void {
    one.#remote = other
    other.#remote = one
  }

  async read(max: number = Number.POSITIVE_INFINITY, options?: AbortOptions): Promise<Uint8Array> {
    for (;;) {
      options?.signal?.throwIfAborted()
      const [chunk] = this.#received
      if (chunk !== undefined) return this.#take(chunk, max)
      // What has arrived before the end of the connection stays readable.
      if (this.#remoteHasClosed) return NOTHING
      if (this.#failure !== undefined) throw this.#failure
      if (this.#isReadClosed) throw new StreamClosedError()
      await waiting(options?.signal, (wake) => {
        this.#wakeReader = wake
      })
    }
  }

  async write(bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    let rest = bytes
    do {
      options?.signal?.throwIfAborted()
      if (this.#failure !== undefined) throw this.#failure
      if (this.#isWriteClosed) throw new StreamClosedError()
      const count = Math.min(rest.length, this.#credit)
      if (count > 0) {
        // A copy: the memory is the caller's again once the write has resolved.
        const sent = rest.slice(0, count)
        this.#credit -= count
        this.#send(count, (remote) => remote.#receive(sent))
        rest = rest.subarray(count)
      } else if (rest.length > 0) {
        await waiting(options?.signal, (wake) => {
          this.#wakeWriter = wake
        })
      }
    } while (rest.length > 0)
  }

  async close(): Promise<void> {
    this.#closeRead()
    this.#closeWrite()
  }

  async closeRead(): Promise<void> {
    this.#closeRead()
  }

  async closeWrite(): Promise<void> {
    this.#closeWrite()
  }

  async reset(errorCode = 0): Promise<void> {
    if (this.#hasEnded) return
    this.fail(new StreamResetError({ errorCode, remote: false }))
    // What precedes it, such as the answer of a negotiation, is read first: the swarm discards what it need not deliver.
    this.#send(0, (remote) => remote.fail(new StreamResetError({ errorCode, remote: true })))
  }

  // A swarm keeps the deadlines of its streams itself.
  setDeadline(): void {}
  setReadDeadline(): void {}
  setWriteDeadline(): void {}

  /** Ends both halves with `failure`; what has been received stays readable. */
  fail(failure: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    this.#wake()
    this.#carrier.ended(this)
  }

  get #hasEnded(): boolean {
    return (
      this.#failure !== undefined ||
      (this.#isWriteClosed && (this.#remoteHasClosed || this.#isReadClosed))
    )
  }

  #take(chunk: Uint8Array, max: number): Uint8Array {
    if (chunk.length > max) this.#received[0] = chunk.subarray(max)
    else this.#received.shift()
    const taken = chunk.subarray(0, max)
    this.#giveBack(taken.length)
    return taken
  }

  #receive(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return
    // Discarded, so that the remote is not blocked.
    if (this.#isReadClosed) this.#giveBack(bytes.length)
    else this.#received.push(bytes)
    this.#wake()
  }

  /** Gives credit back in steps of half a window, as yamux does. */
  #giveBack(bytes: number): void {
    this.#consumed += bytes
    if (this.#consumed < WINDOW_BYTES / 2 || this.#remoteHasClosed) return
    const credit = this.#consumed
    this.#consumed = 0
    this.#send(0, (remote) => {
      remote.#credit += credit
      remote.#wake()
    })
  }

  #closeRead(): void {
    if (this.#isReadClosed || this.#failure !== undefined) return
    this.#isReadClosed = true
    const unread = this.#received.splice(0).reduce((sum, { length }) => sum + length, 0)
    this.#giveBack(unread)
    this.#wake()
    this.#endIfOver()
  }

  #closeWrite(): void {
    if (this.#isWriteClosed || this.#failure !== undefined) return
    this.#isWriteClosed = true
    this.#send(0, (remote) => {
      if (remote.#failure !== undefined) return
      remote.#remoteHasClosed = true
      remote.#wake()
      remote.#endIfOver()
    })
    this.#wake()
    this.#endIfOver()
  }

  #endIfOver(): void {
    if (this.#hasEnded) this.#carrier.ended(this)
  }

  #send(bytes: number, message: (remote: SimulatedStream) => void): void {
    this.#carrier.write(FRAME_BYTES + bytes, () => {
      // Joined before the first message.
      if (this.#remote !== undefined) message(this.#remote)
    })
  }

  #wake(): void {
    this.#wakeReader?.()
    this.#wakeWriter?.()
  }
}

/** Resolves at the call of the function that `ready` gets; rejects once `signal` is aborted. */
function waiting(
  signal: AbortSignal | undefined,
  ready: (wake: () => void) => void
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal === undefined) {
      ready(resolve)
      return
    }
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    ready(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
  })
}
