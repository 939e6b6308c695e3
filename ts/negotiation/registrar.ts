/** The handler table: the protocols that a swarm serves, and the handlers of their streams. */
import {
  aBoolean,
  aFunction,
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks,
  UINT32_MAX
} from '../base/arguments.ts'
import { isThenable } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { tracedHandler } from '../diagnostics/channels.ts'
import { type Failures, isExpectedEnd, resetCodeOf } from '../diagnostics/failures.ts'
import { LimitedConnectionError, ResourceLimitExceededError } from '../errors.ts'
import type { NativeNode } from '../native/addon.ts'
import type { Engine, Served } from '../native/engine.ts'
import { PREDICATES_FROM } from '../native/record.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Stream } from '../stream.ts'
import { reasonOf } from '../text/printable.ts'
import type { HandledProtocols, HandlerContext, HandlerOptions, StreamHandler } from './handler.ts'
import { holds, isProtocolName, type ProtocolPredicate, protocolNames } from './protocol-name.ts'

/** The name of a service has the form of a protocol's. */
const aServiceName: Check = (value, name) => {
  if (typeof value !== 'string') throw misuse(name, 'a string', value)
  protocolNames(value)
}

const HANDLER_CHECKS: OptionChecks<HandlerOptions> = {
  maxInbound: integer(1),
  maxOutbound: integer(1),
  service: aServiceName,
  runOnLimited: aBoolean
}

interface Entry {
  readonly handler: StreamHandler
  readonly maxInbound: number | undefined
  readonly maxOutbound?: number | undefined
  readonly service?: string | undefined
  readonly runOnLimited: boolean
}

/** The handler that serves a protocol. */
export interface Found extends Served {
  readonly service?: string | undefined
}

interface PredicateEntry extends Entry {
  /** Its number in place of a protocol's. */
  readonly id: number
}

/** The swarm's interface to its handler table. */
export interface RegistrarHost {
  readonly node: Pick<NativeNode, 'setHandlers' | 'setRaw'>
  readonly engine: Pick<Engine, 'protocols'>
  readonly options: {
    readonly limits: { readonly connection: { readonly streamsInbound: number } }
  }
  /** Aborted when the swarm begins to close. */
  readonly signal: AbortSignal
  /** Called when the protocols served have changed. */
  offersChanged(): void
}

/** Handlers by protocol. The native side has a copy of the table; it queries or refuses protocols not in it. */
export class Registrar {
  readonly #failures: Failures
  readonly #entries = new Map<string, Entry>()
  readonly #predicates = new Map<ProtocolPredicate, PredicateEntry>()
  readonly #handlers = new Map<number, Entry>()
  #predicatesMade = 0
  #raw: StreamHandler | undefined
  #host: RegistrarHost | undefined
  #context: HandlerContext | undefined
  // Names kept for the native table.
  #kept: string[] = []
  // Handler calls in flight; a count, so that one that never settles retains no memory.
  #running = 0
  #idle: (() => void) | undefined

  constructor(failures: Failures) {
    this.#failures = failures
  }

  /** Starts synchronising the table to the host's node. */
  attach(host: RegistrarHost): void {
    this.#host = host
    this.#context = Object.freeze({ signal: host.signal })
    this.#push()
    if (this.#raw !== undefined) host.node.setRaw(true)
  }

  /** Stops synchronising the table: the node is closed. */
  detach(): void {
    const host = this.#host
    this.#host = undefined
    for (const name of this.#kept.splice(0)) host?.engine.protocols.release(name)
  }

  /** Resolves when no handler call is in flight. */
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
    const { maxInbound, maxOutbound, service, runOnLimited = false } = options
    if (typeof protocols === 'function') {
      if (maxOutbound !== undefined) {
        throw misuse('maxOutbound', 'left out for a predicate', maxOutbound)
      }
      if (service !== undefined) throw misuse('service', 'left out for a predicate', service)
      const id = PREDICATES_FROM + this.#predicatesMade
      this.#predicatesMade += 1
      replace(this.#predicates, protocols, { handler, maxInbound, id, runOnLimited })
    } else {
      const entry = { handler, maxInbound, maxOutbound, service, runOnLimited }
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

  /** Returns the error if `streams` reach the limit of outbound streams of a protocol; undefined otherwise. */
  refusal(protocol: string | undefined, streams: Iterable<StreamCore>): Error | undefined {
    const limit = protocol === undefined ? undefined : this.#entries.get(protocol)?.maxOutbound
    if (limit === undefined) return undefined
    let current = 0
    for (const stream of streams) {
      // A failed stream has ended, although the list still has it until its record arrives.
      if (stream.direction !== 'outbound' || stream.isFailed()) continue
      if (stream.protocol === protocol) current += 1
    }
    if (current < limit) return undefined
    return new ResourceLimitExceededError(
      `${current} outbound streams of ${JSON.stringify(protocol)} reach the limit of ${limit}`,
      {
        scope: 'connection',
        resource: 'streamsOutbound',
        limit,
        current,
        requested: 1,
        option: 'maxOutbound'
      },
      'ERR_STREAM_LIMIT'
    )
  }

  /** Returns the first predicate that matches a protocol not in the table; one that throws is reported and skipped. */
  choose(protocol: string): Served | undefined {
    for (const [predicate, { id, maxInbound }] of this.#predicates) {
      try {
        if (holds(predicate, protocol)) {
          return { protocol: id, inboundMax: maxInbound ?? UINT32_MAX }
        }
      } catch (err) {
        this.#failures.report(err, predicate, `a predicate failed at ${JSON.stringify(protocol)}`)
      }
    }
    return undefined
  }

  /** Whether every inbound stream goes to the handler of `setStreamHandler`. */
  get isRaw(): boolean {
    return this.#raw !== undefined
  }

  /** Returns what serves a proposal that is negotiated in JavaScript: its handler by name, or that of a predicate. */
  find(protocol: string): Found | undefined {
    const entry = this.#entries.get(protocol)
    const numbers = this.#host?.engine.protocols
    if (entry === undefined || numbers === undefined) {
      return isProtocolName(protocol) ? this.choose(protocol) : undefined
    }
    const { maxInbound = UINT32_MAX, service } = entry
    return { protocol: numbers.id(protocol), inboundMax: maxInbound, service }
  }

  /** Passes an inbound stream to its handler; `protocol` is 0 for a raw one. */
  dispatch(core: StreamCore, connection: Connection, protocol: number, isLimited = false): void {
    const context = this.#context
    if (context === undefined || context.signal.aborted) {
      // The stream was in flight when the swarm began to close.
      void core.reset(StreamErrorCode.Shutdown, undefined)
      return
    }
    const entry = this.#handlers.get(protocol)
    const handler = protocol === 0 ? this.#raw : entry?.handler
    if (handler === undefined) {
      // The handler was removed while the stream was in flight.
      void core.reset(StreamErrorCode.ProtocolNegotiationFailed, undefined)
      return
    }
    if (isLimited && protocol !== 0 && entry?.runOnLimited !== true) {
      const err = new LimitedConnectionError('its handler does not run on limited connections')
      this.#failures.expected(err, () => `a stream of ${core.protocol} was refused`)
      void core.reset(StreamErrorCode.ProtocolNegotiationFailed, err)
      return
    }
    try {
      const result: unknown = tracedHandler.hasSubscribers
        ? tracedCall(handler, core.stream, connection, context)
        : handler(core.stream, connection, context)
      if (!isThenable(result)) return
      this.#running += 1
      result.then(this.#returned, (err) => {
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

  #failed(core: StreamCore, handler: StreamHandler, err: unknown): void {
    const isClosing = this.#context?.signal.aborted === true
    const served = (): string =>
      core.protocol === undefined ? 'raw streams' : JSON.stringify(core.protocol)
    const message = (): string => `the handler of ${served()} failed`
    const code = resetCodeOf(err, isClosing)
    if (code === StreamErrorCode.Shutdown || isExpectedEnd(err)) {
      this.#failures.expected(err, message)
    } else this.#failures.report(err, handler, message())
    void core.reset(code, err instanceof Error ? err : new Error(reasonOf(err)))
  }

  #push(): void {
    const host = this.#host
    if (host === undefined) return
    const { protocols } = host.engine
    const released = this.#kept
    this.#kept = [...this.#entries].flatMap(([name, { service }]) =>
      service === undefined ? [name] : [name, service]
    )
    this.#handlers.clear()
    const table = Array.from(this.#entries, ([name, entry]) => {
      const protocol = protocols.keep(name)
      this.#handlers.set(protocol, entry)
      const inboundMax = entry.maxInbound ?? UINT32_MAX
      const service = entry.service === undefined ? 0 : protocols.keep(entry.service)
      return { protocol, inboundMax, service }
    })
    for (const entry of this.#predicates.values()) this.#handlers.set(entry.id, entry)
    host.node.setHandlers(table, this.#predicates.size > 0)
    // After keeping the new names, so that names that stay are not evicted in between.
    for (const name of released) protocols.release(name)
    host.offersChanged()
  }
}

/** Calls a handler under its tracing channel, until its promise settles. */
function tracedCall(
  handler: StreamHandler,
  stream: Stream,
  connection: Connection,
  context: HandlerContext
): Promise<void> {
  const { swarm } = connection
  const operation = { swarm, connection, stream, protocol: stream.protocol }
  // Whatever a handler returns is awaited.
  const run = async (): Promise<void> => await handler(stream, connection, context)
  return tracedHandler.tracePromise(run, operation)
}

/** Sets an entry and moves it to the end. */
function replace<K, V>(entries: Map<K, V>, key: K, value: V): void {
  entries.delete(key)
  entries.set(key, value)
}

function namesOf(protocols: string | readonly string[]): readonly string[] {
  const names = protocolNames(protocols)
  return typeof names === 'string' ? [names] : names
}
