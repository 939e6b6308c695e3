/** The handler table: which protocols a swarm answers to, and who gets their streams. */
import type { Connection } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import { isThenable } from '../events.ts'
import type { NodeHost } from '../node-host.ts'
import type { Logger } from '../options.ts'
import type { Stream } from '../stream.ts'

/** Takes an inbound stream. Throwing or rejecting resets that stream and nothing else. */
export type StreamHandler = (stream: Stream, connection: Connection) => void | Promise<void>

/** Options of `handle`. */
export interface HandlerOptions {
  /** Inbound streams of this protocol on one connection; `limits.inboundStreamsMax` unless given. */
  maxInbound?: number
}

interface Entry {
  readonly handler: StreamHandler
  readonly maxInbound: number | undefined
}

/** Handlers by protocol. The native side has the same table and refuses what is not in it. */
export class Registrar {
  readonly #logger: Logger
  readonly #entries = new Map<string, Entry>()
  readonly #handlers = new Map<number, StreamHandler>()
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

  handle(
    protocols: string | readonly string[],
    handler: StreamHandler,
    options: HandlerOptions = {}
  ): void {
    if (typeof handler !== 'function') throw new InvalidParametersError('expected a handler')
    const { maxInbound } = options
    if (maxInbound !== undefined && !(Number.isInteger(maxInbound) && maxInbound >= 1)) {
      throw new InvalidParametersError(`expected maxInbound of 1 or more, received ${maxInbound}`)
    }
    const names = namesOf(protocols)
    for (const name of names) this.#entries.set(name, { handler, maxInbound })
    this.#push()
  }

  unhandle(protocols: string | readonly string[]): void {
    for (const name of namesOf(protocols)) this.#entries.delete(name)
    this.#push()
  }

  setRaw(handler: StreamHandler | null): void {
    this.#raw = handler ?? undefined
    this.#host?.node.setRaw(handler !== null)
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

  #failed(stream: Stream, err: unknown): void {
    this.#logger.debug(`the handler of ${stream.protocol ?? 'raw streams'} failed`, err)
    stream.abort(err instanceof Error ? err : new Error(String(err)))
  }

  #push(): void {
    const host = this.#host
    if (host === undefined) return
    this.#handlers.clear()
    const inboundMax = host.options.limits.inboundStreamsMax
    const table = Array.from(this.#entries, ([name, entry]) => {
      const protocol = host.engine.protocols.id(name)
      this.#handlers.set(protocol, entry.handler)
      return { protocol, inboundMax: entry.maxInbound ?? inboundMax }
    })
    host.node.setHandlers(table)
    host.offersChanged()
  }
}

function namesOf(protocols: string | readonly string[]): readonly string[] {
  const names = typeof protocols === 'string' ? [protocols] : protocols
  for (const name of names) {
    if (typeof name !== 'string' || name.length === 0 || name.includes('\n')) {
      throw new InvalidParametersError(`expected a protocol name, received ${JSON.stringify(name)}`)
    }
  }
  return names
}
