/** Lines of multistream-select over any byte carrier. */
import { aborted } from '../base/abort.ts'
import { IncompleteReadError, MultiselectCommunicatorError } from '../errors.ts'
import { PREFIX_BYTES_MAX, prefixFormat, readPrefix } from '../io/framing.ts'
import type { AbortOptions, ReadWriter } from '../io/interfaces.ts'
import { readExactly } from '../io/read-exactly.ts'
import { reasonOf } from '../text/printable.ts'
import {
  checkLength,
  decodeLine,
  decodeListing,
  encodeLine,
  encodeListing,
  LINE_BYTES_MAX,
  LISTING_BYTES_MAX
} from './multiselect-line.ts'

/** The line transport of {@link Multiselect} and {@link MultiselectClient}. */
export interface MultiselectCommunicatorLike {
  /** Reads a line. */
  read(options?: AbortOptions): Promise<string>
  /** Writes `text` as a line. */
  write(text: string, options?: AbortOptions): Promise<void>
  /** Reads a response to `ls`. */
  readListing(options?: AbortOptions): Promise<string[]>
  /** Writes a response to `ls`. */
  writeListing(protocols: Iterable<string>, options?: AbortOptions): Promise<void>
}

const VARINT = prefixFormat('varint')

/**
 * Reads and writes the lines of a negotiation. Never reads beyond a line, as those bytes belong to the next layer.
 *
 * Every failure is a `MultiselectCommunicatorError` with its cause: an end, a reset, an overlong or non-minimal length,
 * a line over 1,024 bytes or without newline, invalid UTF-8. An aborted call rejects with `AbortError` and loses a
 * partly read line.
 */
export class MultiselectCommunicator implements MultiselectCommunicatorLike {
  /** The carrier of the lines. */
  readonly readWriter: ReadWriter
  #unsent: Uint8Array[] = []
  #sending: Promise<void> | undefined

  constructor(readWriter: ReadWriter) {
    this.readWriter = readWriter
  }

  /**
   * Reads a line.
   *
   * @throws {@link MultiselectCommunicatorError} if it cannot be read.
   * @throws {@link AbortError} by `signal`.
   */
  read(options: AbortOptions = {}): Promise<string> {
    return guarded('read', options, async () =>
      decodeLine(await this.#take(LINE_BYTES_MAX, options))
    )
  }

  /**
   * Writes `text` as a line. Lines written in the same turn of the event loop are sent in one write.
   *
   * @throws {@link MultiselectCommunicatorError} if it cannot be written, or `text` is not a valid line.
   * @throws {@link AbortError} by `signal`.
   */
  write(text: string, options: AbortOptions = {}): Promise<void> {
    return guarded('write', options, () => this.#send(encodeLine(text), options))
  }

  /** Reads a response to `ls`, nested or flat, of up to 64 KiB. Rejects as {@link MultiselectCommunicator.read}. */
  readListing(options: AbortOptions = {}): Promise<string[]> {
    return guarded('read', options, async () =>
      decodeListing(await this.#take(LISTING_BYTES_MAX, options))
    )
  }

  /** Writes a response to `ls`, nested as specified. Rejects as {@link MultiselectCommunicator.write} does. */
  writeListing(protocols: Iterable<string>, options: AbortOptions = {}): Promise<void> {
    return guarded('write', options, () => this.#send(encodeListing(protocols), options))
  }

  /** Reads the next message, without its length, which is read byte by byte so as not to read past the message. */
  async #take(bytesMax: number, options: AbortOptions): Promise<Uint8Array> {
    const prefix = new Uint8Array(PREFIX_BYTES_MAX)
    for (let filled = 1; ; filled += 1) {
      const [byte = 0] = await readExactly(this.readWriter, 1, options)
      prefix[filled - 1] = byte
      const read = readPrefix(VARINT, prefix.subarray(0, filled), 0)
      if (read === undefined) continue
      checkLength(read.length, bytesMax)
      return readExactly(this.readWriter, read.length, options)
    }
  }

  #send(bytes: Uint8Array, options: AbortOptions): Promise<void> {
    this.#unsent.push(bytes)
    this.#sending ??= Promise.resolve().then(() => {
      const lines = Buffer.concat(this.#unsent)
      this.#unsent = []
      this.#sending = undefined
      return this.readWriter.write(lines, options)
    })
    return this.#sending
  }
}

/** Converts every failure but an abort by the caller to `MultiselectCommunicatorError`. */
async function guarded<T>(
  action: 'read' | 'write',
  { signal }: AbortOptions,
  run: () => Promise<T>
): Promise<T> {
  try {
    if (signal?.aborted === true) throw signal.reason
    return await run()
  } catch (cause) {
    if (signal?.aborted === true) throw aborted(signal)
    if (cause instanceof MultiselectCommunicatorError) throw cause
    const ended = cause instanceof IncompleteReadError ? 'ended during negotiation' : undefined
    const reason = ended ?? reasonOf(cause)
    throw new MultiselectCommunicatorError(`could not ${action} a line: ${reason}`, { cause })
  }
}
