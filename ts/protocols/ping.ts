/** `/ipfs/ping/1.0.0`: 32 random bytes and their echo, any number of times on one stream. */
import { aDuration, aLimit, aSignal, checkOptions, type OptionChecks } from '../arguments.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import {
  IncompleteReadError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError,
  TimeoutError
} from '../errors.ts'
import type { HandlerContext } from '../protocol/registrar.ts'
import type { Service } from '../services.ts'
import type { AbortOptions } from '../stream/read-queue.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'

/** The protocol's name. */
export const PING_PROTOCOL = '/ipfs/ping/1.0.0'

/** Bytes of one ping. */
const PING_BYTES = 32

/** Milliseconds without a ping after which the answering side gives up; go's figure. */
const IDLE_MS = 10_000

/** Milliseconds that one answer may take. */
const ANSWER_TIMEOUT_MS = 10_000

/** Streams of one connection answered at a time; one is enough for any number of pings. */
const STREAMS_MAX = 16

/** Bytes echoed at a time: a peer may send its pings ahead. */
const ECHO_BYTES = 4_096

/** Options of {@link ping}. */
export interface PingOptions extends AbortOptions {
  /** How many; until the caller stops or aborts, unless given. */
  count?: number
  /** Milliseconds that one answer may take; 10,000 unless given. */
  timeout?: number
}

const PING_CHECKS: OptionChecks<PingOptions> = {
  signal: aSignal,
  count: aLimit,
  timeout: aDuration
}

/**
 * Ping over one stream: each turn of the loop sends the next ping and gives its round trip in milliseconds.
 *
 * Throws `TimeoutError`, `AbortError`, `UnsupportedProtocolError` as the cause of a `StreamError`, and
 * `StreamResetError` with code `ProtocolViolation` if the answer differs from what was sent. The stream ends with
 * the loop. Throws `InvalidParametersError` at the call.
 */
export function ping(
  connection: Connection,
  options: PingOptions = {}
): AsyncGenerator<number, void, undefined> {
  checkConnection(connection)
  checkOptions(options, PING_CHECKS)
  return pings(connection, options)
}

async function* pings(
  connection: Connection,
  options: PingOptions
): AsyncGenerator<number, void, undefined> {
  const { count = Number.POSITIVE_INFINITY, timeout = ANSWER_TIMEOUT_MS, signal } = options
  const { clock, random } = connection.swarm.options
  const stream = await connection.newStream(PING_PROTOCOL, { signal })
  const sent = new Uint8Array(PING_BYTES)
  const received = new Uint8Array(PING_BYTES)
  try {
    for (let done = 0; done < count; done += 1) {
      for (let at = 0; at < PING_BYTES; at += 1) sent[at] = Math.floor(random() * 256)
      stream.setDeadline(clock.now() + timeout)
      const start = performance.now()
      await stream.write(sent, { signal })
      await readFully(stream, received, signal)
      const elapsed = performance.now() - start
      if (Buffer.compare(sent, received) !== 0) throw await violation(stream)
      stream.setDeadline(null)
      yield elapsed
    }
    await stream.close()
  } finally {
    // After an orderly close this does nothing.
    await stream.reset()
  }
}

/** Answers pings. */
export class PingService implements Service {
  #swarm: Swarm | undefined

  start(swarm: Swarm): void {
    this.#swarm = swarm
    swarm.handle(PING_PROTOCOL, answer, { maxInbound: STREAMS_MAX })
  }

  stop(): void {
    this.#swarm?.unhandle(PING_PROTOCOL)
  }
}

/** The echo of the bytes, however they are cut, is the echo of the pings in them. */
async function answer(
  stream: Stream,
  connection: Connection,
  { signal }: HandlerContext
): Promise<void> {
  // A peer may keep its stream for ever: the swarm's end is the end of it.
  const end = (): void => void stream.closeRead()
  signal.addEventListener('abort', end, { once: true })
  try {
    await echo(stream, connection)
  } finally {
    signal.removeEventListener('abort', end)
  }
}

async function echo(stream: Stream, connection: Connection): Promise<void> {
  const { clock } = connection.swarm.options
  const bytes = new Uint8Array(ECHO_BYTES)
  let deadline = clock.now() + IDLE_MS
  stream.setReadDeadline(deadline)
  let last = clock.now()
  for (;;) {
    try {
      const length = await stream.readInto(bytes)
      last = clock.now()
      await stream.write(bytes.subarray(0, length))
    } catch (err) {
      if (err instanceof StreamEOFError || err instanceof StreamClosedError) break
      // The deadline is moved when it passes, not with each ping.
      if (!(err instanceof TimeoutError) || last + IDLE_MS <= clock.now()) throw err
      deadline = last + IDLE_MS
      stream.setReadDeadline(deadline)
    }
  }
  await stream.close()
}

async function readFully(
  stream: Stream,
  into: Uint8Array,
  signal: AbortSignal | undefined
): Promise<void> {
  let filled = 0
  while (filled < into.length) {
    try {
      filled += await stream.readInto(filled === 0 ? into : into.subarray(filled), { signal })
    } catch (err) {
      if (!(err instanceof StreamEOFError)) throw err
      throw new IncompleteReadError('the peer ended the stream instead of answering a ping', {
        expectedBytes: into.length,
        receivedBytes: filled,
        cause: err
      })
    }
  }
}

async function violation(stream: Stream): Promise<StreamResetError> {
  const errorCode = StreamErrorCode.ProtocolViolation
  await stream.reset(errorCode)
  return new StreamResetError('the answer to a ping differs from what was sent', { errorCode })
}
