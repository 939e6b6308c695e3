/** The option `limits` of a swarm: its type and its checks. */
import {
  aBoolean,
  anArray,
  anObject,
  anything,
  areOptions,
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks,
  oneOf,
  UINT32_MAX
} from '../base/arguments.ts'
import type { Limits } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import {
  ADDRESS_BITS,
  namedPeer,
  networkText,
  parseAllowed,
  parseNetwork
} from '../identity/networks.ts'
import {
  isUnlimited,
  mapNamed,
  RESOURCE_NAMES,
  type ScopeLimits,
  type ScopeLimitTable
} from './scope-limits.ts'

/** The names of {@link PlainLimits}. */
export const PLAIN_LIMIT_NAMES = [
  'acceptBacklog',
  'windowMaxBytes',
  'keepaliveIntervalMs',
  'keepaliveTimeoutMs',
  'writeStallTimeoutMs'
] as const

/** The limits that no scope accounts for. Defaults: {@link DEFAULT_LIMITS}. */
export type PlainLimits = Pick<Limits, (typeof PLAIN_LIMIT_NAMES)[number]>

/** Maximum concurrent inbound connections with addresses of one subnet. */
export interface SubnetLimit {
  /** Version of IP. */
  readonly family: 4 | 6
  /** Length of the subnet's prefix in bits: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefix: number
  /** Connections; 0 blocks. */
  readonly connections: number
}

/** Maximum rate of inbound connections from one subnet. */
export interface SubnetRate {
  /** Version of IP. */
  readonly family: 4 | 6
  /** Length of the subnet's prefix in bits: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefix: number
  /** Connections per second in the long run, above 0; fractions are possible. */
  readonly perSecond: number
  /** Connections that may come at once after a quiet time, at least 1. */
  readonly burst: number
}

/**
 * The limits of a swarm, all optional: omitted ones keep their defaults, which follow from the memory and the file
 * descriptors of the machine. `autoLimits` returns those of scopes.
 *
 * Limits of scopes that are set do not change the defaults of others: `allowlistedSystem`, for example, does not follow
 * `system`. A scope in one of the tables by name has its own limits where the table gives them, then those built in for
 * identify, ping, autonat, hole punching and relays, then those of its class.
 */
export interface LimitConfig extends Partial<PlainLimits> {
  /** Everything together. */
  system?: ScopeLimits
  /** Connections without a known peer, and streams without a protocol. */
  transient?: ScopeLimits
  /** Allowlisted connections beyond `system`. */
  allowlistedSystem?: ScopeLimits
  /** Such connections before their peer is known. */
  allowlistedTransient?: ScopeLimits
  /** Each service that is not in `services`. */
  serviceDefault?: ScopeLimits
  /** The streams of each peer in a service that is not in `servicePeers`. */
  servicePeerDefault?: ScopeLimits
  /** Each protocol that is not in `protocols`. */
  protocolDefault?: ScopeLimits
  /** The streams of each peer in a protocol that is not in `protocolPeers`. */
  protocolPeerDefault?: ScopeLimits
  /** Each peer that is not in `peers`. */
  peerDefault?: ScopeLimits
  /** Each connection, its streams included. */
  connection?: ScopeLimits
  /** Each stream. */
  stream?: ScopeLimits
  /** Services by name. */
  services?: Readonly<Record<string, ScopeLimits>>
  /** The streams of each peer in a service, by the name of the service. */
  servicePeers?: Readonly<Record<string, ScopeLimits>>
  /** Protocols by name. */
  protocols?: Readonly<Record<string, ScopeLimits>>
  /** The streams of each peer in a protocol, by the name of the protocol. */
  protocolPeers?: Readonly<Record<string, ScopeLimits>>
  /** Peers by id. */
  peers?: Readonly<Record<string, ScopeLimits>>
  /**
   * Concurrent inbound connections of one subnet; a connection counts in each entry of its family. The list replaces the
   * default, also for the family that it leaves out, and an empty one lifts these limits. Defaults to 8 for an IPv4
   * address and for an IPv6 /56, and 64 for an IPv6 /48.
   */
  subnets?: readonly SubnetLimit[]
  /**
   * Rate of inbound connections of one subnet. The list replaces the default as that of `subnets` does. Defaults to 5 a
   * second with a burst of 16 for an IPv4 address and for an IPv6 /56, and 25 with a burst of 80 for an IPv6 /48.
   */
  rates?: readonly SubnetRate[]
  /**
   * Concurrent connections of whole networks, from CIDR notation to a whole number or `unlimited`; 0 blocks. The most
   * specific network of an address counts, and `subnets` does not apply to it. Defaults to none.
   */
  networks?: Readonly<Record<string, number | 'unlimited'>>
  /**
   * Addresses whose connections have limits of their own, `allowlistedSystem` and `allowlistedTransient`, after those
   * of `system` and `transient` have refused them: an IP address, CIDR notation, or a multiaddr such as
   * `/ip4/192.0.2.0/ipcidr/24`, which may end in the `/p2p/…` of the only allowed peer. Defaults to none.
   */
  allowlist?: readonly string[]
  /** Addresses without `subnets` and `rates`: an IP address or CIDR notation. Defaults to none. */
  trustedSources?: readonly string[]
  /** Whether loopback addresses are without `subnets` and `rates`. Defaults to true. */
  loopbackExempt?: boolean
  /** Whether refusals by scopes, subnets and rates are only reported. Defaults to false. */
  dryRun?: boolean
}

/** Checks the option `limits`. Throws `InvalidParametersError` that names the unknown or invalid member. */
export function checkLimits(limits: LimitConfig): void {
  checkOptions(limits, LIMIT_CHECKS, 'limits')
}

/** Checks the limits of scopes as {@link checkLimits} does, and of the others the names alone. */
export function checkScopes(limits: LimitConfig | ScopeLimitTable): void {
  checkOptions<LimitConfig>(limits, { ...OTHERS_UNCHECKED, ...SCOPE_CHECKS }, 'limits')
}

/** Maximum bytes of the name of a protocol or service: those of a line of a negotiation. */
const NAME_BYTES_MAX = 1_023

/** @internal A table by the names of services or protocols, whose scopes pass a check. */
export function scopesByName(check: Check): Check {
  return tableOf(check, (key, name) => {
    if (key === '' || key.includes('\n') || Buffer.byteLength(key) > NAME_BYTES_MAX) {
      throw misuse(`a name in ${name}`, `one line of 1 to ${NAME_BYTES_MAX} bytes`, key)
    }
    return key
  })
}

/** @internal A table by peer ids, whose scopes pass a check. */
export function scopesByPeer(check: Check): Check {
  return tableOf(check, namedPeer)
}

const aScopeLimit: Check = (value, name) => {
  if (isUnlimited(value)) return
  if (Number.isSafeInteger(value) && Number(value) >= 0) return
  throw misuse(name, 'a whole number of 0 or more, or "unlimited"', value)
}

// `Object.fromEntries` widens keys to `string`; these are all the resources.
/** @internal Checks of the limits of one scope. */
export const RESOURCE_CHECKS = Object.fromEntries(
  RESOURCE_NAMES.map((resource) => [resource, aScopeLimit])
) as OptionChecks<ScopeLimits>

// `checkOptions` accepts any value, and throws.
const aScope: Check = (value, name) => checkOptions(value as ScopeLimits, RESOURCE_CHECKS, name)

const SCOPE_CHECKS: OptionChecks<Pick<LimitConfig, keyof ScopeLimitTable>> = {
  system: aScope,
  transient: aScope,
  allowlistedSystem: aScope,
  allowlistedTransient: aScope,
  serviceDefault: aScope,
  servicePeerDefault: aScope,
  protocolDefault: aScope,
  protocolPeerDefault: aScope,
  peerDefault: aScope,
  connection: aScope,
  stream: aScope,
  services: scopesByName(aScope),
  servicePeers: scopesByName(aScope),
  protocols: scopesByName(aScope),
  protocolPeers: scopesByName(aScope),
  peers: scopesByPeer(aScope)
}

const aFamily = oneOf(4, 6)

const aRate: Check = (value, name) => {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return
  throw misuse(name, 'a finite number above 0', value)
}

const aSubnetLimit = subnetOf<SubnetLimit>({
  family: aFamily,
  prefix: anything,
  connections: integer(0, UINT32_MAX)
})

const aSubnetRate = subnetOf<SubnetRate>({
  family: aFamily,
  prefix: anything,
  perSecond: aRate,
  burst: integer(1, UINT32_MAX)
})

const aNumber = integer(1, UINT32_MAX)

const LIMIT_CHECKS: OptionChecks<LimitConfig> = {
  ...SCOPE_CHECKS,
  acceptBacklog: aNumber,
  windowMaxBytes: aNumber,
  keepaliveIntervalMs: aNumber,
  keepaliveTimeoutMs: aNumber,
  writeStallTimeoutMs: aNumber,
  subnets: listOf(aSubnetLimit),
  rates: listOf(aSubnetRate),
  networks: tableOf(aScopeLimit, (key, name) => networkText(parseNetwork(key, `a key of ${name}`))),
  allowlist: listOf(parseAllowed),
  trustedSources: listOf(parseNetwork),
  loopbackExempt: aBoolean,
  dryRun: aBoolean
}

const OTHERS_UNCHECKED = mapNamed(LIMIT_CHECKS, () => anything) as OptionChecks<LimitConfig>

/** A list whose entries pass a check. */
function listOf(check: Check): Check {
  return (value, name) => {
    anArray(value, name)
    // An array, by the check above.
    for (const [index, entry] of (value as unknown[]).entries()) check(entry, `${name}[${index}]`)
  }
}

/** A plain object whose values pass a check. `canonical` throws for an invalid key; no two may mean the same. */
function tableOf(check: Check, canonical: (key: string, name: string) => string): Check {
  return (value, name) => {
    // Of another object, such as a Map, the entries would be ignored.
    if (!areOptions(value)) throw misuse(name, 'a plain object', value)
    const keys = new Set<string>()
    for (const [key, entry] of Object.entries(value as object)) {
      const text = canonical(key, name)
      if (keys.has(text)) {
        throw new InvalidParametersError(`expected ${name} to name ${text} once, received it twice`)
      }
      keys.add(text)
      check(entry, `${name}[${JSON.stringify(key)}]`)
    }
  }
}

/** An object with these members, all of them, and a prefix within its family, which is checked here. */
function subnetOf<Subnet extends SubnetLimit | SubnetRate>(checks: OptionChecks<Subnet>): Check {
  return (value, name) => {
    anObject(value, name)
    const subnet = value as Subnet
    checkOptions(subnet, checks, name)
    // `Object.entries` widens keys to `string`.
    for (const [member, check] of Object.entries(checks) as [keyof Subnet & string, Check][]) {
      check(subnet[member], `${name}.${member}`)
    }
    integer(0, ADDRESS_BITS[subnet.family])(subnet.prefix, `${name}.prefix`)
  }
}
