/** `/ipfs/ping/1.0.0`: 32 random bytes and their echo, any number of times on one stream. */
import type { AbortOptions } from '../base/abort.ts'
import { aDuration, aLimit, aSignal, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { stopwatch } from '../base/clock.ts'
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
import { openCharged } from './charged.ts'
import type { Service } from './services.ts'

/** The service that its streams are charged to, as in go-libp2p. */
const SERVICE = 'libp2p.ping'

/** Protocol id of ping. */
export const PING_PROTOCOL = '/ipfs/ping/1.0.0'

/** Bytes of one ping. */
const PING_BYTES = 32

/** Milliseconds without a ping after which the responder closes the stream, as in go. */
const IDLE_MS = 10_000

/** Default timeout of one response in milliseconds. */
const ANSWER_TIMEOUT_MS = 10_000

/** Maximum inbound streams per connection; one is enough for any number of pings. */
const STREAMS_MAX = 16

/** Bytes echoed at a time: a peer may pipeline its pings. */
const ECHO_BYTES = 4_096

/** Options of {@link ping}. */
export interface PingOptions extends AbortOptions {
  /** Number of pings. Defaults to no limit: until the caller stops or aborts. */
  count?: number
  /** Timeout of one response in milliseconds. Defaults to 10,000. */
  timeout?: number
}

const PING_CHECKS: OptionChecks<PingOptions> = {
  signal: aSignal,
  count: aLimit,
  timeout: aDuration
}

/**
 * Pings the peer: each iteration sends a ping and yields its round trip in milliseconds.
 *
 * All pings use one stream, which ends with the loop. Peers close an idle one, most after 10 s; the next ping then
 * opens another. The iteration also throws the errors of `connection.newStream`.
 *
 * @throws {@link InvalidParametersError} for an invalid connection or option, at the call; all others when iterating.
 * @throws {@link TimeoutError} if a response takes longer than `timeout`.
 * @throws {@link UnsupportedProtocolError} as the cause of a {@link StreamError}, if the peer does not support ping.
 * @throws {@link StreamResetError} of code `ProtocolViolation`, if a response differs from the ping.
 * @throws {@link IncompleteReadError} if the peer ends the stream instead of answering.
 * @throws {@link AbortError} by `signal`.
 * @example
 * ```ts
 * import { ping } from 'ferroswarm'
 *
 * for await (const milliseconds of ping(connection, { count: 3, timeout: 1_000 })) {
 *   console.log(`${milliseconds.toFixed(2)} ms`)
 * }
 * ```
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
        // The peer has closed its half, but counts the stream until the local half is closed too.
        await pinger.stream.close()
        pinger = await open(connection, options)
        elapsed = await pinger.ping()
      }
      yield elapsed
    }
    await pinger.stream.close()
  } finally {
    // Does nothing after an orderly close.
    await pinger.stream.reset()
  }
}

async function open(connection: Connection, options: PingOptions): Promise<Pinger> {
  const { signal } = options
  return new Pinger(
    await openCharged(connection, PING_PROTOCOL, SERVICE, { allowLimited: true, signal }),
    options
  )
}

/** Sends pings on one stream. */
class Pinger {
  readonly stream: Stream
  readonly #timeout: number
  readonly #signal: AbortSignal | undefined
  readonly #sent = new Uint8Array(PING_BYTES)
  readonly #received = new Uint8Array(PING_BYTES)
  /** Whether the peer has answered a ping on this stream. */
  hasAnswered = false

  constructor(stream: Stream, { timeout = ANSWER_TIMEOUT_MS, signal }: PingOptions) {
    this.stream = stream
    this.#timeout = timeout
    this.#signal = signal
  }

  /** Sends one ping; resolves to its round trip in milliseconds. */
  async ping(): Promise<number> {
    const { stream } = this
    const { clock, random } = stream.connection.swarm.options
    const signal = this.#signal
    for (let at = 0; at < PING_BYTES; at += 1) this.#sent[at] = Math.floor(random() * 256)
    stream.setDeadline(clock.now() + this.#timeout)
    const time = stopwatch(clock)
    await stream.write(this.#sent, { signal })
    await readFully(stream, this.#received, signal)
    const elapsed = time()
    if (Buffer.compare(this.#sent, this.#received) !== 0) throw await violation(stream)
    stream.setDeadline(null)
    this.hasAnswered = true
    return elapsed
  }
}

/** Returns whether the peer had closed the idle stream before the ping arrived: it sent no byte of a response. */
function wasIdle(err: unknown): boolean {
  if (err instanceof StreamResetError) {
    return err.remote && !(err.cause instanceof ConnectionClosedError)
  }
  return (
    err instanceof StreamClosedError || (err instanceof IncompleteReadError && err.isCleanClose)
  )
}

/** Responds to pings. */
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
      { maxInbound: STREAMS_MAX, service: SERVICE, runOnLimited: true }
    )
    // A peer may keep its stream open forever, so it is closed when the swarm begins to close.
    const end = (): void => {
      for (const stream of this.#answering) void stream.closeRead()
    }
    swarm.signal.addEventListener('abort', end, { once: true })
  }

  stop(): void {
    this.#swarm?.unhandle(PING_PROTOCOL)
  }
}

/** Echoes bytes as they arrive: there is no need to delimit the pings in them. */
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
      // The deadline is extended when it expires, not with each ping.
      if (!(err instanceof TimeoutError)) throw err
      // An idle stream is closed gracefully, as it has not failed.
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
