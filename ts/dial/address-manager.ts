/** Which addresses of a peer are dialled, in which order, and how many. */
import { anArray, anObject } from '../base/arguments.ts'
import { DIAL_ADDRESSES_MAX } from '../constants.ts'
import { dialRefusal, parseAddress } from '../identity/parsed-address.ts'
import type { DialContext } from './options.ts'
import { type DialRanker, defaultDialRanker, type RankedAddress } from './ranker.ts'

/** An address that is not dialled, and why. */
export interface FilteredAddress {
  /** The address, as text. */
  readonly address: string
  /** The reason, in one clause. */
  readonly reason: string
  /** Advice in one clause; empty if there is none. */
  readonly hint: string
}

/** The result of {@link AddressManager.filter}. */
export interface FilterResult {
  /** Addresses to dial, in the given order. */
  readonly accepted: readonly string[]
  /** Addresses that are not dialled. They are listed in the error of a dial that fails. */
  readonly refused: readonly FilteredAddress[]
}

/** @internal Checks the result of a filter, which may be the application's. Throws `InvalidParametersError`. */
export function checkFilterResult(result: FilterResult): void {
  anObject(result, 'the result of filter')
  anArray(result.accepted, 'the addresses that filter has accepted')
  anArray(result.refused, 'the addresses that filter has refused')
}

const NAME = /^\/dns/
const LOOPBACK = /^\/(?:ip4\/127\.|ip6\/::1\/)/

/**
 * Prepares the addresses of a peer for a dial: filters, caps and ranks them. A subclass, or any object with these
 * methods, replaces it: option `addressManager` of a swarm.
 */
export class AddressManager {
  readonly #ranker: DialRanker

  /** Ranks as go-libp2p does, or by `ranker`. */
  constructor({ ranker = defaultDialRanker }: { ranker?: DialRanker } = {}) {
    this.#ranker = ranker
  }

  /**
   * Splits addresses, whose names are not resolved yet, into those to dial and the others: without a transport,
   * unspecified, link-local without an interface, and loopback ones from the peerstore if the peer has others, as they
   * are those of another host then.
   */
  filter(addresses: readonly string[], { named, custom }: DialContext): FilterResult {
    const accepted: string[] = []
    const refused: FilteredAddress[] = []
    for (const address of addresses) {
      const refusal = custom.has(address) ? undefined : dialRefusal(parseAddress(address))
      if (refusal === undefined) accepted.push(address)
      else refused.push({ address, ...refusal })
    }
    // The common case: one address has no others beside it. A name may stand for loopback too.
    if (
      accepted.length < 2 ||
      accepted.every((address) => LOOPBACK.test(address) || NAME.test(address))
    ) {
      return { accepted, refused }
    }
    const isElsewhere = (address: string): boolean => LOOPBACK.test(address) && !named.has(address)
    for (const address of accepted.filter(isElsewhere)) {
      refused.push({
        address,
        reason: 'a loopback address of a peer that has others',
        hint: 'if the peer is on this host, name the address'
      })
    }
    return { accepted: accepted.filter((address) => !isElsewhere(address)), refused }
  }

  /** Returns those to dial: the first 25. Addresses that the call names come first, then those that have worked. */
  cap(addresses: readonly string[], _context?: DialContext): readonly string[] {
    return addresses.slice(0, DIAL_ADDRESSES_MAX)
  }

  /** Returns the time at which each address is dialled. */
  rank(addresses: readonly string[], context: DialContext): readonly RankedAddress[] {
    return this.#ranker(addresses, context)
  }
}

/** Anything that can stand in for an {@link AddressManager}. */
export type AddressManagerLike = Pick<AddressManager, 'filter' | 'rank' | 'cap'>
