/**
 * Lines of multistream-select 1.0 for negotiations in JavaScript: a varint length, text, a newline.
 *
 * `crates/proto/src/multistream/line.rs` is the counterpart in Rust; one vector file tests both.
 */
import { MultiselectCommunicatorError } from '../errors.ts'
import { prefixFormat, prefixLength, writePrefix } from '../io/framing.ts'

/** Maximum bytes of a line, including its newline: the limit of go and js. */
export const LINE_BYTES_MAX = 1_024

/** Maximum bytes of a list of protocols: that of the native listener. */
export const LISTING_BYTES_MAX: number = 64 * 1_024

/** The header, the first line of both sides. */
export const HEADER = '/multistream/1.0.0'
/** The response that refuses a proposal. */
export const NOT_AVAILABLE = 'na'
/** The command that requests a list of protocols. */
export const LIST = 'ls'

const NEWLINE = 0x0a
const VARINT = prefixFormat('varint')
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Returns whether `text` is the header of multistream-select 1.0: exactly `/multistream/1.0.0`. */
export function isValidHandshake(text: string): boolean {
  return text === HEADER
}

/** Encodes `text` as a line. Throws `MultiselectCommunicatorError` if it is not a valid line. */
export function encodeLine(text: string): Uint8Array {
  const bytes = Buffer.byteLength(text) + 1
  if (bytes > LINE_BYTES_MAX) throw tooLong(bytes, LINE_BYTES_MAX)
  if (text.includes('\n') || !text.isWellFormed()) {
    throw new MultiselectCommunicatorError(
      `expected one line of UTF-8 text, received ${JSON.stringify(text)}`
    )
  }
  return message(Buffer.from(`${text}\n`))
}

/** Encodes a response to `ls`: one message that nests a line for every protocol. */
export function encodeListing(protocols: Iterable<string>): Uint8Array {
  const lines = Array.from(protocols, encodeLine)
  const body = Buffer.concat([...lines, Uint8Array.of(NEWLINE)])
  if (body.length > LISTING_BYTES_MAX) throw tooLong(body.length, LISTING_BYTES_MAX)
  return message(body)
}

/** Decodes a line without its length. Throws `MultiselectCommunicatorError` if it is malformed. */
export function decodeLine(body: Uint8Array): string {
  if (body.at(-1) !== NEWLINE) throw new MultiselectCommunicatorError('line without newline')
  try {
    return UTF8.decode(body.subarray(0, -1))
  } catch (cause) {
    throw new MultiselectCommunicatorError('line that is not UTF-8', { cause })
  }
}

/** Decodes a response to `ls` without its length, nested as specified or flat as py sends it. */
export function decodeListing(body: Uint8Array): string[] {
  const nested = nestedNames(body)
  if (nested?.every((name) => name.startsWith('/')) === true) return nested
  // A flat list can look nested if its first name has 47 bytes, as its leading slash (0x2f) reads as that length.
  const flat = decodeLine(body)
    .split('\n')
    .filter((name) => name.length > 0)
  return nested === undefined || flat.every((name) => name.startsWith('/')) ? flat : nested
}

/** Returns the nested names; undefined if anything but whole lines precedes the last newline. */
function nestedNames(body: Uint8Array): string[] | undefined {
  if (body.at(-1) !== NEWLINE) return undefined
  const names: string[] = []
  let at = 0
  while (at < body.length - 1) {
    // The length of a line has at most two bytes.
    const first = body[at] as number
    const isLong = first >= 0x80
    const length = isLong ? first - 0x80 + (body[at + 1] as number) * 0x80 : first
    at += isLong ? 2 : 1
    const line = body.subarray(at, at + length)
    if (length === 0 || length > LINE_BYTES_MAX || at + length > body.length - 1) return undefined
    if (line.at(-1) !== NEWLINE) return undefined
    try {
      names.push(decodeLine(line))
    } catch {
      return undefined
    }
    at += length
  }
  return names
}

/** Throws `MultiselectCommunicatorError` for a length above `max`. */
export function checkLength(length: number, max: number): void {
  if (length > max) throw tooLong(length, max)
}

function tooLong(length: number, max: number): MultiselectCommunicatorError {
  return new MultiselectCommunicatorError(`line of ${length} bytes exceeds limit of ${max}`)
}

function message(body: Uint8Array): Uint8Array {
  const prefixBytes = prefixLength(VARINT, body.length)
  const bytes = new Uint8Array(prefixBytes + body.length)
  writePrefix(VARINT, body.length, bytes)
  bytes.set(body, prefixBytes)
  return bytes
}
