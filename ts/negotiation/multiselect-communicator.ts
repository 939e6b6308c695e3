/** Lines of multistream-select over anything that carries bytes. */
import { aborted } from '../base/abort.ts'
import { IncompleteReadError, MultiselectCommunicatorError } from '../errors.ts'
import { PREFIX_BYTES_MAX, prefixFormat, readPrefix } from '../io/framing.ts'
import type { AbortOptions, ReadWriter } from '../io/interfaces.ts'
import { readExactly } from '../io/read-exactly.ts'
import {
  checkLength,
  decodeLine,
  decodeListing,
  encodeLine,
  encodeListing,
  LINE_BYTES_MAX,
  LISTING_BYTES_MAX
} from './multiselect-line.ts'

/** What {@link Multiselect} and {@link MultiselectClient} talk through. */
export interface MultiselectCommunicatorLike {
  /** The text of the next line. */
  read(options?: AbortOptions): Promise<string>
  /** Send `text` as a line. */
  write(text: string, options?: AbortOptions): Promise<void>
  /** The next message as an answer to `ls`. */
  readListing(options?: AbortOptions): Promise<string[]>
  /** Send an answer to `ls`. */
  writeListing(protocols: Iterable<string>, options?: AbortOptions): Promise<void>
}

const VARINT = prefixFormat('varint')

/**
 * Reads and writes the lines of a negotiation, and not a byte behind them: what follows is the next layer's.
 *
 * Every failure is a `MultiselectCommunicatorError` with its cause: an end, a reset, a length that is overlong or not
 * minimal, a line over 1,024 bytes or without newline, text that is not UTF-8. An aborted call rejects with `AbortError`;
 * the line it was in the middle of is lost.
 */
export class MultiselectCommunicator implements MultiselectCommunicatorLike {
  /** What carries the lines. */
  readonly readWriter: ReadWriter
  #unsent: Uint8Array[] = []
  #sending: Promise<void> | undefined

  constructor(readWriter: ReadWriter) {
    this.readWriter = readWriter
  }

  /** The text of the next line. */
  read(options: AbortOptions = {}): Promise<string> {
    return guarded('read', options, async () =>
      decodeLine(await this.#take(LINE_BYTES_MAX, options))
    )
  }

  /** Send `text` as a line. Lines that are written before the event loop has its turn go out in one write. */
  write(text: string, options: AbortOptions = {}): Promise<void> {
    return guarded('write', options, () => this.#send(encodeLine(text), options))
  }

  /** The protocols of an answer to `ls`, 64 KiB at most, nested or flat. */
  readListing(options: AbortOptions = {}): Promise<string[]> {
    return guarded('read', options, async () =>
      decodeListing(await this.#take(LISTING_BYTES_MAX, options))
    )
  }

  /** Answer `ls`, nested as the specification has it. */
  writeListing(protocols: Iterable<string>, options: AbortOptions = {}): Promise<void> {
    return guarded('write', options, () => this.#send(encodeListing(protocols), options))
  }

  /** The next message without its length. The length is read byte by byte, for nothing may be read behind the message. */
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

/** Makes a `MultiselectCommunicatorError` of whatever goes wrong, except the caller's own abort. */
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
    const reason = ended ?? (cause instanceof Error ? cause.message : String(cause))
    throw new MultiselectCommunicatorError(`could not ${action} a line: ${reason}`, { cause })
  }
}
