/**
 * Moves bytes between the muxed stream of an application muxer and its native slot, which keeps the state machine.
 *
 * Reads ahead of the application by at most 256 KiB. Writes wait in the slot while the muxed stream's `write` is
 * pending.
 */
import { copyOut, NOTHING, unshared } from '../base/bytes.ts'
import { StreamState } from '../constants.ts'
import { streamCounters } from '../native/counters.ts'
import {
  FLAG_CONNECTION_LOST,
  FLAG_FAULT,
  FLAG_ORDERLY,
  FLAG_REMOTE,
  Taken
} from '../native/record.ts'
import type { StreamCore } from '../stream/core.ts'
import { muxerFailure } from '../stream/failure.ts'
import type { StreamPump } from '../stream/owner.ts'
import type { MuxedStream } from './muxed.ts'

/** Unread bytes from which on the muxed stream is not read: the initial yamux window. */
const RECEIVED_BYTES_MAX = 256 * 1024

const CHUNK_BYTES = 64 * 1024

/** The pump of one stream. */
export class MuxedPump implements StreamPump {
  readonly muxed: MuxedStream
  readonly #core: StreamCore
  readonly #orders = new Uint32Array(3)
  #held = 0
  #resume: (() => void) | undefined
  isSending = false
  #hasOrders = false
  #isEndPending = false
  #discardsWrites = false
  #isOver = false
  #isDetached = false
  #hasEnd = false
  readonly #received = Promise.withResolvers<void>()
  #hasWritten = false
  #onWritten: PromiseWithResolvers<void> | undefined

  constructor(core: StreamCore, muxed: MuxedStream) {
    this.#core = core
    this.muxed = muxed
  }

  /** Starts to move bytes; `received` have been read from the muxed stream already. */
  start(received: Uint8Array = NOTHING): void {
    if (received.length > 0) {
      this.#held = this.#core.engine.hot.feed(this.#core.handle, unshared(received))
    }
    void this.#receive().then(this.#received.resolve)
  }

  /** Resolves when the end of writing has been passed to the muxed stream, or cannot be any more. */
  get written(): Promise<void> {
    this.#onWritten ??= Promise.withResolvers()
    if (this.#hasWritten) this.#onWritten.resolve()
    return this.#onWritten.promise
  }

  /** Resolves when all that the remote has sent was read from the muxed stream, or cannot be any more. */
  get received(): Promise<void> {
    return this.#received.promise
  }

  /** Called when the slot has bytes or orders for the muxed stream. */
  onOutgoing(): void {
    if (!this.isSending) {
      void this.#send()
      return
    }
    // A write is pending: a reset or the end of reading must not wait for it.
    this.#hasOrders = true
    this.#take(NOTHING)
  }

  /** Called when the stream has ended; without a failure, the muxed stream is closed. */
  onClosed(isFailed: boolean): void {
    // The record of its last order may follow this one, when the handle is no longer valid.
    if (!this.#isOver) this.onOutgoing()
    this.#isOver = true
    this.#received.resolve()
    if (isFailed) this.#endWriting()
    this.#resume?.()
    if (!isFailed && !this.isSending) this.#free()
  }

  /** Called when the stream is abandoned: the muxed stream is left as it is. */
  leave(): void {
    this.#endWriting()
    this.#received.resolve()
    this.#isOver = true
    this.#discardsWrites = true
    this.#isDetached = true
  }

  /** Called when the connection under the muxer has ended. */
  connectionLost(
    code: number,
    { remote, isOrderly }: { remote: boolean; isOrderly: boolean }
  ): void {
    const flags = FLAG_CONNECTION_LOST | (remote ? FLAG_REMOTE : 0) | (isOrderly ? FLAG_ORDERLY : 0)
    const { engine, handle, reads } = this.#core
    // Bytes before the remote's end stay readable.
    const isWhole = this.#hasEnd && reads.end === 'open'
    const left = isWhole ? (streamCounters(engine.hot, handle)?.bytesUnread ?? 0) : 0
    engine.hot.feedReset(handle, code, flags)
    // Nothing is left to free.
    this.#isDetached = true
    // Streams must end before the connection does.
    if (!isWhole) this.#core.onReset(code, 0, flags)
    this.#core.onClosed(left, 0)
  }

  /** Ends the stream with its connection, which is closed here, and resets the muxed stream. */
  cut(): void {
    const isDue = !this.#isOver || this.isSending
    this.connectionLost(0, { remote: false, isOrderly: true })
    if (isDue) void this.#run(() => this.muxed.reset(0))
  }

  async #receive(): Promise<void> {
    const { engine, handle } = this.#core
    while (!this.#isOver) {
      if (this.#held >= RECEIVED_BYTES_MAX) {
        await new Promise<void>((resume) => {
          this.#resume = resume
        })
        continue
      }
      let bytes: Uint8Array
      try {
        bytes = await this.muxed.read(CHUNK_BYTES)
        if (!(bytes instanceof Uint8Array))
          throw new TypeError(`expected bytes, read ${typeof bytes}`)
      } catch (err) {
        this.#readFailed(err)
        return
      }
      if (bytes.length === 0) {
        this.#feedEnd()
        return
      }
      const held = engine.hot.feed(handle, unshared(bytes))
      if (held < 0) return
      this.#held = held
    }
  }

  async #send(): Promise<void> {
    this.isSending = true
    try {
      let hasMore = true
      while (hasMore) {
        this.#hasOrders = false
        const { bytes, more } = this.#take(this.#core.engine.scratch)
        if (bytes.length > 0 && !this.#discardsWrites) await this.muxed.write(bytes)
        hasMore = more || this.#hasOrders
      }
      if (this.#isEndPending && !this.#discardsWrites) {
        this.#isEndPending = false
        await this.muxed.closeWrite()
        this.#endWriting()
      }
    } catch (err) {
      this.#writeFailed(err)
    } finally {
      this.isSending = false
      if (this.#isOver && !this.#core.isFailed()) this.#free()
    }
  }

  /** Takes bytes by way of `buffer`, and carries out the orders that need not wait for their write. */
  #take(buffer: Uint8Array): { bytes: Uint8Array; more: boolean } {
    const orders = this.#orders
    const { engine, handle } = this.#core
    const count = engine.hot.take(handle, buffer, orders)
    if (count < 0) return { bytes: NOTHING, more: false }
    // A copy, as most writes are small and the muxer keeps their memory. Made before the muxer is called below: it may
    // read other streams, which recycles the buffer.
    const bytes = count === 0 ? NOTHING : copyOut(buffer, count)
    const [flags = 0, code = 0, held = 0] = orders
    if ((flags & Taken.reset) !== 0) {
      this.#isOver = true
      this.#discardsWrites = true
      this.#endWriting()
      void this.#run(() => this.muxed.reset(code))
      return { bytes: NOTHING, more: false }
    }
    this.#held = held
    if (held < RECEIVED_BYTES_MAX) this.#resume?.()
    if ((flags & Taken.discard) !== 0) void this.#run(() => this.muxed.closeRead())
    if ((flags & Taken.end) !== 0) this.#isEndPending = true
    return { bytes, more: (flags & Taken.more) !== 0 }
  }

  #feedEnd(): void {
    this.#hasEnd = true
    this.#core.engine.hot.feedEnd(this.#core.handle)
  }

  #endWriting(): void {
    this.#hasWritten = true
    this.#onWritten?.resolve()
  }

  #readFailed(err: unknown): void {
    if (this.#isOver || this.#core.isFailed()) return
    switch (nameOf(err)) {
      case 'StreamEOFError':
        this.#feedEnd()
        return
      case 'StreamClosedError':
        if (this.#core.reads.end === 'open') void this.#core.closeRead()
        return
      default:
        this.#failed(err, 'read')
    }
  }

  #writeFailed(err: unknown): void {
    this.#discardsWrites = true
    this.#endWriting()
    if (this.#isOver || this.#core.isFailed()) return
    if (nameOf(err) !== 'StreamClosedError') {
      this.#failed(err, 'write')
    } else if (this.#core.writeRefusal() === undefined) {
      this.#core.failWrites()
      this.#core.finishWriting()
    }
  }

  #failed(err: unknown, operation: 'read' | 'write'): void {
    const { engine, handle } = this.#core
    // The thrown value may be anything, and its fields of any type.
    const { errorCode, closeCode, remote } = Object(err) as Partial<Record<string, unknown>>
    switch (nameOf(err)) {
      case 'StreamResetError':
        engine.hot.feedReset(handle, numberOf(errorCode), remote === false ? 0 : FLAG_REMOTE)
        return
      case 'ConnectionClosedError':
      case 'MuxerClosedError':
        engine.hot.feedReset(handle, numberOf(closeCode), FLAG_REMOTE | FLAG_CONNECTION_LOST)
        return
      default:
        this.#core.fail(StreamState.ERROR, muxerFailure(operation, err))
        engine.hot.feedReset(handle, 0, FLAG_FAULT)
    }
  }

  #free(): void {
    if (!this.#isDetached) void this.#run(() => this.muxed.close())
  }

  /** Runs a call that ends the muxed stream; its failure is reported, as nothing else can be done. */
  async #run(end: () => Promise<void>): Promise<void> {
    try {
      await end()
    } catch (err) {
      this.#core.owner.onFailure(err, this.muxed, 'the end of a muxed stream failed')
    }
  }
}

function nameOf(err: unknown): unknown {
  return err instanceof Error ? err.name : undefined
}

function numberOf(code: unknown): number {
  return typeof code === 'number' ? code >>> 0 : 0
}
