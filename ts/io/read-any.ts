/** Reads that do the same on every reader, however it tells its end. */
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
  /** Bytes at most; 64 KiB unless given. */
  max?: number
}

/** Options of {@link readAll}. */
export interface ReadAllOptions extends AbortOptions {
  /** Bytes that may be gathered; 4 MiB unless given, Infinity lifts it. */
  maxBytes?: number
}

const SOME_BYTES = 64 * 1024

/** Empty answers in a row, from a reader that has not said it ended, before that counts as the end. */
const EMPTY_MAX = 100

const READ_SOME_CHECKS: OptionChecks<ReadSomeOptions> = { signal: aSignal, max: integer(1) }
const READ_ALL_CHECKS: OptionChecks<ReadAllOptions> = { signal: aSignal, maxBytes: aLimit }

const aReader = objectWith('read')

/**
 * Up to `max` bytes, as soon as any are there; undefined at the end, as often as it is asked.
 *
 * Rejects with what `reader.read` rejects with otherwise. Throws `InvalidParametersError` for what is no reader.
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
 * Everything to the end; empty if that comes at once.
 *
 * More than `maxBytes` rejects with `MessageTooLargeError`. That and an aborted call give what they have read back to
 * a reader that has `unshift`; from others those bytes are lost. Rejects with what `reader.read` rejects with otherwise.
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
