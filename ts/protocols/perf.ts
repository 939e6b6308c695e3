/**
 * `/perf/1.0.0`: a u64 (big-endian) of bytes wanted, then an upload and its end; the answer is what was wanted.
 *
 * The answering side makes anybody's bytes: it runs only where it was asked for (`services: { perf: true }`).
 */
import type { AbortOptions } from '../base/abort.ts'
import { aFunction, aSignal, aSize, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { allocate } from '../base/bytes.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { InvalidParametersError, StreamEOFError, StreamResetError } from '../errors.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import type { Service } from './services.ts'

/** The protocol's name. */
export const PERF_PROTOCOL = '/perf/1.0.0'

/** Bytes of one write. */
const WRITE_BYTES = 64 * 1024

/** Bytes of one read at most: all that the native side holds of one stream. */
const READ_BYTES = 256 * 1024

const HEADER_BYTES = 8

const ZEROS: Uint8Array = new Uint8Array(WRITE_BYTES)

/** Memory of finished drains; what is read is thrown away, so a few are enough for many transfers. */
const spare: Uint8Array[] = []
const SPARE_MAX = 4

/** How far a transfer has come. */
export interface PerfProgress {
  readonly direction: 'upload' | 'download'
  /** Bytes of this direction so far. */
  readonly bytes: number
}

/** Options of {@link perf}. */
export interface PerfOptions extends AbortOptions {
  /** Bytes to send; 0 unless given. */
  uploadBytes?: number
  /** Bytes to ask for; 0 unless given. */
  downloadBytes?: number
  /** Called after every write and read. */
  onProgress?: ((progress: PerfProgress) => void) | undefined
}

/** What a transfer took. */
export interface PerfResult {
  readonly uploadBytes: number
  /** From the request to the first sign of the answer; 0 without an upload. */
  readonly uploadSeconds: number
  readonly downloadBytes: number
  /** From the end of the upload, without one from the request, to the end of the answer; 0 without a download. */
  readonly downloadSeconds: number
}

const PERF_CHECKS: OptionChecks<PerfOptions> = {
  signal: aSignal,
  uploadBytes: aSize,
  downloadBytes: aSize,
  onProgress: aFunction
}

/**
 * Measure a connection: send `uploadBytes`, then receive `downloadBytes`, on a stream of its own.
 *
 * Rejects with what the stream's calls reject with, and with `StreamResetError` of code `ProtocolViolation` if
 * another number of bytes comes back. Throws `InvalidParametersError`.
 */
export function perf(connection: Connection, options: PerfOptions = {}): Promise<PerfResult> {
  checkConnection(connection)
  checkOptions(options, PERF_CHECKS)
  return measure(connection, options)
}

async function measure(connection: Connection, options: PerfOptions): Promise<PerfResult> {
  const { uploadBytes = 0, downloadBytes = 0, signal, onProgress } = options
  const stream = await connection.newStream(PERF_PROTOCOL, { signal })
  try {
    const start = performance.now()
    await stream.write(header(downloadBytes), { signal })
    await writeZeros(stream, uploadBytes, signal, onProgress)
    await stream.closeWrite({ signal })
    let answered = 0
    const received = await drain(stream, signal, (bytes) => {
      if (answered === 0) answered = performance.now()
      onProgress?.({ direction: 'download', bytes })
    })
    const end = performance.now()
    if (received !== downloadBytes) throw await violation(stream, downloadBytes, received)
    await stream.close()
    const uploaded = uploadBytes === 0 ? start : answered || end
    return {
      uploadBytes,
      uploadSeconds: (uploaded - start) / 1_000,
      downloadBytes,
      downloadSeconds: downloadBytes === 0 ? 0 : (end - uploaded) / 1_000
    }
  } finally {
    // After an orderly close this does nothing.
    await stream.reset()
  }
}

/** Answers `/perf/1.0.0`. */
export class PerfService implements Service {
  #swarm: Swarm | undefined

  start(swarm: Swarm): void {
    this.#swarm = swarm
    swarm.handle(PERF_PROTOCOL, answer)
  }

  stop(): void {
    this.#swarm?.unhandle(PERF_PROTOCOL)
  }
}

async function answer(stream: Stream): Promise<void> {
  const wanted = await readHeader(stream)
  await drain(stream, undefined, undefined)
  await writeZeros(stream, wanted, undefined, undefined)
  await stream.close()
}

async function readHeader(stream: Stream): Promise<number> {
  const bytes = new Uint8Array(HEADER_BYTES)
  for (let filled = 0; filled < HEADER_BYTES; ) {
    filled += await stream.readInto(bytes.subarray(filled))
  }
  const wanted = Number(new DataView(bytes.buffer).getBigUint64(0))
  if (Number.isSafeInteger(wanted)) return wanted
  await stream.reset(StreamErrorCode.ProtocolViolation)
  throw new InvalidParametersError(`expected at most 2^53-1 wanted bytes, received ${wanted}`)
}

function header(wanted: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(wanted))
  return bytes
}

async function writeZeros(
  stream: Stream,
  count: number,
  signal: AbortSignal | undefined,
  onProgress: PerfOptions['onProgress']
): Promise<void> {
  for (let left = count; left > 0; ) {
    const block = left < WRITE_BYTES ? ZEROS.subarray(0, left) : ZEROS
    await stream.write(block, { signal })
    left -= block.length
    onProgress?.({ direction: 'upload', bytes: count - left })
  }
}

/** Read to the end into recycled memory; answers with the bytes read. */
async function drain(
  stream: Stream,
  signal: AbortSignal | undefined,
  onBytes: ((bytes: number) => void) | undefined
): Promise<number> {
  const memory = spare.pop() ?? allocate(READ_BYTES)
  const options = { signal }
  let received = 0
  try {
    for (;;) {
      received += await stream.readInto(memory, options)
      onBytes?.(received)
    }
  } catch (err) {
    if (err instanceof StreamEOFError) return received
    throw err
  } finally {
    if (spare.length < SPARE_MAX) spare.push(memory)
  }
}

async function violation(
  stream: Stream,
  expected: number,
  received: number
): Promise<StreamResetError> {
  const errorCode = StreamErrorCode.ProtocolViolation
  await stream.reset(errorCode)
  return new StreamResetError(`expected ${expected} bytes of the peer, received ${received}`, {
    errorCode
  })
}
