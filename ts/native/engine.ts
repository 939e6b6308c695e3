/**
 * The JavaScript end of the boundary, one per environment: drains on doorbell rings, dispatches records to objects,
 * and settles the promises of commands.
 *
 * A ring leads to at most 64 drains; further ones run in the next turn of the event loop.
 */
import { isTimeUp } from '../base/abort.ts'
import { SCRATCH_BYTES } from '../base/bytes.ts'
import { reasonOf } from '../text/printable.ts'
import type {
  CommandResult,
  HotCalls,
  Native,
  NativeGate,
  NativeNode,
  NativeNodeOptions
} from './addon.ts'
import { CommandError, thrownByNative } from './command-error.ts'
import { type Counters, namedCounters } from './counters.ts'
import { DiagnosticReader, type NativeDiagnostic } from './diagnostic.ts'
import type {
  ConnectionHandle,
  ListenerId,
  PipeHandle,
  RequestId,
  StreamHandle
} from './handles.ts'
import { Outbox, RESOLVED, type Sender } from './outbox.ts'
import { ProtocolNames } from './protocol-names.ts'
import {
  FLAG_EMPTY,
  HANDLE_INDEX_MASK,
  RECORD_WORDS,
  RECORDS_MAX,
  RECORDS_PER_ENTRY,
  RecordKind
} from './record.ts'

/** Maximum consecutive drains in one turn of the event loop. */
const DRAINS_MAX = 64

// Read budget of one turn of the event loop, so that a loop over a fast stream cannot starve timers and other
// streams: 256 reads, or 4 MiB at 16 KiB per point. A doorbell ring does not start a new turn: Node handles up to
// a thousand of them in a row.
const TURN_POINTS = 256
const POINT_SHIFT = 14

/** The result of a command that has made a connection, which says everything. */
const EMPTY: CommandResult = Object.freeze({ code: 0 })

/** Receives the events of a stream. */
export interface StreamSink extends Sender {
  onNegotiated(protocol: number, code: number): void
  onReadable(bytes: number): void
  onWritable(credit: number): void
  onReset(wireCode: number, code: number, flags: number): void
  onClosed(left: number, flags: number): void
  /** Called when a foreign stream has bytes or orders for its muxer. */
  onOutgoing(): void
  /** Called in the turn of the event loop after a read was deferred. */
  onTurn(): void
}

/** Handler of a stream: a number from {@link PREDICATES_FROM} on, and its limit of inbound streams per connection. */
export interface Served {
  readonly protocol: number
  readonly inboundMax: number
}

/** Receives the events of a connection. */
export interface ConnectionSink {
  onStreamOpened(handle: StreamHandle, protocol: number): void
  /** Returns the handler of a protocol proposed on an inbound stream and not in the table; undefined if none. */
  onProtocolQuery(protocol: string): Served | undefined
  /** Called on the remote's GoAway: it accepts no more streams, and the connection ends after the existing ones. */
  onGoingAway(): void
  /** Called before `onClosed` with each final counter other than 0: see `connectionCounters`. */
  onCarried(figure: number, value: number): void
  onClosed(wireCode: number, code: number, flags: number): void
}

/** Receives the events of a pipe. */
export interface PipeSink {
  /** Called when a call that found the pipe full, or empty, can be repeated; `flags` are those of `PipeReady`. */
  onPipeReady(flags: number): void
}

/** Receives the events of a swarm's node. */
export interface NodeSink {
  /** Called when a connection is open; `request` is that of its dial, 0 for an inbound one. */
  onConnectionOpened(handle: ConnectionHandle, request: RequestId | 0): void
  /** Called when attempts of a dial have failed and the dial continues. */
  onAttemptsFailed(request: RequestId): void
  /** Called when questions of the gate wait to be taken. */
  onGateQuestions(): void
  /** Called when requests to WebSocket listeners wait to be taken; only if the node was to pass them. */
  onHttpRequests?(): void
  /** Bits of the levels of diagnostic facts that its log and its listeners need. */
  readonly loggedLevels: number
  /** Called with a fact of the node; `connection` is set if it has been reported. */
  onDiagnostic(diagnostic: NativeDiagnostic, connection: ConnectionSink | undefined): void
  /** Called with the number of facts lost to overflow, of all nodes. */
  onDropped(count: number): void
}

interface Command {
  readonly node: Pick<NativeNode, 'takeResult'>
  readonly site: { stack?: string }
  readonly resolve: (result: CommandResult) => void
  readonly reject: (err: Error) => void
}

/** A command in flight. */
export interface CommandHandle {
  readonly request: RequestId
  /** Rejects with `CommandError` unless the command succeeded. */
  readonly result: Promise<CommandResult>
}

/** The JavaScript end of the boundary of one environment. */
export class Engine {
  readonly hot: HotCalls
  readonly native: Native
  /** Writes submitted at the end of the tick. */
  readonly outbox: Outbox
  readonly protocols: ProtocolNames
  /** Recycled memory for reads of unknown size. Valid until the next read. */
  readonly scratch: Uint8Array<ArrayBuffer> = new Uint8Array(SCRATCH_BYTES)

  readonly #records = new Uint32Array(RECORDS_MAX * RECORD_WORDS)
  readonly #streams: (StreamSink | undefined)[] = []
  readonly #connections: (ConnectionSink | undefined)[] = []
  readonly #pipes = new Map<PipeHandle, PipeSink>()
  readonly #nodes = new Map<number, NodeSink>()
  readonly #listeners = new Map<ListenerId, (code: number) => void>()
  // Listeners that ended before they were adopted; the adoption always follows.
  readonly #listenersEnded = new Map<ListenerId, number>()
  readonly #commands = new Map<RequestId, Command>()
  // Completed ones that are held back.
  #held: [request: RequestId, flags: number][] | undefined
  readonly #diagnostics: DiagnosticReader
  // Bits of the levels of diagnostic facts: recorded by the logs of nodes, subscribed to on this thread, and last
  // requested from the native side.
  #logged = 0
  #subscribed = 0
  #levels = 0

  #draining = false
  #batch = 0
  // Whether promise reactions to what has opened in the batch have run: the first ticks end before them.
  #hasReacted = true
  #dispatched = 0
  #budget = TURN_POINTS
  #deferred = new Set<StreamSink>()
  #nextRequest = 1
  #refs = 0

  readonly #reacted = (): void => {
    this.#hasReacted = true
  }

  readonly #turn = (): void => {
    this.#budget = TURN_POINTS
    const streams = this.#deferred
    // Not cleared: V8 would link the old hash table to the new one.
    this.#deferred = new Set()
    for (const stream of streams) stream.onTurn()
  }

  constructor(native: Native, versions: NodeJS.ProcessVersions = process.versions) {
    this.native = native
    const ring = (): void => this.drain()
    this.hot = native.attach(ring)
    // Bun and Deno export libuv symbols, but do not run a libuv event loop.
    if (versions.bun === undefined && versions.deno === undefined) {
      native.enableLoopPolling(this.hot.attachment, ring)
    }
    this.outbox = new Outbox(this.hot, () => this.#endTick())
    this.#diagnostics = new DiagnosticReader(this.hot)
    this.protocols = new ProtocolNames(native, this.hot.attachment)
  }

  /** Number of the current or last drain. Promise reactions to its records run only after it. */
  get batch(): number {
    return this.#batch
  }

  /** Number of records dispatched so far. */
  get dispatched(): number {
    return this.#dispatched
  }

  /**
   * Holds completions back from now on: when a native thread has done its work is a matter of real time, on which a
   * simulation must not depend.
   */
  holdCompletions(): void {
    this.#held ??= []
  }

  /** Whether a command is in flight whose completion is not held back. */
  get hasCommands(): boolean {
    return this.#commands.size > (this.#held?.length ?? 0)
  }

  /**
   * Delivers the completions held back, in the order of their commands, and further ones as they come. Returns whether
   * there were any.
   */
  releaseCompletions(): boolean {
    const held = this.#held ?? []
    this.#held = undefined
    held.sort(([one], [other]) => one - other)
    for (const [request, flags] of held) this.#complete(request, flags)
    return held.length > 0
  }

  /**
   * Calls `then` once pending events are delivered: a timeout must not override an earlier completion, however long the
   * application has blocked the event loop.
   */
  afterDrain(then: () => void): void {
    this.drain()
    // The event loop has yet to poll its own handles, and promise reactions to the drained records have yet to run.
    setImmediate(then)
  }

  /** Calls `then` for an abort of `signal`: at once, or on a timeout after pending events are delivered. */
  aborted(signal: AbortSignal | undefined, then: () => void): void {
    if (isTimeUp(signal)) this.afterDrain(then)
    else then()
  }

  /** Dispatches every pending record. Not reentrant: a nested call does nothing. */
  drain(): void {
    if (this.#draining) return
    this.#batch += 1
    this.#dispatchAll()
  }

  /** Sends the output of a tick; the end of a connection that this causes is dispatched at once. */
  #endTick(): void {
    // A drain that is running would not see what a flush leaves to a drain.
    if (this.#draining) this.hot.flush()
    else if (this.hot.flushBeforeDrain() !== 0) {
      // As long as reactions to the last batch are due, it is part of that.
      if (this.#hasReacted) this.#batch += 1
      this.#dispatchAll()
    }
  }

  #dispatchAll(): void {
    this.#draining = true
    try {
      for (let drains = 0; drains < DRAINS_MAX; drains += 1) {
        const count = this.hot.drain(this.#records)
        for (let index = 0; index < count; index += 1) this.#take(index * RECORD_WORDS)
        this.#dispatched += count
        if (count + RECORDS_PER_ENTRY <= RECORDS_MAX) return
      }
      setImmediate(() => this.drain())
    } finally {
      this.#draining = false
      if (!this.#hasReacted) void RESOLVED.then(this.#reacted)
    }
  }

  #take(at: number): void {
    const records = this.#records
    // `drain` has written every word of each record counted.
    const word = records[at] as number
    const handle = records[at + 1] as number
    const a = records[at + 2] as number
    const b = records[at + 3] as number
    try {
      this.#dispatch(word & 0xff, word >>> 8, handle, a, b)
    } catch (err) {
      // Application callbacks are guarded at their call sites, so this is a bug of ours. It must not prevent
      // the delivery of the other records.
      process.emitWarning(err instanceof Error ? err : reasonOf(err))
    }
  }

  // The kind of a record determines the type of its handle.
  #dispatch(kind: number, flags: number, handle: number, a: number, b: number): void {
    const index = handle & HANDLE_INDEX_MASK
    switch (kind) {
      case RecordKind.streamReadable:
        this.#streams[index]?.onReadable(a)
        return
      case RecordKind.streamWritable:
        this.#streams[index]?.onWritable(a | 0)
        return
      case RecordKind.streamOpened:
        // Draining the record accepted the stream, and the remote waits for the acknowledgement.
        this.outbox.flushAfterPromises()
        this.#connections[a & HANDLE_INDEX_MASK]?.onStreamOpened(handle as StreamHandle, b)
        return
      case RecordKind.streamClosed: {
        const stream = this.#streams[index]
        this.#streams[index] = undefined
        stream?.onClosed(a, flags)
        return
      }
      case RecordKind.streamOutgoing:
        this.#streams[index]?.onOutgoing()
        return
      case RecordKind.streamNegotiated:
        this.#hasReacted = false
        this.#streams[index]?.onNegotiated(a, b)
        return
      case RecordKind.streamReset:
        this.#streams[index]?.onReset(a, b, flags)
        return
      case RecordKind.protocolQuery:
        this.#answer(handle as StreamHandle, a)
        return
      case RecordKind.connectionOpened:
        this.#hasReacted = false
        this.#nodes.get(a)?.onConnectionOpened(handle as ConnectionHandle, b as RequestId | 0)
        return
      case RecordKind.connectionGoingAway:
        this.#connections[index]?.onGoingAway()
        return
      case RecordKind.connectionCarried:
        this.#connections[index]?.onCarried(flags, a + b * 2 ** 32)
        return
      case RecordKind.connectionClosed: {
        const connection = this.#connections[index]
        this.#connections[index] = undefined
        connection?.onClosed(a, b, flags)
        return
      }
      case RecordKind.diagnostics:
        this.#diagnose(b)
        return
      case RecordKind.pipeReady:
        this.#pipes.get(handle as PipeHandle)?.onPipeReady(flags)
        return
      case RecordKind.attemptsFailed:
        this.#nodes.get(a)?.onAttemptsFailed(handle as RequestId)
        return
      case RecordKind.gateQuestions:
        this.#nodes.get(handle)?.onGateQuestions()
        return
      case RecordKind.httpRequests:
        this.#nodes.get(handle)?.onHttpRequests?.()
        return
      case RecordKind.completion:
        if (this.#held === undefined) this.#complete(handle as RequestId, flags)
        else this.#held.push([handle as RequestId, flags])
        return
      case RecordKind.listenerClosed: {
        const listener = handle as ListenerId
        const closed = this.#listeners.get(listener)
        // The promise of `listen` may not have adopted the listener yet.
        if (closed === undefined) this.#listenersEnded.set(listener, a)
        this.#listeners.delete(listener)
        closed?.(a)
        return
      }
    }
  }

  #diagnose(dropped: number): void {
    this.#diagnostics.take((diagnostic) => {
      const { node, connection } = diagnostic
      const sink = connection === 0 ? undefined : this.#connections[connection & HANDLE_INDEX_MASK]
      this.#nodes.get(node)?.onDiagnostic(diagnostic, sink)
    })
    if (dropped > 0) for (const node of this.#nodes.values()) node.onDropped(dropped)
  }

  /** Updates the requested levels of facts to those of the nodes' logs and of this thread's subscribers. */
  listen(subscribed: number): void {
    this.#subscribed = subscribed
    const levels = this.#nodes.size === 0 ? 0 : this.#logged | subscribed
    if (levels === this.#levels) return
    this.#levels = levels
    this.hot.listenTo(levels)
  }

  #answer(stream: StreamHandle, connection: number): void {
    const sink = this.#connections[connection & HANDLE_INDEX_MASK]
    let served: Served | undefined
    try {
      served = sink?.onProtocolQuery(this.native.queriedProtocol(this.hot.attachment, stream))
    } finally {
      this.hot.answer(stream, served?.protocol ?? 0, served?.inboundMax ?? 0)
      this.outbox.flushSoon()
    }
  }

  /** Registers `stream` for the events of its handle. */
  adoptStream(stream: StreamSink): void {
    this.#streams[stream.handle & HANDLE_INDEX_MASK] = stream
  }

  /** Registers `connection` for the events of its handle. */
  adoptConnection(handle: ConnectionHandle, connection: ConnectionSink): void {
    this.#connections[handle & HANDLE_INDEX_MASK] = connection
  }

  /** Registers `sink` for the events of a pipe. */
  adoptPipe(pipe: PipeHandle, sink: PipeSink): void {
    this.#pipes.set(pipe, sink)
  }

  /** Unregisters a pipe that is dropped. */
  forgetPipe(pipe: PipeHandle): void {
    this.#pipes.delete(pipe)
  }

  /** Creates a native node; throws `InvalidParametersError` for invalid options. Without a gate, it refuses nobody. */
  makeNode(options: Omit<NativeNodeOptions, 'attachment'>, gate?: NativeGate): NativeNode {
    try {
      return new this.native.NativeNode({ ...options, attachment: this.hot.attachment }, gate)
    } catch (err) {
      throw thrownByNative(err)
    }
  }

  /** Registers `sink` for the events of the node. */
  adoptNode(node: number, sink: NodeSink): void {
    this.#nodes.set(node, sink)
    this.#logged |= sink.loggedLevels
    this.listen(this.#subscribed)
  }

  /** Unregisters a closed node. */
  dropNode(node: number): void {
    this.#nodes.delete(node)
    this.levelsChanged()
  }

  /** Updates the requested levels of facts: those that a node needs have changed. */
  levelsChanged(): void {
    this.#logged = 0
    for (const { loggedLevels } of this.#nodes.values()) this.#logged |= loggedLevels
    this.listen(this.#subscribed)
  }

  /** Registers `closed` for the end of a listener; called at once if it has ended already. */
  adoptListener(listener: ListenerId, closed: (code: number) => void): void {
    const code = this.#listenersEnded.get(listener)
    if (code === undefined) this.#listeners.set(listener, closed)
    else {
      this.#listenersEnded.delete(listener)
      closed(code)
    }
  }

  /** Returns whether this turn of the event loop has budget for a read; if not, `stream.onTurn` follows. */
  mayRead(stream: StreamSink): boolean {
    if (this.#budget > 0) return true
    if (this.#deferred.size === 0) setImmediate(this.#turn)
    this.#deferred.add(stream)
    return false
  }

  /** Whether this turn of the event loop has budget for a read. */
  get hasRoom(): boolean {
    return this.#budget > 0
  }

  /** Gives this turn of the event loop a full budget, whatever has run before. */
  renewBudget(): void {
    this.#budget = TURN_POINTS
  }

  /** Runs `read` with a full budget; its reads are still charged. */
  mayReadNow<T>(read: () => T): T {
    const budget = this.#budget
    this.#budget = Math.max(budget, TURN_POINTS)
    try {
      return read()
    } finally {
      this.#budget += Math.min(budget - TURN_POINTS, 0)
    }
  }

  /** Charges a read to this turn. */
  hasRead(bytes: number): void {
    this.#budget -= 1 + (bytes >>> POINT_SHIFT)
  }

  /**
   * Issues a command, which keeps the process alive until its completion.
   *
   * A failure rejects with `CommandError`, whose errors have the stack of `from`'s caller, if given. Capturing it costs
   * 5 to 20 microseconds.
   */
  command(
    node: Pick<NativeNode, 'takeResult'>,
    begin: (request: RequestId) => void,
    from?: (...args: never[]) => unknown
  ): CommandHandle {
    // Request ids originate here.
    const request = this.#nextRequest as RequestId
    this.#nextRequest = request === 0x3fffffff ? 1 : request + 1
    const site: { stack?: string } = {}
    if (from !== undefined) Error.captureStackTrace(site, from)
    const result = new Promise<CommandResult>((resolve, reject) => {
      this.#commands.set(request, { node, site, resolve, reject })
    })
    this.retain()
    try {
      begin(request)
    } catch (err) {
      this.#commands.delete(request)
      this.release()
      throw thrownByNative(err)
    }
    return { request, result }
  }

  #complete(request: RequestId, flags: number): void {
    const command = this.#commands.get(request)
    if (command === undefined) return
    this.#commands.delete(request)
    this.release()
    const isEmpty = (flags & FLAG_EMPTY) !== 0
    const result = isEmpty ? EMPTY : command.node.takeResult(request)
    if (result.code === 0) command.resolve(result)
    else command.reject(new CommandError(result, command.site))
  }

  /** Keeps the process alive until {@link Engine.release}. Reference-counted. */
  retain(): void {
    this.#refs += 1
    if (this.#refs === 1) this.hot.hold(true)
  }

  /** The counterpart of {@link Engine.retain}. */
  release(): void {
    this.#refs -= 1
    if (this.#refs === 0) this.hot.hold(false)
  }

  /** Returns the counters of the native side. */
  counters(): Counters {
    const numbers = new Float64Array(64)
    return namedCounters(numbers, this.hot.counters(numbers))
  }
}
