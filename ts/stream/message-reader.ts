/**
 * The reading half of {@link Messages}.
 *
 * Rust parses the stream: one call returns all complete messages, up to a batch. Assembled here are messages larger
 * than one batch (they may exceed the receive window, so that Rust never buffers them whole), the end of a truncated
 * one, and bytes that JavaScript held before the switch.
 */
import { UINT32_MAX } from '../base/arguments.ts'
import { allocate, copyOut } from '../base/bytes.ts'
import {
  ERROR_CODES,
  IncompleteReadError,
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  MsgioError,
  StreamEOFError
} from '../errors.ts'
import { type PrefixFormat, readPrefix } from '../io/framing.ts'
import type { StreamCore } from './core.ts'

/** Maximum bytes of one batch: a quarter of the initial window, so that a message that fits is always completed. */
const BATCH_BYTES = 64 * 1024

/** Maximum messages of one batch. */
const BATCH_MESSAGES = 4_096

/** Bytes charged per message to the read budget of the event loop turn, in addition to its length. */
const MESSAGE_COST_BYTES = 256

/** Minimum read size for a message assembled here. */
const PART_BYTES_MIN = 64 * 1024

/** Initial buffer size: fits any prefix, and grows with the message. */
const HELD_BYTES_INITIAL = 16

/** Memory of a batch. Taken for the duration of one callback, so that nested readers do not share it. */
interface BatchMemory {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly lengths: Uint32Array<ArrayBuffer>
}

let spare: BatchMemory | undefined

function takeMemory(): BatchMemory {
  const memory = spare ?? {
    bytes: allocate(BATCH_BYTES),
    lengths: new Uint32Array(BATCH_MESSAGES)
  }
  spare = undefined
  return memory
}

/**
 * Called with contiguous messages, valid only during the call.
 *
 * `lengths` may be longer than `count`.
 */
export type TakeBatch = (bytes: Uint8Array, lengths: Uint32Array, count: number) => void

/** Parses one stream into messages. */
export class MessageReader {
  readonly #core: StreamCore
  readonly #format: PrefixFormat
  readonly #maxMessageBytes: number
  // Bytes held by JavaScript, starting at a prefix; between calls never a whole message.
  #held = new Uint8Array(HELD_BYTES_INITIAL)
  #heldBytes = 0
  #assembling = false
  #fault: MsgioError | undefined

  constructor(core: StreamCore, format: PrefixFormat, maxMessageBytes: number) {
    this.#core = core
    this.#format = format
    this.#maxMessageBytes = maxMessageBytes
    // Native buffers are far smaller than that number, so a larger limit has no effect there.
    core.engine.hot.frame(core.handle, format.id, Math.min(maxMessageBytes, UINT32_MAX))
  }

  /** Whether part of a message is held. */
  get holdsPart(): boolean {
    return this.#heldBytes > 0
  }

  /**
   * Passes the available messages to `take`; returns false if there are none yet.
   *
   * Throws `StreamEOFError` at an end between messages, `MissingLengthError` or `MissingMessageError` at one
   * inside a message, `MessageTooLargeError` or `MsgioError` for an invalid prefix, and the errors of a read.
   */
  pull(take: TakeBatch): boolean {
    if (this.#fault !== undefined) throw this.#fault
    const buffered = this.#core.reads.takeHeld()
    if (buffered.length > 0) this.#hold(buffered)
    try {
      if (this.#heldBytes > 0 || this.#assembling) return this.#assemble(take)
      return this.#pullNative(take)
    } catch (err) {
      throw err instanceof StreamEOFError ? this.#truncation(err) : err
    }
  }

  #pullNative(take: TakeBatch): boolean {
    this.#core.reads.check()
    const { engine, handle } = this.#core
    if (!engine.mayRead(this.#core)) return false
    const memory = takeMemory()
    try {
      const { bytes, lengths } = memory
      const count = engine.hot.readMessages(handle, bytes, lengths)
      if (count > 0) {
        let size = count * MESSAGE_COST_BYTES
        for (let index = 0; index < count; index += 1) size += lengths[index] ?? 0
        engine.hasRead(size)
        take(bytes, lengths, count)
        return true
      }
      if (count === 0) return false
      if (-count !== ERROR_CODES.ERR_BUFFER_TOO_SMALL) return this.#refused(-count)
    } finally {
      spare = memory
    }
    this.#assembling = true
    return this.#assemble(take)
  }

  /** Completes the partially held message, or delivers those held whole. */
  #assemble(take: TakeBatch): boolean {
    for (;;) {
      const missing = this.#missing()
      if (missing === 0) {
        this.#assembling = false
        this.#deliver(take)
        return true
      }
      const read = this.#readRaw(missing)
      if (read === 0) return false
      this.#heldBytes += read
    }
  }

  /** Returns the number of bytes missing from the prefix or the message; 0 if a whole message is held. */
  #missing(): number {
    const held = this.#held.subarray(0, this.#heldBytes)
    const prefix = this.#checked(() => readPrefix(this.#format, held, 0))
    if (prefix === undefined) return Math.max(this.#format.prefixBytes - this.#heldBytes, 1)
    if (prefix.length > this.#maxMessageBytes) this.#fail(this.#tooLarge(prefix.length))
    return Math.max(prefix.prefixBytes + prefix.length - this.#heldBytes, 0)
  }

  #readRaw(missing: number): number {
    this.#core.reads.check()
    const { engine, handle } = this.#core
    if (!engine.mayRead(this.#core)) return 0
    // At most doubles: memory grows with the bytes received, not with the announced length.
    const part = Math.min(missing, Math.max(this.#heldBytes, PART_BYTES_MIN))
    this.#reserve(part)
    const into = this.#held.subarray(this.#heldBytes, this.#heldBytes + part)
    const result = engine.hot.read(handle, into)
    if (result > 0) engine.hasRead(result)
    else if (result < 0) this.#refused(-result)
    return Math.max(result, 0)
  }

  /** Delivers every whole message at the front of the held bytes; the rest stays. */
  #deliver(take: TakeBatch): void {
    const held = this.#held
    const lengths: number[] = []
    let end = 0
    let size = 0
    for (;;) {
      const prefix = this.#checked(() =>
        readPrefix(this.#format, held.subarray(0, this.#heldBytes), end)
      )
      if (prefix === undefined) break
      const start = end + prefix.prefixBytes
      // A message over the limit is refused once it is the first.
      if (prefix.length > this.#maxMessageBytes || start + prefix.length > this.#heldBytes) break
      // Bodies are compacted over the prefixes.
      held.copyWithin(size, start, start + prefix.length)
      size += prefix.length
      end = start + prefix.length
      lengths.push(prefix.length)
    }
    const left = copyOut(held.subarray(end, this.#heldBytes), this.#heldBytes - end)
    this.#held = new Uint8Array(HELD_BYTES_INITIAL)
    this.#heldBytes = 0
    if (left.length > 0) this.#hold(left)
    take(held.subarray(0, size), Uint32Array.from(lengths), lengths.length)
  }

  #hold(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#held.set(bytes, this.#heldBytes)
    this.#heldBytes += bytes.length
  }

  #reserve(bytes: number): void {
    const size = this.#heldBytes + bytes
    if (size <= this.#held.length) return
    const grown = allocate(size)
    grown.set(this.#held.subarray(0, this.#heldBytes))
    this.#held = grown
  }

  /** Handles an error code of the native side; returns false if a record with the cause follows. */
  #refused(code: number): boolean {
    if (code === ERROR_CODES.ERR_STREAM_EOF) {
      this.#core.reads.remoteEnded()
      throw new StreamEOFError()
    }
    this.#core.refused(code)
    // Rust has failed the stream; the error of the message is more specific.
    if (code === ERROR_CODES.ERR_MESSAGE_TOO_LARGE) {
      this.#fault = new MessageTooLargeError(
        `a message exceeds the limit of ${this.#maxMessageBytes} bytes`
      )
    } else if (code === ERROR_CODES.ERR_INVALID_FRAMING) {
      this.#fault = new MsgioError()
    }
    if (this.#fault !== undefined) throw this.#fault
    return false
  }

  #checked<T>(read: () => T): T {
    try {
      return read()
    } catch (err) {
      // `readPrefix` throws nothing else.
      return this.#fail(err as MsgioError)
    }
  }

  /** Resets the stream: the remote violated the framing, so nothing behind this point can be parsed. */
  #fail(fault: MsgioError): never {
    this.#fault = fault
    void this.#core.reset(0, fault)
    throw fault
  }

  #tooLarge(length: number): MessageTooLargeError {
    return new MessageTooLargeError(
      `message of ${length} bytes exceeds limit of ${this.#maxMessageBytes}`
    )
  }

  #truncation(end: StreamEOFError): Error {
    const held = this.#heldBytes
    if (held === 0) return end
    const prefix = readPrefix(this.#format, this.#held.subarray(0, held), 0)
    if (prefix === undefined) {
      return new MissingLengthError('the stream ended inside a length', {
        cause: new IncompleteReadError({
          expectedBytes: Math.max(this.#format.prefixBytes, held + 1),
          receivedBytes: held
        })
      })
    }
    const received = held - prefix.prefixBytes
    return new MissingMessageError(
      `the stream ended after ${received} of a message's ${prefix.length} bytes`,
      {
        cause: new IncompleteReadError({
          expectedBytes: prefix.length,
          receivedBytes: received
        })
      }
    )
  }
}
