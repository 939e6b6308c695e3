/** The option `quic` of a swarm. */
import { aPeriod, type Check, checkOptions, integer, type OptionChecks } from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'

/** Options of QUIC. See docs/transports.md. */
export interface QuicOptions {
  /**
   * Milliseconds without a packet of the peer after which a connection is lost. The lower one of both sides counts.
   * Defaults to 30,000.
   */
  idleTimeout?: number
  /**
   * Milliseconds without a packet to send after which one is sent, so that the connection is not idle; less than
   * `idleTimeout`. Defaults to 15,000, and to half of a shorter `idleTimeout`.
   */
  keepAliveInterval?: number
  /**
   * Bytes that a peer may have sent on one stream and the reader not consumed, 64 KiB to 1 GiB. Defaults to 6 MiB, and
   * to a smaller `connectionWindow`.
   */
  streamWindow?: number
  /**
   * The same bytes of all streams of a connection, 64 KiB to 1 GiB, at least `streamWindow`: streams that
   * nobody reads must not use up all of it. Defaults to 24 MiB, and to four times a larger `streamWindow`.
   */
  connectionWindow?: number
  /**
   * Streams that a peer may have open at a time on one connection, 1 to 65,535: it waits to open more. The limits of
   * streams apply besides. Each costs some 60 bytes from the start of the connection. Defaults to 256.
   */
  maxStreams?: number
  /** Milliseconds for the handshake, both as dialler and as listener. Defaults to 10,000. */
  handshakeTimeout?: number
}

/** @internal The option with its defaults. */
export type ResolvedQuicOptions = Readonly<Required<QuicOptions>>

const MIB = 1024 * 1024

/**
 * As in go-libp2p, but for the handshake, whose 5 s there are short for a path with loss, and the windows: three streams
 * that nobody reads leave a quarter of the connection's to the others.
 */
const DEFAULTS: ResolvedQuicOptions = {
  idleTimeout: 30_000,
  keepAliveInterval: 15_000,
  streamWindow: 6 * MIB,
  connectionWindow: 24 * MIB,
  maxStreams: 256,
  handshakeTimeout: 10_000
}

/** One full datagram of GSO: less would stop the sender after each. */
const WINDOW_BYTES_MIN = 64 * 1024

/** As that of yamux, `limits.windowMaxBytes`. */
const WINDOW_BYTES_MAX = 1024 * MIB

const STREAMS_MAX = 65_535

const QUIC_CHECKS: OptionChecks<QuicOptions> = {
  idleTimeout: aPeriod,
  keepAliveInterval: aPeriod,
  streamWindow: integer(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
  connectionWindow: integer(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
  maxStreams: integer(1, STREAMS_MAX),
  handshakeTimeout: aPeriod
}

/** @internal Checks the option. Throws `InvalidParametersError`. */
export const checkQuic: Check = (value, name) => {
  // `checkOptions` checks the type.
  const options = value as QuicOptions
  checkOptions(options, QUIC_CHECKS, name)
  const { idleTimeout, keepAliveInterval, streamWindow, connectionWindow } = resolveQuic(options)
  if (keepAliveInterval >= idleTimeout) {
    throw new InvalidParametersError(
      `expected ${name}.keepAliveInterval to be less than ${name}.idleTimeout, ${idleTimeout}, ` +
        `received ${keepAliveInterval}`
    )
  }
  if (streamWindow > connectionWindow) {
    throw new InvalidParametersError(
      `expected ${name}.streamWindow to be at most ${name}.connectionWindow, ${connectionWindow}, ` +
        `received ${streamWindow}`
    )
  }
}

/** @internal Returns the option with its defaults. */
export function resolveQuic(options: QuicOptions = {}): ResolvedQuicOptions {
  const { idleTimeout = DEFAULTS.idleTimeout, connectionWindow } = options
  const { streamWindow = Math.min(DEFAULTS.streamWindow, connectionWindow ?? Infinity) } = options
  return Object.freeze({
    idleTimeout,
    keepAliveInterval:
      options.keepAliveInterval ?? Math.min(DEFAULTS.keepAliveInterval, idleTimeout / 2),
    streamWindow,
    connectionWindow:
      connectionWindow ??
      Math.max(DEFAULTS.connectionWindow, Math.min(4 * streamWindow, WINDOW_BYTES_MAX)),
    maxStreams: options.maxStreams ?? DEFAULTS.maxStreams,
    handshakeTimeout: options.handshakeTimeout ?? DEFAULTS.handshakeTimeout
  })
}
