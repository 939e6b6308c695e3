/**
 * Carries the bytes of one connection between a duplex of the application and the native pipe below the connection.
 *
 * Holds at most one chunk each way, besides the pipe's 64 KiB and what the duplex itself buffers: a chunk is read only
 * once the pipe has taken the one before, and taken only once the duplex has accepted the one before.
 */
import { copyOut, SCRATCH_BYTES, unshared } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import type { CarriedConnection } from '../connection/carried.ts'
import { RawConnectionError } from '../errors.ts'
import { CLOSE_MS } from '../io/closing.ts'
import type { ReadWriteCloser } from '../io/interfaces.ts'
import { readSome } from '../io/read-any.ts'
import type { HotCalls } from '../native/addon.ts'
import type { PipeSink } from '../native/engine.ts'
import type { PipeHandle } from '../native/handles.ts'
import { PipeReady } from '../native/record.ts'
import { reasonOf } from '../text/printable.ts'
import { CloseLimit } from './close-limit.ts'
import type { Addresses, TakenDuplex } from './duplex.ts'
import type { Carriage } from './under-way.ts'

/** Bytes read before the event loop turns: a duplex in memory must not starve timers and other connections. */
const TURN_BYTES = 1024 * 1024

/** Milliseconds that the duplex of a connection that failed has to accept its last bytes. */
export const FAILED_CLOSE_MS = 1_000

/** The parts of the engine that a pump needs. */
export interface PumpEngine {
  readonly hot: Pick<HotCalls, 'feedPipe' | 'takePipe' | 'endPipe' | 'dropPipe'>
  readonly scratch: Uint8Array<ArrayBuffer>
  adoptPipe(pipe: PipeHandle, sink: PipeSink): void
  forgetPipe(pipe: PipeHandle): void
}

/** The pump of one connection; owns the duplex and the pipe. */
export class Pump implements PipeSink, CarriedConnection, Carriage {
  readonly isLimited: boolean
  readonly over: Promise<void>
  readonly #engine: PumpEngine
  readonly #limit: CloseLimit
  readonly #pipe: PipeHandle
  readonly #conn: ReadWriteCloser
  readonly #addresses: () => Addresses
  #failure: RawConnectionError | undefined
  // Called when the pipe has room, or output.
  #hasRoom: (() => void) | undefined
  #hasOutput: (() => void) | undefined
  #isClosing = false
  #isOver = false
  #end: () => void = () => {}

  constructor(
    engine: PumpEngine,
    clock: Clock,
    pipe: PipeHandle,
    { conn, addresses }: Pick<TakenDuplex, 'conn' | 'addresses'>,
    isLimited = false
  ) {
    this.isLimited = isLimited
    this.#engine = engine
    this.#limit = new CloseLimit(clock, () => this.destroy())
    this.#pipe = pipe
    this.#conn = conn
    this.#addresses = addresses
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
    engine.adoptPipe(pipe, this)
    void this.#receive()
    void this.#send()
  }

  addresses(): Addresses {
    return this.#addresses()
  }

  get failure(): RawConnectionError | undefined {
    return this.#failure
  }

  onPipeReady(flags: number): void {
    if ((flags & PipeReady.hasRoom) !== 0) this.#hasRoom?.()
    if ((flags & PipeReady.hasOutput) !== 0) this.#hasOutput?.()
  }

  connectionEnded(isOrderly: boolean): void {
    this.closeWithin(isOrderly ? CLOSE_MS : FAILED_CLOSE_MS)
  }

  /** The upgrade has failed: the duplex is closed after its last bytes, which may be an alert. */
  upgradeFailed(): void {
    this.closeWithin(FAILED_CLOSE_MS)
  }

  closeWithin(ms: number): void {
    this.#limit.within(ms)
  }

  destroy(): void {
    if (this.#isOver) return
    this.#free()
    destroyCarrier(this.#conn)
  }

  async #receive(): Promise<void> {
    try {
      for (let moved = 0; ; ) {
        const bytes = await readSome(this.#conn, { max: SCRATCH_BYTES })
        if (this.#isClosing || this.#isOver) return
        if (bytes === undefined) break
        if (!(bytes instanceof Uint8Array)) throw new TypeError('its read resolved to no bytes')
        if (!(await this.#feed(unshared(bytes)))) return
        moved += bytes.length
        if (moved < TURN_BYTES) continue
        moved = 0
        await new Promise(setImmediate)
      }
      this.#engine.hot.endPipe(this.#pipe)
    } catch (err) {
      // A read that is refused because the duplex closes does not end the close, which may still flush.
      if (!this.#isClosing) this.#lost(err)
    }
  }

  /** Feeds all bytes; resolves to false if nobody reads them any more. */
  async #feed(bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#isOver) return false
      const fed = this.#engine.hot.feedPipe(this.#pipe, at === 0 ? bytes : bytes.subarray(at))
      if (fed < 0) return false
      at += fed
      if (fed > 0) continue
      await new Promise<void>((resolve) => {
        this.#hasRoom = resolve
      })
    }
    return true
  }

  async #send(): Promise<void> {
    const { hot, scratch } = this.#engine
    try {
      while (!this.#isOver) {
        const taken = hot.takePipe(this.#pipe, scratch)
        // A copy: a duplex may pass the memory on, to a reader that keeps it.
        if (taken > 0) await this.#conn.write(copyOut(scratch, taken))
        else if (taken < 0) break
        else {
          await new Promise<void>((resolve) => {
            this.#hasOutput = resolve
          })
        }
      }
      await this.#close()
    } catch (err) {
      this.#lost(err)
    }
  }

  /** Closes the duplex after the connection's last bytes. */
  async #close(): Promise<void> {
    if (this.#isOver) return
    this.#isClosing = true
    await this.#conn.close()
    // Only now: a connection that closes gracefully waits for it.
    this.#free()
  }

  /** Fails the connection: the duplex has failed. */
  #lost(err: unknown): void {
    if (this.#isOver) return
    this.#failure = duplexFailure(err)
    this.destroy()
  }

  #free(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#limit.end()
    this.#engine.forgetPipe(this.#pipe)
    this.#engine.hot.dropPipe(this.#pipe)
    this.#hasRoom?.()
    this.#hasOutput?.()
    this.#end()
  }
}

/** Returns the error of a duplex that has failed. */
export function duplexFailure(err: unknown): RawConnectionError {
  const reason = reasonOf(err)
  return new RawConnectionError(`the duplex failed: ${reason}`, { cause: err })
}

/** Closes a carrier without delivering anything. */
export function destroyCarrier(conn: ReadWriteCloser): void {
  void (async () => conn.close({ signal: AbortSignal.abort() }))().catch(() => {
    // It rejects because it was aborted.
  })
}
