/** Reads of a known size from any reader. */
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
  /** Consecutive empty reads to retry before the next one counts as the end. Defaults to 100. */
  retryCount?: number
}

const READ_EXACTLY_CHECKS: OptionChecks<ReadExactlyOptions> = { signal: aSignal, retryCount: aSize }

const aReader = objectWith('read')

const RETRY_COUNT = 100

/** Age below which an end without bytes suggests a refusal. */
const YOUNG_MS = 1_000

/**
 * Reads exactly `n` bytes, however they are fragmented. `n` = 0 reads nothing.
 *
 * An aborted or timed-out call puts the bytes back if the reader has `unshift`; otherwise they are lost. Also rejects
 * with the errors of `reader.read`.
 *
 * @throws {@link IncompleteReadError} if the stream ends before `n` bytes.
 * @throws {@link InvalidParametersError} for an invalid reader, size or option.
 * @example
 * ```ts
 * import { readExactly } from 'ferroswarm/io'
 *
 * const header = await readExactly(stream, 8, { signal: AbortSignal.timeout(5_000) })
 * console.log(new DataView(header.buffer, header.byteOffset).getBigUint64(0))
 * ```
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

/** Returns whether the call was abandoned, so that the bytes are left to the next one. */
function isInterruption(err: unknown, { signal }: AbortOptions): boolean {
  return err instanceof AbortError || err instanceof TimeoutError || signal?.aborted === true
}

/** Puts back the excess of a reader that returns more than requested, as mocks do. */
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
  // A truncation reported as an end, as TLS without close_notify is.
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
  if (receivedBytes > 0) return 'the peer ended in the middle of its data'
  return ageMs < YOUNG_MS
    ? 'the peer refused, or speaks another protocol'
    : 'the peer closed between messages'
}

/** Minimum allocation at the second fragment: most reads that take several fragments are no larger. */
const GATHERED_BYTES_MIN = 4_096

/**
 * Collects fragments up to a known size. Memory grows with the received bytes, not with the announced size. A single
 * fragment is returned without a copy.
 */
class Gathering {
  readonly #wanted: number
  #bytes: Uint8Array = NOTHING
  #length = 0

  constructor(wanted: number) {
    this.#wanted = wanted
  }

  /** Number of bytes received. */
  get length(): number {
    return this.#length
  }

  /** Number of bytes missing. */
  get missing(): number {
    return this.#wanted - this.#length
  }

  /** The received bytes. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Appends a fragment of at most {@link Gathering.missing} bytes. */
  push(fragment: Uint8Array): void {
    if (this.#length === 0) {
      this.#bytes = fragment
    } else {
      if (this.#bytes.length < this.#length + fragment.length) this.#grow(fragment.length)
      this.#bytes.set(fragment, this.#length)
    }
    this.#length += fragment.length
  }

  // Doubling moves each byte about once on average, however small the fragments are.
  #grow(more: number): void {
    const size = Math.max(this.#length + more, 2 * this.#length, GATHERED_BYTES_MIN)
    const grown = allocate(Math.min(size, this.#wanted))
    grown.set(this.bytes)
    this.#bytes = grown
  }
}
