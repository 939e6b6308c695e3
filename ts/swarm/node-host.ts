/**
 * State shared by the parts of a swarm: the native node, the engine, and the references that keep the process alive.
 */
import { misuse } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { lazyModule } from '../base/lazy-module.ts'
import { nativeTimeouts } from '../connection/config.ts'
import { ConnectionCore } from '../connection/core.ts'
import { Excess } from '../connection/excess.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionHost } from '../connection/host.ts'
import { NativeFacts, NativeOpener } from '../connection/native-opener.ts'
import type { ConnectionTable } from '../connection/table.ts'
import { type Connection, checkConnection } from '../connection.ts'
import type { ConnectionManager } from '../connection-manager/manager.ts'
import { ConnectionErrorCode } from '../constants.ts'
import { publishEnded, subscribedLevels, tracedUpgrade } from '../diagnostics/channels.ts'
import { LEVEL_BITS } from '../diagnostics/codes.ts'
import { connectionClosed, connectionOpened } from '../diagnostics/connections.ts'
import { LimitReports } from '../diagnostics/limit-reports.ts'
import { Reports } from '../diagnostics/report.ts'
import type { CustomDialsHost } from '../dial/custom-dials.ts'
import type { DialHost } from '../dial/dialer.ts'
import type { DialSink } from '../dial/native-dials.ts'
import type { DialDetail } from '../dial/report.ts'
import { DnsResolver } from '../dns/dns-resolver.ts'
import { isResolver, nativeDns } from '../dns/options.ts'
import type { DnsResolverLike } from '../dns/records.ts'
import {
  AbortError,
  type ErrorCode,
  InvalidParametersError,
  type ResourceLimitExceededError,
  type ResourceScopeClosedError,
  StateError
} from '../errors.ts'
import type { InboundRateLimiter } from '../gate/rate-limiter.ts'
import type { RefusedDetail } from '../gate/refusals.ts'
import { SwarmGate } from '../gate/swarm-gate.ts'
import { type AddrLike, multiaddrOf } from '../identity/address.ts'
import type { AnyDuplex } from '../io/carriers.ts'
import { hasOwnMuxer } from '../muxer/choice.ts'
import type { MuxedUpgrade, MuxedUpgradesHost } from '../muxer/muxed-upgrade.ts'
import type { MuxedUpgrades } from '../muxer/muxed-upgrades.ts'
import type {
  NativeNode,
  NativeRefusal,
  NativeResources,
  NativeScopeAnswer
} from '../native/addon.ts'
import { CommandError, thrownByNative } from '../native/command-error.ts'
import type { Counters } from '../native/counters.ts'
import type { NativeDiagnostic } from '../native/diagnostic.ts'
import type { CommandHandle, ConnectionSink, Engine, NodeSink, Served } from '../native/engine.ts'
import { environment } from '../native/environment.ts'
import type { ConnectionHandle, RequestId, StreamHandle } from '../native/handles.ts'
import type { Registrar, RegistrarHost } from '../negotiation/registrar.ts'
import type { PeerReport } from '../peerstore/peer-book.ts'
import { offersChanged } from '../protocols/offers.ts'
import {
  Admission,
  type AdmissionHost,
  type ConnectionCharge
} from '../resource-manager/admission.ts'
import type {
  ConnManagementScope,
  ConnScope,
  LimitDetail,
  ResourceManager,
  StreamScope
} from '../resource-manager/interfaces.ts'
import { plainLimits, type ResolvedLimits } from '../resource-manager/limits.ts'
import type { NativeResourceManager } from '../resource-manager/manager.ts'
import { nativeResources } from '../resource-manager/native-limits.ts'
import { nullScope } from '../resource-manager/null.ts'
import { limitError, refusalError } from '../resource-manager/refusal.ts'
import type { OpenedScope } from '../resource-manager/scopes.ts'
import { AbandonedStreams } from '../stream/abandoned.ts'
import type { StreamCore } from '../stream/core.ts'
import { Deadlines } from '../stream/deadlines.ts'
import type { Swarm, SwarmEvents } from '../swarm.ts'
import type { TransportChoice } from '../transport/choice.ts'
import { isTransportConn, type Opened, type Transport } from '../transport/transport.ts'
import { Transports } from '../transport/transports.ts'
import type { WebSocketCertificate } from '../transport/websocket-options.ts'
import type { FailedUpgrade, UpgradeParameters } from '../upgrade/under-way.ts'
import type { DuplexUpgrader, UpgradeHost } from '../upgrade/upgrader.ts'
import type { AddedConnections, AddedConnectionsHost } from './added-connections.ts'
import type { HttpRequests } from './http-requests.ts'
import type { ListenerHost } from './listener.ts'
import type { NotifieeEvent } from './notifiee.ts'
import type { SwarmSettings } from './options.ts'
import type { ShutdownHost } from './shutdown.ts'

// What many programs do not use.
const { url } = import.meta
const loadAddedConnections = lazyModule<typeof import('./added-connections.ts')>(
  url,
  './added-connections'
)
const loadManager = lazyModule<typeof import('../resource-manager/manager.ts')>(
  url,
  '../resource-manager/manager'
)
const loadMuxedUpgrades = lazyModule<typeof import('../muxer/muxed-upgrades.ts')>(
  url,
  '../muxer/muxed-upgrades'
)
const loadNodeTcp = lazyModule<typeof import('../transport/node-tcp.ts')>(
  url,
  '../transport/node-tcp'
)
const loadNativeTransports = lazyModule<typeof import('./native-transports.ts')>(
  url,
  './native-transports'
)
const loadRateLimiter = lazyModule<typeof import('../gate/rate-limiter.ts')>(
  url,
  '../gate/rate-limiter'
)
const loadRecords = lazyModule<typeof import('../dns/swarm-records.ts')>(
  url,
  '../dns/swarm-records'
)
const loadHttpRequests = lazyModule<typeof import('./http-requests.ts')>(url, './http-requests')
const loadWebSocket = lazyModule<typeof import('../transport/websocket-options.ts')>(
  url,
  '../transport/websocket-options'
)

/** Refusals of a dry run that are taken at a time; as many as `PASSED_MAX` of the native side keeps. */
const PASSED_MAX = 64

/** Callbacks of the host to its swarm. */
export interface HostCallbacks {
  notify<K extends NotifieeEvent>(event: K, detail: SwarmEvents[K]['detail']): void
  /** Calls `then` once everyone has been notified of the events so far. */
  afterEvents(then: () => void): void
  /** Calls `cause` now; everyone is notified of the events that it causes when it has returned. */
  holdEvents(cause: () => void): void
  /** Called before everyone is notified of the event of the same name. */
  connected(peer: string, connection: Connection): void
  /** Follows the connections: tags, pruning, dials of what is missing. */
  readonly manager: Pick<ConnectionManager, 'opened' | 'connected' | 'ended' | 'disconnected'>
  /** Stores what a peer has reported of itself. */
  identified(peer: string, report: PeerReport): void
  /** Returns whether the swarm listens on an address. */
  isOwnAddress(address: string): boolean
  /** Emits the event `dial`, if it has listeners. */
  dialEnded(detail: () => DialDetail): void
  /** Upgrades a duplex that a listener of the application's transport has accepted. */
  acceptDuplex(duplex: AnyDuplex, remoteAddr: AddrLike | undefined): void
  /** Upgrades a duplex that a transport of the application has opened. */
  readonly upgradeDialled: DuplexUpgrader['upgradeDialled']
  /** Emits the event `limit`. */
  limit(detail: LimitDetail): void
  /** Emits the event `refused`. */
  refused(detail: RefusedDetail): void
  readonly onFailure: OnFailure
}

/** The shared host of one swarm's parts. */
export class NodeHost
  implements
    AddedConnectionsHost,
    AdmissionHost,
    ConnectionHost,
    NodeSink,
    DialHost,
    ListenerHost,
    MuxedUpgradesHost,
    RegistrarHost,
    ShutdownHost,
    UpgradeHost
{
  readonly swarm: Swarm
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly abandoned: AbandonedStreams
  readonly options: SwarmSettings
  readonly transports: Transports
  readonly gate: SwarmGate
  admission: Admission | undefined
  hasCertificate: boolean
  readonly #connections: ConnectionTable
  readonly #excess: Excess
  readonly #registrar: Registrar
  readonly #callbacks: HostCallbacks
  readonly #limits: LimitReports
  readonly #reports: Reports
  // Sinks of dials by request.
  readonly #dials = new Map<RequestId, DialSink>()
  #node: NativeNode | undefined
  #resources: NativeResources | undefined
  #manager: NativeResourceManager | undefined
  #rateLimiter: InboundRateLimiter | undefined
  #dns: DnsResolverLike | undefined
  #added: AddedConnections | undefined
  #muxedUpgrades: MuxedUpgrades | undefined
  #requests: HttpRequests | undefined
  #refs = 0
  #isRef = true
  #drained: (() => void) | undefined
  readonly #closing = new AbortController()
  #isEnding = false

  constructor(
    swarm: Swarm,
    options: SwarmSettings,
    connections: ConnectionTable,
    registrar: Registrar,
    callbacks: HostCallbacks
  ) {
    this.swarm = swarm
    this.options = options
    this.transports = new Transports(options.transports, callbacks.onFailure, {
      isPrivate: options.psk !== undefined,
      hasTls: options.security?.includes('tls') ?? true,
      ...(hasOwnMuxer(options.muxers ?? []) && { standIns: standIns() })
    })
    this.clock = options.clock
    this.#connections = connections
    this.#excess = new Excess(connections, options.connections.maxPerPeer)
    this.#registrar = registrar
    this.#callbacks = callbacks
    this.#limits = new LimitReports(swarm, options.log, options.clock, {
      emit: (detail) => callbacks.limit(detail),
      limitError: (refusal) =>
        limitError(refusal, { resources: this.#resources, limits: this.limits })
    })
    this.#reports = new Reports(swarm, options.log, options.clock, this.#limits, (address, rule) =>
      this.gate.remoteRefused(address, rule)
    )
    this.hasCertificate = (options.webSocket?.certificates.length ?? 0) > 0
    this.gate = new SwarmGate({
      clock: options.clock,
      log: options.log,
      gater: options.gater,
      allow: options.connections.allow,
      deny: options.connections.deny,
      onFailure: callbacks.onFailure,
      dns: () => this.dns,
      addressesOf: (request) => this.#dials.get(request)?.carried?.addresses(),
      closeRefused: () => this.#closeRefused(),
      isHeard: () => swarm.hasListeners('refused'),
      emit: (detail) => callbacks.refused(detail)
    })
    this.deadlines = new Deadlines(options.clock, (then) => this.engine.afterDrain(then))
    this.abandoned = new AbandonedStreams(options.clock, ({ id, protocol }) => {
      const what = protocol ?? 'no protocol'
      options.logger.debug(`stream ${id} of ${what} is ended: garbage-collected but never closed`)
    })
  }

  get engine(): Engine {
    return environment()
  }

  get node(): NativeNode {
    if (this.#node === undefined) throw new StateError()
    return this.#node
  }

  /** Creates the native node and starts its threads. */
  start(): void {
    const { identity, security, muxers, ioThreads, busyPoll, limits, connections, dns } =
      this.options
    const { quic, webSocket, psk } = this.options
    const hasTransports = [quic, webSocket, psk].some((option) => option !== undefined)
    const engines = (muxers ?? []).filter((muxer) => typeof muxer === 'string')
    const nodeOptions = {
      privateKey: identity.privateKeyBytes,
      limits: { ...plainLimits(limits), ...nativeTimeouts(connections) },
      resources: nativeResources(limits),
      dns: nativeDns(dns),
      ...(security === undefined ? {} : { security: [...security] }),
      ...(engines.length === 0 ? {} : { muxers: engines }),
      ...(ioThreads === undefined ? {} : { ioThreads }),
      ...(busyPoll === undefined ? {} : { busyPollUs: busyPoll }),
      ...(hasTransports ? loadNativeTransports().nativeTransports(this.options) : {})
    }
    const node = this.engine.makeNode(nodeOptions, this.gate.native)
    this.#resources = node.resources()
    this.engine.adoptNode(node.id, this)
    this.engine.listen(subscribedLevels())
    this.#node = node
    if (webSocket !== undefined) loadNativeTransports().warnOfRisks(this.options)
    if (webSocket?.onRequest !== undefined) {
      this.#requests = new (loadHttpRequests().HttpRequests)({
        node,
        onRequest: webSocket.onRequest,
        clock: this.clock,
        timeout: connections.inboundUpgradeTimeout,
        signal: this.signal,
        onFailure: this.onFailure
      })
    }
  }

  /** Issues a command; errors get the stack of `from`'s caller, if given. */
  command(
    begin: (node: NativeNode, request: RequestId) => void,
    from?: (...args: never[]) => unknown
  ): CommandHandle {
    const { node } = this
    return this.engine.command(node, (request) => begin(node, request), from)
  }

  /** Registers `sink` for the events of a dial. */
  expectDialled(request: RequestId, sink: DialSink): void {
    this.#dials.set(request, sink)
  }

  /** Unregisters a dial; a connection that it still makes is closed. */
  forgetDialled(request: RequestId): void {
    this.#dials.delete(request)
  }

  get loggedLevels(): number {
    const limits = this.swarm.hasListeners('limit') ? LEVEL_BITS.warn : 0
    const refusals = this.swarm.hasListeners('refused') ? LEVEL_BITS.debug : 0
    return this.options.log.levels | limits | refusals
  }

  isOwnAddress(address: string): boolean {
    return this.#callbacks.isOwnAddress(address)
  }

  dialEnded(detail: () => DialDetail): void {
    this.#callbacks.dialEnded(detail)
  }

  accept(opened: Opened, remoteAddr: AddrLike | undefined): void {
    if (isTransportConn(opened)) void this.added.accept(opened, remoteAddr)
    else this.#callbacks.acceptDuplex(opened, remoteAddr)
  }

  upgradeDialled(
    ...[opened, ...call]: Parameters<CustomDialsHost['upgradeDialled']>
  ): ReturnType<CustomDialsHost['upgradeDialled']> {
    return isTransportConn(opened)
      ? this.added.dialled(opened, ...call)
      : this.#callbacks.upgradeDialled(opened, ...call)
  }

  /** Resolves names; made at the first use. */
  get dns(): DnsResolverLike {
    this.#dns ??= this.#resolver()
    return this.#dns
  }

  #resolver(): DnsResolverLike {
    const { dns, log, clock } = this.options
    if (isResolver(dns)) return dns
    const logger = log.loggerOf('dns')
    const { SwarmRecords } = loadRecords()
    return new DnsResolver({ records: new SwarmRecords(this, dns, logger), logger, clock })
  }

  /** Updates the levels of facts: the event `limit` or `refused` has got a listener, or lost its last. */
  levelsChanged(): void {
    if (this.isRunning) this.engine.levelsChanged()
  }

  onDiagnostic(diagnostic: NativeDiagnostic, sink: ConnectionSink | undefined): void {
    const connection = sink instanceof NativeOpener ? sink.connection : undefined
    this.#reports.report(diagnostic, connection)
  }

  onDropped(count: number): void {
    this.#reports.dropped(count)
  }

  onConnectionOpened(handle: ConnectionHandle, request: RequestId | 0): void {
    const dial = request === 0 ? undefined : this.#dials.get(request)
    const opener = new NativeOpener(handle, this, dial?.carried)
    if (!this.#isWanted(request)) {
      // The dial was cancelled too late: nothing owns the connection, so it is closed unannounced.
      opener.closeAtOnce(0)
      return
    }
    const facts = new NativeFacts(this.node.connection(handle), dial?.carried)
    // The lists may have changed while it was set up.
    const { direction, remotePeer: peer, remoteAddress } = facts
    const denied = this.gate.refusalOf({ direction, peer, remoteAddress })
    if (denied !== undefined) {
      opener.closeAtOnce(ConnectionErrorCode.Gated)
      dial?.onRefused(denied)
      return
    }
    const charge = this.admission?.chargeConnection(facts)
    if (charge instanceof Error) {
      opener.closeAtOnce(ConnectionErrorCode.ResourceLimitExceeded)
      if (request === 0) this.#reports.refused(facts.remoteAddress, undefined, charge)
      else {
        this.connectionRefused(charge, facts.remoteAddress, facts.direction)
        dial?.onRefused(charge)
      }
      return
    }
    if (!this.#isWanted(request)) {
      // The manager has cancelled the dial while it was asked.
      charge?.done()
      opener.closeAtOnce(0)
      return
    }
    this.announce(new ConnectionCore(opener, facts, this), charge, (connection, address) =>
      dial?.onConnection(connection, address)
    )
  }

  /** Lists and announces a connection; `done` is called in between. */
  announce(
    core: ConnectionCore,
    charge: ConnectionCharge | undefined,
    done?: DialSink['onConnection']
  ): void {
    const { connection, peer } = core
    if (charge !== undefined) this.admission?.connectionOpened(core, charge)
    // Whoever hears of the connection first may open a stream, which is announced after it.
    this.#callbacks.holdEvents(() => {
      this.#connections.add(peer, connection)
      this.#callbacks.manager.opened(core)
      this.engine.listen(subscribedLevels())
      this.retain()
      this.notify('connected', connection)
      this.#callbacks.afterEvents(() => {
        core.isAnnounced = true
        this.#callbacks.manager.connected(connection)
      })
      connectionOpened(core, this.options.log)
      done?.(connection, core.remoteAddressText)
      this.#callbacks.connected(peer, connection)
    })
    this.#excess.opened(peer)
  }

  /** The connections over muxers of the application. */
  get added(): AddedConnections {
    this.#added ??= new (loadAddedConnections().AddedConnections)(this)
    return this.#added
  }

  muxedUpgrade(parameters: UpgradeParameters): MuxedUpgrade | undefined {
    const { muxers } = this.options
    if (muxers === undefined || !hasOwnMuxer(muxers)) return undefined
    this.#muxedUpgrades ??= new (loadMuxedUpgrades().MuxedUpgrades)(this, muxers)
    return this.#muxedUpgrades.upgrade(parameters)
  }

  /** The handler table, for streams that are negotiated in JavaScript. */
  get inbound(): Registrar {
    return this.#registrar
  }

  debug(line: string, err: unknown): void {
    this.options.log.write('debug', 'connection', line, err)
  }

  /** Returns whether a connection is inbound, or its dial still waits for it. */
  #isWanted(request: RequestId | 0): boolean {
    return request === 0 || this.#dials.has(request)
  }

  identified(core: ConnectionCore, report: PeerReport): void {
    this.#callbacks.identified(core.peer, report)
  }

  onGateQuestions(): void {
    this.gate.takeQuestions()
  }

  onHttpRequests(): void {
    this.#requests?.take()
  }

  /** Closes the connections that the lists refuse. */
  #closeRefused(): void {
    for (const connection of this.#connections.living()) {
      const core = connectionFacade.coreOf(connection)
      const rule = this.gate.ruleOf(core.remoteAddressText)
      if (rule !== undefined) core.closeBy(rule, ConnectionErrorCode.Gated)
    }
  }

  onAttemptsFailed(request: RequestId): void {
    this.#dials.get(request)?.onAttemptsFailed()
  }

  refusalError(
    refusal: NativeRefusal,
    code?: ErrorCode
  ): ResourceLimitExceededError | ResourceScopeClosedError {
    return refusalError(refusal, { resources: this.#resources, limits: this.limits }, code)
  }

  endText(handle: ConnectionHandle): string | null {
    return this.node.endText(handle)
  }

  takeRefusal(stream?: StreamHandle): NativeRefusal | null {
    return this.node.takeRefusal(stream)
  }

  limitRefused(
    refusal: ResourceLimitExceededError,
    core: ConnectionCore,
    direction: 'inbound' | 'outbound'
  ): void {
    const { connection, remoteAddressText: address } = core
    this.#limits.refused(refusal, { direction, address, connection })
  }

  connectionRefused(
    refusal: ResourceLimitExceededError,
    address: string,
    direction: 'inbound' | 'outbound'
  ): void {
    this.#limits.refused(refusal, { direction, address, connection: undefined })
  }

  upgradeFailed({ direction, address, stage, error }: FailedUpgrade): void {
    const { swarm } = this
    if (tracedUpgrade.hasSubscribers) {
      publishEnded(tracedUpgrade, { swarm, direction, address, stage, error })
    }
  }

  openedScope(scope: ConnManagementScope, direction: 'inbound' | 'outbound'): OpenedScope {
    return this.resourceManager.openedScope(scope, direction)
  }

  /** The resource manager of the swarm; loaded at the first use. */
  get resourceManager(): NativeResourceManager {
    const resources = this.#resources
    if (resources === undefined) throw new StateError()
    this.#manager ??= new (loadManager().NativeResourceManager)({
      resources,
      limits: this.limits,
      logger: this.options.logger,
      refusalError: (refusal) => this.refusalError(refusal),
      gate: this.gate
    })
    return this.#manager
  }

  /** The rates of inbound connections; loaded at the first use. */
  get rateLimiter(): InboundRateLimiter {
    const resources = this.#resources
    if (resources === undefined) throw new StateError()
    this.#rateLimiter ??= new (loadRateLimiter().InboundRateLimiter)({
      resources,
      limitError: (refusal) => limitError(refusal, { limits: this.limits })
    })
    return this.#rateLimiter
  }

  scopeOf(handle: ConnectionHandle | StreamHandle): number | undefined {
    return this.node.scopeOf(handle) ?? undefined
  }

  connectionScope(core: ConnectionCore): ConnScope {
    return this.resourceManager.scopeOfConnection(core, () => core.scope())
  }

  streamScope(core: StreamCore): StreamScope {
    if (core.charge !== undefined) return core.charge
    if (core.pump !== undefined) return nullScope
    return this.resourceManager.scopeOfStream(core, () =>
      core.isLive ? this.scopeOf(core.handle) : undefined
    )
  }

  setProtocol(core: StreamCore, protocol: string): void {
    core.charge?.setProtocol(protocol)
    const wrong = this.#charge(core, (scope, of) => of.setProtocol(scope, protocol))?.misuse
    if (wrong !== undefined) throw new InvalidParametersError(wrong)
  }

  setService(core: StreamCore, service: string): void {
    core.charge?.setService(service)
    this.#charge(core, (scope, resources) => resources.setService(scope, service))
  }

  /** Charges a stream, unless it has ended, or its muxer is the application's. Throws the refusal. */
  #charge(
    core: StreamCore,
    make: (scope: number, resources: NativeResources) => NativeScopeAnswer
  ): NativeScopeAnswer | undefined {
    const resources = this.#resources
    if (resources === undefined || core.pump !== undefined || !core.isLive) return undefined
    const scope = this.scopeOf(core.handle)
    if (scope === undefined) return undefined
    const answer = make(scope, resources)
    if (answer.refusal !== undefined) throw this.refusalError(answer.refusal)
    return answer
  }

  /** Reports the refusals that a dry run has let pass. */
  #reportPassed(): void {
    const resources = this.#resources
    if (resources === undefined || !this.limits.dryRun) return
    // The native side keeps as many.
    for (let taken = 0; taken < PASSED_MAX; taken += 1) {
      const refusal = resources.takePassed()
      if (refusal === null) return
      this.#limits.passed(refusal)
    }
  }

  get limits(): ResolvedLimits {
    return this.options.limits
  }

  /** Sets the application's resource manager, and whether streams wait for a place. */
  setResourceManager(manager: ResourceManager | null, hasQueue: boolean): void {
    if (manager === null && !hasQueue && this.admission === undefined) return
    // Stays once made: it ends what is charged to earlier managers, and a manager may remove itself while it is asked.
    this.admission ??= new Admission(this)
    // A swarm that closes lets nothing wait.
    this.admission.set(manager, hasQueue && !this.signal.aborted)
  }

  /** Replaces the certificates of listeners over TLS; throws `InvalidParametersError` and keeps them if one is invalid. */
  setCertificates(given: WebSocketCertificate | readonly WebSocketCertificate[]): void {
    const { checkCertificates, resolveCertificates } = loadWebSocket()
    checkCertificates(given, 'certificate')
    const certificates = resolveCertificates(given, 'certificate')
    try {
      this.node.setCertificates(loadNativeTransports().nativeCertificates(certificates))
    } catch (err) {
      throw thrownByNative(err)
    }
    this.hasCertificate = certificates.length > 0
  }

  streamRefused(core: ConnectionCore, refusal: ResourceLimitExceededError): void {
    this.#reports.refused(core.remoteAddressText, core.connection, refusal)
  }

  /** Removes a connection from every view; it stays open. Throws `InvalidParametersError` if it is not of this swarm. */
  remove(connection: Connection): void {
    checkConnection(connection)
    const core = connectionFacade.coreOf(connection)
    if (core.host !== this) throw misuse('connection', 'one of this swarm', connection)
    if (core.closing) return
    this.#connections.leave(core.peer, connection)
  }

  streamEnded(connection: Connection, failure: Error | undefined): void {
    this.#connections.streamEnded(connection, failure)
  }

  listAgain(core: ConnectionCore): void {
    this.#connections.add(core.peer, core.connection)
    this.#excess.opened(core.peer)
  }

  connectionClosing(core: ConnectionCore): void {
    this.admission?.opensNoMore(core)
    this.#connections.leave(core.peer, core.connection)
  }

  connectionEnded(core: ConnectionCore): void {
    this.#reports.ended(core.connection)
    connectionClosed(core, this.options.log)
    const clean = core.closeReason?.error === undefined
    this.#connections.remove(core.peer, core.connection, clean)
    this.release()
    this.#added?.ended(core)
    this.admission?.connectionEnded(core)
    this.#callbacks.manager.ended(core)
    this.notify('disconnected', core.connection)
    this.#callbacks.afterEvents(() => this.#callbacks.manager.disconnected(core.connection))
    if (this.#connections.isDrained) this.#drained?.()
  }

  dispatch(stream: StreamCore, connection: Connection, protocol: number): void {
    // A callback may have caused the native side to be drained, before it is known to everyone that there is a stream.
    const { limited } = connectionFacade.coreOf(connection)
    this.#callbacks.afterEvents(() => {
      this.#registrar.dispatch(stream, connection, protocol, limited)
    })
  }

  refusal(protocol: string | undefined, streams: Iterable<StreamCore>): Error | undefined {
    return this.#registrar.refusal(protocol, streams)
  }

  choose(protocol: string): Served | undefined {
    return this.#registrar.choose(protocol)
  }

  notify<K extends NotifieeEvent>(event: K, detail: SwarmEvents[K]['detail']): void {
    // Whatever uses resources is announced, and so is its end.
    this.#reportPassed()
    this.#callbacks.notify(event, detail)
  }

  /** {@link NodeHost.notify} for listen addresses. */
  notifyAddress(event: 'listen' | 'listenClose', address: string): void {
    this.offersChanged()
    this.notify(event, multiaddrOf(address))
  }

  /** Publishes a change of the protocols or addresses offered to peers. */
  offersChanged(): void {
    offersChanged(this.swarm)
  }

  get onFailure(): OnFailure {
    return this.#callbacks.onFailure
  }

  /** Aborted when the swarm begins to close. */
  get signal(): AbortSignal {
    return this.#closing.signal
  }

  /** Whether the native node was created. */
  get isRunning(): boolean {
    return this.#node !== undefined
  }

  /** Adds a listener or connection that keeps the process alive, unless the swarm is unreferenced. */
  retain(): void {
    this.#refs += 1
    if (this.#isRef) this.engine.retain()
  }

  /** The counterpart of {@link NodeHost.retain}. */
  release(): void {
    this.#refs -= 1
    if (this.#isRef) this.engine.release()
  }

  ref(): void {
    if (this.#isRef) return
    this.#isRef = true
    for (let count = 0; count < this.#refs; count += 1) this.engine.retain()
  }

  unref(): void {
    if (!this.#isRef) return
    this.#isRef = false
    for (let count = 0; count < this.#refs; count += 1) this.engine.release()
  }

  counters(): Counters {
    return this.engine.counters()
  }

  /** Begins the close: stops accepting and aborts the signal. */
  stopAccepting(): void {
    this.node.stopAccepting()
    this.gate.stop()
    this.#closing.abort(new AbortError('the swarm is closing'))
    this.admission?.close()
  }

  /** Waits until everything written is sent. */
  drain(timeoutMs: number): CommandHandle {
    // Writes of this tick must precede the command.
    this.engine.outbox.submit()
    this.engine.hot.flush()
    return this.command((node, request) => node.drain(request, timeoutMs), this.drain)
  }

  /** Yields the open streams of every connection that has not ended, removed ones included. */
  *streams(): Generator<StreamCore> {
    for (const connection of this.#connections.living())
      yield* connectionFacade.coreOf(connection).streams.inOrder()
  }

  /**
   * Closes the node and waits until every connection's end has been reported. Bytes accepted by streams are delivered
   * first, for up to `timeoutMs`; with 0 nothing is.
   */
  async close(timeoutMs: number): Promise<void> {
    this.#isEnding = true
    this.gate.close()
    this.#added?.close(timeoutMs)
    try {
      await this.command((node, request) => node.close(request, timeoutMs), this.close).result
    } catch (err) {
      throw err instanceof CommandError ? err.plain() : err
    }
    // A dial that succeeded meanwhile is reported, and so is the end of its connection.
    this.engine.drain()
    if (!this.#connections.isDrained) {
      // The connections of an unreferenced swarm do not keep the process alive, but whoever awaits its close does.
      this.engine.retain()
      await new Promise<void>((resolve) => {
        this.#drained = resolve
      })
      this.engine.release()
    }
    this.#connections.clear()
    this.#reportPassed()
    this.#resources?.close()
    this.engine.dropNode(this.node.id)
    this.deadlines.clear()
    this.abandoned.clear()
  }

  /** Stops the delivery of a {@link close} in progress. */
  closeAtOnce(): void {
    if (!this.#isEnding) return
    for (const connection of this.#connections.living()) {
      void connectionFacade.coreOf(connection).closeAtOnce(0)
    }
  }
}

/** The bytes of native sockets do not come by muxers of the application. */
function standIns(): ReadonlyMap<TransportChoice, Transport> {
  return new Map([['tcp', loadNodeTcp().nodeTcp]])
}
