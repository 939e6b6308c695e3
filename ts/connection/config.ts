/** The option `connections` of a swarm: its type, defaults and checks. */
import {
  aDuration,
  anArray,
  type Check,
  checkOptions,
  misuse,
  type OptionChecks
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { AddrLike } from '../identity/address.ts'
import { parseHosts } from '../identity/networks.ts'
import type { NativeLimits } from '../native/addon.ts'
import { aStrategy, type ConnectionStrategy, type ConnectionStrategyName } from './strategy.ts'

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
   * IP addresses and networks, such as `10.0.0.0/8` or `/ip6/2001:db8::/ipcidr/32`. If there are any, all others are
   * refused: in both directions, natively, before a byte is exchanged. `swarm.connectionGate` changes the list. Defaults
   * to none. See docs/gating.md.
   */
  allow?: readonly AddrLike[]
  /** IP addresses and networks that are refused, whether they are allowed or not. Defaults to none. */
  deny?: readonly AddrLike[]
}

/** The option `connections` with all defaults. */
export const CONNECTION_DEFAULTS: Readonly<Required<ConnectionConfig>> = Object.freeze({
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
  allow: Object.freeze([]),
  deny: Object.freeze([])
})

const aCount: Check = (value, name) => {
  if (value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && Number(value) >= 1)) {
    return
  }
  throw misuse(name, 'a whole number of 1 or more, or Infinity', value)
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
  allow: someHosts,
  deny: someHosts
}

/** @internal Checks the option `connections`. Throws `InvalidParametersError`. */
export function checkConnections(value: unknown, name: string): void {
  // The check of options refuses everything but an object.
  checkOptions(value as ConnectionConfig, CHECKS, name)
}

/** @internal Applies the defaults; `max` is the limit in effect, as those of scopes bound it too. */
export function resolveConnections(
  config: ConnectionConfig | undefined,
  max: number
): Readonly<Required<ConnectionConfig>> {
  const given = Object.entries(config ?? {}).filter(([, value]) => value !== undefined)
  const { allow, deny, ...others } = { ...CONNECTION_DEFAULTS, ...Object.fromEntries(given), max }
  return Object.freeze({
    ...others,
    allow: Object.freeze([...allow]),
    deny: Object.freeze([...deny])
  })
}

/** @internal Returns the timeouts that are enforced natively: 0 is the shortest one, `Infinity` some 25 days. */
export function nativeTimeouts(
  config: Readonly<Required<ConnectionConfig>>
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
