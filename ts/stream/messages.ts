/**
 * Length-prefixed messages over a stream.
 *
 * Rust parses them, many at a time. `readMsg` and iteration return memory owned by the caller; `onBatch` lends recycled
 * memory for the duration of a call.
 */
import type { AbortOptions } from '../base/abort.ts'
import { abortable, aborted } from '../base/abort.ts'
import {
  ABORT_OPTIONS,
  aFunction,
  checkOptions,
  integer,
  type OptionChecks,
  bytes as someBytes
} from '../base/arguments.ts'
import { copyOut } from '../base/bytes.ts'
import {
  IncompleteReadError,
  InvalidParametersError,
  MissingLengthError,
  MsgioError,
  StreamEOFError,
  StreamResetError,
  TimeoutError
} from '../errors.ts'
import {
  checkMessage,
  type Framing,
  framed,
  MESSAGE_BYTES_MAX,
  PREFIX_BYTES_MAX,
  type PrefixFormat,
  prefixFormat,
  writePrefix
} from '../io/framing.ts'
import type { MsgReadWriteCloser } from '../io/interfaces.ts'
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'
import { streamFacade } from './facade.ts'
import { MessageReader } from './message-reader.ts'

export type { Framing } from '../io/framing.ts'

/** The largest limit: the native side reports lengths in 31 bits. */
const LIMIT_BYTES_MAX = 0x7fffffff

/** Options of `stream.messages`. */
export interface MessagesOptions {
  /** Encoding of the length prefixes. Defaults to `varint`. */
  framing?: Framing
  /** Maximum bytes of a message, in both directions; up to 2^31-1. Defaults to 8 MiB. */
  maxMessageBytes?: number
}

const MESSAGES_CHECKS: OptionChecks<MessagesOptions> = {
  // `prefixFormat` accepts any value, and throws.
  framing: (value) => prefixFormat(value as Framing),
  maxMessageBytes: integer(1, LIMIT_BYTES_MAX)
}

/** Messages that arrived together. Their memory is recycled when the callback returns. */
export interface MessageBatch extends Iterable<Uint8Array> {
  /** Number of messages, at least one. */
  readonly count: number
  /** All messages, concatenated without prefixes. */
  readonly bytes: Uint8Array
  /** Length of each message in bytes; only the first `count` entries are valid. */
  readonly lengths: Uint32Array
}

/** Maximum bytes of a message that is joined with its prefix: copying a larger one costs more than a second call. */
const JOINED_BYTES_MAX = 16 * 1024

/** Buffer in which `sendMessage` joins prefix and message: one for all streams, as `send` copies before it returns. */
const JOINED = new Uint8Array(PREFIX_BYTES_MAX + JOINED_BYTES_MAX)

/** The private constructor of {@link Messages}. */
let make: (stream: Stream, options: MessagesOptions) => Messages

/** Reader and writer of length-prefixed messages of one stream. Created by `stream.messages()`, once per stream. */
export class Messages implements MsgReadWriteCloser, AsyncIterable<Uint8Array> {
  /** The stream that carries the messages. */
  readonly stream: Stream
  /** Encoding of the length prefixes. */
  readonly framing: Framing
  /** Maximum bytes of a message. */
  readonly maxMessageBytes: number
  readonly #core: StreamCore
  readonly #format: PrefixFormat
  readonly #lengthMax: number
  readonly #reader: MessageReader
  // Error of all writes after one that ended inside a message.
  #fault: MsgioError | undefined
  // Messages that arrived together with one already returned.
  #ready: Uint8Array[] = []
  #readyAt = 0

  static {
    make = (stream, options) => new Messages(stream, options)
  }

  // Called by `stream.messages()`.
  private constructor(stream: Stream, options: MessagesOptions) {
    const { framing = 'varint', maxMessageBytes = MESSAGE_BYTES_MAX } = options
    this.stream = stream
    this.framing = framing
    this.maxMessageBytes = maxMessageBytes
    this.#core = streamFacade.coreOf(stream)
    this.#format = prefixFormat(framing)
    this.#lengthMax = Math.min(maxMessageBytes, this.#format.lengthMax)
    this.#reader = new MessageReader(this.#core, this.#format, maxMessageBytes)
  }

  /**
   * Reads the next message, into memory of its own.
   *
   * Also rejects with the other errors of `stream.read`.
   *
   * @throws {@link MissingLengthError} at the end of the stream; its `cause` is an {@link IncompleteReadError}, whose
   * `isCleanClose` is true between messages.
   * @throws {@link MissingMessageError} at the end of the stream inside a message.
   * @throws {@link MessageTooLargeError} for a message over `maxMessageBytes`.
   * @throws {@link MsgioError} for a malformed prefix.
   * @throws {@link StreamResetError} if either side reset the stream, or its connection was lost.
   * @throws {@link TimeoutError} after the read deadline.
   * @throws {@link AbortError} by `signal`.
   */
  readMsg(options?: AbortOptions): Promise<Uint8Array> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#core.reads.take(() => {
      try {
        return this.#next()
      } catch (err) {
        throw err instanceof StreamEOFError ? this.#missingLength() : err
      }
    }, options?.signal)
  }

  /**
   * Writes a message; resolves when it is accepted for sending.
   *
   * Aborting `signal` ends the wait only: the message is sent whole, so that the next one follows it. Also rejects with
   * the other errors of `stream.write`.
   *
   * @throws {@link MessageTooLargeError} over `maxMessageBytes` or the range of the prefix, before anything is written.
   * @throws {@link MsgioError} if an earlier message was truncated by the write deadline.
   * @throws {@link StreamClosedError} after `closeWrite` or `close`.
   * @throws {@link StreamResetError} if either side reset the stream, or its connection was lost.
   * @throws {@link TimeoutError} after the write deadline.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} if `message` is not a `Uint8Array`.
   */
  writeMsg(message: Uint8Array, options: AbortOptions = {}): Promise<void> {
    someBytes(message, 'message')
    checkOptions(options, ABORT_OPTIONS)
    return this.#writeMsg(message, options.signal)
  }

  async #writeMsg(message: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    this.#check(message)
    if (signal?.aborted === true) throw aborted(signal)
    return abortable(this.#write(message, signal !== undefined), signal, () => message.length)
  }

  /**
   * Writes a message without waiting. Returns false if the caller should wait for `drain`.
   *
   * Throws the errors of {@link Messages.writeMsg} except those of waiting.
   *
   * @throws {@link InvalidParametersError} if `message` is not a `Uint8Array`.
   */
  sendMessage(message: Uint8Array): boolean {
    this.#check(message)
    if (message.length > JOINED_BYTES_MAX) {
      this.stream.send(this.#prefix(message.length))
      return this.stream.send(message)
    }
    const prefixBytes = writePrefix(this.#format, message.length, JOINED)
    JOINED.set(message, prefixBytes)
    return this.stream.send(JOINED.subarray(0, prefixBytes + message.length))
  }

  /**
   * Calls `callback` with each batch of messages until the end of the stream; the fastest way to read.
   *
   * Resolves at an end between messages, or a local close. Rejects as {@link Messages.readMsg} does, and with errors of
   * the callback. A promise returned by the callback is awaited before the next batch.
   *
   * @throws {@link InvalidParametersError} if `callback` is not a function.
   */
  onBatch(callback: (batch: MessageBatch) => unknown, options?: AbortOptions): Promise<void> {
    aFunction(callback, 'callback')
    checkOptions(options, ABORT_OPTIONS)
    return this.#eachBatch(callback, options?.signal)
  }

  async #eachBatch(
    callback: (batch: MessageBatch) => unknown,
    signal: AbortSignal | undefined
  ): Promise<void> {
    while (this.#readyAt < this.#ready.length) {
      // In range, by the condition of the loop.
      const message = this.#ready[this.#readyAt] as Uint8Array
      this.#readyAt += 1
      const result = callback(new Batch(message, Uint32Array.of(message.length), 1))
      if (result !== undefined) await result
    }
    // Kept apart: an error of the callback may look like the end of this stream.
    let outcome: { result?: unknown; thrown?: unknown } = {}
    const deliver = (bytes: Uint8Array, lengths: Uint32Array, count: number): void => {
      try {
        outcome = { result: callback(new Batch(bytes, lengths, count)) }
      } catch (thrown) {
        outcome = { thrown }
      }
    }
    const take = (): true | undefined => (this.#reader.pull(deliver) ? true : undefined)
    for (;;) {
      try {
        await this.#core.reads.take(take, signal)
      } catch (err) {
        if (this.#isEnd(err)) return
        throw err
      }
      if ('thrown' in outcome) throw outcome.thrown
      if (outcome.result !== undefined) await outcome.result
    }
  }

  /** Closes the stream, as `stream.close` does. */
  close(options?: AbortOptions): Promise<void> {
    return this.stream.close(options)
  }

  /** Iterates over messages until an end between two of them. Otherwise throws as {@link Messages.readMsg} rejects. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    const done = (err: unknown): IteratorResult<Uint8Array, undefined> => {
      if (this.#isEnd(err)) return { done: true, value: undefined }
      throw err
    }
    const take = (): IteratorResult<Uint8Array, undefined> | undefined => {
      try {
        const value = this.#next()
        return value === undefined ? undefined : { done: false, value }
      } catch (err) {
        return done(err)
      }
    }
    return {
      next: () => this.#core.reads.take(take, undefined, done),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this
      }
    }
  }

  /** Returns whether `err` is an end between messages. */
  #isEnd(err: unknown): boolean {
    return this.#core.isEnd(err) && !(err instanceof StreamResetError && this.#reader.holdsPart)
  }

  /** Returns the next message; undefined if there is none yet. Throws `StreamEOFError` at an end between messages. */
  #next(): Uint8Array | undefined {
    if (this.#readyAt === this.#ready.length) {
      this.#ready = []
      this.#readyAt = 0
      if (!this.#reader.pull((bytes, lengths, count) => this.#keep(bytes, lengths, count))) {
        return undefined
      }
    }
    const message = this.#ready[this.#readyAt]
    this.#readyAt += 1
    return message
  }

  #keep(bytes: Uint8Array, lengths: Uint32Array, count: number): void {
    let size = 0
    for (let index = 0; index < count; index += 1) size += lengths[index] ?? 0
    // One copy for all messages; each is a view of it.
    const copy = copyOut(bytes, size)
    for (const message of new Batch(copy, lengths, count)) this.#ready.push(message)
  }

  #missingLength(): MissingLengthError {
    const expectedBytes = Math.max(this.#format.prefixBytes, 1)
    return new MissingLengthError({
      cause: new IncompleteReadError({ expectedBytes })
    })
  }

  #check(message: Uint8Array): void {
    if (this.#fault !== undefined) throw this.#fault
    checkMessage(message, this.#lengthMax)
  }

  /** Writes a message. With `copies`, the caller may reuse its memory before the stream has accepted it. */
  #write(message: Uint8Array, copies: boolean): Promise<void> {
    if (message.length <= JOINED_BYTES_MAX) {
      const bytes = framed(this.#format, message)
      return this.stream.write(bytes).catch((err) => this.#failed(err, 0, bytes.length))
    }
    const prefix = this.#prefix(message.length)
    // Both are queued synchronously, so that no other write comes between them.
    const head = this.stream.write(prefix).then(() => prefix.length, acceptedOf)
    return this.stream
      .write(copies ? message.slice() : message)
      .catch(async (err) => this.#failed(err, await head, prefix.length + message.length))
  }

  /** Rethrows the error of a write. After a partly written message no other can follow. */
  #failed(err: unknown, before: number, length: number): never {
    const accepted = before + acceptedOf(err)
    if (err instanceof TimeoutError && accepted > 0 && accepted < length) {
      this.#fault = new MsgioError('an earlier write ended inside its message', { cause: err })
    }
    throw err
  }

  #prefix(length: number): Uint8Array {
    const prefix = new Uint8Array(PREFIX_BYTES_MAX)
    return prefix.subarray(0, writePrefix(this.#format, length, prefix))
  }
}

const INSTANCES = new WeakMap<Stream, Messages>()

/** Returns the messages of a stream: the same object on every call. Throws if the options of later calls differ. */
export function messages(stream: Stream, options: MessagesOptions = {}): Messages {
  checkOptions(options, MESSAGES_CHECKS)
  const first = INSTANCES.get(stream)
  if (first === undefined) {
    const created = make(stream, options)
    INSTANCES.set(stream, created)
    return created
  }
  const { framing = first.framing, maxMessageBytes = first.maxMessageBytes } = options
  if (framing === first.framing && maxMessageBytes === first.maxMessageBytes) return first
  throw new InvalidParametersError(
    `the stream already has messages of framing ${first.framing} and at most ${first.maxMessageBytes} bytes`
  )
}

class Batch implements MessageBatch {
  readonly count: number
  readonly bytes: Uint8Array
  readonly lengths: Uint32Array

  constructor(bytes: Uint8Array, lengths: Uint32Array, count: number) {
    this.bytes = bytes
    this.lengths = lengths
    this.count = count
  }

  *[Symbol.iterator](): Generator<Uint8Array, undefined> {
    let offset = 0
    for (let index = 0; index < this.count; index += 1) {
      const end = offset + (this.lengths[index] ?? 0)
      yield this.bytes.subarray(offset, end)
      offset = end
    }
  }
}

/** Returns the bytes of a timed-out write that the remote still receives. */
function acceptedOf(err: unknown): number {
  return err instanceof TimeoutError ? err.bytesAccepted : 0
}
