/**
 * Length prefixes of messages held by JavaScript; messages of streams are parsed in Rust.
 */
import { integer, misuse, bytes as someBytes } from '../base/arguments.ts'
import { allocate } from '../base/bytes.ts'
import { MessageTooLargeError, MsgioError } from '../errors.ts'

/** Default maximum bytes of a message: the limit of go-msgio. */
export const MESSAGE_BYTES_MAX: number = 8 * 1024 * 1024

/** Encoding of a length prefix: an unsigned varint, or 1, 2, 4 or 8 bytes in big-endian order. */
export type Framing = 'varint' | 'fixed8' | 'fixed16' | 'fixed32' | 'fixed64'

/** A framing, with its number on the native side and its range. */
export interface PrefixFormat {
  /** The number passed to the native `frame`. */
  readonly id: number
  /** Bytes of a prefix; 0 for a varint, whose prefix grows with the length. */
  readonly prefixBytes: number
  /** The largest length that a prefix can encode. */
  readonly lengthMax: number
}

/** A decoded prefix. */
export interface Prefix {
  /** Bytes of the message after the prefix. */
  readonly length: number
  /** Bytes of the prefix. */
  readonly prefixBytes: number
}

/** Bytes of the longest prefix: go-msgio reads no more than 63 bits of a varint. */
export const PREFIX_BYTES_MAX = 9

const FORMATS: Readonly<Record<Framing, PrefixFormat>> = {
  varint: { id: 0, prefixBytes: 0, lengthMax: Number.MAX_SAFE_INTEGER },
  fixed8: { id: 1, prefixBytes: 1, lengthMax: 0xff },
  fixed16: { id: 2, prefixBytes: 2, lengthMax: 0xffff },
  fixed32: { id: 3, prefixBytes: 4, lengthMax: 0xffffffff },
  fixed64: { id: 4, prefixBytes: 8, lengthMax: Number.MAX_SAFE_INTEGER }
}

/** Returns the format of a framing. Throws `InvalidParametersError` for an unknown name. */
export function prefixFormat(framing: Framing): PrefixFormat {
  if (!Object.hasOwn(FORMATS, framing)) {
    throw misuse('framing', `one of ${Object.keys(FORMATS).join(', ')}`, framing)
  }
  return FORMATS[framing]
}

/** Returns a message limit. Throws `InvalidParametersError` unless it is an integer from 1 to `largest`. */
export function checkLimit(bytes: number, largest: number = Number.MAX_SAFE_INTEGER): number {
  integer(1, largest)(bytes, 'maxMessageBytes')
  return bytes
}

/** Throws `MessageTooLargeError` for a message over `limit`, `InvalidParametersError` unless it is a `Uint8Array`. */
export function checkMessage(message: Uint8Array, limit: number): void {
  someBytes(message, 'message')
  if (message.length <= limit) return
  throw new MessageTooLargeError(`message of ${message.length} bytes exceeds limit of ${limit}`)
}

/** Returns a prefixed message, in memory of its own. */
export function framed(format: PrefixFormat, message: Uint8Array): Uint8Array {
  checkMessage(message, format.lengthMax)
  const prefixBytes = prefixLength(format, message.length)
  const bytes = allocate(prefixBytes + message.length)
  writePrefix(format, message.length, bytes)
  bytes.set(message, prefixBytes)
  return bytes
}

/** Returns the size of the prefix of a message of this length. */
export function prefixLength(format: PrefixFormat, length: number): number {
  if (format.prefixBytes > 0) return format.prefixBytes
  let bytes = 1
  for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1
  return bytes
}

/** Writes the prefix of a message of this length at the start of `into`; returns its size. */
export function writePrefix(format: PrefixFormat, length: number, into: Uint8Array): number {
  let rest = length
  if (format.prefixBytes > 0) {
    for (let at = format.prefixBytes - 1; at >= 0; at -= 1) {
      into[at] = rest % 0x100
      rest = Math.floor(rest / 0x100)
    }
    return format.prefixBytes
  }
  let at = 0
  for (; rest >= 0x80; at += 1) {
    into[at] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  into[at] = rest
  return at + 1
}

/**
 * Reads the prefix at `offset`; returns undefined if it is incomplete.
 *
 * Throws `MsgioError` for a varint that is overlong or not minimal, `MessageTooLargeError` for a length above 2^53-1.
 */
export function readPrefix(
  format: PrefixFormat,
  bytes: Uint8Array,
  offset: number
): Prefix | undefined {
  return format.prefixBytes > 0
    ? readFixed(format.prefixBytes, bytes, offset)
    : readVarint(bytes, offset)
}

function readFixed(prefixBytes: number, bytes: Uint8Array, offset: number): Prefix | undefined {
  if (bytes.length - offset < prefixBytes) return undefined
  let length = 0
  for (let at = 0; at < prefixBytes; at += 1) length = length * 0x100 + (bytes[offset + at] ?? 0)
  return { length: checkLength(length), prefixBytes }
}

function readVarint(bytes: Uint8Array, offset: number): Prefix | undefined {
  let length = 0
  let scale = 1
  for (let at = 0; at < PREFIX_BYTES_MAX; at += 1) {
    const byte = bytes[offset + at]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) * scale
    scale *= 0x80
    if (byte < 0x80) {
      if (byte === 0 && at > 0) throw new MsgioError('the varint of a length is not minimal')
      return { length: checkLength(length), prefixBytes: at + 1 }
    }
  }
  throw new MsgioError(`the varint of a length exceeds ${PREFIX_BYTES_MAX} bytes`)
}

function checkLength(length: number): number {
  if (Number.isSafeInteger(length)) return length
  throw new MessageTooLargeError(`a length exceeds ${Number.MAX_SAFE_INTEGER}`)
}
