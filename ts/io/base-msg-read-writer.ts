/**
 * Messages over anything that carries bytes.
 *
 * For a `Stream` there is `stream.messages()`, which cuts in Rust and brings many messages at a time; what stands
 * here reads a prefix, then a message, and takes no byte beyond it from what is below.
 */
import {
  ABORT_OPTIONS,
  checkOptions,
  integer,
  type OptionChecks,
  objectWith,
  bytes as someBytes
} from '../base/arguments.ts'
import {
  AbortError,
  IncompleteReadError,
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  MsgioError,
  StreamClosedError,
  TimeoutError
} from '../errors.ts'
import { checkMessage, MESSAGE_BYTES_MAX } from './framing.ts'
import type { AbortOptions, MsgReadWriteCloser, Reader, ReadWriteCloser } from './interfaces.ts'
import { Pushback } from './pushback.ts'
import { readExactly } from './read-exactly.ts'
import { SerialQueue } from './serial-queue.ts'

/** Options of every {@link BaseMsgReadWriter}. */
export interface MsgReadWriterOptions {
  /** Bytes of a message at most, in both directions; 8 MiB unless given. */
  maxMessageBytes?: number
}

/** @internal The options that every one of them takes. */
export const MSG_READ_WRITER_CHECKS: OptionChecks<MsgReadWriterOptions> = {
  maxMessageBytes: integer(1)
}

const aCarrier = objectWith('read', 'write', 'close')

/**
 * Reads and writes messages; a subclass says how their lengths are told.
 *
 * Calls answer in call order, one at a time. An aborted read is taken up exactly where it was by the next one. A
 * length that cannot be read or is over the limit ends the reading half: what follows it cannot be told apart, and
 * every later call rejects with the same error. Nothing here closes what is below.
 */
export abstract class BaseMsgReadWriter implements MsgReadWriteCloser, AsyncIterable<Uint8Array> {
  /** What carries the bytes. */
  readonly readWriteCloser: ReadWriteCloser
  /** Bytes of a length prefix; 0 where they depend on the length. */
  readonly sizeLenBytes: number = 0
  /** Bytes of a message at most. */
  readonly maxMessageBytes: number
  /** What {@link BaseMsgReadWriter.nextMsgLen} reads from: the carrier, and what an aborted call gave back. */
  protected readonly reader: Reader & { unshift(bytes: Uint8Array): void }
  readonly #reads = new SerialQueue()
  readonly #writes = new SerialQueue()
  // The length of a message whose prefix was read and whose body was not.
  #length: number | undefined
  #readFault: Error | undefined
  #writeFault: unknown

  constructor(readWriteCloser: ReadWriteCloser, options: MsgReadWriterOptions = {}) {
    aCarrier(readWriteCloser, 'readWriteCloser')
    checkOptions(options, MSG_READ_WRITER_CHECKS)
    this.readWriteCloser = readWriteCloser
    this.maxMessageBytes = options.maxMessageBytes ?? MESSAGE_BYTES_MAX
    this.reader = new CarrierReader(readWriteCloser)
  }

  /** A message as it is on the wire: its prefix, then itself. Throws `MessageTooLargeError` if no prefix can say it. */
  abstract encodeMsg(message: Uint8Array): Uint8Array

  /**
   * Read a prefix from {@link BaseMsgReadWriter.reader}; answers with the bytes of the message behind it.
   *
   * Rejects with `MissingLengthError` at an end before or in the prefix, with `MsgioError` for one that is none. An
   * aborted call gives back what it read, as `readExactly` and `readLength` do.
   */
  abstract nextMsgLen(options?: AbortOptions): Promise<number>

  /**
   * The next message, in memory of its own.
   *
   * Rejects with `MissingLengthError` at the end (its cause tells whether it lay between messages),
   * `MissingMessageError` at an end inside a message, `MessageTooLargeError` before the body of a message over the
   * limit is read, `MsgioError` for a broken prefix, `AbortError`, and what the carrier rejects with.
   */
  readMsg(options: AbortOptions = {}): Promise<Uint8Array> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#reads.run(() => this.#read(options), options.signal)
  }

  /**
   * Write a message; resolves when the carrier has accepted it.
   *
   * Rejects with `MessageTooLargeError` before anything is written. A write that ended after a part of the message
   * was accepted leaves the writing half unusable: later calls reject with `MsgioError`.
   */
  writeMsg(message: Uint8Array, options: AbortOptions = {}): Promise<void> {
    someBytes(message, 'message')
    checkOptions(options, ABORT_OPTIONS)
    return this.#writes.run(() => this.#write(message, options), options.signal)
  }

  /** Close the carrier. */
  close(options?: AbortOptions): Promise<void> {
    return this.readWriteCloser.close(options)
  }

  /** Messages until an end between two of them, or our own close; throws as {@link BaseMsgReadWriter.readMsg} otherwise. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined> {
    for (;;) {
      let message: Uint8Array
      try {
        message = await this.readMsg()
      } catch (err) {
        if (isCleanEnd(err)) return
        throw err
      }
      yield message
    }
  }

  async #read(options: AbortOptions): Promise<Uint8Array> {
    if (this.#readFault !== undefined) throw this.#readFault
    if (this.#length === undefined) this.#length = await this.#readLength(options)
    try {
      const message = await readExactly(this.reader, this.#length, options)
      this.#length = undefined
      return message
    } catch (err) {
      if (!(err instanceof IncompleteReadError)) throw err
      throw new MissingMessageError(
        `the end came after ${err.receivedBytes} of a message's ${err.expectedBytes} bytes`,
        { cause: err }
      )
    }
  }

  async #readLength(options: AbortOptions): Promise<number> {
    try {
      const length = await this.nextMsgLen(options)
      if (length <= this.maxMessageBytes) return length
      throw new MessageTooLargeError(
        `message of ${length} bytes exceeds limit of ${this.maxMessageBytes}`
      )
    } catch (err) {
      if (err instanceof IncompleteReadError) throw new MissingLengthError({ cause: err })
      if (err instanceof MsgioError && !(err instanceof MissingLengthError)) this.#readFault = err
      throw err
    }
  }

  async #write(message: Uint8Array, options: AbortOptions): Promise<void> {
    if (this.#writeFault !== undefined) throw this.#writeFault
    checkMessage(message, this.maxMessageBytes)
    const bytes = this.encodeMsg(message)
    try {
      await this.readWriteCloser.write(bytes, options)
    } catch (err) {
      this.#writeFault = faultOf(err, bytes.length)
      throw err
    }
  }
}

/** The carrier, and what was given back of it. */
class CarrierReader extends Pushback {
  readonly #carrier: ReadWriteCloser

  constructor(carrier: ReadWriteCloser) {
    // Without a size the carrier decides how much that is.
    super((n, options) => carrier.read(Number.isFinite(n) ? n : undefined, options))
    this.#carrier = carrier
  }

  get readableEnded(): boolean {
    return this.#carrier.readableEnded === true
  }

  connState(): ReturnType<NonNullable<Reader['connState']>> {
    return this.#carrier.connState?.()
  }
}

/** Why nothing can be written behind a failed write of `length` bytes; undefined if it stopped at a boundary. */
function faultOf(err: unknown, length: number): unknown {
  const tells =
    err instanceof AbortError || err instanceof TimeoutError || err instanceof StreamClosedError
  if (!tells) return err
  if (err.bytesAccepted === 0 || err.bytesAccepted === length) return undefined
  return new MsgioError('an earlier write ended inside of its message', { cause: err })
}

function isCleanEnd(err: unknown): boolean {
  if (err instanceof StreamClosedError) return true
  if (!(err instanceof MissingLengthError)) return false
  return err.cause instanceof IncompleteReadError && err.cause.isCleanClose
}
