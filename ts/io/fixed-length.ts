/** Messages behind a length of 1, 2, 4 or 8 bytes in network order. */
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

/** Bytes that tell a length. */
export type LengthBytes = 1 | 2 | 4 | 8

/** Options of {@link FixedLengthMsgReadWriter}. */
export interface FixedLengthOptions extends MsgReadWriterOptions {
  /** Bytes that tell a length; 4 unless given. */
  lengthBytes?: LengthBytes
}

const FIXED_LENGTH_CHECKS: OptionChecks<FixedLengthOptions> = {
  ...MSG_READ_WRITER_CHECKS,
  lengthBytes: oneOf(1, 2, 4, 8)
}

const FRAMINGS = { 1: 'fixed8', 2: 'fixed16', 4: 'fixed32', 8: 'fixed64' } as const

/** A message behind its length. Throws `MessageTooLargeError` for one that is too long for `lengthBytes`. */
export function encodeMessage(message: Uint8Array, lengthBytes: LengthBytes): Uint8Array {
  return framed(fixedFormat(lengthBytes), message)
}

/**
 * Read a length in network order.
 *
 * Rejects with `MissingLengthError` at an end before or in it, with `MessageTooLargeError` for a length above 2^53-1.
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

/** Messages behind lengths of a fixed size, as `FixedSizeLenMsgReadWriter` of py and msgio's first form. */
export class FixedLengthMsgReadWriter extends BaseMsgReadWriter {
  override readonly sizeLenBytes: LengthBytes
  readonly #format: PrefixFormat

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

/** The options that every framing has. Throws `InvalidParametersError` for one that this framing has not. */
function baseOptions(options: FixedLengthOptions): MsgReadWriterOptions {
  checkOptions(options, FIXED_LENGTH_CHECKS)
  const { maxMessageBytes } = options
  return maxMessageBytes === undefined ? {} : { maxMessageBytes }
}
