/** The side that answers proposals, over anything that carries bytes. */
import { MultiselectCommunicatorError, MultiselectError } from '../errors.ts'
import type { AbortOptions } from '../io/interfaces.ts'
import type { StreamHandler } from './handler.ts'
import type { MultiselectCommunicatorLike } from './multiselect-communicator.ts'
import { HEADER, LIST, NOT_AVAILABLE } from './multiselect-line.ts'
import {
  type NegotiationOptions,
  negotiation,
  negotiationOptions,
  readHeader
} from './negotiation.ts'
import { holds, isProtocolName, type ProtocolPredicate, protocolName } from './protocol-name.ts'

/** What {@link Multiselect} offers. */
export interface MultiselectMuxerLike<Handler = StreamHandler> {
  /** Handlers in the order in which they were added. */
  readonly handlers: ReadonlyMap<string | ProtocolPredicate, Handler>
  /** Serve a protocol, or those that a predicate chooses. */
  addHandler(protocol: string | ProtocolPredicate, handler: Handler): void
  /** Serve it no longer; false if it was not served. */
  removeHandler(protocol: string | ProtocolPredicate): boolean
  /** The protocols served by name. */
  getProtocols(): string[]
  /** Answer proposals until one is served. */
  negotiate(
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<[protocol: string, handler: Handler]>
}

/** Proposals of one negotiation that are answered, as in the live table. */
const PROPOSALS_MAX = 32

/** Lists of protocols in one negotiation: one names them all, more is amplification. */
const LISTINGS_MAX = 4

/**
 * A table of handlers and the negotiation that chooses among them.
 *
 * The table of a swarm, `swarm.handle`, is another one and negotiates in Rust; this is for carriers of one's own.
 */
export class Multiselect<Handler = StreamHandler> implements MultiselectMuxerLike<Handler> {
  readonly #handlers = new Map<string | ProtocolPredicate, Handler>()

  /** Throws `InvalidParametersError` for what is no protocol name. */
  constructor(defaultHandlers: Iterable<readonly [string | ProtocolPredicate, Handler]> = []) {
    for (const [protocol, handler] of defaultHandlers) this.addHandler(protocol, handler)
  }

  /** Handlers in the order in which they were added: the live table, to look at. */
  get handlers(): ReadonlyMap<string | ProtocolPredicate, Handler> {
    return this.#handlers
  }

  /**
   * Serve a protocol, or those that a predicate chooses and no name has. Adding again replaces, and moves to the end.
   *
   * Throws `InvalidParametersError` for what is no protocol name.
   */
  addHandler(protocol: string | ProtocolPredicate, handler: Handler): void {
    const key = typeof protocol === 'function' ? protocol : protocolName(protocol)
    this.#handlers.delete(key)
    this.#handlers.set(key, handler)
  }

  /** Serve it no longer; false if it was not served. */
  removeHandler(protocol: string | ProtocolPredicate): boolean {
    return this.#handlers.delete(protocol)
  }

  /** The protocols served by name, in the order in which they were added. */
  getProtocols(): string[] {
    return [...this.#handlers.keys()].filter((key) => typeof key === 'string')
  }

  /** Exchange the first lines. Errors as {@link Multiselect.negotiate}. */
  handshake(
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<void> {
    return negotiation(MultiselectError, negotiationOptions(communicator, options), (abort) =>
      exchangeHeaders(communicator, abort)
    )
  }

  /**
   * Exchange the first lines and answer proposals until one is served, then say which, and its handler.
   *
   * Names win over predicates, predicates are asked in their order. Rejects with `MultiselectError` and its cause when
   * the remote ends or breaks the negotiation, makes more than 32 proposals, asks for more than 4 lists, or a predicate
   * throws; past the deadline the code is ERR_TIMEOUT. Rejects with `AbortError` when the signal is aborted.
   */
  negotiate(
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<[protocol: string, handler: Handler]> {
    return negotiation(
      MultiselectError,
      negotiationOptions(communicator, options),
      async (abort) => {
        await exchangeHeaders(communicator, abort)
        let proposals = 0
        let listings = 0
        for (;;) {
          const text = await communicator.read(abort)
          if (text === LIST) {
            listings += 1
            atMost(LISTINGS_MAX, listings, 'lists of protocols')
            await communicator.writeListing(this.getProtocols(), abort)
            continue
          }
          proposals += 1
          atMost(PROPOSALS_MAX, proposals, 'proposals')
          const key = this.#keyOf(text)
          if (key === undefined) {
            await communicator.write(NOT_AVAILABLE, abort)
            continue
          }
          // Taken before the wait: the table may change meanwhile.
          const handler = this.#handlers.get(key) as Handler
          await agree(communicator, text, abort)
          return [text, handler]
        }
      }
    )
  }

  #keyOf(text: string): string | ProtocolPredicate | undefined {
    if (this.#handlers.has(text)) return text
    // Only a name is asked about, as in the live table: no predicate is bothered with other text.
    if (!isProtocolName(text)) return undefined
    for (const key of this.#handlers.keys()) {
      if (typeof key === 'function' && holds(key, text)) return key
    }
    return undefined
  }
}

async function exchangeHeaders(
  communicator: MultiselectCommunicatorLike,
  abort: AbortOptions
): Promise<void> {
  await Promise.all([communicator.write(HEADER, abort), readHeader(communicator, abort)])
}

/** Says that `protocol` is served. */
async function agree(
  communicator: MultiselectCommunicatorLike,
  protocol: string,
  abort: AbortOptions
): Promise<void> {
  try {
    await communicator.write(protocol, abort)
  } catch (err) {
    // The remote may have sent its message and gone: that message is still to be read, and the next write tells.
    if (!(err instanceof MultiselectCommunicatorError)) throw err
  }
}

function atMost(max: number, count: number, what: string): void {
  if (count > max) throw new MultiselectError(`more than ${max} ${what}`)
}
