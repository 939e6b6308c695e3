/** Errors of refusals by a limit: what refused, who uses it, and the option that would raise it. */
import {
  type ErrorCode,
  RateLimitError,
  type ResourceHolder,
  ResourceLimitExceededError,
  ResourceScopeClosedError
} from '../errors.ts'
import { type Network, networkText } from '../identity/networks.ts'
import type { NativeRefusal, NativeResources } from '../native/addon.ts'
import { printable } from '../text/printable.ts'
import { connectionsOption } from './limits.ts'

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
const NUMBER = /-\d+$/
/** A peer id at the end: names of protocols may contain `.peer:` too, followed by anything else. */
const OF_PEER = /^(.*)\.peer:(Qm[1-9A-HJ-NP-Za-km-z]{44}|1[1-9A-HJ-NP-Za-km-z]{45,60})$/s

/** Parses the name of a scope, such as `protocol:/ipfs/kad/1.0.0.peer:12D3…`; undefined for any other text. */
export function parseScopeName(text: string): ScopeName | undefined {
  for (const kind of FIXED) if (text === kind) return { kind }
  const numbered = text.replace(NUMBER, '')
  for (const kind of NUMBERED) if (numbered === kind && numbered !== text) return { kind }
  const [head, rest] = splitAt(text, text.indexOf(':'))
  if (head === 'subnet' || head === 'rate') return { kind: head, label: rest }
  if (head === 'peer') return { kind: 'peer', peer: rest }
  if (head !== 'service' && head !== 'protocol') return undefined
  const [, label, peer] = OF_PEER.exec(rest) ?? []
  if (label === undefined || peer === undefined) return { kind: head, label: rest }
  return { kind: `${head}Peer`, label, peer }
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
 * none does, as for a `limit` that was set by hand.
 */
export function optionOf(scope: string, resource: string, limits?: object, limit?: number): string {
  const { ofClass, ofName, named } = optionsOf(scope, resource, limits)
  const network = networkIn(scope, limits)
  if (network !== undefined) return `limits.networks[${JSON.stringify(network)}]`
  const ofOne = named === undefined ? undefined : own(own(limits, named.table), named.key)
  const effective = ofOne ?? own(limits, CLASSES[parseScopeName(scope)?.kind ?? 'span'])
  // Lists, such as the subnets, have no resources.
  const value = own(effective, resource)
  if (limit !== undefined && typeof value === 'number' && value !== limit) return ''
  return ofOne === undefined ? ofClass : ofName
}

/** Returns the options that set a limit: for all scopes of its class, and for one by name; empty if there is none. */
export function optionsOf(
  scope: string,
  resource: string,
  limits?: object
): {
  readonly ofClass: string
  readonly ofName: string
  readonly named: { readonly table: string; readonly key: string } | undefined
} {
  const name = parseScopeName(scope)
  const of = name === undefined ? '' : CLASSES[name.kind]
  if (name === undefined || of === '') return { ofClass: '', ofName: '', named: undefined }
  if (name.kind === 'subnet' || name.kind === 'rate') {
    return { ofClass: `limits.${of}`, ofName: '', named: undefined }
  }
  if (name.kind === 'system' && resource === 'connections') {
    return { ofClass: connectionsOption(limits), ofName: '', named: undefined }
  }
  const ofClass = `limits.${of}.${resource}`
  const table = NAMED[name.kind]
  const key = name.label ?? name.peer
  if (table === undefined || key === undefined) return { ofClass, ofName: '', named: undefined }
  const ofName = `limits.${table}[${JSON.stringify(key)}].${resource}`
  return { ofClass, ofName, named: { table, key } }
}

/** Returns the network in CIDR notation if a subnet is one of the option `networks`. */
function networkIn(scope: string, limits: object | undefined): string | undefined {
  const name = parseScopeName(scope)
  const { networks } = (limits ?? {}) as { networks?: readonly Network[] }
  if (name?.kind !== 'subnet' || networks === undefined) return undefined
  return networks.map(networkText).find((network) => network === name.label)
}

/** Returns an own member: names in the tables are the application's, and names of scopes may be a remote's. */
function own(of: unknown, name: string): unknown {
  if (typeof of !== 'object' || of === null || !Object.hasOwn(of, name)) return undefined
  return (of as Readonly<Record<string, unknown>>)[name]
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

/** The resource in native refusals by a manager, or a scope, that is closed. */
export const CLOSED = 'closed'

/** Returns the error of a native refusal, by a limit or because the manager or the scope is closed. */
export function refusalError(
  refusal: NativeRefusal,
  context: RefusalContext,
  code?: ErrorCode
): ResourceLimitExceededError | ResourceScopeClosedError {
  return refusal.resource === CLOSED
    ? new ResourceScopeClosedError('the resource manager or the scope is closed')
    : limitError(refusal, context, code)
}

/** Returns the error of a native refusal by a limit. */
export function limitError(
  refusal: NativeRefusal,
  { resources, limits }: RefusalContext,
  code: ErrorCode = 'ERR_RESOURCE_LIMIT_EXCEEDED'
): ResourceLimitExceededError {
  const { scope, resource, limit, current, requested, priority } = refusal
  const option = optionOf(scope, resource, limits, limit)
  const set = option === '' ? '' : `; ${option} sets the limit`
  const name = printable(scope)
  const holders = resources === undefined ? [] : holdersOf(scope, resource, resources)
  const details = {
    scope,
    resource,
    limit,
    current,
    requested,
    priority: resource === 'memory' ? priority : undefined,
    option,
    holders
  }
  if (parseScopeName(scope)?.kind === 'rate') {
    return new RateLimitError(
      `${name}: more than ${limit} connections per second, or ${current} at once${set}`,
      { ...details, consumedPoints: current }
    )
  }
  const what = resource === 'memory' ? 'bytes of memory' : resource
  const more = requested === 1 ? '' : ` and ${requested} more were requested`
  const share = Math.floor((limit * (priority + 1)) / 256)
  const part = share === limit ? '' : `; priority ${priority} may use ${share} of them`
  return new ResourceLimitExceededError(
    `${name}: ${current} of ${limit} ${what} are in use${more}${resource === 'memory' ? part : ''}${set}`,
    details,
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
