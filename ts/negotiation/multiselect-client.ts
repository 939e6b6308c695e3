/** The proposing side of multistream-select, over any byte carrier. */
import { anArray } from '../base/arguments.ts'
import { MultiselectClientError, UnsupportedProtocolError } from '../errors.ts'
import type { AbortOptions } from '../io/interfaces.ts'
import type { MultiselectCommunicatorLike } from './multiselect-communicator.ts'
import { HEADER, LIST, NOT_AVAILABLE } from './multiselect-line.ts'
import {
  type NegotiationOptions,
  negotiation,
  negotiationOptions,
  readHeader
} from './negotiation.ts'
import { protocolName } from './protocol-name.ts'

/** The interface of {@link MultiselectClient}. */
export interface MultiselectClientLike {
  /** Exchanges the headers. */
  handshake(communicator: MultiselectCommunicatorLike, options?: NegotiationOptions): Promise<void>
  /** Exchanges the headers and negotiates the first of `protocols` that the remote supports. */
  selectOneOf(
    protocols: readonly string[],
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<string>
  /** Proposes one protocol, after a handshake. */
  trySelect(
    communicator: MultiselectCommunicatorLike,
    protocol: string,
    options?: NegotiationOptions
  ): Promise<string>
}

/**
 * Proposes protocols in order until the remote supports one. Spec: multistream-select 1.0.
 *
 * After any failure but `UnsupportedProtocolError` no further protocol can be proposed: close the carrier. Never reads
 * beyond the negotiation, as those bytes belong to the next layer.
 */
export class MultiselectClient implements MultiselectClientLike {
  /**
   * Exchanges the headers without proposing a protocol.
   *
   * @throws {@link MultiselectClientError} if it fails, with the reason as `cause`; code ERR_TIMEOUT after `timeout`.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid communicator or option.
   */
  handshake(
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<void> {
    return negotiation(
      MultiselectClientError,
      negotiationOptions(communicator, options),
      async (abort) => {
        await Promise.all([communicator.write(HEADER, abort), readHeader(communicator, abort)])
      }
    )
  }

  /**
   * Exchanges the headers and negotiates the first of `protocols` that the remote supports.
   *
   * @throws {@link UnsupportedProtocolError} if the remote supports none of them.
   * @throws {@link MultiselectClientError} if it fails otherwise, with the reason as `cause`; code ERR_TIMEOUT after
   * `timeout`.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid protocol name, communicator or option.
   */
  selectOneOf(
    protocols: readonly string[],
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<string> {
    anArray(protocols, 'protocols')
    const names = protocols.map(protocolName)
    return negotiation(
      MultiselectClientError,
      negotiationOptions(communicator, options),
      async (abort) => {
        const selection = new Selection(communicator, abort)
        await selection.begin(names[0])
        for (const [index, name] of names.entries()) {
          if (index > 0) await communicator.write(name, abort)
          if (await selection.isAccepted(name)) return name
        }
        throw unsupported(names)
      }
    )
  }

  /**
   * Proposes one protocol, after a handshake. Rejects as {@link MultiselectClient.selectOneOf} does.
   *
   * @throws {@link InvalidParametersError} for an invalid protocol name, communicator or option.
   */
  trySelect(
    communicator: MultiselectCommunicatorLike,
    protocol: string,
    options?: NegotiationOptions
  ): Promise<string> {
    const name = protocolName(protocol)
    return negotiation(
      MultiselectClientError,
      negotiationOptions(communicator, options),
      async (abort) => {
        const selection = new Selection(communicator, abort)
        await communicator.write(name, abort)
        if (await selection.isAccepted(name)) return name
        throw unsupported([name])
      }
    )
  }

  /**
   * Exchanges the headers and sends a command; `ls`, which lists the protocols of the remote, is the only one.
   *
   * @throws {@link UnsupportedProtocolError} if the remote does not support the command, as go-libp2p does not.
   * @throws {@link MultiselectClientError} if it fails otherwise, or for another command.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid communicator or option.
   */
  queryMultistreamCommand(
    communicator: MultiselectCommunicatorLike,
    command: string = LIST,
    options?: NegotiationOptions
  ): Promise<string[]> {
    if (command !== LIST) {
      const received = JSON.stringify(command)
      return Promise.reject(
        new MultiselectClientError(`expected the command ls, received ${received}`)
      )
    }
    return negotiation(
      MultiselectClientError,
      negotiationOptions(communicator, options),
      async (abort) => {
        const selection = new Selection(communicator, abort)
        await selection.begin(LIST)
        const names = await communicator.readListing(abort)
        if (names.length === 1 && names[0] === NOT_AVAILABLE) throw unsupported([LIST])
        return names
      }
    )
  }
}

/** A negotiation in progress. */
class Selection {
  readonly #communicator: MultiselectCommunicatorLike
  readonly #abort: AbortOptions
  #restarted = false

  constructor(communicator: MultiselectCommunicatorLike, abort: AbortOptions) {
    this.#communicator = communicator
    this.#abort = abort
  }

  /** Exchanges the headers; the local one and `next` are sent together. */
  async begin(next: string | undefined): Promise<void> {
    const communicator = this.#communicator
    const sent = [HEADER, ...(next === undefined ? [] : [next])].map((text) =>
      communicator.write(text, this.#abort)
    )
    await Promise.all([...sent, readHeader(communicator, this.#abort)])
  }

  /** Resolves to whether the remote accepts the last proposal. */
  async isAccepted(name: string): Promise<boolean> {
    let answer = await this.#communicator.read(this.#abort)
    // Some peers under churn restart the negotiation instead of answering. Allowed once.
    if (answer === HEADER && !this.#restarted) {
      this.#restarted = true
      await this.begin(name)
      answer = await this.#communicator.read(this.#abort)
    }
    if (answer === name) return true
    if (answer === NOT_AVAILABLE) return false
    throw new MultiselectClientError(
      `expected ${JSON.stringify(name)} or "na", received ${JSON.stringify(answer)}`
    )
  }
}

function unsupported(protocols: readonly string[]): UnsupportedProtocolError {
  const names = protocols.length === 0 ? 'none' : protocols.join(', ')
  return new UnsupportedProtocolError(`the remote speaks none of the protocols: ${names}`, {
    protocols
  })
}
