/** Reads that behave the same on both kinds of readers. */
import {
  aLimit,
  aSignal,
  checkOptions,
  integer,
  type OptionChecks,
  objectWith
} from '../base/arguments.ts'
import { concat } from '../base/bytes.ts'
import { READ_ALL_BYTES_MAX } from '../constants.ts'
import { MessageTooLargeError, StreamEOFError } from '../errors.ts'
import type { AbortOptions, Reader } from './interfaces.ts'

/** Options of {@link readSome}. */
export interface ReadSomeOptions extends AbortOptions {
  /** Maximum bytes to read. Defaults to 64 KiB. */
  max?: number
}

/** Options of {@link readAll}. */
export interface ReadAllOptions extends AbortOptions {
  /** Maximum bytes to read; Infinity for no limit. Defaults to 4 MiB. */
  maxBytes?: number
}

const SOME_BYTES = 64 * 1024

/** Consecutive empty reads, without `readableEnded`, that count as the end. */
const EMPTY_MAX = 100

const READ_SOME_CHECKS: OptionChecks<ReadSomeOptions> = { signal: aSignal, max: integer(1) }
const READ_ALL_CHECKS: OptionChecks<ReadAllOptions> = { signal: aSignal, maxBytes: aLimit }

const aReader = objectWith('read')

/**
 * Reads up to `max` bytes as soon as any are available. Resolves to undefined at the end, on every call.
 *
 * Rejects as `reader.read` does, except at the end.
 *
 * @throws {@link InvalidParametersError} for an invalid reader or option.
 */
export function readSome(
  reader: Reader,
  options: ReadSomeOptions = {}
): Promise<Uint8Array | undefined> {
  aReader(reader, 'reader')
  checkOptions(options, READ_SOME_CHECKS)
  const { max = SOME_BYTES, signal } = options
  return some(reader, max, { signal })
}

/**
 * Reads everything up to the end.
 *
 * A call that fails puts the bytes back if the reader has `unshift`; otherwise they are lost. Rejects as `reader.read`
 * does, except at the end.
 *
 * @throws {@link MessageTooLargeError} for more than `maxBytes`.
 * @throws {@link InvalidParametersError} for an invalid reader or option.
 */
export function readAll(reader: Reader, options: ReadAllOptions = {}): Promise<Uint8Array> {
  aReader(reader, 'reader')
  checkOptions(options, READ_ALL_CHECKS)
  const { maxBytes = READ_ALL_BYTES_MAX, signal } = options
  return all(reader, maxBytes, { signal })
}

async function some(
  reader: Reader,
  max: number,
  options: AbortOptions
): Promise<Uint8Array | undefined> {
  for (let empty = 0; empty <= EMPTY_MAX; empty += 1) {
    try {
      const bytes = await reader.read(max, options)
      if (bytes.length > 0) return bytes
    } catch (err) {
      if (err instanceof StreamEOFError) return undefined
      throw err
    }
    if (reader.readableEnded === true) return undefined
  }
  return undefined
}

async function all(reader: Reader, maxBytes: number, options: AbortOptions): Promise<Uint8Array> {
  const gathered: Uint8Array[] = []
  let bytes = 0
  try {
    for (;;) {
      const chunk = await some(reader, SOME_BYTES, options)
      if (chunk === undefined) return concat(gathered, bytes)
      gathered.push(chunk)
      bytes += chunk.length
      if (bytes > maxBytes) {
        throw new MessageTooLargeError(`the reader holds more than ${maxBytes} bytes`)
      }
    }
  } catch (err) {
    if (bytes > 0) reader.unshift?.(concat(gathered, bytes))
    throw err
  }
}
