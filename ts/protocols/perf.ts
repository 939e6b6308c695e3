/**
 * `/perf/1.0.0`: a u64 (big-endian) with the requested number of bytes, then an upload and its end; the response is the
 * requested bytes.
 *
 * The responder generates traffic for any peer, so it is opt-in (`services: { perf: true }`).
 */
import type { AbortOptions } from '../base/abort.ts'
import { aFunction, aSignal, aSize, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { allocate } from '../base/bytes.ts'
import { stopwatch } from '../base/clock.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { InvalidParametersError, StreamEOFError, StreamResetError } from '../errors.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import { openCharged } from './charged.ts'
import type { Service } from './services.ts'

/** The service that its streams are charged to, as in go-libp2p. */
const SERVICE = 'libp2p.perf'

/** Protocol id of perf. */
export const PERF_PROTOCOL = '/perf/1.0.0'

/** Bytes of one write. */
const WRITE_BYTES = 64 * 1024

/** Maximum bytes of one read: all that the native side buffers for one stream. */
const READ_BYTES = 256 * 1024

const HEADER_BYTES = 8

const ZEROS: Uint8Array = new Uint8Array(WRITE_BYTES)

/** Buffers of finished drains. Their contents are discarded, so a few serve many transfers. */
const spare: Uint8Array[] = []
const SPARE_MAX = 4

/** Progress of a transfer. */
export interface PerfProgress {
  /** The phase of the transfer. */
  readonly direction: 'upload' | 'download'
  /** Bytes transferred in this direction so far. */
  readonly bytes: number
}

/** Options of {@link perf}. */
export interface PerfOptions extends AbortOptions {
  /** Bytes to send. Defaults to 0. */
  uploadBytes?: number
  /** Bytes to request. Defaults to 0. */
  downloadBytes?: number
  /** Called after every write and read. */
  onProgress?: ((progress: PerfProgress) => void) | undefined
}

/** Sizes and durations of a transfer. */
export interface PerfResult {
  /** Bytes sent. */
  readonly uploadBytes: number
  /** Seconds from the request to the first byte of the response, or its end; 0 without an upload. */
  readonly uploadSeconds: number
  /** Bytes received. */
  readonly downloadBytes: number
  /** Seconds from the end of the upload (or the request, without one) to that of the response; 0 without a download. */
  readonly downloadSeconds: number
}

const PERF_CHECKS: OptionChecks<PerfOptions> = {
  signal: aSignal,
  uploadBytes: aSize,
  downloadBytes: aSize,
  onProgress: aFunction
}

/**
 * Measures the throughput of a connection: sends `uploadBytes`, then receives `downloadBytes`, on a new stream.
 *
 * Also rejects with the errors of `connection.newStream`, `stream.write` and `stream.read`.
 *
 * @throws {@link UnsupportedProtocolError} as the cause of a {@link StreamError}, if the peer does not run perf.
 * @throws {@link StreamResetError} of code `ProtocolViolation`, if another number of bytes is received.
 * @throws {@link AbortError} by `signal`.
 * @throws {@link InvalidParametersError} for an invalid connection or option.
 */
export function perf(connection: Connection, options: PerfOptions = {}): Promise<PerfResult> {
  checkConnection(connection)
  checkOptions(options, PERF_CHECKS)
  return measure(connection, options)
}

async function measure(connection: Connection, options: PerfOptions): Promise<PerfResult> {
  const { uploadBytes = 0, downloadBytes = 0, signal, onProgress } = options
  const stream = await openCharged(connection, PERF_PROTOCOL, SERVICE, { signal })
  try {
    const time = stopwatch(connection.swarm.options.clock)
    await stream.write(header(downloadBytes), { signal })
    await writeZeros(stream, uploadBytes, signal, onProgress)
    await stream.closeWrite({ signal })
    let firstByteMs: number | undefined
    const received = await drain(stream, signal, (bytes) => {
      firstByteMs ??= time()
      onProgress?.({ direction: 'download', bytes })
    })
    const endMs = time()
    if (received !== downloadBytes) throw await violation(stream, downloadBytes, received)
    await stream.close()
    const uploadedMs = uploadBytes === 0 ? 0 : (firstByteMs ?? endMs)
    return {
      uploadBytes,
      uploadSeconds: uploadedMs / 1_000,
      downloadBytes,
      downloadSeconds: downloadBytes === 0 ? 0 : (endMs - uploadedMs) / 1_000
    }
  } finally {
    // Does nothing after an orderly close.
    await stream.reset()
  }
}

/** Responds to `/perf/1.0.0`. */
export class PerfService implements Service {
  #swarm: Swarm | undefined

  start(swarm: Swarm): void {
    this.#swarm = swarm
    swarm.handle(PERF_PROTOCOL, respond, { service: SERVICE })
  }

  stop(): void {
    this.#swarm?.unhandle(PERF_PROTOCOL)
  }
}

async function respond(stream: Stream): Promise<void> {
  const requested = await readHeader(stream)
  await drain(stream, undefined, undefined)
  await writeZeros(stream, requested, undefined, undefined)
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

/** Reads to the end into recycled memory; resolves to the number of bytes. */
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
