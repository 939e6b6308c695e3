/** The handler table: which protocols a swarm answers to, and who gets their streams. */
import { aFunction, checkOptions, integer, misuse, type OptionChecks } from '../arguments.ts'
import type { Connection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { ResourceLimitExceededError } from '../errors.ts'
import { isThenable } from '../events.ts'
import type { Served } from '../native/engine.ts'
import { PREDICATES_FROM } from '../native/record.ts'
import type { NodeHost } from '../node-host.ts'
import type { Logger } from '../options.ts'
import type { StreamCore } from '../stream/core.ts'
import type { Stream } from '../stream.ts'
import { holds, type ProtocolPredicate, protocolNames } from './protocol-name.ts'

/** Takes an inbound stream. Throwing or rejecting resets that stream and nothing else. */
export type StreamHandler = (stream: Stream, connection: Connection) => void | Promise<void>

/** One protocol, several, or those that a predicate chooses among the ones that no name has. */
export type HandledProtocols = string | readonly string[] | ProtocolPredicate

/** Options of `handle`. */
export interface HandlerOptions {
  /**
   * Inbound streams of this protocol on one connection; `limits.inboundStreamsMax` unless given. A predicate's protocols
   * count together.
   */
  maxInbound?: number
  /**
   * Outbound streams of this protocol on one connection, past which `newStream` rejects with
   * `ResourceLimitExceededError`; no bound of its own unless given. Not for predicates.
   */
  maxOutbound?: number
}

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

/** Handlers by protocol. The native side has the same table and asks for, or refuses, what is not in it. */
export class Registrar {
  readonly #logger: Logger
  readonly #entries = new Map<string, Entry>()
  readonly #predicates = new Map<ProtocolPredicate, PredicateEntry>()
  readonly #handlers = new Map<number, StreamHandler>()
  #predicatesMade = 0
  #raw: StreamHandler | undefined
  #host: NodeHost | undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** From here on the table is kept in step with the host's node. */
  attach(host: NodeHost): void {
    this.#host = host
    this.#push()
    if (this.#raw !== undefined) host.node.setRaw(true)
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
        this.#logger.error(`a predicate failed at ${JSON.stringify(protocol)}`, err)
      }
    }
    return undefined
  }

  /** Give an inbound stream to its handler; `protocol` is 0 for a raw one. */
  dispatch(stream: Stream, connection: Connection, protocol: number): void {
    const handler = protocol === 0 ? this.#raw : this.#handlers.get(protocol)
    if (handler === undefined) {
      // It was taken out of the table while the stream was on its way.
      void stream.reset(StreamErrorCode.ProtocolNegotiationFailed)
      return
    }
    try {
      const answer: unknown = handler(stream, connection)
      if (isThenable(answer)) answer.then(undefined, (err) => this.#failed(stream, err))
    } catch (err) {
      this.#failed(stream, err)
    }
  }

  get #inboundMax(): number {
    return this.#host?.options.limits.inboundStreamsMax ?? 0
  }

  #failed(stream: Stream, err: unknown): void {
    this.#logger.debug(`the handler of ${stream.protocol ?? 'raw streams'} failed`, err)
    stream.abort(err instanceof Error ? err : new Error(String(err)))
  }

  #push(): void {
    const host = this.#host
    if (host === undefined) return
    this.#handlers.clear()
    const table = Array.from(this.#entries, ([name, entry]) => {
      const protocol = host.engine.protocols.id(name)
      this.#handlers.set(protocol, entry.handler)
      return { protocol, inboundMax: entry.maxInbound ?? this.#inboundMax }
    })
    for (const { id, handler } of this.#predicates.values()) this.#handlers.set(id, handler)
    host.node.setHandlers(table, this.#predicates.size > 0)
    host.offersChanged()
  }
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
