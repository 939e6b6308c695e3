/**
 * Length-prefixed messages over a stream.
 *
 * Rust cuts them, many at a time. `readMsg` and iteration hand out memory of the caller's own, `onBatch` lends
 * recycled memory for the time of a call.
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

/** The largest limit: the native side tells lengths in 31 bits. */
const LIMIT_BYTES_MAX = 0x7fffffff

/** Options of `stream.messages`. */
export interface MessagesOptions {
  /** How lengths are written; `varint` unless given. */
  framing?: Framing
  /** Bytes of a message at most, in both directions; 8 MiB unless given, 2^31-1 at most. */
  maxMessageBytes?: number
}

const MESSAGES_CHECKS: OptionChecks<MessagesOptions> = {
  // It takes any value, and throws.
  framing: (value) => prefixFormat(value as Framing),
  maxMessageBytes: integer(1, LIMIT_BYTES_MAX)
}

/** Messages that came together. Their memory is recycled when the callback they are given to returns. */
export interface MessageBatch extends Iterable<Uint8Array> {
  /** How many messages there are, at least one. */
  readonly count: number
  /** All of them side by side, without prefixes. */
  readonly bytes: Uint8Array
  /** Bytes of each; only the first `count` numbers mean anything. */
  readonly lengths: Uint32Array
}

/** From here on a copy into a buffer of its own costs more than a second call. */
const JOINED_BYTES_MAX = 16 * 1024

/** Where `sendMessage` joins: one for all streams, as `send` has copied what it is given when it returns. */
const JOINED = new Uint8Array(PREFIX_BYTES_MAX + JOINED_BYTES_MAX)

/** The constructor of {@link Messages}, which is nobody else's. */
let make: (stream: Stream, options: MessagesOptions) => Messages

/** Messages of one stream, both ways. Made by `stream.messages()`, once a stream. */
export class Messages implements MsgReadWriteCloser, AsyncIterable<Uint8Array> {
  /** The stream that carries them. */
  readonly stream: Stream
  /** How lengths are written. */
  readonly framing: Framing
  /** Bytes of a message at most. */
  readonly maxMessageBytes: number
  readonly #core: StreamCore
  readonly #format: PrefixFormat
  readonly #lengthMax: number
  readonly #reader: MessageReader
  // Why no message can follow: a write ended inside of one.
  #cut: MsgioError | undefined
  // Messages that came with one that was handed out.
  #ready: Uint8Array[] = []
  #readyAt = 0

  static {
    make = (stream, options) => new Messages(stream, options)
  }

  // `stream.messages()`.
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
   * The next message, in memory of its own.
   *
   * Rejects with `MissingLengthError` at the end (its cause tells whether it lay between messages),
   * `MissingMessageError` at an end inside a message, `MessageTooLargeError`, `MsgioError` for a broken prefix,
   * and what `stream.read` rejects with.
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
   * Write a message; resolves when it is accepted, as `stream.write` does.
   *
   * Rejects with `MessageTooLargeError` for a message over the limit or over what its prefix can tell, before anything
   * is written. The signal ends the wait only: what was called is sent whole, so that the next message stands behind
   * it. A write deadline that passes inside of a message makes it the last: later calls reject with `MsgioError`.
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

  /** Write a message without waiting, as `stream.send` does: false asks to wait for `drain`. */
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
   * Hand every batch of messages to `callback` until the end; the fastest way to read.
   *
   * Resolves at an end between messages, also one of our own making. Rejects as {@link Messages.readMsg}, and with
   * what the callback throws. A promise the callback gives back is waited for before the next batch.
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
      // The condition of the loop.
      const message = this.#ready[this.#readyAt] as Uint8Array
      this.#readyAt += 1
      const answer = callback(new Batch(message, Uint32Array.of(message.length), 1))
      if (answer !== undefined) await answer
    }
    // What the callback throws may look like an end of this stream, and is none.
    let outcome: { answer?: unknown; thrown?: unknown } = {}
    const hand = (bytes: Uint8Array, lengths: Uint32Array, count: number): void => {
      try {
        outcome = { answer: callback(new Batch(bytes, lengths, count)) }
      } catch (thrown) {
        outcome = { thrown }
      }
    }
    const take = (): true | undefined => (this.#reader.pull(hand) ? true : undefined)
    for (;;) {
      try {
        await this.#core.reads.take(take, signal)
      } catch (err) {
        if (this.#isEnd(err)) return
        throw err
      }
      if ('thrown' in outcome) throw outcome.thrown
      if (outcome.answer !== undefined) await outcome.answer
    }
  }

  /** Close the stream in both directions. */
  close(options?: AbortOptions): Promise<void> {
    return this.stream.close(options)
  }

  /** Messages until an end between two of them; throws as {@link Messages.readMsg} otherwise. */
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

  /** Whether `err` tells of an end between messages. */
  #isEnd(err: unknown): boolean {
    return this.#core.isEnd(err) && !(err instanceof StreamResetError && this.#reader.holdsPart)
  }

  /** The next message, undefined if there is none yet. Throws `StreamEOFError` at an end between messages. */
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
    // One copy for all of them; each is a view of it.
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
    if (this.#cut !== undefined) throw this.#cut
    checkMessage(message, this.#lengthMax)
  }

  /** `lasting`: the caller may have its memory back before the stream is done with it. */
  #write(message: Uint8Array, lasting: boolean): Promise<void> {
    if (message.length <= JOINED_BYTES_MAX) {
      const bytes = framed(this.#format, message)
      return this.stream.write(bytes).catch((err) => this.#failed(err, 0, bytes.length))
    }
    const prefix = this.#prefix(message.length)
    // Both are queued within this call, so that nothing comes between them.
    const head = this.stream.write(prefix).then(() => prefix.length, acceptedOf)
    return this.stream
      .write(lasting ? message.slice() : message)
      .catch(async (err) => this.#failed(err, await head, prefix.length + message.length))
  }

  /** Pass on why a write failed; a message that was begun and not ended is the last. */
  #failed(err: unknown, before: number, length: number): never {
    const accepted = before + acceptedOf(err)
    if (err instanceof TimeoutError && accepted > 0 && accepted < length) {
      this.#cut = new MsgioError('an earlier write ended inside of its message', { cause: err })
    }
    throw err
  }

  #prefix(length: number): Uint8Array {
    const prefix = new Uint8Array(PREFIX_BYTES_MAX)
    return prefix.subarray(0, writePrefix(this.#format, length, prefix))
  }
}

const MADE = new WeakMap<Stream, Messages>()

/** The messages of a stream; a second call gives the first one's answer, if its options are the same. */
export function messages(stream: Stream, options: MessagesOptions = {}): Messages {
  checkOptions(options, MESSAGES_CHECKS)
  const made = MADE.get(stream)
  if (made === undefined) {
    const fresh = make(stream, options)
    MADE.set(stream, fresh)
    return fresh
  }
  const { framing = made.framing, maxMessageBytes = made.maxMessageBytes } = options
  if (framing === made.framing && maxMessageBytes === made.maxMessageBytes) return made
  throw new InvalidParametersError(
    `the stream's messages are ${made.framing} of at most ${made.maxMessageBytes} bytes already`
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

/** Bytes of a late write that the remote gets all the same. */
function acceptedOf(err: unknown): number {
  return err instanceof TimeoutError ? err.bytesAccepted : 0
}
