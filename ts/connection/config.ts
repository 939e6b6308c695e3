/** The option `connections` of a swarm: its type, defaults and checks. */
import {
  aDuration,
  aFunction,
  anArray,
  anObject,
  aPeriod,
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks,
  oneOf
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { PrunePolicy, PruneTieBreak } from '../connection-manager/prune-order.ts'
import { InvalidParametersError } from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import { parseAllowed, parseHosts } from '../identity/networks.ts'
import type { NativeLimits } from '../native/addon.ts'
import { aStrategy, type ConnectionStrategy, type ConnectionStrategyName } from './strategy.ts'

/** How connections to peers with a tag `keep-alive` are made again. All optional. */
export interface ReconnectConfig {
  /** Dials before the peer is given up and loses the tag; `Infinity` for no end. Defaults to 5. */
  retries?: number
  /** Milliseconds before the first dial. Defaults to 1,000. */
  interval?: number
  /** Factor of that time from dial to dial, 1 or more. Defaults to 2. */
  factor?: number
  /** Longest of these times in milliseconds. Defaults to 300,000. */
  maxInterval?: number
  /** Peers dialled at a time. Defaults to 5. */
  parallel?: number
}

/** Bounds and timeouts of the connections of a swarm, and which one a new stream uses. All optional. */
export interface ConnectionConfig {
  /**
   * Maximum connections at a time, of both directions, those being set up included; `Infinity` for none. It is the
   * limit `connections` of the scope `system`. Defaults to `limits.system.connections` if that is given, to `Infinity`
   * if `limits` is `unlimited`, else to 300; of two that are given, the smaller one applies.
   */
  max?: number
  /**
   * Maximum connections with one peer; `Infinity` for none. A further one closes the oldest, with the code
   * `ConnectionErrorCode.GarbageCollected`, once whoever dialled has received it. Defaults to 3.
   */
  maxPerPeer?: number
  /** Milliseconds for one address of a dial, up to a muxed connection; 5,000 at most if local. Defaults to 10,000. */
  dialTimeout?: number
  /** Milliseconds from an accepted socket to a muxed connection. Defaults to 10,000. */
  inboundUpgradeTimeout?: number
  /** Milliseconds from a connected socket to a muxed connection. Defaults to 10,000. */
  outboundUpgradeTimeout?: number
  /**
   * Milliseconds from the first byte of a stream to its protocol, in both directions: the default, and the maximum, of
   * the option `negotiationTimeout` of `newStream`. Defaults to 10,000.
   */
  streamNegotiationTimeout?: number
  /**
   * Selects among several connections to a peer, see docs/connections.md: `best`, `round_robin`, `least_loaded`,
   * `latency_based`, `health_based`, or a function. Defaults to `best`.
   */
  strategy?: ConnectionStrategyName | ConnectionStrategy
  /**
   * Connections above which the pruner closes some; 0 or `Infinity` for no pruning. Must be below `max`. Defaults to
   * two thirds of `max`: 200. See docs/connection-manager.md, also for the options that follow.
   */
  high?: number
  /** Connections down to which the pruner closes. Defaults to a third of `max`, at most half of `high`: 100. */
  low?: number
  /**
   * Connections below which the auto-connector makes a round every 10 s at least. Must not exceed `low`. Defaults to a
   * sixth of `max`, at most half of `low`, and at most 50.
   */
  min?: number
  /** Milliseconds for which a new connection is not pruned. Defaults to 20,000. */
  gracePeriod?: number
  /** Least milliseconds between two decisions of the pruner that are not asked for. Defaults to 10,000. */
  silencePeriod?: number
  /** Remote addresses whose connections are never pruned: IP addresses, networks, multiaddrs. Defaults to none. */
  neverPrune?: readonly string[]
  /** The order of pruning: `tags`, or one of the application. Defaults to `tags`. */
  prunePolicy?: 'tags' | PrunePolicy
  /** Which of two equal connections is pruned first. Defaults to `oldest`. */
  tieBreak?: PruneTieBreak
  /**
   * Connections below which the auto-connector dials known peers; 0 for none. Defaults to `low` if that is given, else
   * to `low` or 100, whichever is less.
   */
  autoConnectBelow?: number
  /**
   * Milliseconds between two rounds of the auto-connector; `Infinity` for those after disconnects only. Defaults to
   * 30,000.
   */
  autoConnectInterval?: number
  /** Milliseconds for which it leaves a peer alone after a failed dial; doubled by each further one. Defaults to 5,000. */
  autoConnectCooldown?: number
  /** The longest of these times. Defaults to 300,000. */
  autoConnectMaxCooldown?: number
  /** How connections to peers with a tag `keep-alive` are made again. */
  reconnect?: ReconnectConfig
  /** Milliseconds between two ticks of the timer of decaying tags. Defaults to 60,000. */
  decayResolution?: number
  /**
   * IP addresses and networks, such as `10.0.0.0/8` or `/ip6/2001:db8::/ipcidr/32`. If there are any, all others are
   * refused: in both directions, natively, before a byte is exchanged. `swarm.connectionGate` changes the list. Defaults
   * to none. See docs/gating.md.
   */
  allow?: readonly AddrLike[]
  /** IP addresses and networks that are refused, whether they are allowed or not. Defaults to none. */
  deny?: readonly AddrLike[]
}

/** The option `connections` in effect. */
export interface ResolvedConnectionConfig extends Readonly<Required<ConnectionConfig>> {
  readonly reconnect: Readonly<Required<ReconnectConfig>>
}

/** The option `connections` with all defaults. */
export const CONNECTION_DEFAULTS: ResolvedConnectionConfig = Object.freeze({
  // As py-libp2p. Some 3 MiB when idle, and fewer descriptors than any system permits.
  max: 300,
  // One that we dialled, one that the peer did, and one to replace either.
  maxPerPeer: 3,
  dialTimeout: 10_000,
  // js gives up after 10 s and go after 15 s: no peer waits longer.
  inboundUpgradeTimeout: 10_000,
  outboundUpgradeTimeout: 10_000,
  // As go and py.
  streamNegotiationTimeout: 10_000,
  strategy: 'best',
  // As py-libp2p; other values of `max` have the same shares.
  high: 200,
  low: 100,
  min: 50,
  // A peer has identified itself by then, and the application has tagged it.
  gracePeriod: 20_000,
  // As go. A decision looks at every connection.
  silencePeriod: 10_000,
  neverPrune: Object.freeze([]),
  prunePolicy: 'tags',
  tieBreak: 'oldest',
  autoConnectBelow: 100,
  autoConnectInterval: 30_000,
  // A peer that restarts is back in seconds, and one that is gone costs a dial in five minutes. As go and py.
  autoConnectCooldown: 5_000,
  autoConnectMaxCooldown: 300_000,
  // As js-libp2p: half a minute in all.
  reconnect: Object.freeze({
    retries: 5,
    interval: 1_000,
    factor: 2,
    maxInterval: 300_000,
    parallel: 5
  }),
  // As go.
  decayResolution: 60_000,
  allow: Object.freeze([]),
  deny: Object.freeze([])
})

const NONE = Number.POSITIVE_INFINITY

const aCount: Check = (value, name) => {
  if (value === NONE || (Number.isSafeInteger(value) && Number(value) >= 1)) {
    return
  }
  throw misuse(name, 'a whole number of 1 or more, or Infinity', value)
}

/** A number of connections: 0 for none, or Infinity. */
const aMark: Check = (value, name) => {
  if (value === NONE || (Number.isSafeInteger(value) && Number(value) >= 0)) return
  throw misuse(name, 'a whole number of 0 or more, or Infinity', value)
}

const aFactor: Check = (value, name) => {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 1) {
    throw misuse(name, 'a number of 1 or more', value)
  }
}

const RECONNECT_CHECKS: OptionChecks<ReconnectConfig> = {
  retries: aCount,
  interval: aPeriod,
  factor: aFactor,
  maxInterval: aPeriod,
  parallel: integer(1)
}

const aPolicy: Check = (value, name) => {
  if (value === 'tags') return
  anObject(value, name)
  // Member access is safe on any object; the check of options refuses other members.
  const policy = value as { score?: unknown; compare?: unknown }
  checkOptions(policy, { score: aFunction, compare: aFunction }, name)
  if ((policy.score === undefined) === (policy.compare === undefined)) {
    throw misuse(name, 'tags, or an object with either score or compare', value)
  }
}

/** A list of IP addresses and networks. */
const someHosts: Check = (value, name) => {
  anArray(value, name)
  // Checked above.
  for (const [index, entry] of (value as readonly unknown[]).entries()) {
    parseHosts(entry, `${name}[${index}]`)
  }
}

const CHECKS: OptionChecks<ConnectionConfig> = {
  max: aCount,
  maxPerPeer: aCount,
  dialTimeout: aDuration,
  inboundUpgradeTimeout: aDuration,
  outboundUpgradeTimeout: aDuration,
  streamNegotiationTimeout: aDuration,
  strategy: aStrategy,
  high: aMark,
  low: aMark,
  min: aMark,
  gracePeriod: aDuration,
  silencePeriod: aPeriod,
  neverPrune: (value, name) => {
    anArray(value, name)
    // An array, by the check above.
    for (const [index, entry] of (value as readonly unknown[]).entries()) {
      parseAllowed(entry, `${name}[${index}]`)
    }
  },
  prunePolicy: aPolicy,
  tieBreak: oneOf('oldest', 'newest'),
  autoConnectBelow: aMark,
  autoConnectInterval: (value, name) => {
    if (value !== Number.POSITIVE_INFINITY) aPeriod(value, name)
  },
  autoConnectCooldown: aDuration,
  autoConnectMaxCooldown: aDuration,
  reconnect: (value, name) => {
    // The check of options refuses everything but an object.
    checkOptions(value as ReconnectConfig, RECONNECT_CHECKS, name)
  },
  decayResolution: aPeriod,
  allow: someHosts,
  deny: someHosts
}

/** @internal Checks the option `connections`. Throws `InvalidParametersError`. */
export function checkConnections(value: unknown, name: string): void {
  // The check of options refuses everything but an object.
  checkOptions(value as ConnectionConfig, CHECKS, name)
}

/**
 * @internal Applies the defaults; `max` is the limit in effect, as those of scopes bound it too.
 *
 * Throws `InvalidParametersError` for marks in a wrong order.
 */
export function resolveConnections(
  config: ConnectionConfig | undefined,
  max: number
): ResolvedConnectionConfig {
  const given: ConnectionConfig = Object.fromEntries(
    Object.entries(config ?? {}).filter(([, value]) => value !== undefined)
  )
  const defaults = CONNECTION_DEFAULTS
  const reconnect: ResolvedConnectionConfig['reconnect'] = Object.freeze({
    ...defaults.reconnect,
    ...Object.fromEntries(
      Object.entries(given.reconnect ?? {}).filter(([, value]) => value !== undefined)
    )
  })
  checkOrder(
    reconnect.interval,
    'reconnect.interval',
    reconnect.maxInterval,
    'reconnect.maxInterval'
  )
  const { autoConnectCooldown, autoConnectMaxCooldown } = { ...defaults, ...given }
  checkOrder(
    autoConnectCooldown,
    'autoConnectCooldown',
    autoConnectMaxCooldown,
    'autoConnectMaxCooldown'
  )
  return Object.freeze({
    ...CONNECTION_DEFAULTS,
    ...given,
    max,
    ...marksOf(given, max),
    neverPrune: Object.freeze([...(given.neverPrune ?? [])]),
    allow: Object.freeze([...(given.allow ?? [])]),
    deny: Object.freeze([...(given.deny ?? [])]),
    reconnect
  })
}

/** Returns the marks in effect: those that are not given have the shares of `max` that the defaults have. */
function marksOf(
  given: ConnectionConfig,
  max: number
): Pick<ResolvedConnectionConfig, 'high' | 'low' | 'min' | 'autoConnectBelow'> {
  const defaults = CONNECTION_DEFAULTS
  const share = (mark: number): number => Math.floor((mark * max) / defaults.max)
  // Of fewer than three connections there is nothing to choose from.
  const highest = max < 3 ? NONE : Math.max(share(defaults.high), given.low ?? 0)
  const high = (given.high ?? highest) || NONE
  const lowShare = max === NONE ? defaults.low : share(defaults.low)
  const low = given.low ?? Math.min(lowShare, Math.ceil(high / 2))
  const min = given.min ?? Math.min(share(defaults.min), Math.floor(low / 2), defaults.min)
  const autoConnectBelow =
    given.autoConnectBelow ?? given.low ?? Math.min(low, defaults.autoConnectBelow)
  if (low === NONE) throw misuse('connections.low', 'a whole number of 0 or more', low)
  // Otherwise the error would name a mark that was not given.
  if (given.low !== undefined && given.high === undefined) checkBelowMax(low, 'low', max)
  checkOrder(low, 'low', max, 'max')
  checkOrder(min, 'min', low, 'low')
  checkOrder(low, 'low', high, 'high')
  if (high !== NONE) checkBelowMax(high, 'high', max)
  checkOrder(autoConnectBelow, 'autoConnectBelow', Math.min(high, max), high < max ? 'high' : 'max')
  if (autoConnectBelow === NONE) {
    throw misuse('connections.autoConnectBelow', 'a whole number of 0 or more', autoConnectBelow)
  }
  return { high, low, min, autoConnectBelow }
}

function checkBelowMax(mark: number, name: string, max: number): void {
  if (mark < max) return
  throw new InvalidParametersError(
    `expected connections.${name} to be less than connections.max, which is ${max}, received ${mark}`
  )
}

function checkOrder(least: number, name: string, most: number, limit: string): void {
  if (least <= most) return
  throw new InvalidParametersError(
    `expected connections.${name} to be at most connections.${limit}, which is ${most}, received ${least}`
  )
}

/** @internal Returns the timeouts that are enforced natively: 0 is the shortest one, `Infinity` some 25 days. */
export function nativeTimeouts(
  config: ResolvedConnectionConfig
): Pick<
  NativeLimits,
  'inboundUpgradeTimeoutMs' | 'outboundUpgradeTimeoutMs' | 'streamNegotiationTimeoutMs'
> {
  const native = (ms: number): number => Math.min(Math.max(ms, 1), TIMER_MS_MAX)
  return {
    inboundUpgradeTimeoutMs: native(config.inboundUpgradeTimeout),
    outboundUpgradeTimeoutMs: native(config.outboundUpgradeTimeout),
    streamNegotiationTimeoutMs: native(config.streamNegotiationTimeout)
  }
}
