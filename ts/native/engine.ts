/**
 * The JavaScript end of the boundary, one per environment: doorbell to drain, records to objects, commands to promises.
 *
 * A ring leads to at most 64 drains, then the event loop turns.
 */
import { isTimeUp } from '../base/abort.ts'
import { SCRATCH_BYTES } from '../base/bytes.ts'
import type { CommandResult, HotCalls, Native, NativeNode, NativeNodeOptions } from './addon.ts'
import { CommandError, thrownByNative } from './command-error.ts'
import { type Counters, namedCounters } from './counters.ts'
import { DiagnosticReader, type NativeDiagnostic } from './diagnostic.ts'
import type { ConnectionHandle, ListenerId, RequestId, StreamHandle } from './handles.ts'
import { Outbox, type Sender } from './outbox.ts'
import { ProtocolNames } from './protocol-names.ts'
import {
  HANDLE_INDEX_MASK,
  RECORD_WORDS,
  RECORDS_MAX,
  RECORDS_PER_ENTRY,
  RecordKind
} from './record.ts'

/** Drains in a row before the event loop turns. */
const DRAINS_MAX = 64

// What one turn of the event loop may read without a wait, so that a loop over a fast stream cannot starve
// timers and other streams: 256 reads, or 4 MiB at 16 KiB a point. A ring of the doorbell is no turn: Node answers
// up to a thousand of them in a row.
const TURN_POINTS = 256
const POINT_SHIFT = 14

/** What the engine tells a stream. */
export interface StreamSink extends Sender {
  onNegotiated(protocol: number, code: number): void
  onReadable(bytes: number): void
  onWritable(credit: number): void
  onReset(wireCode: number, code: number, flags: number): void
  onClosed(left: number, flags: number): void
  /** A foreign stream has something for its muxer. */
  onOutgoing(): void
  /** The event loop has turned since a read was put off. */
  onTurn(): void
}

/** Who serves a stream: a number above {@link PREDICATES_FROM}, and how many of its streams a connection may have. */
export interface Served {
  readonly protocol: number
  readonly inboundMax: number
}

/** What the engine tells a connection. */
export interface ConnectionSink {
  onStreamOpened(handle: StreamHandle, protocol: number): void
  /** Who serves a protocol that is proposed on an inbound stream and is not in the table; undefined for nobody. */
  onProtocolQuery(protocol: string): Served | undefined
  /** The remote takes no more streams; the end follows that of those there are. */
  onGoingAway(): void
  /** A figure of what it had carried by its end, which follows: see `connectionCounters`. Those that are 0 are not told. */
  onCarried(figure: number, value: number): void
  onClosed(wireCode: number, code: number, flags: number): void
}

/** What the engine tells a swarm. */
export interface NodeSink {
  /** A connection is up; `request` is that of its dial, 0 for an inbound one. */
  onConnectionOpened(handle: ConnectionHandle, request: RequestId | 0): void
  /** Attempts of a dial have failed, which goes on. */
  onAttemptsFailed(request: RequestId): void
  /** Bits of the levels of diagnostic facts that its log hears. */
  readonly loggedLevels: number
  /** A fact of the node; of a connection if that has been told. */
  onDiagnostic(diagnostic: NativeDiagnostic, connection: ConnectionSink | undefined): void
  /** Facts, of whichever node, that nobody will hear of. */
  onDropped(count: number): void
}

interface Command {
  readonly node: NativeNode
  readonly site: { stack?: string }
  readonly resolve: (result: CommandResult) => void
  readonly reject: (err: Error) => void
}

/** A command under way. */
export interface CommandHandle {
  readonly request: RequestId
  /** Rejects with `CommandError` unless the command succeeded. */
  readonly result: Promise<CommandResult>
}

/** One environment's end of the boundary. */
export class Engine {
  readonly hot: HotCalls
  readonly native: Native
  /** What goes down at the end of the tick. */
  readonly outbox: Outbox
  readonly protocols: ProtocolNames
  /** Recycled memory for reads of unknown size. Valid until the next read. */
  readonly scratch: Uint8Array<ArrayBuffer> = new Uint8Array(SCRATCH_BYTES)

  readonly #records = new Uint32Array(RECORDS_MAX * RECORD_WORDS)
  readonly #streams: (StreamSink | undefined)[] = []
  readonly #connections: (ConnectionSink | undefined)[] = []
  readonly #nodes = new Map<number, NodeSink>()
  readonly #listeners = new Map<ListenerId, (code: number) => void>()
  // Listeners that ended before they were adopted, which each of them is.
  readonly #listenersEnded = new Map<ListenerId, number>()
  readonly #commands = new Map<RequestId, Command>()
  readonly #diagnostics: DiagnosticReader
  // Bits of the levels of diagnostic facts: that the logs of nodes hear, that subscribers of this thread hear, and
  // that the native side was last asked for.
  #logged = 0
  #subscribed = 0
  #levels = 0

  #draining = false
  #batch = 0
  #points = TURN_POINTS
  readonly #putOff = new Set<StreamSink>()
  #nextRequest = 1
  #holds = 0

  readonly #turn = (): void => {
    this.#points = TURN_POINTS
    const streams = [...this.#putOff]
    this.#putOff.clear()
    for (const stream of streams) stream.onTurn()
  }

  constructor(native: Native, versions: NodeJS.ProcessVersions = process.versions) {
    this.native = native
    const ring = (): void => this.drain()
    this.hot = native.attach(ring)
    // Both have functions by the names of libuv's, and an event loop that is not libuv's.
    if (versions.bun === undefined && versions.deno === undefined) {
      native.enableLoopPolling(this.hot.attachment, ring)
    }
    this.outbox = new Outbox(this.hot)
    this.#diagnostics = new DiagnosticReader(this.hot)
    this.protocols = new ProtocolNames(native, this.hot.attachment)
  }

  /** Number of the drain under way, or of the last one: what it tells, promises have not passed on before it is over. */
  get batch(): number {
    return this.#batch
  }

  /**
   * Call `then` once what has happened by now is told: a time that is up must not end what was done before, however
   * late an application that was busy gets to look.
   */
  afterDrain(then: () => void): void {
    this.drain()
    // The loop has not looked yet at what it waits for itself, and promises have not passed on what was drained.
    setImmediate(then)
  }

  /** Call `then` for an abort of `signal`: at once, or after a last look where that was a time that is up. */
  aborted(signal: AbortSignal | undefined, then: () => void): void {
    if (isTimeUp(signal)) this.afterDrain(then)
    else then()
  }

  /** Take every fact that waits. Does nothing from within itself. */
  drain(): void {
    if (this.#draining) return
    this.#draining = true
    this.#batch += 1
    try {
      for (let drains = 0; drains < DRAINS_MAX; drains += 1) {
        const count = this.hot.drain(this.#records)
        for (let index = 0; index < count; index += 1) this.#take(index * RECORD_WORDS)
        if (count + RECORDS_PER_ENTRY <= RECORDS_MAX) return
      }
      setImmediate(() => this.drain())
    } finally {
      this.#draining = false
    }
  }

  #take(at: number): void {
    const records = this.#records
    // `drain` has written all the words of each record that it counted.
    const word = records[at] as number
    const handle = records[at + 1] as number
    const a = records[at + 2] as number
    const b = records[at + 3] as number
    try {
      this.#dispatch(word & 0xff, word >>> 8, handle, a, b)
    } catch (err) {
      // Callbacks of the application are guarded where they are called, so this is a fault of ours. It must
      // not keep the other records from their streams.
      process.emitWarning(err instanceof Error ? err : String(err))
    }
  }

  // The kind of a record says of which object its handle is.
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
        // Telling of it has taken it, and the remote waits for the acknowledgement.
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
        this.#streams[index]?.onNegotiated(a, b)
        return
      case RecordKind.streamReset:
        this.#streams[index]?.onReset(a, b, flags)
        return
      case RecordKind.protocolQuery:
        this.#answer(handle as StreamHandle, a)
        return
      case RecordKind.connectionOpened:
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
      case RecordKind.attemptsFailed:
        this.#nodes.get(a)?.onAttemptsFailed(handle as RequestId)
        return
      case RecordKind.completion:
        this.#complete(handle as RequestId)
        return
      case RecordKind.listenerClosed: {
        const listener = handle as ListenerId
        const closed = this.#listeners.get(listener)
        // The promise of its listen may not have got round to adopting it yet.
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

  /** Ask for the facts that somebody hears, if those have changed: beside the logs of nodes, subscribers of this thread. */
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

  /** From here on `stream` hears what happens to its handle. */
  adoptStream(stream: StreamSink): void {
    this.#streams[stream.handle & HANDLE_INDEX_MASK] = stream
  }

  /** From here on `connection` hears what happens to its handle. */
  adoptConnection(handle: ConnectionHandle, connection: ConnectionSink): void {
    this.#connections[handle & HANDLE_INDEX_MASK] = connection
  }

  /** A native node; throws `InvalidParametersError` for options it does not take. */
  makeNode(options: Omit<NativeNodeOptions, 'attachment'>): NativeNode {
    try {
      return new this.native.NativeNode({ ...options, attachment: this.hot.attachment })
    } catch (err) {
      throw thrownByNative(err)
    }
  }

  /** From here on `sink` hears of the node's connections. */
  adoptNode(node: number, sink: NodeSink): void {
    this.#nodes.set(node, sink)
    this.#logged |= sink.loggedLevels
    this.listen(this.#subscribed)
  }

  /** Forget a node that is closed. */
  dropNode(node: number): void {
    this.#nodes.delete(node)
    this.#logged = 0
    for (const { loggedLevels } of this.#nodes.values()) this.#logged |= loggedLevels
    this.listen(this.#subscribed)
  }

  /** From here on `closed` hears of the listener's end, at once if it has ended already. */
  adoptListener(listener: ListenerId, closed: (code: number) => void): void {
    const code = this.#listenersEnded.get(listener)
    if (code === undefined) this.#listeners.set(listener, closed)
    else {
      this.#listenersEnded.delete(listener)
      closed(code)
    }
  }

  /** Whether this turn of the event loop has room for another read; if not, `stream.onTurn` follows. */
  mayRead(stream: StreamSink): boolean {
    if (this.#points > 0) return true
    if (this.#putOff.size === 0) setImmediate(this.#turn)
    this.#putOff.add(stream)
    return false
  }

  /** Whether this turn of the event loop has room for another read. */
  get hasRoom(): boolean {
    return this.#points > 0
  }

  /** Run `read`, for which every turn has room: it is charged all the same. */
  mayReadNow<T>(read: () => T): T {
    const points = this.#points
    this.#points = Math.max(points, TURN_POINTS)
    try {
      return read()
    } finally {
      this.#points += Math.min(points - TURN_POINTS, 0)
    }
  }

  /** Charge a read to this turn. */
  hasRead(bytes: number): void {
    this.#points -= 1 + (bytes >>> POINT_SHIFT)
  }

  /**
   * Begin a command. It keeps the process alive until its completion.
   *
   * A failed one rejects with `CommandError`; errors made from that have the stack of `from`'s caller, if given: taking
   * it costs 5 to 20 microseconds.
   */
  command(
    node: NativeNode,
    begin: (request: RequestId) => void,
    from?: (...args: never[]) => unknown
  ): CommandHandle {
    // Here is where one is made.
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

  #complete(request: RequestId): void {
    const command = this.#commands.get(request)
    if (command === undefined) return
    this.#commands.delete(request)
    this.release()
    const result = command.node.takeResult(request)
    if (result.code === 0) command.resolve(result)
    else command.reject(new CommandError(result, command.site))
  }

  /** Keep the process alive until {@link Engine.release}. Counts. */
  retain(): void {
    this.#holds += 1
    if (this.#holds === 1) this.hot.hold(true)
  }

  /** The counterpart of {@link Engine.retain}. */
  release(): void {
    this.#holds -= 1
    if (this.#holds === 0) this.hot.hold(false)
  }

  /** What the native side counts. */
  counters(): Counters {
    const numbers = new Float64Array(64)
    return namedCounters(numbers, this.hot.counters(numbers))
  }
}
