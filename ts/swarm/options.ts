/** The options of a swarm: what may be given, what holds otherwise, and what is refused. */
import type { PeerId, PrivateKey } from '@libp2p/interface'
import {
  aFunction,
  anObject,
  anything,
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks,
  objectWith,
  someOf
} from '../base/arguments.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { DEFAULT_LIMITS, type Limits, type MuxerName, type SecurityName } from '../constants.ts'
import type { LogLevel } from '../diagnostics/codes.ts'
import { Log } from '../diagnostics/log.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { InvalidParametersError } from '../errors.ts'
import { type Identity, makeIdentity } from '../identity/keys.ts'
import { peerText } from '../identity/peer-id.ts'
import { checkServices, type ServiceOptions } from '../protocols/services.ts'

/** Options of `createSwarm` and `new Swarm`, all optional. */
export interface SwarmOptions {
  /** Our key: of @libp2p/crypto, or the libp2p protobuf of a private key. A fresh ed25519 key unless given. */
  privateKey?: PrivateKey | Uint8Array
  /** Our peer id, to make sure that the key is the right one. */
  peerId?: PeerId | string
  /** What secures connections, preferred first: `tls`, `noise`. */
  security?: readonly SecurityName[]
  /**
   * What multiplexes them: `yamux`, our own engine and the default, or `yamux-crate`, the one of rust-libp2p.
   * Peers see `/yamux/1.0.0` either way, so it is one or the other. See docs/muxers.md.
   */
  muxers?: readonly MuxerName[]
  /** Bounds; those left out keep their defaults. */
  limits?: Partial<Limits>
  /** I/O threads, 1 to 64. One less than the cores, at least 1 and at most 4, unless given. */
  ioThreads?: number
  /**
   * Microseconds, 0 to 1,000, for which the event loop polls its sockets for the next message before it sleeps, where
   * peers answer that promptly. 0 is off; 100 unless given. Of several swarms the one whose connection had the last
   * event counts. Only Node.js on Linux polls. See docs/operations.md.
   */
  busyPoll?: number
  /** Time, for tests and simulations. The wire's deadlines stay on the system's clock. */
  clock?: Clock
  /** Numbers in [0, 1), for tests and simulations. Never used for keys. */
  random?: () => number
  /** Where to log: the methods it has are the levels that are told. See docs/diagnostics.md. */
  logger?: Partial<Logger>
  /** Built-in protocols and further services. */
  services?: ServiceOptions
}

/** Options with nothing left open. */
export interface ResolvedOptions {
  readonly identity: Identity
  readonly security: readonly SecurityName[] | undefined
  readonly muxers: readonly MuxerName[] | undefined
  readonly limits: Readonly<Limits>
  readonly ioThreads: number | undefined
  readonly busyPoll: number | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly services: Readonly<ServiceOptions>
}

/** @internal The options, as the parts of a swarm see them. */
export interface SwarmSettings extends ResolvedOptions {
  /** The logger and the namespaces of `DEBUG`, and what they hear. */
  readonly log: Log
}

const IO_THREADS_MAX = 64

/** No timer is shorter: none is late for it. */
const BUSY_POLL_US_MAX = 1_000

/** A limit crosses as 32 bits. */
const LIMIT_MAX = 0xffffffff

// `Object.fromEntries` forgets the type of keys.
const LIMIT_CHECKS = Object.fromEntries(
  Object.keys(DEFAULT_LIMITS).map((name) => [name, integer(1, LIMIT_MAX)])
) as OptionChecks<Limits>

/** A logger is an object of any class, so it may have more than the methods that are called. */
const aLogger: Check = (value, name) => {
  anObject(value, name)
  // Any object can be asked for a member.
  const logger = value as Readonly<Record<string, unknown>>
  for (const level of ['debug', 'info', 'warn', 'error']) {
    if (logger[level] !== undefined) aFunction(logger[level], `${name}.${level}`)
  }
}

const SWARM_CHECKS: OptionChecks<SwarmOptions> = {
  // The identity is made at once, which checks the key and the peer id.
  privateKey: anything,
  peerId: anything,
  security: someOf('tls', 'noise'),
  muxers: (value, name) => {
    someOf('yamux', 'yamux-crate')(value, name)
    // Names, by the check before.
    const names = value as readonly string[]
    if (names.length > 1) throw misuse(name, 'one engine of /yamux/1.0.0', names.join(', '))
  },
  // Any value is checked.
  limits: (value, name) => checkOptions(value as Partial<Limits>, LIMIT_CHECKS, name),
  ioThreads: integer(1, IO_THREADS_MAX),
  busyPoll: integer(0, BUSY_POLL_US_MAX),
  clock: objectWith('now', 'setTimer', 'clearTimer'),
  random: aFunction,
  logger: aLogger,
  services: checkServices
}

/**
 * @internal Fill in the defaults.
 *
 * Throws `InvalidParametersError` that names the option: one that does not exist, or a value that cannot be. Throws it
 * as well where the environment variable `LIBP2P_FORCE_PNET` is 1, as there are no private networks yet.
 */
export function resolveOptions(options: SwarmOptions): SwarmSettings {
  checkOptions(options, SWARM_CHECKS)
  if (process.env.LIBP2P_FORCE_PNET === '1') {
    throw new InvalidParametersError(
      'LIBP2P_FORCE_PNET=1 asks for a private network, which this version does not offer'
    )
  }
  const limits = resolveLimits(options.limits ?? {})
  const identity = makeIdentity(options.privateKey)
  if (options.peerId !== undefined && peerText(options.peerId) !== identity.peer) {
    throw new InvalidParametersError(
      `expected peerId ${identity.peer} of the private key, received ${peerText(options.peerId)}`
    )
  }
  const log = new Log(options.logger)
  return Object.freeze({
    identity,
    security: options.security,
    muxers: options.muxers,
    limits,
    ioThreads: options.ioThreads,
    busyPoll: options.busyPoll,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    logger: loggerOf(log),
    log,
    services: Object.freeze({ ...options.services })
  })
}

function loggerOf(log: Log): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, ...details: unknown[]): void => {
      if (log.hears(level)) log.write(level, 'swarm', message, ...details)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function resolveLimits(given: Partial<Limits>): Readonly<Limits> {
  const isGiven = ([, value]: [string, number | undefined]): boolean => value !== undefined
  return Object.freeze({
    ...DEFAULT_LIMITS,
    ...Object.fromEntries(Object.entries(given).filter(isGiven))
  })
}
