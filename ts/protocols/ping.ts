/** `/ipfs/ping/1.0.0`: 32 random bytes and their echo, any number of times on one stream. */
import type { AbortOptions } from '../base/abort.ts'
import { aDuration, aLimit, aSignal, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import {
  ConnectionClosedError,
  IncompleteReadError,
  StreamClosedError,
  StreamEOFError,
  StreamResetError,
  TimeoutError
} from '../errors.ts'
import type { Stream } from '../stream.ts'
import type { Swarm } from '../swarm.ts'
import type { Service } from './services.ts'

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
 * Ping: each turn of the loop sends the next ping and gives its round trip in milliseconds.
 *
 * All go over one stream. Peers end one that is idle for some time, most after 10 s: the next ping then opens another.
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
  const { count = Number.POSITIVE_INFINITY } = options
  let pinger = await open(connection, options)
  try {
    for (let done = 0; done < count; done += 1) {
      let elapsed: number
      try {
        elapsed = await pinger.ping()
      } catch (err) {
        if (!pinger.hasAnswered || !wasIdle(err)) throw err
        // The peer has ended its half: it counts the stream until ours has ended too.
        await pinger.stream.close()
        pinger = await open(connection, options)
        elapsed = await pinger.ping()
      }
      yield elapsed
    }
    await pinger.stream.close()
  } finally {
    // After an orderly close this does nothing.
    await pinger.stream.reset()
  }
}

async function open(connection: Connection, options: PingOptions): Promise<Pinger> {
  const { signal } = options
  return new Pinger(await connection.newStream(PING_PROTOCOL, { signal }), options)
}

/** One stream of pings. */
class Pinger {
  readonly stream: Stream
  readonly #timeout: number
  readonly #signal: AbortSignal | undefined
  readonly #sent = new Uint8Array(PING_BYTES)
  readonly #received = new Uint8Array(PING_BYTES)
  /** Whether the peer has answered a ping on it. */
  hasAnswered = false

  constructor(stream: Stream, { timeout = ANSWER_TIMEOUT_MS, signal }: PingOptions) {
    this.stream = stream
    this.#timeout = timeout
    this.#signal = signal
  }

  /** The round trip of one ping. */
  async ping(): Promise<number> {
    const { stream } = this
    const { clock, random } = stream.connection.swarm.options
    const signal = this.#signal
    for (let at = 0; at < PING_BYTES; at += 1) this.#sent[at] = Math.floor(random() * 256)
    stream.setDeadline(clock.now() + this.#timeout)
    const start = performance.now()
    await stream.write(this.#sent, { signal })
    await readFully(stream, this.#received, signal)
    const elapsed = performance.now() - start
    if (Buffer.compare(this.#sent, this.#received) !== 0) throw await violation(stream)
    stream.setDeadline(null)
    this.hasAnswered = true
    return elapsed
  }
}

/** Whether the peer had ended the stream before the ping came: it has not said a byte about it. */
function wasIdle(err: unknown): boolean {
  if (err instanceof StreamResetError) {
    return err.remote && !(err.cause instanceof ConnectionClosedError)
  }
  return (
    err instanceof StreamClosedError || (err instanceof IncompleteReadError && err.isCleanClose)
  )
}

/** Answers pings. */
export class PingService implements Service {
  #swarm: Swarm | undefined
  readonly #answering = new Set<Stream>()

  start(swarm: Swarm): void {
    this.#swarm = swarm
    swarm.handle(
      PING_PROTOCOL,
      (stream, connection) => {
        this.#answering.add(stream)
        return echo(stream, connection).finally(() => this.#answering.delete(stream))
      },
      { maxInbound: STREAMS_MAX }
    )
    // A peer may keep its stream for ever: the swarm's end is the end of it.
    const end = (): void => {
      for (const stream of this.#answering) void stream.closeRead()
    }
    swarm.signal.addEventListener('abort', end, { once: true })
  }

  stop(): void {
    this.#swarm?.unhandle(PING_PROTOCOL)
  }
}

/** The echo of the bytes, however they are cut, is the echo of the pings in them. */
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
      if (!(err instanceof TimeoutError)) throw err
      // Nothing is wrong with a stream that is idle: it ends in good order.
      if (last + IDLE_MS <= clock.now()) break
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
