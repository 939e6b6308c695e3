/**
 * The reading half of {@link Messages}.
 *
 * Rust cuts the stream: one call brings as many whole messages as there are. A message larger than one batch
 * (it may exceed the receive window, so that Rust never holds it whole), the end of a truncated one, and bytes
 * that JavaScript held before the switch are put together here.
 */
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

/** Bytes of one batch at most: a quarter of the first window, so a message that fits always becomes whole. */
const BATCH_BYTES = 64 * 1024

/** Messages of one batch at most. */
const BATCH_MESSAGES = 4_096

/** What a message costs its reader, however short, in the bytes by which a turn of the event loop is measured. */
const MESSAGE_COST_BYTES = 256

/** What is asked for at least of a message that is put together here. */
const PART_BYTES_MIN = 64 * 1024

/** What crosses to the native side, whose buffers are far smaller. */
const UINT32_MAX = 0xffffffff

/** Room for any prefix; a held message gets more as it comes. */
const HELD_BYTES_INITIAL = 16

/** Memory of a batch. Taken for the time of one callback, so that nested readers do not share it. */
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
 * Messages side by side, valid while the callback they were handed to runs.
 *
 * `lengths` may be longer than `count`.
 */
export type TakeBatch = (bytes: Uint8Array, lengths: Uint32Array, count: number) => void

/** Cuts one stream into messages. */
export class MessageReader {
  readonly #core: StreamCore
  readonly #format: PrefixFormat
  readonly #maxMessageBytes: number
  // What JavaScript holds of the stream, from a prefix on: never a whole message for longer than a call.
  #held = new Uint8Array(HELD_BYTES_INITIAL)
  #heldBytes = 0
  #assembling = false
  #fault: MsgioError | undefined

  constructor(core: StreamCore, format: PrefixFormat, maxMessageBytes: number) {
    this.#core = core
    this.#format = format
    this.#maxMessageBytes = maxMessageBytes
    core.engine.hot.frame(core.handle, format.id, Math.min(maxMessageBytes, UINT32_MAX))
  }

  /** Whether part of a message was taken from the stream. */
  get holdsPart(): boolean {
    return this.#heldBytes > 0
  }

  /**
   * Hand the messages that are there to `take`; returns false if there are none yet.
   *
   * Throws `StreamEOFError` at an end between messages, `MissingLengthError` and `MissingMessageError` at one
   * inside of a message, `MessageTooLargeError` and `MsgioError` for a broken prefix, and what a read throws.
   */
  pull(take: TakeBatch): boolean {
    if (this.#fault !== undefined) throw this.#fault
    const stash = this.#core.reads.takeHeld()
    if (stash.length > 0) this.#hold(stash)
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

  /** Complete the message that is held in part, or hand out those that are held whole. */
  #assemble(take: TakeBatch): boolean {
    for (;;) {
      const missing = this.#missing()
      if (missing === 0) {
        this.#assembling = false
        this.#handOut(take)
        return true
      }
      const read = this.#readRaw(missing)
      if (read === 0) return false
      this.#heldBytes += read
    }
  }

  /** Bytes to read before anything can be said or handed out; 0 if a whole message is held. */
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
    // Twofold: memory follows what came, not the length that was announced.
    const part = Math.min(missing, Math.max(this.#heldBytes, PART_BYTES_MIN))
    this.#reserve(part)
    const into = this.#held.subarray(this.#heldBytes, this.#heldBytes + part)
    const answer = engine.hot.read(handle, into)
    if (answer > 0) engine.hasRead(answer)
    else if (answer < 0) this.#refused(-answer)
    return Math.max(answer, 0)
  }

  /** Every whole message at the front of what is held; the rest stays. */
  #handOut(take: TakeBatch): void {
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
      // A message over the limit is refused when it stands in front.
      if (prefix.length > this.#maxMessageBytes || start + prefix.length > this.#heldBytes) break
      // The bodies move together over the prefixes.
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

  /** A negative answer of the native side. False: the record that explains it follows. */
  #refused(code: number): boolean {
    if (code === ERROR_CODES.ERR_STREAM_EOF) {
      this.#core.reads.remoteEnded()
      throw new StreamEOFError()
    }
    this.#core.refused(code)
    // Rust has failed the stream; the message's own error says more than that.
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
      // Reading a prefix throws nothing else.
      return this.#fail(err as MsgioError)
    }
  }

  /** The remote broke the framing: nothing behind this point can be made out. */
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
