/** The handler table: which protocols a swarm answers to, and who gets their streams. */
import { aFunction, checkOptions, integer, misuse, type OptionChecks } from '../base/arguments.ts'
import { isThenable } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import { type Limits, StreamErrorCode } from '../constants.ts'
import { tracedHandler } from '../diagnostics/channels.ts'
import { type Failures, isExpectedEnd, resetCodeOf } from '../diagnostics/failures.ts'
import { ResourceLimitExceededError } from '../errors.ts'
import type { NativeNode } from '../native/addon.ts'
import type { Engine, Served } from '../native/engine.ts'
import { PREDICATES_FROM } from '../native/record.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Stream } from '../stream.ts'
import type { HandledProtocols, HandlerContext, HandlerOptions, StreamHandler } from './handler.ts'
import { holds, type ProtocolPredicate, protocolNames } from './protocol-name.ts'

const HANDLER_CHECKS: OptionChecks<HandlerOptions> = {
  maxInbound: integer(1),
  maxOutbound: integer(1)
}

interface Entry {
  readonly handler: StreamHandler
  readonly maxInbound: number | undefined
  readonly maxOutbound?: number | undefined
}

interface PredicateEntry extends Entry {
  /** What stands for it where a protocol by name has its number. */
  readonly id: number
}

/** What the table needs of the swarm that it belongs to. */
export interface RegistrarHost {
  readonly node: Pick<NativeNode, 'setHandlers' | 'setRaw'>
  readonly engine: Pick<Engine, 'protocols'>
  readonly options: { readonly limits: Pick<Limits, 'inboundStreamsMax'> }
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
  /** What we offer to peers is another than before. */
  offersChanged(): void
}

/** Handlers by protocol. The native side has the same table and asks for, or refuses, what is not in it. */
export class Registrar {
  readonly #failures: Failures
  readonly #entries = new Map<string, Entry>()
  readonly #predicates = new Map<ProtocolPredicate, PredicateEntry>()
  readonly #handlers = new Map<number, StreamHandler>()
  #predicatesMade = 0
  #raw: StreamHandler | undefined
  #host: RegistrarHost | undefined
  #context: HandlerContext | undefined
  // Names that are kept for the native table.
  #kept: string[] = []
  // Calls of handlers that have not returned; a number, so that one that never does keeps nothing.
  #running = 0
  #idle: (() => void) | undefined

  constructor(failures: Failures) {
    this.#failures = failures
  }

  /** From here on the table is kept in step with the host's node. */
  attach(host: RegistrarHost): void {
    this.#host = host
    this.#context = Object.freeze({ signal: host.signal })
    this.#push()
    if (this.#raw !== undefined) host.node.setRaw(true)
  }

  /** The node is closed: there is no table to keep in step any more. */
  detach(): void {
    const host = this.#host
    this.#host = undefined
    for (const name of this.#kept.splice(0)) host?.engine.protocols.release(name)
  }

  /** Resolves when every handler that was called has returned. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#idle = resolve
    })
  }

  protocols(): string[] {
    return [...this.#entries.keys()]
  }

  handle(protocols: HandledProtocols, handler: StreamHandler, options: HandlerOptions = {}): void {
    aFunction(handler, 'handler')
    checkOptions(options, HANDLER_CHECKS)
    const { maxInbound, maxOutbound } = options
    if (typeof protocols === 'function') {
      if (maxOutbound !== undefined) {
        throw misuse('maxOutbound', 'left out for a predicate', maxOutbound)
      }
      const id = PREDICATES_FROM + this.#predicatesMade
      this.#predicatesMade += 1
      replace(this.#predicates, protocols, { handler, maxInbound, id })
    } else {
      const entry = { handler, maxInbound, maxOutbound }
      for (const name of namesOf(protocols)) replace(this.#entries, name, entry)
    }
    this.#push()
  }

  unhandle(protocols: HandledProtocols): void {
    if (typeof protocols === 'function') this.#predicates.delete(protocols)
    else for (const name of namesOf(protocols)) this.#entries.delete(name)
    this.#push()
  }

  setRaw(handler: StreamHandler | null): void {
    this.#raw = handler ?? undefined
    this.#host?.node.setRaw(handler !== null)
  }

  /** Why a connection with these streams can have no further outbound one of a protocol; undefined if it can. */
  refusal(protocol: string | undefined, streams: Iterable<StreamCore>): Error | undefined {
    const limit = protocol === undefined ? undefined : this.#entries.get(protocol)?.maxOutbound
    if (limit === undefined) return undefined
    let current = 0
    for (const stream of streams) {
      // One that has failed is over; that it leaves the list is told later.
      if (stream.direction !== 'outbound' || stream.isFailed()) continue
      if (stream.protocol === protocol) current += 1
    }
    if (current < limit) return undefined
    return new ResourceLimitExceededError(
      `${current} outbound streams of ${JSON.stringify(protocol)} reach the limit of ${limit}`,
      { scope: 'connection', resource: 'streams', limit, current }
    )
  }

  /** The first predicate that holds for a protocol which no name has; one that throws is reported, and does not. */
  choose(protocol: string): Served | undefined {
    for (const [predicate, { id, maxInbound }] of this.#predicates) {
      try {
        if (holds(predicate, protocol)) {
          return { protocol: id, inboundMax: maxInbound ?? this.#inboundMax }
        }
      } catch (err) {
        this.#failures.report(err, predicate, `a predicate failed at ${JSON.stringify(protocol)}`)
      }
    }
    return undefined
  }

  /** Give an inbound stream to its handler; `protocol` is 0 for a raw one. */
  dispatch(core: StreamCore, connection: Connection, protocol: number): void {
    const context = this.#context
    if (context === undefined || context.signal.aborted) {
      // It was on its way when the swarm began to close.
      void core.reset(StreamErrorCode.Shutdown, undefined)
      return
    }
    const handler = protocol === 0 ? this.#raw : this.#handlers.get(protocol)
    if (handler === undefined) {
      // It was taken out of the table while the stream was on its way.
      void core.reset(StreamErrorCode.ProtocolNegotiationFailed, undefined)
      return
    }
    try {
      const answer: unknown = tracedHandler.hasSubscribers
        ? tracedCall(handler, core.stream, connection, context)
        : handler(core.stream, connection, context)
      if (!isThenable(answer)) return
      this.#running += 1
      answer.then(this.#returned, (err) => {
        this.#failed(core, handler, err)
        this.#returned()
      })
    } catch (err) {
      this.#failed(core, handler, err)
    }
  }

  readonly #returned = (): void => {
    this.#running -= 1
    if (this.#running === 0) this.#idle?.()
  }

  get #inboundMax(): number {
    return this.#host?.options.limits.inboundStreamsMax ?? 0
  }

  #failed(core: StreamCore, handler: StreamHandler, err: unknown): void {
    const isClosing = this.#context?.signal.aborted === true
    const served = (): string =>
      core.protocol === undefined ? 'raw streams' : JSON.stringify(core.protocol)
    const message = (): string => `the handler of ${served()} failed`
    const code = resetCodeOf(err, isClosing)
    if (code === StreamErrorCode.Shutdown || isExpectedEnd(err)) {
      this.#failures.expected(err, message)
    } else this.#failures.report(err, handler, message())
    void core.reset(code, err instanceof Error ? err : new Error(String(err)))
  }

  #push(): void {
    const host = this.#host
    if (host === undefined) return
    const { protocols } = host.engine
    const released = this.#kept
    this.#kept = [...this.#entries.keys()]
    this.#handlers.clear()
    const table = Array.from(this.#entries, ([name, entry]) => {
      const protocol = protocols.keep(name)
      this.#handlers.set(protocol, entry.handler)
      return { protocol, inboundMax: entry.maxInbound ?? this.#inboundMax }
    })
    for (const { id, handler } of this.#predicates.values()) this.#handlers.set(id, handler)
    host.node.setHandlers(table, this.#predicates.size > 0)
    // Behind the new ones: what stays in the table is not abandoned in between.
    for (const name of released) protocols.release(name)
    host.offersChanged()
  }
}

/** A call of a handler of which somebody hears, until its promise settles. */
function tracedCall(
  handler: StreamHandler,
  stream: Stream,
  connection: Connection,
  context: HandlerContext
): Promise<void> {
  const { swarm } = connection
  const operation = { swarm, connection, stream, protocol: stream.protocol }
  // Of no type: what a handler returns is awaited, whatever it is.
  const run = async (): Promise<void> => await handler(stream, connection, context)
  return tracedHandler.tracePromise(run, operation)
}

/** Adding again replaces, and moves to the end. */
function replace<K, V>(entries: Map<K, V>, key: K, value: V): void {
  entries.delete(key)
  entries.set(key, value)
}

function namesOf(protocols: string | readonly string[]): readonly string[] {
  const names = protocolNames(protocols)
  return typeof names === 'string' ? [names] : names
}
