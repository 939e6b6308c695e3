/**
 * Scopes of the native accounting: those of single connections, streams and spans by number, those that many share by
 * name.
 */
import type { PeerId } from '@libp2p/interface'
import { checkOptions, integer, misuse } from '../base/arguments.ts'
import { INSPECT, type InspectArguments, shown } from '../base/inspection.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { InvalidParametersError, ResourceScopeClosedError } from '../errors.ts'
import { peerIdOf, peerText } from '../identity/peer-id.ts'
import type {
  NativeRefusal,
  NativeResources,
  NativeScopeAnswer,
  NativeScopeFigures
} from '../native/addon.ts'
import { thrownByNative } from '../native/command-error.ts'
import { amount } from './amounts.ts'
import type {
  ConnManagementScope,
  PeerScope,
  ProtocolScope,
  ResourceScope,
  ResourceScopeLimiter,
  ResourceScopeSpan,
  ScopeStat,
  ServiceScope,
  StreamManagementScope,
  StreamScope
} from './interfaces.ts'
import { RESOURCE_CHECKS } from './limit-config.ts'
import { byResource } from './native-limits.ts'
import { nullScope } from './null.ts'
import {
  isUnlimited,
  RESOURCE_NAMES,
  type ResolvedScopeLimits,
  type ScopeLimits,
  scopeLimits
} from './scope-limits.ts'

/** What the scopes of one swarm are made with. */
export interface ScopeHost {
  readonly resources: NativeResources
  /** The effective limits. */
  readonly limits: object
  readonly logger: Pick<Logger, 'warn'>
  /** Judges remotes that connect. */
  readonly gate: {
    refusalOf(remote: { direction: 'inbound'; remoteAddress: string }): Error | undefined
  }
  /** Returns the error of a refusal. */
  refusalError(refusal: NativeRefusal): Error
}

const aSize = integer(0)
const aPriority = integer(0, 255)

/** A scope of the native accounting. */
abstract class NativeScope implements ResourceScope {
  protected readonly host: ScopeHost

  constructor(host: ScopeHost) {
    this.host = host
  }

  /** Calls `use` with the number of the scope; undefined after its end. */
  protected abstract at<T>(use: (id: number | undefined) => T): T

  /** @internal Name, usage and limits; undefined after the end of the scope. */
  figures(): NativeScopeFigures | undefined {
    return this.at((id) => (id === undefined ? null : this.host.resources.stat(id))) ?? undefined
  }

  get stat(): ScopeStat {
    const figures = this.figures()
    return figures === undefined ? nullScope.stat : statOf(figures.usage)
  }

  reserveMemory(size: number, priority: number): void {
    aSize(size, 'size')
    aPriority(priority, 'priority')
    this.call((id, resources) => resources.reserveMemory(id, size, priority))
  }

  releaseMemory(size: number): void {
    aSize(size, 'size')
    this.at((id) => {
      const answer = id === undefined ? undefined : this.host.resources.releaseMemory(id, size)
      // A scope that has ended has released everything.
      if (answer?.misuse === undefined) return
      const name = this.figures()?.scope
      this.host.logger.warn(`more memory of ${name} was released than is reserved: ${size} bytes`)
    })
  }

  beginSpan(): ResourceScopeSpan {
    return new Span(
      this.host,
      this.open((id, resources) => resources.beginSpan(id))
    )
  }

  /** @internal The name, and what the scope uses of its limits. */
  [INSPECT](...args: InspectArguments): unknown {
    const figures = this.figures()
    const name = figures?.scope ?? 'closed'
    return shown('ResourceScope', name, () => shownOf(figures), args)
  }

  /** Makes a native call on the scope; throws its failure. */
  protected call(make: (id: number, resources: NativeResources) => NativeScopeAnswer): void {
    this.at((id) => {
      if (id === undefined) throw new ResourceScopeClosedError()
      settle(this.host, () => make(id, this.host.resources))
    })
  }

  /** As {@link call}, of a call that opens a scope; returns its number. */
  protected open(make: (id: number, resources: NativeResources) => NativeScopeAnswer): number {
    return this.at((id) => {
      if (id === undefined) throw new ResourceScopeClosedError()
      return opened(this.host, () => make(id, this.host.resources))
    })
  }
}

/** A scope with a number of its own: a connection's, a stream's or a span's. */
export class NumberedScope extends NativeScope {
  readonly #id: number | undefined

  /** Without a number, the scope has ended. */
  constructor(host: ScopeHost, id: number | undefined) {
    super(host)
    this.#id = id
  }

  protected override at<T>(use: (id: number | undefined) => T): T {
    return use(this.#id)
  }

  /** Ends the scope, if it is the caller's. */
  protected end(): void {
    if (this.#id !== undefined) this.host.resources.done(this.#id)
  }
}

/**
 * The scope of a connection of the swarm. It ends with the connection for the application; natively it goes on to
 * account for bytes that may still be read.
 */
export class ConnectionView extends NativeScope {
  readonly #idOf: () => number | undefined

  constructor(host: ScopeHost, idOf: () => number | undefined) {
    super(host)
    this.#idOf = idOf
  }

  protected override at<T>(use: (id: number | undefined) => T): T {
    return use(this.#idOf())
  }
}

class Span extends NumberedScope implements ResourceScopeSpan {
  done(): void {
    this.end()
  }

  [Symbol.dispose](): void {
    this.end()
  }
}

/** The connection that a scope was opened for; `endpoint` is the remote's IP address. */
export interface OpenedConnection {
  readonly direction: 'inbound' | 'outbound'
  readonly endpoint: string | undefined
}

/** The scope of a connection that the application has opened, as its successor sees it. */
export interface OpenedScope {
  readonly id: number
  readonly endpoint: string | undefined
  /** The peer that it is charged to, as text. */
  readonly peer: string | undefined
  /** Takes it over: from here on the application's `done` does nothing. */
  take(): void
  /** Returns the scope for an owner in JavaScript, whose `done` ends it. */
  successor(): ConnManagementScope
  end(): void
}

/** The scope of a connection of the application's own. */
export class OwnConnection extends NumberedScope implements ConnManagementScope {
  readonly #opened: OpenedConnection
  #peer: string | undefined
  #isTaken = false

  constructor(host: ScopeHost, id: number, opened: OpenedConnection) {
    super(host, id)
    this.#opened = opened
  }

  /** @internal Returns whether it is a scope of that manager. */
  isOf(host: ScopeHost): boolean {
    return this.host === host
  }

  /** @internal Returns the scope for a connection of the swarm that may take it over. */
  toTake(direction: 'inbound' | 'outbound'): OpenedScope {
    const { endpoint, direction: own } = this.#opened
    if (own !== direction) throw misuse('scope', `that of an ${direction} connection`, own)
    const id = this.at((number) => number)
    if (this.#isTaken || id === undefined || this.figures() === undefined) {
      throw new ResourceScopeClosedError()
    }
    const take = (): void => {
      this.#isTaken = true
    }
    const successor = (): OwnConnection => {
      const scope = new OwnConnection(this.host, id, this.#opened)
      scope.#peer = this.#peer
      return scope
    }
    return { id, endpoint, peer: this.#peer, take, successor, end: () => this.end() }
  }

  get peerScope(): PeerScope | undefined {
    return this.#peer === undefined ? undefined : new PeerView(this.host, this.#peer)
  }

  setPeer(peer: Parameters<ConnManagementScope['setPeer']>[0]): void {
    const text = peerText(peer)
    this.call((id, resources) => resources.setPeer(id, text, this.#opened.endpoint))
    this.#peer = text
  }

  done(): void {
    if (!this.#isTaken) this.end()
  }

  [Symbol.dispose](): void {
    this.done()
  }
}

/** The scope of one of the swarm's streams. */
export class StreamView extends NumberedScope implements StreamScope {
  setService(service: string): void {
    aName(service, 'the service')
    this.call((id, resources) => resources.setService(id, service))
  }
}

/** The scope of a stream of the application's own. */
export class OwnStream extends StreamView implements StreamManagementScope {
  readonly #peer: string
  #protocol: string | undefined
  #service: string | undefined

  constructor(host: ScopeHost, id: number, peer: string) {
    super(host, id)
    this.#peer = peer
  }

  get peerScope(): PeerScope {
    return new PeerView(this.host, this.#peer)
  }

  get protocolScope(): ProtocolScope | undefined {
    return this.#protocol === undefined ? undefined : new ProtocolView(this.host, this.#protocol)
  }

  get serviceScope(): ServiceScope | undefined {
    return this.#service === undefined ? undefined : new ServiceView(this.host, this.#service)
  }

  setProtocol(protocol: string): void {
    aName(protocol, 'the protocol')
    this.call((id, resources) => resources.setProtocol(id, protocol))
    this.#protocol = protocol
  }

  override setService(service: string): void {
    super.setService(service)
    this.#service = service
  }

  done(): void {
    this.end()
  }

  [Symbol.dispose](): void {
    this.end()
  }
}

/** Kind, label and peer of a scope that many share, as the native calls take them. */
type SharedName = readonly [kind: string, label?: string | undefined, peer?: string | undefined]

/** A scope that many share. It is found by name for each call, and created if need be: a view holds nothing. */
export class SharedScope extends NativeScope implements ResourceScopeLimiter {
  readonly #name: SharedName

  constructor(host: ScopeHost, ...name: SharedName) {
    super(host)
    this.#name = name
  }

  protected override at<T>(use: (id: number) => T): T {
    const { resources } = this.host
    const id = native(() => resources.hold(...this.#name))
    try {
      return use(id)
    } finally {
      resources.unhold(id)
    }
  }

  /** Returns the result of `view` for this scope, which stays meanwhile. */
  viewedBy<T>(view: (scope: this) => T): T {
    return this.at(() => view(this))
  }

  get limit(): ResolvedScopeLimits {
    return limitsOf(this.figures()?.limits ?? [])
  }

  setLimit(limit: ScopeLimits): void {
    if (typeof limit !== 'object' || limit === null) throw misuse('the limits', 'an object', limit)
    checkOptions(limit, RESOURCE_CHECKS, 'limit')
    const { limit: current } = this
    const next = scopeLimits((resource) => {
      const value = limit[resource] ?? current[resource]
      return isUnlimited(value) ? Number.POSITIVE_INFINITY : value
    })
    this.call((id, resources) => resources.setLimit(id, byResource(next)))
  }
}

/** The scope of a peer. */
export class PeerView extends SharedScope implements PeerScope {
  readonly #peer: string

  /** `peer` is canonical text. */
  constructor(host: ScopeHost, peer: string) {
    super(host, 'peer', undefined, peer)
    this.#peer = peer
  }

  get peer(): PeerId {
    return peerIdOf(this.#peer)
  }
}

/** The scope of a protocol. */
export class ProtocolView extends SharedScope implements ProtocolScope {
  readonly protocol: string

  constructor(host: ScopeHost, protocol: string) {
    super(host, 'protocol', protocol)
    this.protocol = protocol
  }
}

/** The scope of a service. */
export class ServiceView extends SharedScope implements ServiceScope {
  readonly name: string

  constructor(host: ScopeHost, name: string) {
    super(host, 'service', name)
    this.name = name
  }
}

/** Returns the name, usage and limits of a scope of this module; undefined after its end, and for other values. */
export function figuresOf(scope: unknown): NativeScopeFigures | undefined {
  return scope instanceof NativeScope ? scope.figures() : undefined
}

/** Properties shown by `console.log`: the amounts in use, and their limits. */
function shownOf(figures: NativeScopeFigures | undefined): Readonly<Record<string, unknown>> {
  if (figures === undefined) return { scope: 'closed' }
  const { scope, usage, limits } = figures
  const used = RESOURCE_NAMES.map((resource, index): [string, string | undefined] => {
    const value = usage[index] ?? 0
    const limit = amount(limits[index] ?? 0, resource)
    return [resource, value === 0 ? undefined : `${amount(value, resource)} of ${limit}`]
  })
  return { scope, ...Object.fromEntries(used) }
}

/** Returns whether a value is a scope of this module. */
export function isNativeScope(value: unknown): boolean {
  return value instanceof NativeScope
}

/** Makes a native call that opens a scope; returns its number, or throws the failure. */
export function opened(
  host: Pick<ScopeHost, 'refusalError'>,
  make: () => NativeScopeAnswer
): number {
  const { scope } = settle(host, make)
  if (scope === undefined) throw new TypeError('the native call has opened no scope')
  return scope
}

/** Makes a native call on a scope; throws its failure. */
function settle(
  host: Pick<ScopeHost, 'refusalError'>,
  make: () => NativeScopeAnswer
): NativeScopeAnswer {
  const answer = native(make)
  if (answer.refusal !== undefined) throw host.refusalError(answer.refusal)
  if (answer.closed === true) throw new ResourceScopeClosedError()
  if (answer.misuse !== undefined) throw new InvalidParametersError(answer.misuse)
  return answer
}

/** Returns the result of a native call; what it throws gets the class of its code. */
export function native<T>(call: () => T): T {
  try {
    return call()
  } catch (err) {
    throw thrownByNative(err)
  }
}

/** Checks that a name is text; the native side checks the rest. */
export function aName(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw misuse(name, 'a string', value)
}

/** Returns the public form of a usage, which is in the order of `RESOURCE_NAMES`. */
export function statOf(usage: readonly number[]): ScopeStat {
  const [
    numConnsInbound = 0,
    numConnsOutbound = 0,
    ,
    numStreamsInbound = 0,
    numStreamsOutbound = 0,
    ,
    numFD = 0,
    memory = 0
  ] = usage
  return {
    numStreamsInbound,
    numStreamsOutbound,
    numConnsInbound,
    numConnsOutbound,
    numFD,
    memory
  }
}

/** Returns amounts by resource, which are in the order of `RESOURCE_NAMES`. */
export function limitsOf(amounts: readonly number[]): ResolvedScopeLimits {
  return scopeLimits((resource) => amounts[RESOURCE_NAMES.indexOf(resource)] ?? 0)
}
