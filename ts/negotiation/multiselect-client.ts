/** The side that proposes protocols, over anything that carries bytes. */
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

/** What {@link MultiselectClient} offers. */
export interface MultiselectClientLike {
  /** Exchange the first lines. */
  handshake(communicator: MultiselectCommunicatorLike, options?: NegotiationOptions): Promise<void>
  /** Exchange the first lines and agree on the first of `protocols` that the remote serves. */
  selectOneOf(
    protocols: readonly string[],
    communicator: MultiselectCommunicatorLike,
    options?: NegotiationOptions
  ): Promise<string>
  /** Propose one protocol behind a handshake. */
  trySelect(
    communicator: MultiselectCommunicatorLike,
    protocol: string,
    options?: NegotiationOptions
  ): Promise<string>
}

/**
 * Proposes protocols in the caller's order until the remote serves one.
 *
 * Rejects with `UnsupportedProtocolError{protocols}` when it serves none, with `MultiselectClientError` for any other
 * failure: the cause tells, the code is ERR_TIMEOUT past the deadline. No further protocol is proposed then, and the
 * carrier is to be closed. Rejects with `AbortError` when the signal is aborted; throws `InvalidParametersError` for
 * what is no protocol name and no timeout.
 *
 * What stands behind the agreement is not read: it is the next layer's.
 */
export class MultiselectClient implements MultiselectClientLike {
  /** Exchange the first lines, with nothing proposed yet. */
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

  /** Exchange the first lines and agree on the first of `protocols` that the remote serves. */
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

  /** Propose one protocol, where the first lines have been exchanged. */
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
   * Exchange the first lines and ask a question; `ls`, for the protocols that the remote serves, is the only one.
   *
   * Rejects with `UnsupportedProtocolError` when the remote does not answer it, as go does not.
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

/** One negotiation under way. */
class Selection {
  readonly #communicator: MultiselectCommunicatorLike
  readonly #abort: AbortOptions
  #restarted = false

  constructor(communicator: MultiselectCommunicatorLike, abort: AbortOptions) {
    this.#communicator = communicator
    this.#abort = abort
  }

  /** Exchange the first lines; ours and `next` go out together. */
  async begin(next: string | undefined): Promise<void> {
    const communicator = this.#communicator
    const sent = [HEADER, ...(next === undefined ? [] : [next])].map((text) =>
      communicator.write(text, this.#abort)
    )
    await Promise.all([...sent, readHeader(communicator, this.#abort)])
  }

  /** Whether the remote serves what was proposed last. */
  async isAccepted(name: string): Promise<boolean> {
    let answer = await this.#communicator.read(this.#abort)
    // Some peers under churn begin from the start instead of answering. Once, that is followed.
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
