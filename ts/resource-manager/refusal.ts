/** Errors of refusals by a limit: what refused, who uses it, and the option that would raise it. */
import { type ErrorCode, type ResourceHolder, ResourceLimitExceededError } from '../errors.ts'
import type { NativeRefusal, NativeResources } from '../native/addon.ts'

/** Maximum number of holders in an error. */
const HOLDERS_MAX = 5

/** The name of a scope, parsed. */
export interface ScopeName {
  readonly kind: ScopeKind
  /** Protocol or service. */
  readonly label?: string
  readonly peer?: string
}

/** The kinds of scopes, by the beginning of their names. */
export type ScopeKind =
  | 'system'
  | 'transient'
  | 'allowlistedSystem'
  | 'allowlistedTransient'
  | 'service'
  | 'protocol'
  | 'peer'
  | 'servicePeer'
  | 'protocolPeer'
  | 'connection'
  | 'stream'
  | 'span'
  | 'subnet'
  | 'rate'

const FIXED = ['system', 'transient', 'allowlistedSystem', 'allowlistedTransient'] as const
const NUMBERED = ['connection', 'stream', 'span'] as const

/** Parses the name of a scope, such as `protocol:/ipfs/kad/1.0.0.peer:12D3…`; undefined for any other text. */
export function parseScopeName(text: string): ScopeName | undefined {
  for (const kind of FIXED) if (text === kind) return { kind }
  for (const kind of NUMBERED) if (text.startsWith(`${kind}-`)) return { kind }
  const [head, rest] = splitAt(text, text.indexOf(':'))
  if (head === 'subnet' || head === 'rate') return { kind: head, label: rest }
  if (head === 'peer') return { kind: 'peer', peer: rest }
  if (head !== 'service' && head !== 'protocol') return undefined
  // The name of a protocol may have colons and dots; a peer id has none.
  const at = rest.lastIndexOf('.peer:')
  if (at < 0) return { kind: head, label: rest }
  return { kind: `${head}Peer`, label: rest.slice(0, at), peer: rest.slice(at + '.peer:'.length) }
}

function splitAt(text: string, at: number): [string, string] {
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** The option with the limits of all scopes of a kind. */
const CLASSES: Readonly<Record<ScopeKind, string>> = {
  system: 'system',
  transient: 'transient',
  allowlistedSystem: 'allowlistedSystem',
  allowlistedTransient: 'allowlistedTransient',
  service: 'serviceDefault',
  protocol: 'protocolDefault',
  peer: 'peerDefault',
  servicePeer: 'servicePeerDefault',
  protocolPeer: 'protocolPeerDefault',
  connection: 'connection',
  stream: 'stream',
  span: '',
  subnet: 'subnets',
  rate: 'rates'
}

/** The option with the limits of one scope by name. */
const NAMED: Partial<Record<ScopeKind, string>> = {
  service: 'services',
  protocol: 'protocols',
  peer: 'peers',
  servicePeer: 'servicePeers',
  protocolPeer: 'protocolPeers'
}

/**
 * Returns the option that sets a limit: that of the scope by name if `limits` has one, else that of its class; empty if
 * none does.
 */
export function optionOf(scope: string, resource: string, limits?: object): string {
  const name = parseScopeName(scope)
  if (name === undefined) return ''
  if (name.kind === 'subnet' || name.kind === 'rate') return `limits.${CLASSES[name.kind]}`
  const named = NAMED[name.kind]
  const key = name.label ?? name.peer
  if (named !== undefined && key !== undefined && hasOwn(limits, named, key)) {
    return `limits.${named}[${JSON.stringify(key)}].${resource}`
  }
  const of = CLASSES[name.kind]
  return of === '' ? '' : `limits.${of}.${resource}`
}

function hasOwn(limits: object | undefined, table: string, key: string): boolean {
  const tables = limits as Readonly<Record<string, object | undefined>> | undefined
  return Object.hasOwn(tables?.[table] ?? {}, key)
}

/** Returns the least limit that would have let a refused request through. */
export function sufficientLimit(refusal: {
  readonly current: number
  readonly requested: number
  readonly resource: string
  readonly priority: number
}): number {
  const needed = refusal.current + refusal.requested
  if (refusal.resource !== 'memory') return needed
  return Math.ceil((needed * 256) / (refusal.priority + 1))
}

/** What errors of refusals are made with. */
export interface RefusalContext {
  /** The native accounting, for the holders; none once the node is closed. */
  readonly resources?: Pick<NativeResources, 'holders'> | undefined
  /** The effective limits. */
  readonly limits?: object | undefined
}

/** Returns the error of a native refusal. */
export function refusalError(
  refusal: NativeRefusal,
  { resources, limits }: RefusalContext,
  code: ErrorCode = 'ERR_RESOURCE_LIMIT_EXCEEDED'
): ResourceLimitExceededError {
  const { scope, resource, limit, current, requested, priority } = refusal
  const option = optionOf(scope, resource, limits)
  const more = requested === 1 ? '' : ` and ${requested} more were requested`
  const set = option === '' ? '' : `; ${option} sets the limit`
  return new ResourceLimitExceededError(
    `${scope}: ${current} of ${limit} ${resource} are in use${more}${set}`,
    {
      scope,
      resource,
      limit,
      current,
      requested,
      priority: resource === 'memory' ? priority : undefined,
      option,
      holders: resources === undefined ? [] : holdersOf(scope, resource, resources)
    },
    code
  )
}

/** Returns the largest users of a resource within a scope; none within a single connection or stream. */
export function holdersOf(
  scope: string,
  resource: string,
  resources: Pick<NativeResources, 'holders'>
): ResourceHolder[] {
  const name = parseScopeName(scope)
  if (name === undefined || NUMBERED.some((kind) => kind === name.kind)) return []
  if (name.kind === 'subnet' || name.kind === 'rate') return []
  return resources.holders(name.kind, name.label, name.peer, resource, HOLDERS_MAX)
}
