/** The options of a swarm: what may be given, what holds otherwise, and what is refused. */
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { type Clock, systemClock } from './clock.ts'
import { DEFAULT_LIMITS, type Limits } from './constants.ts'
import { InvalidParametersError } from './errors.ts'
import { type Identity, makeIdentity } from './identity/keys.ts'
import { peerText } from './identity/peer-id.ts'
import type { ServiceOptions } from './services.ts'

/** Where this package writes what it has to say. Silent unless given; `console` fits. */
export interface Logger {
  debug(message: string, ...details: unknown[]): void
  info(message: string, ...details: unknown[]): void
  warn(message: string, ...details: unknown[]): void
  error(message: string, ...details: unknown[]): void
}

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
  /** Time, for tests and simulations. The wire's deadlines stay on the system's clock. */
  clock?: Clock
  /** Numbers in [0, 1), for tests and simulations. Never used for keys. */
  random?: () => number
  /** Where to log. */
  logger?: Partial<Logger>
  /** Built-in protocols and further services. */
  services?: ServiceOptions
}

/** A security protocol of this package. */
export type SecurityName = 'tls' | 'noise'
/** A stream muxer of this package. */
export type MuxerName = 'yamux' | 'yamux-crate'

/** Options with nothing left open. */
export interface ResolvedOptions {
  readonly identity: Identity
  readonly security: readonly SecurityName[] | undefined
  readonly muxers: readonly MuxerName[] | undefined
  readonly limits: Readonly<Limits>
  readonly ioThreads: number | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly services: Readonly<ServiceOptions>
}

const IO_THREADS_MAX = 64

function nothing(): void {}

/** Fill in the defaults. Throws `InvalidParametersError` that names the option. */
export function resolveOptions(options: SwarmOptions): ResolvedOptions {
  checkNames('security', options.security, ['tls', 'noise'])
  checkNames('muxers', options.muxers, ['yamux', 'yamux-crate'])
  if (options.muxers !== undefined && options.muxers.length > 1) {
    throw new InvalidParametersError(
      `expected muxers to name one engine of /yamux/1.0.0, received ${options.muxers.join(', ')}`
    )
  }
  const { ioThreads } = options
  if (
    ioThreads !== undefined &&
    !(Number.isInteger(ioThreads) && ioThreads >= 1 && ioThreads <= IO_THREADS_MAX)
  ) {
    throw new InvalidParametersError(
      `expected ioThreads between 1 and ${IO_THREADS_MAX}, received ${ioThreads}`
    )
  }
  const limits = resolveLimits(options.limits ?? {})
  const identity = makeIdentity(options.privateKey)
  if (options.peerId !== undefined && peerText(options.peerId) !== identity.peer) {
    throw new InvalidParametersError(
      `expected peerId ${identity.peer} of the private key, received ${peerText(options.peerId)}`
    )
  }
  return Object.freeze({
    identity,
    security: options.security,
    muxers: options.muxers,
    limits,
    ioThreads,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    logger: resolveLogger(options.logger ?? {}),
    services: Object.freeze({ ...options.services })
  })
}

function resolveLogger(logger: Partial<Logger>): Logger {
  return {
    debug: logger.debug?.bind(logger) ?? nothing,
    info: logger.info?.bind(logger) ?? nothing,
    warn: logger.warn?.bind(logger) ?? nothing,
    error: logger.error?.bind(logger) ?? nothing
  }
}

function resolveLimits(given: Partial<Limits>): Readonly<Limits> {
  const limits = { ...DEFAULT_LIMITS }
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
      throw new InvalidParametersError(`unknown limit ${JSON.stringify(name)}`)
    }
    if (value === undefined) continue
    // Numbers cross as u32.
    if (!Number.isInteger(value) || value < 1 || value > 0xffffffff) {
      throw new InvalidParametersError(
        `expected limits.${name} between 1 and 4294967295, received ${value}`
      )
    }
    limits[name as keyof Limits] = value
  }
  return Object.freeze(limits)
}

function checkNames(option: string, given: readonly string[] | undefined, known: string[]): void {
  if (given === undefined) return
  if (!Array.isArray(given) || given.length === 0) {
    throw new InvalidParametersError(`expected ${option} to list at least one of ${known}`)
  }
  for (const [index, name] of given.entries()) {
    if (!known.includes(name) || given.indexOf(name) !== index) {
      throw new InvalidParametersError(
        `expected ${option} to list each of ${known} at most once, received ${JSON.stringify(name)}`
      )
    }
  }
}
