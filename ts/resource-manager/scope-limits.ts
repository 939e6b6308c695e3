/** Resources, classes of scopes, and the limits of each. */

/** The resources that scopes account for, in the order of messages and tables. */
export const RESOURCE_NAMES = [
  'connectionsInbound',
  'connectionsOutbound',
  'connections',
  'streamsInbound',
  'streamsOutbound',
  'streams',
  'fds',
  'memory'
] as const

/** A resource that scopes account for. `connections` and `streams` are the totals of both directions. */
export type ResourceName = (typeof RESOURCE_NAMES)[number]

/**
 * Limits of one scope, all optional: omitted ones keep their defaults.
 *
 * A whole number, or `unlimited`, for which `Infinity` may be given; 0 blocks the resource.
 */
export interface ScopeLimits {
  /** Inbound connections. */
  connectionsInbound?: number | 'unlimited'
  /** Outbound connections. */
  connectionsOutbound?: number | 'unlimited'
  /** Connections of both directions. */
  connections?: number | 'unlimited'
  /** Inbound streams. */
  streamsInbound?: number | 'unlimited'
  /** Outbound streams. */
  streamsOutbound?: number | 'unlimited'
  /** Streams of both directions. */
  streams?: number | 'unlimited'
  /** File descriptors, one per socket. */
  fds?: number | 'unlimited'
  /** Bytes of memory. */
  memory?: number | 'unlimited'
}

/** Limits of one scope, complete: `Infinity` is no limit, 0 blocks. */
export interface ResolvedScopeLimits {
  /** Inbound connections. */
  readonly connectionsInbound: number
  /** Outbound connections. */
  readonly connectionsOutbound: number
  /** Connections of both directions. */
  readonly connections: number
  /** Inbound streams. */
  readonly streamsInbound: number
  /** Outbound streams. */
  readonly streamsOutbound: number
  /** Streams of both directions. */
  readonly streams: number
  /** File descriptors, one per socket. */
  readonly fds: number
  /** Bytes of memory. */
  readonly memory: number
}

/** The classes of scopes that have one limit each. */
export const SCOPE_CLASSES = [
  'system',
  'transient',
  'allowlistedSystem',
  'allowlistedTransient',
  'serviceDefault',
  'servicePeerDefault',
  'protocolDefault',
  'protocolPeerDefault',
  'peerDefault',
  'connection',
  'stream'
] as const

/** A class of scopes that has one limit. */
export type ScopeClass = (typeof SCOPE_CLASSES)[number]

/** The tables of limits of single scopes, each with the class whose limits they override. */
export const NAMED_CLASSES = {
  services: 'serviceDefault',
  servicePeers: 'servicePeerDefault',
  protocols: 'protocolDefault',
  protocolPeers: 'protocolPeerDefault',
  peers: 'peerDefault'
} as const satisfies Readonly<Record<string, ScopeClass>>

/** A table of limits of single scopes. */
export type NamedClass = keyof typeof NAMED_CLASSES

/** The names of {@link NAMED_CLASSES}, in its order. */
// `Object.keys` widens them to `string`.
export const NAMED_CLASS_NAMES = Object.keys(NAMED_CLASSES) as readonly NamedClass[]

/** Limits of single scopes by name. */
export type NamedLimits = Readonly<Record<string, ResolvedScopeLimits>>

/** The limits of every scope, complete. */
export interface ScopeLimitTable {
  /** Everything together. */
  readonly system: ResolvedScopeLimits
  /** Connections without a known peer, and streams without a protocol. */
  readonly transient: ResolvedScopeLimits
  /** Allowlisted connections beyond `system`. */
  readonly allowlistedSystem: ResolvedScopeLimits
  /** Such connections before their peer is known. */
  readonly allowlistedTransient: ResolvedScopeLimits
  /** Each service that is not in `services`. */
  readonly serviceDefault: ResolvedScopeLimits
  /** The streams of each peer in a service that is not in `servicePeers`. */
  readonly servicePeerDefault: ResolvedScopeLimits
  /** Each protocol that is not in `protocols`. */
  readonly protocolDefault: ResolvedScopeLimits
  /** The streams of each peer in a protocol that is not in `protocolPeers`. */
  readonly protocolPeerDefault: ResolvedScopeLimits
  /** Each peer that is not in `peers`. */
  readonly peerDefault: ResolvedScopeLimits
  /** Each connection. */
  readonly connection: ResolvedScopeLimits
  /** Each stream. */
  readonly stream: ResolvedScopeLimits
  /** Services by name. */
  readonly services: NamedLimits
  /** The streams of each peer in a service, by the name of the service. */
  readonly servicePeers: NamedLimits
  /** Protocols by name. */
  readonly protocols: NamedLimits
  /** The streams of each peer in a protocol, by the name of the protocol. */
  readonly protocolPeers: NamedLimits
  /** Peers by the canonical text of their ids. */
  readonly peers: NamedLimits
}

/** Returns whether a limit is none. */
export function isUnlimited(limit: unknown): limit is 'unlimited' {
  return limit === 'unlimited' || limit === Number.POSITIVE_INFINITY
}

/** Returns the frozen limits of one scope, each as `limitOf` returns it. */
export function scopeLimits(limitOf: (resource: ResourceName) => number): ResolvedScopeLimits {
  // `Object.fromEntries` widens keys to `string`; these are all the resources.
  return Object.freeze(
    Object.fromEntries(RESOURCE_NAMES.map((resource) => [resource, limitOf(resource)]))
  ) as Readonly<Record<ResourceName, number>>
}

/** Returns the frozen table of all scopes: the limits of each class, and its overrides by name. */
export function scopeTable(
  limitsOf: (name: ScopeClass) => ResolvedScopeLimits,
  overridesOf: (name: NamedClass) => NamedLimits
): ScopeLimitTable {
  // As above: these are all the classes.
  return Object.freeze(
    Object.fromEntries([
      ...SCOPE_CLASSES.map((name) => [name, limitsOf(name)]),
      ...NAMED_CLASS_NAMES.map((name) => [name, Object.freeze(overridesOf(name))])
    ])
  ) as Readonly<Record<ScopeClass, ResolvedScopeLimits> & Record<NamedClass, NamedLimits>>
}

/**
 * Returns the results of `change` for the own members of `limits`, by the same names.
 *
 * Every name is safe, `__proto__` included: members are defined, never assigned.
 */
export function mapNamed<From, To>(
  limits: Readonly<Record<string, From>>,
  change: (value: From, name: string) => To
): Record<string, To> {
  return Object.fromEntries(
    Object.entries(limits).map(([name, value]) => [name, change(value, name)])
  )
}
