/** The resource manager of a swarm: its public face over the native accounting. Loaded on first use. */
import type { PeerId } from '@libp2p/interface'
import { aBoolean, aFunction, misuse, oneOf } from '../base/arguments.ts'
import type { ConnectionCore } from '../connection/core.ts'
import { Direction } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import { ipOf, parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerIdOf, peerText } from '../identity/peer-id.ts'
import type { StreamCore } from '../stream/core.ts'
import { explainRefusal, explainScope, refusalIn } from './explain.ts'
import type {
  ConnManagementScope,
  ConnScope,
  ResourceManagerStat,
  ResourceScope,
  ScopeStat,
  StreamManagementScope,
  StreamScope,
  SwarmResourceManager
} from './interfaces.ts'
import { nullScope } from './null.ts'
import { parseScopeName } from './refusal.ts'
import { Report } from './report.ts'
import {
  aName,
  ConnectionView,
  figuresOf,
  isNativeScope,
  native,
  type OpenedScope,
  OwnConnection,
  OwnStream,
  opened,
  PeerView,
  ProtocolView,
  type ScopeHost,
  ServiceView,
  SharedScope,
  StreamView,
  statOf
} from './scopes.ts'

const { isIP } = process.getBuiltinModule('node:net')

const aDirection = oneOf('inbound', 'outbound')

/** The resource manager of one swarm. */
export class NativeResourceManager implements SwarmResourceManager {
  readonly #host: ScopeHost
  // Views that applications have asked for; they end with their connections and streams.
  readonly #connections = new WeakMap<ConnectionCore, ConnScope>()
  readonly #streams = new WeakMap<StreamCore, StreamScope>()

  constructor(host: ScopeHost) {
    this.#host = host
  }

  openConnection(
    direction: 'inbound' | 'outbound',
    usesFd: boolean,
    endpoint?: AddrLike
  ): ConnManagementScope {
    aDirection(direction, 'direction')
    aBoolean(usesFd, 'usesFd')
    const host = endpoint === undefined ? undefined : hostOf(endpoint)
    const { gate, resources } = this.#host
    if (direction === 'inbound') {
      const remoteAddress = host === undefined ? '' : `/ip${isIP(host)}/${host}`
      const denied = gate.refusalOf({ direction, remoteAddress })
      if (denied !== undefined) throw denied
    }
    const id = opened(this.#host, () =>
      resources.openConnection(numberOf(direction), usesFd ? 1 : 0, host)
    )
    return new OwnConnection(this.#host, id, { direction, endpoint: host })
  }

  /** @internal Returns the scope of a connection that the application has opened here, to be taken over. */
  openedScope(scope: ConnManagementScope, direction: 'inbound' | 'outbound'): OpenedScope {
    if (!(scope instanceof OwnConnection) || !scope.isOf(this.#host)) {
      throw misuse('scope', 'one of swarm.resourceManager.openConnection', scope)
    }
    return scope.toTake(direction)
  }

  openStream(peer: PeerLike, direction: 'inbound' | 'outbound'): StreamManagementScope {
    const text = peerText(peer)
    aDirection(direction, 'direction')
    const { resources } = this.#host
    const id = opened(this.#host, () => resources.openStream(text, numberOf(direction)))
    return new OwnStream(this.#host, id, text)
  }

  viewSystem<T>(view: (scope: SharedScope) => T): T {
    return viewed(new SharedScope(this.#host, 'system'), view)
  }

  viewTransient<T>(view: (scope: SharedScope) => T): T {
    return viewed(new SharedScope(this.#host, 'transient'), view)
  }

  viewService<T>(service: string, view: (scope: ServiceView) => T): T {
    aName(service, 'the service')
    return viewed(new ServiceView(this.#host, service), view)
  }

  viewProtocol<T>(protocol: string, view: (scope: ProtocolView) => T): T {
    aName(protocol, 'the protocol')
    return viewed(new ProtocolView(this.#host, protocol), view)
  }

  viewPeer<T>(peer: PeerLike, view: (scope: PeerView) => T): T {
    return viewed(new PeerView(this.#host, peerText(peer)), view)
  }

  verifySourceAddress(address: string): boolean {
    if (typeof address !== 'string' || isIP(address) === 0) {
      throw misuse('the address', 'an IP address', address)
    }
    return native(() => this.#host.resources.mustVerify(withoutZone(address)))
  }

  listServices(): string[] {
    return this.#names('service')
  }

  listProtocols(): string[] {
    return this.#names('protocol')
  }

  listPeers(): PeerId[] {
    return this.#names('peer').map((peer) => peerIdOf(peer))
  }

  stat(): ResourceManagerStat {
    const services = new Map<string, ScopeStat>()
    const protocols = new Map<string, ScopeStat>()
    const peers = new Map<string, ScopeStat>()
    let system = nullScope.stat
    let transient = nullScope.stat
    // One report, so that all of it is of the same moment.
    for (const { scope, usage } of this.#host.resources.report()) {
      const { kind, label = '', peer = '' } = parseScopeName(scope) ?? {}
      if (kind === 'system') system = statOf(usage)
      else if (kind === 'transient') transient = statOf(usage)
      else if (kind === 'service') services.set(label, statOf(usage))
      else if (kind === 'protocol') protocols.set(label, statOf(usage))
      else if (kind === 'peer') peers.set(peer, statOf(usage))
    }
    return { system, transient, services, protocols, peers }
  }

  report(): Report {
    return new Report(this.#host.resources.report())
  }

  explain(refusal: Error | ResourceScope): string {
    if (isNativeScope(refusal)) return explainScope(figuresOf(refusal), this.#host.limits)
    if (!(refusal instanceof Error)) {
      throw misuse('the refusal', 'an error or a scope of this manager', refusal)
    }
    const found = refusalIn(refusal)
    if (found === undefined) {
      throw new InvalidParametersError(
        'neither the error nor its causes are a refusal by a limit',
        {
          cause: refusal
        }
      )
    }
    return explainRefusal(found, this.#host.resources)
  }

  close(): void {
    this.#host.resources.close()
  }

  /** Returns the view of a connection's scope; `scopeOf` returns its number. */
  scopeOfConnection(core: ConnectionCore, scopeOf: () => number | undefined): ConnScope {
    const known = this.#connections.get(core)
    if (known !== undefined) return known
    const view = new ConnectionView(this.#host, scopeOf)
    this.#connections.set(core, view)
    return view
  }

  /** Returns the view of a stream's scope; `scopeOf` returns its number. */
  scopeOfStream(core: StreamCore, scopeOf: () => number | undefined): StreamScope {
    const known = this.#streams.get(core)
    if (known !== undefined) return known
    const view = new StreamView(this.#host, scopeOf())
    this.#streams.set(core, view)
    return view
  }

  /** Returns the names of the scopes of a kind. */
  #names(kind: 'service' | 'protocol' | 'peer'): string[] {
    return this.#host.resources.report().flatMap(({ scope }) => {
      const name = parseScopeName(scope)
      return name?.kind === kind ? [name.label ?? name.peer ?? ''] : []
    })
  }
}

function viewed<Scope extends SharedScope, T>(scope: Scope, view: (scope: Scope) => T): T {
  aFunction(view, 'view')
  return scope.viewedBy(view)
}

function numberOf(direction: 'inbound' | 'outbound'): number {
  return direction === 'inbound' ? Direction.Inbound : Direction.Outbound
}

/** Returns the IP address of an endpoint; undefined if it has none, as a host name. */
function hostOf(endpoint: AddrLike): string | undefined {
  if (typeof endpoint === 'string' && isIP(endpoint) !== 0) return withoutZone(endpoint)
  parseAddress(endpoint)
  return ipOf(endpoint.toString())
}

function withoutZone(address: string): string {
  return address.split('%', 1)[0] ?? address
}
