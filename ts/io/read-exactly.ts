/** Reads of a known size, from anything that can be read. */
import { aSignal, aSize, checkOptions, type OptionChecks, objectWith } from '../base/arguments.ts'
import { allocate, NOTHING } from '../base/bytes.ts'
import {
  AbortError,
  ConnectionClosedError,
  IncompleteReadError,
  IOError,
  StreamEOFError,
  TimeoutError
} from '../errors.ts'
import type { AbortOptions, Reader } from './interfaces.ts'

/** Options of {@link readExactly}. */
export interface ReadExactlyOptions extends AbortOptions {
  /** Empty answers in a row, from a reader that has not said it ended, before that counts as the end; 100 unless given. */
  retryCount?: number
}

const READ_EXACTLY_CHECKS: OptionChecks<ReadExactlyOptions> = { signal: aSignal, retryCount: aSize }

const aReader = objectWith('read')

const RETRY_COUNT = 100

/** Below this a connection was hardly in use yet. */
const YOUNG_MS = 1_000

/**
 * Read exactly `n` bytes, in however many fragments they come. `n` = 0 reads nothing.
 *
 * Rejects with `IncompleteReadError` if the end comes first, with what `reader.read` rejects with otherwise. An
 * aborted or late call gives what it has read back to a reader that has `unshift`; from others those bytes are lost.
 * Throws `InvalidParametersError` for a size that is none.
 */
export function readExactly(
  reader: Reader,
  n: number,
  options: ReadExactlyOptions = {}
): Promise<Uint8Array> {
  aReader(reader, 'reader')
  aSize(n, 'n')
  checkOptions(options, READ_EXACTLY_CHECKS)
  const { signal, retryCount = RETRY_COUNT } = options
  return n === 0 ? Promise.resolve(NOTHING) : gather(reader, n, retryCount, { signal })
}

async function gather(
  reader: Reader,
  n: number,
  retryCount: number,
  options: AbortOptions
): Promise<Uint8Array> {
  const gathered = new Gathering(n)
  let empty = 0
  while (gathered.missing > 0) {
    let fragment: Uint8Array
    try {
      fragment = await reader.read(gathered.missing, options)
    } catch (err) {
      if (err instanceof StreamEOFError) throw incomplete(reader, n, gathered.length, err)
      if (gathered.length > 0 && isInterruption(err, options)) reader.unshift?.(gathered.bytes)
      throw err
    }
    if (fragment.length > 0) {
      empty = 0
      gathered.push(bounded(reader, fragment, gathered.missing))
      continue
    }
    empty += 1
    if (reader.readableEnded === true || empty > retryCount) {
      throw incomplete(reader, n, gathered.length)
    }
  }
  return gathered.bytes
}

/** The call was given up, and what it read is still wanted. */
function isInterruption(err: unknown, { signal }: AbortOptions): boolean {
  return err instanceof AbortError || err instanceof TimeoutError || signal?.aborted === true
}

/** A reader that answers with more than it was asked for, as mocks do, gets the rest back. */
function bounded(reader: Reader, fragment: Uint8Array, missing: number): Uint8Array {
  if (fragment.length <= missing) return fragment
  if (reader.unshift === undefined) {
    throw new IOError(`the reader answered with ${fragment.length} bytes, asked for ${missing}`)
  }
  reader.unshift(fragment.subarray(missing))
  return fragment.subarray(0, missing)
}

function incomplete(
  reader: Reader,
  expectedBytes: number,
  receivedBytes: number,
  cause?: Error
): IncompleteReadError {
  const counts = `expected ${expectedBytes} bytes, received ${receivedBytes}`
  // An end that somebody made out of a cut.
  const isCut = cause?.cause instanceof ConnectionClosedError
  const options = {
    ...(cause === undefined ? {} : { cause }),
    ...(isCut ? { isCleanClose: false } : {})
  }
  const state = reader.connState?.()
  if (state === undefined) {
    return new IncompleteReadError(counts, { ...options, expectedBytes, receivedBytes })
  }
  const { transport, openedAt } = state
  const ageMs = Math.max(Date.now() - openedAt, 0)
  const likelyCause = explain(receivedBytes, ageMs)
  return new IncompleteReadError(
    `${counts} over ${transport} after ${(ageMs / 1_000).toFixed(1)} s: ${likelyCause}`,
    { ...options, expectedBytes, receivedBytes, transport, ageMs, likelyCause }
  )
}

function explain(receivedBytes: number, ageMs: number): string {
  if (receivedBytes > 0) return 'the peer ended inside of what it was sending'
  return ageMs < YOUNG_MS
    ? 'the peer refused, or speaks another protocol'
    : 'the peer closed between messages'
}

/** Memory of the second fragment at least: most things that do not come at once are no larger. */
const GATHERED_BYTES_MIN = 4_096

/**
 * Fragments of something whose size is known, in memory that follows what came and not what was announced.
 * A single one is given back as it is, without a copy.
 */
class Gathering {
  readonly #wanted: number
  #bytes: Uint8Array = NOTHING
  #length = 0

  constructor(wanted: number) {
    this.#wanted = wanted
  }

  /** Bytes that came. */
  get length(): number {
    return this.#length
  }

  /** Bytes that are missing. */
  get missing(): number {
    return this.#wanted - this.#length
  }

  /** What came. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Take the next fragment, of at most {@link Gathering.missing} bytes. */
  push(fragment: Uint8Array): void {
    if (this.#length === 0) {
      this.#bytes = fragment
    } else {
      if (this.#bytes.length < this.#length + fragment.length) this.#grow(fragment.length)
      this.#bytes.set(fragment, this.#length)
    }
    this.#length += fragment.length
  }

  // Twofold, so that each byte is moved about once however small the fragments are.
  #grow(more: number): void {
    const size = Math.max(this.#length + more, 2 * this.#length, GATHERED_BYTES_MIN)
    const grown = allocate(Math.min(size, this.#wanted))
    grown.set(this.bytes)
    this.#bytes = grown
  }
}
