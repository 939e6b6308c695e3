/** The responding side of multistream-select, over any byte carrier. */
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

/** The interface of {@link Multiselect}. */
export interface MultiselectMuxerLike<Handler = StreamHandler> {
  /** Handlers in registration order. */
  readonly handlers: ReadonlyMap<string | ProtocolPredicate, Handler>
  /** Registers a handler for a protocol, or for those selected by a predicate. */
  addHandler(protocol: string | ProtocolPredicate, handler: Handler): void
  /** Removes a handler; returns false if there is none. */
  removeHandler(protocol: string | ProtocolPredicate): boolean
  /** Returns the protocols registered by name. */
  getProtocols(): string[]
  /** Responds to proposals until one is supported. */
  negotiate(
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<[protocol: string, handler: Handler]>
}

/** @internal The protocols of a responder. */
export interface Offers<Found> {
  /** Returns those with a handler by name. */
  protocols(): Iterable<string>
  /** Returns what serves a proposal, which may be any text; undefined if nothing does. */
  find(protocol: string): Found | undefined
}

/** Maximum proposals of one negotiation, as on streams of a swarm. */
const PROPOSALS_MAX = 32

/** Maximum lists of protocols per negotiation: one has all of them, more would be amplification. */
const LISTINGS_MAX = 4

/**
 * A table of handlers, and the negotiation that selects one.
 *
 * For carriers of the application. Streams of a swarm are negotiated in Rust, with the handlers of `swarm.handle`.
 */
export class Multiselect<Handler = StreamHandler> implements MultiselectMuxerLike<Handler> {
  readonly #handlers = new Map<string | ProtocolPredicate, Handler>()

  /** @throws {@link InvalidParametersError} for an invalid protocol name. */
  constructor(defaultHandlers: Iterable<readonly [string | ProtocolPredicate, Handler]> = []) {
    for (const [protocol, handler] of defaultHandlers) this.addHandler(protocol, handler)
  }

  /** A live view of the handlers, in registration order. */
  get handlers(): ReadonlyMap<string | ProtocolPredicate, Handler> {
    return this.#handlers
  }

  /**
   * Registers a handler for a protocol, or for those without a handler by name that a predicate selects. Replaces an
   * earlier handler, and moves it to the end.
   *
   * @throws {@link InvalidParametersError} for an invalid protocol name.
   */
  addHandler(protocol: string | ProtocolPredicate, handler: Handler): void {
    const key = typeof protocol === 'function' ? protocol : protocolName(protocol)
    this.#handlers.delete(key)
    this.#handlers.set(key, handler)
  }

  /** Removes a handler; returns false if there is none. */
  removeHandler(protocol: string | ProtocolPredicate): boolean {
    return this.#handlers.delete(protocol)
  }

  /** Returns the protocols registered by name, in registration order. */
  getProtocols(): string[] {
    return [...this.#handlers.keys()].filter((key) => typeof key === 'string')
  }

  /** Exchanges the headers. Rejects as {@link Multiselect.negotiate} does. */
  handshake(
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<void> {
    return negotiation(MultiselectError, negotiationOptions(communicator, options), (abort) =>
      exchangeHeaders(communicator, abort)
    )
  }

  /**
   * Exchanges the headers and responds to proposals until one is supported. Resolves to the protocol and its handler.
   *
   * Names take precedence over predicates, which are called in registration order.
   *
   * @throws {@link MultiselectError} if the remote ends or violates the negotiation, makes more than 32 proposals or
   * requests more than 4 lists, or a predicate throws, with the reason as `cause`; code ERR_TIMEOUT after `timeout`.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid communicator or option.
   */
  negotiate(
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<[protocol: string, handler: Handler]> {
    return negotiation(
      MultiselectError,
      negotiationOptions(communicator, options),
      async (abort) => {
        const [protocol, { handler }] = await respond(communicator, this.#offers, abort)
        return [protocol, handler]
      }
    )
  }

  readonly #offers: Offers<{ readonly handler: Handler }> = {
    protocols: () => this.getProtocols(),
    find: (protocol) => {
      const key = this.#keyOf(protocol)
      // A key that was found is one of the table.
      return key === undefined ? undefined : { handler: this.#handlers.get(key) as Handler }
    }
  }

  #keyOf(text: string): string | ProtocolPredicate | undefined {
    if (this.#handlers.has(text)) return text
    // Predicates are only called with valid protocol names, as on streams of a swarm.
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

/** @internal Responds to proposals until one is supported; resolves to it, and to what was found for it. */
export async function respond<Found>(
  communicator: MultiselectCommunicatorLike,
  offers: Offers<Found>,
  abort: AbortOptions
): Promise<[protocol: string, found: Found]> {
  await exchangeHeaders(communicator, abort)
  let proposals = 0
  let listings = 0
  for (;;) {
    const text = await communicator.read(abort)
    if (text === LIST) {
      listings += 1
      atMost(LISTINGS_MAX, listings, 'lists of protocols')
      await communicator.writeListing(offers.protocols(), abort)
      continue
    }
    proposals += 1
    atMost(PROPOSALS_MAX, proposals, 'proposals')
    // Looked up before the await, during which the table may change.
    const found = offers.find(text)
    if (found === undefined) {
      await communicator.write(NOT_AVAILABLE, abort)
      continue
    }
    await accept(communicator, text, abort)
    return [text, found]
  }
}

/** Confirms `protocol`. */
async function accept(
  communicator: MultiselectCommunicatorLike,
  protocol: string,
  abort: AbortOptions
): Promise<void> {
  try {
    await communicator.write(protocol, abort)
  } catch (err) {
    // The remote may have sent its message and closed: the message can still be read, and the next write will fail.
    if (!(err instanceof MultiselectCommunicatorError)) throw err
  }
}

function atMost(max: number, count: number, what: string): void {
  if (count > max) throw new MultiselectError(`more than ${max} ${what}`)
}
