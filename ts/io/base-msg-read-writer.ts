/**
 * Messages over any byte carrier.
 *
 * These classes read a prefix, then a message, and never read beyond it. For a `Stream`, `stream.messages()` parses in
 * Rust and delivers many messages at a time.
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
  /** Maximum bytes of a message, in both directions. Defaults to 8 MiB. */
  maxMessageBytes?: number
}

/** @internal Checks of the options common to all framings. */
export const MSG_READ_WRITER_CHECKS: OptionChecks<MsgReadWriterOptions> = {
  maxMessageBytes: integer(1)
}

const aCarrier = objectWith('read', 'write', 'close')

/**
 * Reads and writes messages; a subclass defines the encoding of their lengths.
 *
 * Calls run in call order, one at a time. The next read resumes exactly where an aborted one stopped. A length that is
 * malformed or over the limit ends the reading half, as the following messages cannot be delimited: all later reads
 * reject with the same error. Only {@link BaseMsgReadWriter.close} closes the carrier.
 */
export abstract class BaseMsgReadWriter implements MsgReadWriteCloser, AsyncIterable<Uint8Array> {
  /** The carrier of the bytes. */
  readonly readWriteCloser: ReadWriteCloser
  /** Bytes of a length prefix; 0 if they depend on the length. */
  readonly sizeLenBytes: number = 0
  /** Maximum bytes of a message. */
  readonly maxMessageBytes: number
  /** The reader for {@link BaseMsgReadWriter.nextMsgLen}: bytes that aborted calls put back, then the carrier. */
  protected readonly reader: Reader & Required<Pick<Reader, 'unshift'>>
  readonly #reads = new SerialQueue()
  readonly #writes = new SerialQueue()
  // Length of a message whose prefix has been read and whose body has not.
  #length: number | undefined
  #readFault: Error | undefined
  #writeFault: unknown

  /** @throws {@link InvalidParametersError} for an invalid carrier or option. */
  constructor(readWriteCloser: ReadWriteCloser, options: MsgReadWriterOptions = {}) {
    aCarrier(readWriteCloser, 'readWriteCloser')
    checkOptions(options, MSG_READ_WRITER_CHECKS)
    this.readWriteCloser = readWriteCloser
    this.maxMessageBytes = options.maxMessageBytes ?? MESSAGE_BYTES_MAX
    this.reader = new CarrierReader(readWriteCloser)
  }

  /**
   * Returns a message as sent: prefix, then body.
   *
   * @throws {@link MessageTooLargeError} if the prefix cannot encode the length.
   */
  abstract encodeMsg(message: Uint8Array): Uint8Array

  /**
   * Reads a prefix from {@link BaseMsgReadWriter.reader}; resolves to the length of the message after it. An aborted
   * call puts back what it read, as `readExactly` and `readLength` do.
   *
   * @throws {@link MissingLengthError} at the end of the stream before or inside the prefix.
   * @throws {@link MsgioError} for a malformed prefix.
   */
  abstract nextMsgLen(options?: AbortOptions): Promise<number>

  /**
   * Reads the next message, into memory of its own.
   *
   * Also rejects with the errors of the carrier.
   *
   * @throws {@link MissingLengthError} at the end of the stream; its `cause` is an {@link IncompleteReadError}, whose
   * `isCleanClose` is true between messages.
   * @throws {@link MissingMessageError} at the end of the stream inside a message.
   * @throws {@link MessageTooLargeError} before the body of a message over the limit is read.
   * @throws {@link MsgioError} for a malformed prefix.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  readMsg(options: AbortOptions = {}): Promise<Uint8Array> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#reads.run(() => this.#read(options), options.signal)
  }

  /**
   * Writes a message; resolves when the carrier has accepted it.
   *
   * Also rejects with the errors of the carrier.
   *
   * @throws {@link MessageTooLargeError} before anything is written.
   * @throws {@link MsgioError} if an earlier write was interrupted inside its message, which makes this half unusable.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for a message that is not a `Uint8Array`, or an invalid option.
   */
  writeMsg(message: Uint8Array, options: AbortOptions = {}): Promise<void> {
    someBytes(message, 'message')
    checkOptions(options, ABORT_OPTIONS)
    return this.#writes.run(() => this.#write(message, options), options.signal)
  }

  /** Closes the carrier, with its errors. */
  close(options?: AbortOptions): Promise<void> {
    return this.readWriteCloser.close(options)
  }

  /**
   * Iterates over messages until the end of the stream between two of them, or a local close. Otherwise throws as
   * {@link BaseMsgReadWriter.readMsg} rejects.
   */
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

/** Reads bytes that were put back, then the carrier. */
class CarrierReader extends Pushback {
  readonly #carrier: ReadWriteCloser

  constructor(carrier: ReadWriteCloser) {
    // Without a size, the carrier decides how much to return.
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

/** Returns the error of all writes after a failed one of `length` bytes; undefined if that ended at a boundary. */
function faultOf(err: unknown, length: number): unknown {
  const reportsAccepted =
    err instanceof AbortError || err instanceof TimeoutError || err instanceof StreamClosedError
  if (!reportsAccepted) return err
  if (err.bytesAccepted === 0 || err.bytesAccepted === length) return undefined
  return new MsgioError('an earlier write ended inside its message', { cause: err })
}

function isCleanEnd(err: unknown): boolean {
  if (err instanceof StreamClosedError) return true
  if (!(err instanceof MissingLengthError)) return false
  return err.cause instanceof IncompleteReadError && err.cause.isCleanClose
}
