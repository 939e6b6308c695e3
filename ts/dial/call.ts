/** A call of the dialer: its addresses, and the key by which it shares a dial. */
import type { ConnectionTable } from '../connection/table.ts'
import type { Connection } from '../connection.ts'
import { InvalidParametersError } from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import { type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import { type DialContext, type DialOptions, getDialPeerTimeout, isSet } from './options.ts'

const NONE: ReadonlySet<string> = new Set()

/** A call of the dialer. */
export interface Call {
  /** Calls with the same key share a dial. */
  readonly key: string
  readonly context: DialContext
  /** Addresses as text: those that the call names, and the others that are known. */
  readonly addresses: readonly string[]
}

/** Returns the call that names `named`, if `known` addresses are dialled beside them. */
export function callOf(
  target: string,
  peer: string | undefined,
  named: readonly string[],
  known: readonly string[],
  options: DialOptions
): Call {
  // The common case: one address, which is named and known.
  const isOne = named.length === 1 && known.every((address) => address === named[0])
  const addresses = isOne ? named : [...new Set([...named, ...known])]
  return {
    key: keyOf(target, options),
    context: {
      peer,
      named: new Set(named),
      custom: NONE,
      options: copyOf(options)
    },
    addresses
  }
}

/** Returns a frozen copy: the caller may change its options while the call waits. */
function copyOf(options: DialOptions): Readonly<DialOptions> {
  const copy = { ...options }
  const { security, simultaneousConnect } = options
  if (security !== undefined) copy.security = Object.freeze([...security])
  if (simultaneousConnect !== undefined) {
    copy.simultaneousConnect = Object.freeze({ ...simultaneousConnect })
  }
  return Object.freeze(copy)
}

/**
 * Returns the key of a dial: those that differ in security protocols, directness or the role of this side are not
 * shared.
 */
export function keyOf(
  target: string,
  { forceDirectDial, security, simultaneousConnect }: DialOptions
): string {
  const direct = isSet(forceDirectDial) ? `${target} direct` : target
  const secured = security === undefined ? direct : `${direct} ${security.join()}`
  if (simultaneousConnect === undefined) return secured
  return `${secured} as ${simultaneousConnect.isClient ? 'client' : 'server'}`
}

/** Returns the connections to a peer that answer a call with these options, preferred first. */
export function usableConnections(
  connections: ConnectionTable,
  peer: string,
  { forceDirectDial, security }: DialOptions
): Connection[] {
  const ranked = connections.ranked(peer, security)
  return isSet(forceDirectDial)
    ? ranked.filter(({ connectionType }) => connectionType === 'direct')
    : ranked
}

/** Returns the options of a call that has waited for `ms`. */
export function timeLeft(options: DialOptions, ms: number): DialOptions {
  return { ...options, timeout: Math.max(getDialPeerTimeout(options) - ms, 0) }
}

/** Parses a caller's address, which must be of `peer` if given. */
export function addressOf(addr: AddrLike, peer: string | undefined): ParsedAddress {
  const address = parseAddress(addr)
  if (address.text === '') {
    throw new InvalidParametersError(
      `expected an address with a host and port, received /p2p/${address.peer} alone; dialPeer takes a peer`
    )
  }
  if (address.peer !== undefined && peer !== undefined && address.peer !== peer) {
    throw new InvalidParametersError(
      `expected an address of ${peer}, received one of ${address.peer}`
    )
  }
  return address
}
