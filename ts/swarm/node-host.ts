/**
 * What a swarm's parts share: its native node, the engine of this environment, and what keeps the process alive.
 */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { ConnectionCore } from '../connection/core.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { ConnectionHost } from '../connection/host.ts'
import { NativeFacts, NativeOpener } from '../connection/native-opener.ts'
import type { ConnectionTable } from '../connection/table.ts'
import type { Connection } from '../connection.ts'
import type { Limits } from '../constants.ts'
import { subscribedLevels } from '../diagnostics/channels.ts'
import { connectionClosed, connectionOpened } from '../diagnostics/connections.ts'
import { Reports } from '../diagnostics/report.ts'
import type { DialHost, DialSink } from '../dial/dialer.ts'
import { AbortError, StateError } from '../errors.ts'
import { multiaddrOf } from '../identity/address.ts'
import type { NativeNode } from '../native/addon.ts'
import { CommandError } from '../native/command-error.ts'
import type { Counters } from '../native/counters.ts'
import type { NativeDiagnostic } from '../native/diagnostic.ts'
import type { CommandHandle, ConnectionSink, Engine, NodeSink, Served } from '../native/engine.ts'
import { environment } from '../native/environment.ts'
import type { ConnectionHandle, RequestId } from '../native/handles.ts'
import type { Registrar, RegistrarHost } from '../negotiation/registrar.ts'
import { offersChanged } from '../protocols/offers.ts'
import { AbandonedStreams } from '../stream/abandoned.ts'
import type { StreamCore } from '../stream/core.ts'
import { Deadlines } from '../stream/deadlines.ts'
import type { Swarm, SwarmEvents } from '../swarm.ts'
import type { ListenerHost } from './listener.ts'
import type { NotifieeEvent } from './notifiee.ts'
import type { SwarmSettings } from './options.ts'
import type { ShutdownHost } from './shutdown.ts'

/** What the host asks of its swarm. */
export interface HostCallbacks {
  notify<K extends NotifieeEvent>(event: K, detail: SwarmEvents[K]['detail']): void
  readonly onFailure: OnFailure
}

/** The shared middle of one swarm. */
export class NodeHost
  implements ConnectionHost, NodeSink, DialHost, ListenerHost, RegistrarHost, ShutdownHost
{
  readonly swarm: Swarm
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly abandoned: AbandonedStreams
  readonly options: SwarmSettings
  readonly #connections: ConnectionTable
  readonly #registrar: Registrar
  readonly #callbacks: HostCallbacks
  readonly #reports: Reports
  // Who learns of dials, by request.
  readonly #dials = new Map<RequestId, DialSink>()
  #node: NativeNode | undefined
  #holds = 0
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
    this.clock = options.clock
    this.#connections = connections
    this.#registrar = registrar
    this.#callbacks = callbacks
    this.#reports = new Reports(swarm, options.log, options.clock)
    this.deadlines = new Deadlines(options.clock, (then) => this.engine.afterDrain(then))
    this.abandoned = new AbandonedStreams(options.clock, ({ id, protocol }) => {
      const what = protocol ?? 'no protocol'
      options.logger.debug(`stream ${id} of ${what} is reset: nobody held it and it was not closed`)
    })
  }

  get engine(): Engine {
    return environment()
  }

  get node(): NativeNode {
    if (this.#node === undefined) throw new StateError()
    return this.#node
  }

  /** Make the native node; its threads run from here on. */
  start(): void {
    const { identity, security, muxers, ioThreads, busyPoll, limits } = this.options
    const node = this.engine.makeNode({
      privateKey: identity.privateKeyBytes,
      limits,
      ...(security === undefined ? {} : { security: [...security] }),
      ...(muxers === undefined ? {} : { muxers: [...muxers] }),
      ...(ioThreads === undefined ? {} : { ioThreads }),
      ...(busyPoll === undefined ? {} : { busyPollUs: busyPoll })
    })
    this.engine.adoptNode(node.id, this)
    this.engine.listen(subscribedLevels())
    this.#node = node
  }

  /** Begin a command; errors get the stack of `from`'s caller, if given. */
  command(
    begin: (node: NativeNode, request: RequestId) => void,
    from?: (...args: never[]) => unknown
  ): CommandHandle {
    const { node } = this
    return this.engine.command(node, (request) => begin(node, request), from)
  }

  /** `sink` learns of a dial, until that is abandoned. */
  expectDialled(request: RequestId, sink: DialSink): void {
    this.#dials.set(request, sink)
  }

  /** Nobody wants the connection of a dial any more. */
  forgetDialled(request: RequestId): void {
    this.#dials.delete(request)
  }

  get loggedLevels(): number {
    return this.options.log.levels
  }

  onDiagnostic(diagnostic: NativeDiagnostic, sink: ConnectionSink | undefined): void {
    const connection = sink instanceof NativeOpener ? sink.connection : undefined
    this.#reports.report(diagnostic, connection)
  }

  onDropped(count: number): void {
    this.#reports.dropped(count)
  }

  onConnectionOpened(handle: ConnectionHandle, request: RequestId | 0): void {
    const opener = new NativeOpener(handle, this)
    const dial = request === 0 ? undefined : this.#dials.get(request)
    if (request !== 0 && dial === undefined) {
      // It came up although its dial was given up: there is nobody to hold it, so nobody hears of it either.
      opener.closeAtOnce(0)
      return
    }
    const core = new ConnectionCore(opener, new NativeFacts(this.node.connection(handle)), this)
    this.#connections.add(core.peer, core.connection)
    this.engine.listen(subscribedLevels())
    connectionOpened(core, this.options.log)
    this.retain()
    dial?.onConnection(core.connection)
    this.notify('connected', core.connection)
  }

  onAttemptsFailed(request: RequestId): void {
    this.#dials.get(request)?.onAttemptsFailed()
  }

  get limits(): Readonly<Limits> {
    return this.options.limits
  }

  connectionClosing(core: ConnectionCore): void {
    this.#connections.leave(core.peer, core.connection)
  }

  connectionEnded(core: ConnectionCore): void {
    this.#reports.ended(core.connection)
    connectionClosed(core, this.options.log)
    const clean = core.closeReason?.error === undefined
    this.#connections.remove(core.peer, core.connection, clean)
    this.release()
    this.notify('disconnected', core.connection)
    if (this.#connections.isDrained) this.#drained?.()
  }

  dispatch(stream: StreamCore, connection: Connection, protocol: number): void {
    this.#registrar.dispatch(stream, connection, protocol)
  }

  refusal(protocol: string | undefined, streams: Iterable<StreamCore>): Error | undefined {
    return this.#registrar.refusal(protocol, streams)
  }

  choose(protocol: string): Served | undefined {
    return this.#registrar.choose(protocol)
  }

  notify<K extends NotifieeEvent>(event: K, detail: SwarmEvents[K]['detail']): void {
    this.#callbacks.notify(event, detail)
  }

  /** {@link NodeHost.notify} for listen addresses. */
  notifyAddress(event: 'listen' | 'listenClose', address: string): void {
    this.offersChanged()
    this.notify(event, multiaddrOf(address))
  }

  /** What we offer to peers is another than before. */
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

  /** Whether there is a native node. */
  get isRunning(): boolean {
    return this.#node !== undefined
  }

  /** One more listener or connection keeps the process alive, unless the swarm is unreferenced. */
  retain(): void {
    this.#holds += 1
    if (this.#isRef) this.engine.retain()
  }

  /** The counterpart of {@link NodeHost.retain}. */
  release(): void {
    this.#holds -= 1
    if (this.#isRef) this.engine.release()
  }

  ref(): void {
    if (this.#isRef) return
    this.#isRef = true
    for (let holds = 0; holds < this.#holds; holds += 1) this.engine.retain()
  }

  unref(): void {
    if (!this.#isRef) return
    this.#isRef = false
    for (let holds = 0; holds < this.#holds; holds += 1) this.engine.release()
  }

  counters(): Counters {
    return this.engine.counters()
  }

  /** The swarm begins to close: nothing new is taken in, and whoever has the signal hears of it. */
  stopAccepting(): void {
    this.node.stopAccepting()
    this.#closing.abort(new AbortError('the swarm is closing'))
  }

  /** Wait until what was written is sent. */
  drain(timeoutMs: number): CommandHandle {
    // What this tick has written comes before the question.
    this.engine.outbox.submit()
    this.engine.hot.flush()
    return this.command((node, request) => node.drain(request, timeoutMs), this.drain)
  }

  /** Open streams of every connection. */
  *streams(): Generator<StreamCore> {
    for (const connection of this.#connections.all())
      yield* [...connectionFacade.coreOf(connection).streams]
  }

  /**
   * Close the node and wait until every connection's end has been told: within `timeoutMs` what streams have accepted
   * is delivered first, and with 0 nothing is.
   */
  async close(timeoutMs: number): Promise<void> {
    this.#isEnding = true
    try {
      await this.command((node, request) => node.close(request, timeoutMs), this.close).result
    } catch (err) {
      throw err instanceof CommandError ? err.plain() : err
    }
    // A dial that won meanwhile is told of, and so is its end.
    this.engine.drain()
    if (!this.#connections.isDrained) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve
      })
    }
    this.engine.dropNode(this.node.id)
    this.deadlines.clear()
    this.abandoned.clear()
  }

  /** A {@link close} under way delivers no more. */
  closeAtOnce(): void {
    if (!this.#isEnding) return
    for (const connection of this.#connections.living()) {
      void connectionFacade.coreOf(connection).closeAtOnce(0)
    }
  }
}
