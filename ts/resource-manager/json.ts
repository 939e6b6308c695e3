/**
 * Limits in the JSON format of go-libp2p's resource manager.
 *
 * In it, a value is a whole number, `unlimited`, `blockAll` or `default`, which is the same as none; memory is a number
 * in a string. 0 blocks too; -1 and -2 are what go has for `unlimited` and `blockAll` in its own memory.
 */
import {
  areOptions,
  type Check,
  checkOptions,
  misuse,
  type OptionChecks
} from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'
import { checkScopes, type LimitConfig, scopesByName, scopesByPeer } from './limit-config.ts'
import {
  isUnlimited,
  mapNamed,
  type NamedClass,
  type ResourceName,
  type ScopeClass,
  type ScopeLimits,
  type ScopeLimitTable
} from './scope-limits.ts'

/** A limit as go writes it; memory as a string of digits. */
export type GoLimit = number | string

/** Limits of one scope in go's format. Values that are absent are defaults. */
export interface GoScopeLimits {
  /** Streams of both directions. */
  Streams?: GoLimit
  /** Inbound streams. */
  StreamsInbound?: GoLimit
  /** Outbound streams. */
  StreamsOutbound?: GoLimit
  /** Connections of both directions. */
  Conns?: GoLimit
  /** Inbound connections. */
  ConnsInbound?: GoLimit
  /** Outbound connections. */
  ConnsOutbound?: GoLimit
  /** File descriptors. */
  FD?: GoLimit
  /** Bytes of memory. */
  Memory?: GoLimit
}

/** Limits of all scopes in go's format. Scopes that are absent have defaults. */
export interface GoLimits {
  /** `system` of {@link LimitConfig}. */
  System?: GoScopeLimits
  /** `transient`. */
  Transient?: GoScopeLimits
  /** `allowlistedSystem`. */
  AllowlistedSystem?: GoScopeLimits
  /** `allowlistedTransient`. */
  AllowlistedTransient?: GoScopeLimits
  /** `serviceDefault`. */
  ServiceDefault?: GoScopeLimits
  /** `services`. */
  Service?: Record<string, GoScopeLimits>
  /** `servicePeerDefault`. */
  ServicePeerDefault?: GoScopeLimits
  /** `servicePeers`. */
  ServicePeer?: Record<string, GoScopeLimits>
  /** `protocolDefault`. */
  ProtocolDefault?: GoScopeLimits
  /** `protocols`. */
  Protocol?: Record<string, GoScopeLimits>
  /** `protocolPeerDefault`. */
  ProtocolPeerDefault?: GoScopeLimits
  /** `protocolPeers`. */
  ProtocolPeer?: Record<string, GoScopeLimits>
  /** `peerDefault`. */
  PeerDefault?: GoScopeLimits
  /** `peers`. */
  Peer?: Record<string, GoScopeLimits>
  /** `connection`. */
  Conn?: GoScopeLimits
  /** `stream`. */
  Stream?: GoScopeLimits
}

// The names of both formats. `Object.entries` widens them to `string`.
const CLASSES = Object.entries({
  System: 'system',
  Transient: 'transient',
  AllowlistedSystem: 'allowlistedSystem',
  AllowlistedTransient: 'allowlistedTransient',
  ServiceDefault: 'serviceDefault',
  ServicePeerDefault: 'servicePeerDefault',
  ProtocolDefault: 'protocolDefault',
  ProtocolPeerDefault: 'protocolPeerDefault',
  PeerDefault: 'peerDefault',
  Conn: 'connection',
  Stream: 'stream'
} satisfies Readonly<Record<GoClass, ScopeClass>>) as [GoClass, ScopeClass][]

const NAMED = Object.entries({
  Service: 'services',
  ServicePeer: 'servicePeers',
  Protocol: 'protocols',
  ProtocolPeer: 'protocolPeers',
  Peer: 'peers'
} satisfies Readonly<Record<GoNamed, NamedClass>>) as [GoNamed, NamedClass][]

const RESOURCES = Object.entries({
  Streams: 'streams',
  StreamsInbound: 'streamsInbound',
  StreamsOutbound: 'streamsOutbound',
  Conns: 'connections',
  ConnsInbound: 'connectionsInbound',
  ConnsOutbound: 'connectionsOutbound',
  FD: 'fds',
  Memory: 'memory'
} satisfies Readonly<Record<keyof GoScopeLimits, ResourceName>>) as [
  keyof GoScopeLimits,
  ResourceName
][]

/** Resources that go does not count in a connection. */
const UNCOUNTED = ['streams', 'streamsInbound', 'streamsOutbound'] as const

type GoNamed = 'Service' | 'ServicePeer' | 'Protocol' | 'ProtocolPeer' | 'Peer'
type GoClass = Exclude<keyof GoLimits, GoNamed>

const INTEGER = /^-?\d+$/

/**
 * Returns the limits of a file of go-libp2p, given as its text or as the object parsed from it.
 *
 * A stream is charged to its connection here. In go it is not: go writes stream limits of 0 in `Conn` and ignores them,
 * so 0 and `blockAll` are ignored there.
 *
 * @throws {@link InvalidParametersError} if the text is not JSON, or with the path of an unknown name or an invalid
 * value, such as `Protocol["/x/1"].Streams`
 */
export function fromGoJSON(json: string | object): LimitConfig {
  const go: GoLimits = typeof json === 'string' ? parsed(json) : json
  if (!areOptions(go)) throw misuse('the limits', 'an object or its JSON text', go)
  checkOptions<GoLimits>(go, GO_CHECKS)
  const config: LimitConfig = {}
  for (const [name, own] of CLASSES) {
    const scope = go[name]
    if (scope !== undefined) config[own] = fromGoScope(scope)
  }
  for (const [name, own] of NAMED) {
    const scopes = go[name]
    if (scopes !== undefined) config[own] = mapNamed(scopes, fromGoScope)
  }
  for (const resource of UNCOUNTED) {
    if (config.connection?.[resource] === 0) delete config.connection[resource]
  }
  return config
}

/**
 * Returns the limits of scopes in go's format, for `JSON.stringify`. Other limits have no place in it and are left out.
 *
 * @throws {@link InvalidParametersError} that names the unknown or invalid member
 */
export function toGoJSON(limits: LimitConfig | ScopeLimitTable): GoLimits {
  if (!areOptions(limits)) throw misuse('the limits', 'an object', limits)
  checkScopes(limits)
  const go: GoLimits = {}
  for (const [name, own] of CLASSES) {
    const scope = toGoScope(limits[own] ?? {})
    // Without members, the scope has its defaults, as one that is absent.
    if (!isEmpty(scope)) go[name] = scope
  }
  for (const [name, own] of NAMED) {
    const scopes = mapNamed(limits[own] ?? {}, toGoScope)
    if (!isEmpty(scopes)) go[name] = scopes
  }
  return go
}

function parsed(text: string): object {
  try {
    // Any value of JSON: the caller checks it, as it checks what it is given parsed.
    return JSON.parse(text)
  } catch (err) {
    throw new InvalidParametersError('expected the limits to be JSON text', { cause: err })
  }
}

function fromGoScope(go: GoScopeLimits): ScopeLimits {
  const scope: ScopeLimits = {}
  for (const [name, resource] of RESOURCES) {
    const limit = fromGoLimit(go[name])
    if (limit !== undefined) scope[resource] = limit
  }
  return scope
}

function toGoScope(scope: ScopeLimits): GoScopeLimits {
  const go: GoScopeLimits = {}
  for (const [name, resource] of RESOURCES) {
    const limit = scope[resource]
    if (limit === undefined) continue
    if (isUnlimited(limit)) go[name] = 'unlimited'
    else if (limit === 0) go[name] = 'blockAll'
    else go[name] = name === 'Memory' ? String(limit) : limit
  }
  return go
}

function isEmpty(members: object): boolean {
  return Object.keys(members).length === 0
}

/** Returns a limit of go; undefined for a default one. The value is valid by {@link aCount} or {@link aMemorySize}. */
function fromGoLimit(limit: GoLimit | undefined): number | 'unlimited' | undefined {
  if (limit === undefined || limit === 'default') return undefined
  if (limit === 'blockAll') return 0
  if (limit === 'unlimited') return limit
  const count = Number(limit)
  // go has 2^63 - 1 for no limit, and no machine has as much of anything as this.
  if (count === -1 || count > Number.MAX_SAFE_INTEGER) return 'unlimited'
  return count === -2 ? 0 : count
}

/** -1 and -2 are `unlimited` and `blockAll` as go holds them in memory. */
const aCount: Check = (value, name) => {
  if (value === 'default' || value === 'unlimited' || value === 'blockAll') return
  if (Number.isInteger(value) && Number(value) >= -2) return
  throw misuse(name, 'a whole number, "unlimited", "blockAll" or "default"', value)
}

/** go writes memory as a string, as JSON numbers are exact up to 53 bits only. */
const aMemorySize: Check = (value, name) => {
  aCount(typeof value === 'string' && INTEGER.test(value) ? Number(value) : value, name)
}

const RESOURCE_CHECKS: OptionChecks<GoScopeLimits> = {
  Streams: aCount,
  StreamsInbound: aCount,
  StreamsOutbound: aCount,
  Conns: aCount,
  ConnsInbound: aCount,
  ConnsOutbound: aCount,
  FD: aCount,
  Memory: aMemorySize
}

// `checkOptions` accepts any value, and throws.
const aScope: Check = (value, name) => checkOptions(value as GoScopeLimits, RESOURCE_CHECKS, name)

const GO_CHECKS: OptionChecks<GoLimits> = {
  System: aScope,
  Transient: aScope,
  AllowlistedSystem: aScope,
  AllowlistedTransient: aScope,
  ServiceDefault: aScope,
  Service: scopesByName(aScope),
  ServicePeerDefault: aScope,
  ServicePeer: scopesByName(aScope),
  ProtocolDefault: aScope,
  Protocol: scopesByName(aScope),
  ProtocolPeerDefault: aScope,
  ProtocolPeer: scopesByName(aScope),
  PeerDefault: aScope,
  Peer: scopesByPeer(aScope),
  Conn: aScope,
  Stream: aScope
}
