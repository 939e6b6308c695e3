/** Messages prefixed with a length of 1, 2, 4 or 8 bytes in network order. */
import { checkOptions, misuse, type OptionChecks, oneOf } from '../base/arguments.ts'
import { IncompleteReadError, MissingLengthError } from '../errors.ts'
import {
  BaseMsgReadWriter,
  MSG_READ_WRITER_CHECKS,
  type MsgReadWriterOptions
} from './base-msg-read-writer.ts'
import { framed, type PrefixFormat, prefixFormat, readPrefix } from './framing.ts'
import type { AbortOptions, Reader, ReadWriteCloser } from './interfaces.ts'
import { readExactly } from './read-exactly.ts'

/** Size of a length prefix in bytes. */
export type LengthBytes = 1 | 2 | 4 | 8

/** Options of {@link FixedLengthMsgReadWriter}. */
export interface FixedLengthOptions extends MsgReadWriterOptions {
  /** Size of the length prefix in bytes. Defaults to 4. */
  lengthBytes?: LengthBytes
}

const FIXED_LENGTH_CHECKS: OptionChecks<FixedLengthOptions> = {
  ...MSG_READ_WRITER_CHECKS,
  lengthBytes: oneOf(1, 2, 4, 8)
}

const FRAMINGS = { 1: 'fixed8', 2: 'fixed16', 4: 'fixed32', 8: 'fixed64' } as const

/**
 * Returns a message prefixed with its length.
 *
 * @throws {@link MessageTooLargeError} if the length does not fit `lengthBytes`.
 * @throws {@link InvalidParametersError} for another `lengthBytes`, or a message that is not a `Uint8Array`.
 */
export function encodeMessage(message: Uint8Array, lengthBytes: LengthBytes): Uint8Array {
  return framed(fixedFormat(lengthBytes), message)
}

/**
 * Reads a length in network order.
 *
 * Also rejects with the errors of the reader.
 *
 * @throws {@link MissingLengthError} at the end of the stream before or inside the length.
 * @throws {@link MessageTooLargeError} for a length above 2^53-1.
 * @throws {@link InvalidParametersError} for another `lengthBytes`, or an invalid reader or option.
 */
export function readLength(
  reader: Reader,
  lengthBytes: LengthBytes,
  options?: AbortOptions
): Promise<number> {
  return readFixed(fixedFormat(lengthBytes), reader, options)
}

async function readFixed(
  format: PrefixFormat,
  reader: Reader,
  options: AbortOptions | undefined
): Promise<number> {
  try {
    const bytes = await readExactly(reader, format.prefixBytes, options)
    return readPrefix(format, bytes, 0)?.length ?? 0
  } catch (err) {
    if (!(err instanceof IncompleteReadError)) throw err
    throw new MissingLengthError({ cause: err })
  }
}

function fixedFormat(lengthBytes: LengthBytes): PrefixFormat {
  if (Object.hasOwn(FRAMINGS, lengthBytes)) return prefixFormat(FRAMINGS[lengthBytes])
  throw misuse('lengthBytes', '1, 2, 4 or 8', lengthBytes)
}

/**
 * Messages with length prefixes of a fixed size, as `FixedSizeLenMsgReadWriter` of py-libp2p and go-msgio's fixed form.
 *
 * @example
 * ```ts
 * import { FixedLengthMsgReadWriter, tcpStream } from 'ferroswarm/io'
 *
 * const messages = new FixedLengthMsgReadWriter(tcpStream(socket), { lengthBytes: 4 })
 * await messages.writeMsg(Buffer.from('hello'))
 * for await (const message of messages) console.log(message.length)
 * await messages.close()
 * ```
 */
export class FixedLengthMsgReadWriter extends BaseMsgReadWriter {
  /** Size of the length prefix in bytes. */
  override readonly sizeLenBytes: LengthBytes
  readonly #format: PrefixFormat

  /** @throws {@link InvalidParametersError} for an invalid carrier or option. */
  constructor(readWriteCloser: ReadWriteCloser, options: FixedLengthOptions = {}) {
    super(readWriteCloser, baseOptions(options))
    this.sizeLenBytes = options.lengthBytes ?? 4
    this.#format = fixedFormat(this.sizeLenBytes)
  }

  override encodeMsg(message: Uint8Array): Uint8Array {
    return framed(this.#format, message)
  }

  override nextMsgLen(options?: AbortOptions): Promise<number> {
    return readFixed(this.#format, this.reader, options)
  }
}

/** Returns the options common to all framings. Throws `InvalidParametersError` for an invalid one. */
function baseOptions(options: FixedLengthOptions): MsgReadWriterOptions {
  checkOptions(options, FIXED_LENGTH_CHECKS)
  const { maxMessageBytes } = options
  return maxMessageBytes === undefined ? {} : { maxMessageBytes }
}
