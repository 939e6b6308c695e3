/** The effective limits of a swarm. */
import { areOptions, misuse } from '../base/arguments.ts'
import { DEFAULT_LIMITS } from '../constants.ts'
import {
  type AllowedNetwork,
  type Network,
  parseAllowed,
  parseNetwork
} from '../identity/networks.ts'
import { peerText } from '../identity/peer-id.ts'
import {
  checkLimits,
  type LimitConfig,
  PLAIN_LIMIT_NAMES,
  type PlainLimits,
  type SubnetLimit,
  type SubnetRate
} from './limit-config.ts'
import { autoLimits, type MachineResources } from './scale.ts'
import {
  isUnlimited,
  NAMED_CLASSES,
  type NamedClass,
  type NamedLimits,
  type ResolvedScopeLimits,
  type ScopeLimits,
  type ScopeLimitTable,
  scopeLimits,
  scopeTable
} from './scope-limits.ts'

/** Maximum concurrent connections with addresses of a whole network. */
export interface NetworkLimit extends Network {
  /** Connections; `Infinity` is no limit, 0 blocks. */
  readonly connections: number
}

/** The effective limits of a swarm, complete and frozen. Those of scopes by name are complete too. */
export interface ResolvedLimits extends ScopeLimitTable, Readonly<PlainLimits> {
  /** See {@link LimitConfig.subnets}. */
  readonly subnets: readonly SubnetLimit[]
  /** See {@link LimitConfig.rates}. */
  readonly rates: readonly SubnetRate[]
  /** See {@link LimitConfig.networks}; the longest prefix first. */
  readonly networks: readonly NetworkLimit[]
  /** See {@link LimitConfig.allowlist}. */
  readonly allowlist: readonly AllowedNetwork[]
  /** See {@link LimitConfig.trustedSources}. */
  readonly trustedSources: readonly Network[]
  /** See {@link LimitConfig.loopbackExempt}. */
  readonly loopbackExempt: boolean
  /** See {@link LimitConfig.dryRun}. */
  readonly dryRun: boolean
}

// 8 as in go, which dials up to 8 addresses of a peer at once; an IPv6 site has several /56.
const DEFAULT_SUBNETS: readonly SubnetLimit[] = [
  { family: 4, prefix: 32, connections: 8 },
  { family: 6, prefix: 56, connections: 8 },
  { family: 6, prefix: 48, connections: 64 }
]

// Many peers may share an address. go lets one in every 5 s, so the last of 40 would wait 2 minutes.
const DEFAULT_RATES: readonly SubnetRate[] = [
  { family: 4, prefix: 32, perSecond: 5, burst: 16 },
  { family: 6, prefix: 56, perSecond: 5, burst: 16 },
  { family: 6, prefix: 48, perSecond: 25, burst: 80 }
]

/** The table without any limit. */
const UNLIMITED: ScopeLimitTable = scopeTable(
  () => scopeLimits(() => Number.POSITIVE_INFINITY),
  () => ({})
)

/** Returns the memory that the process may use, and `fds`, its maximum open file descriptors. */
export function machineResources(fds: number): MachineResources {
  // Loaded on use: importing the package must not load avoidable Node.js modules.
  const { totalmem } = process.getBuiltinModule('node:os')
  // Other runtimes may lack the call.
  return { memory: usableMemory(process.constrainedMemory?.() ?? 0, totalmem()), fds }
}

/**
 * @internal Returns the limit of the container, in bytes, if it has one, else the memory of the machine.
 *
 * Without a limit the kernel reports 0 or a number beyond all memory.
 */
export function usableMemory(constrained: number, total: number): number {
  return constrained > 0 && constrained < total ? constrained : total
}

/**
 * Checks the option `limits` and returns the effective limits: `auto`, the default, those of the machine; `unlimited`
 * none for scopes, subnets and rates, while timeouts, backlog and window keep their defaults.
 *
 * @throws {@link InvalidParametersError} that names the unknown or invalid member, such as
 * `limits.protocols["/x/1"].streams`
 */
export function resolveLimits(
  limits: 'auto' | 'unlimited' | LimitConfig | undefined,
  machine: MachineResources
): ResolvedLimits {
  if (limits === 'unlimited') return resolved({ subnets: [], rates: [] }, UNLIMITED)
  if (limits === undefined || limits === 'auto') return resolved({}, autoLimits(machine))
  if (!areOptions(limits)) throw misuse('limits', '"auto", "unlimited" or an object', limits)
  checkLimits(limits)
  return resolved(limits, autoLimits(machine))
}

/**
 * @internal Returns the effective limits with the connections that the option `connections.max` permits: `max`, or by default
 * `otherwise`. Limits that are given bound them too.
 */
export function boundConnections(
  limits: ResolvedLimits,
  given: 'auto' | 'unlimited' | LimitConfig | undefined,
  max: number | undefined,
  otherwise: number
): ResolvedLimits {
  const isGiven = areOptions(given) && given.system?.connections !== undefined
  const own = isGiven || given === 'unlimited' ? limits.system.connections : undefined
  const connections = max ?? (own === undefined ? otherwise : Number.POSITIVE_INFINITY)
  if (own !== undefined && own < connections) return limits
  const bound = { ...limits, system: Object.freeze({ ...limits.system, connections }) }
  boundByOption.add(bound)
  return Object.freeze(bound)
}

/** Limits of {@link boundConnections}. No member of them, as effective limits have those of the option `limits` only. */
const boundByOption = new WeakSet<object>()

/** @internal Returns the option that sets the connections of the scope `system`. */
export function connectionsOption(limits: object | undefined): string {
  const isBound = limits !== undefined && boundByOption.has(limits)
  return isBound ? 'connections.max' : 'limits.system.connections'
}

function resolved(given: LimitConfig, defaults: ScopeLimitTable): ResolvedLimits {
  const limit = ([key, connections]: [string, number | 'unlimited']): NetworkLimit =>
    Object.freeze({
      ...parseNetwork(key, 'limits.networks'),
      connections: isUnlimited(connections) ? Number.POSITIVE_INFINITY : connections
    })
  return Object.freeze({
    ...scopes(given, defaults),
    ...plainLimits(given),
    subnets: copied(given.subnets ?? DEFAULT_SUBNETS),
    rates: copied(given.rates ?? DEFAULT_RATES),
    networks: Object.freeze(
      Object.entries(given.networks ?? {})
        .map(limit)
        .sort((a, b) => b.prefix - a.prefix)
    ),
    allowlist: copied((given.allowlist ?? []).map((entry) => parseAllowed(entry, 'limits'))),
    trustedSources: copied(
      (given.trustedSources ?? []).map((entry) => parseNetwork(entry, 'limits'))
    ),
    loopbackExempt: given.loopbackExempt ?? true,
    dryRun: given.dryRun ?? false
  })
}

function scopes(given: LimitConfig, defaults: ScopeLimitTable): ScopeLimitTable {
  const classes = scopeTable(
    (name) => override(defaults[name], given[name]),
    () => ({})
  )
  const named = (name: NamedClass): NamedLimits => {
    const builtIn = new Map(Object.entries(defaults[name]))
    const own = Object.entries(given[name] ?? {}).map(([text, limits]) => {
      const key = name === 'peers' ? peerText(text) : text
      return [key, override(builtIn.get(key) ?? classes[NAMED_CLASSES[name]], limits)] as const
    })
    return Object.fromEntries([...builtIn, ...own])
  }
  return scopeTable((name) => classes[name], named)
}

/** Returns complete limits: `given` where it has members, `defaults` elsewhere. */
function override(
  defaults: ResolvedScopeLimits,
  given: ScopeLimits | undefined
): ResolvedScopeLimits {
  return scopeLimits((resource) => {
    const limit = given?.[resource] ?? defaults[resource]
    return isUnlimited(limit) ? Number.POSITIVE_INFINITY : limit
  })
}

/** Returns the limits that are not those of scopes, complete. */
export function plainLimits(given: Partial<PlainLimits>): PlainLimits {
  // `Object.fromEntries` widens keys to `string`; these are all of them.
  return Object.fromEntries(
    PLAIN_LIMIT_NAMES.map((name) => [name, given[name] ?? DEFAULT_LIMITS[name]])
  ) as unknown as PlainLimits
}

/** Returns a frozen copy of a list of objects. */
function copied<Entry extends object>(entries: readonly Entry[]): readonly Entry[] {
  return Object.freeze(entries.map((entry) => Object.freeze({ ...entry })))
}
