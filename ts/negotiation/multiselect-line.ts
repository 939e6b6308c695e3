/**
 * The lines of multistream-select 1.0 for streams that JavaScript negotiates itself: a varint length, text, a newline.
 *
 * `crates/proto/src/multistream/line.rs` is the same for what Rust negotiates; one vector file drives both.
 */
import { MultiselectCommunicatorError } from '../errors.ts'
import { prefixFormat, prefixLength, writePrefix } from '../io/framing.ts'

/** Bytes of a line at most, its newline included: the limit of go and js. */
export const LINE_BYTES_MAX = 1_024

/** Bytes of a list of protocols at most: what our own listener sends. */
export const LISTING_BYTES_MAX: number = 64 * 1_024

/** The first line of both sides. */
export const HEADER = '/multistream/1.0.0'
/** The answer that refuses a proposal. */
export const NOT_AVAILABLE = 'na'
/** The question for a list of protocols. */
export const LIST = 'ls'

const NEWLINE = 0x0a
const VARINT = prefixFormat('varint')
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Whether `text` is the first line that every version 1.0 peer sends: exactly `/multistream/1.0.0`. */
export function isValidHandshake(text: string): boolean {
  return text === HEADER
}

/** `text` as a line. Throws `MultiselectCommunicatorError` for what no line can carry. */
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

/** The answer to `ls`: one message that nests a line for every protocol. */
export function encodeListing(protocols: Iterable<string>): Uint8Array {
  const lines = Array.from(protocols, encodeLine)
  const body = Buffer.concat([...lines, Uint8Array.of(NEWLINE)])
  if (body.length > LISTING_BYTES_MAX) throw tooLong(body.length, LISTING_BYTES_MAX)
  return message(body)
}

/** The text of a line without its length. Throws `MultiselectCommunicatorError`. */
export function decodeLine(body: Uint8Array): string {
  if (body.at(-1) !== NEWLINE) throw new MultiselectCommunicatorError('line without newline')
  try {
    return UTF8.decode(body.subarray(0, -1))
  } catch (cause) {
    throw new MultiselectCommunicatorError('line that is not UTF-8', { cause })
  }
}

/** The protocols of an answer to `ls` without its length, nested as the specification has it or flat as py sends it. */
export function decodeListing(body: Uint8Array): string[] {
  const nested = nestedNames(body)
  if (nested?.every((name) => name.startsWith('/')) === true) return nested
  // A flat list can look nested where its first name has 47 bytes: the slash of that reads as their number.
  const flat = decodeLine(body)
    .split('\n')
    .filter((name) => name.length > 0)
  return nested === undefined || flat.every((name) => name.startsWith('/')) ? flat : nested
}

/** The nested names; undefined if anything but whole lines stands in front of the last newline. */
function nestedNames(body: Uint8Array): string[] | undefined {
  if (body.at(-1) !== NEWLINE) return undefined
  const names: string[] = []
  let at = 0
  while (at < body.length - 1) {
    // Lengths of lines have two bytes at most.
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

/** Throws `MultiselectCommunicatorError` for a length that is more than `max`. */
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
