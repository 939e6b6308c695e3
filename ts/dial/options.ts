/** Options of dials, as part of the public facade of a swarm. */
import type { AbortOptions } from '../base/abort.ts'
import {
  aBoolean,
  aDuration,
  aFlag,
  aFunction,
  anArray,
  aSignal,
  aString,
  checkOptions,
  integer,
  type OptionChecks,
  someOf
} from '../base/arguments.ts'
import { DIAL_TIMEOUT_MS, type SecurityName } from '../constants.ts'
import type { AddressAttempt } from '../errors.ts'
import type { AddrLike } from '../identity/address.ts'
import { parseAddress } from '../identity/parsed-address.ts'

/** Options of a dial. `signal` and `timeout` apply to this call only, even if the dial is shared. */
export interface DialOptions extends AbortOptions {
  /** Timeout of the whole call in milliseconds. Defaults to 60,000. */
  timeout?: number | undefined
  /** Addresses to try besides those of the peerstore. */
  addresses?: readonly AddrLike[]
  /** Use an open connection, or reject with `NoConnectionError`; never dial. A string gives the reason. */
  noDial?: boolean | string
  /** Dial even if there is a connection, and addresses that have just failed. A string gives the reason. */
  force?: boolean | string
  /** Accept no connection through a relay, and dial no address of one. A string gives the reason. */
  forceDirectDial?: boolean | string
  /** Open streams over a limited connection too, such as that of a relay. A string gives the reason. */
  allowLimited?: boolean | string | undefined
  /**
   * Accepted security protocols, preferred first; no open connection over another is used. Without `tls` no address of
   * QUIC is dialled, which is secured by TLS. Defaults to the swarm's.
   */
  security?: readonly SecurityName[]
  /** Called with each attempt that fails while the call waits, and with those that were abandoned for a connection. */
  onAttempt?: ((attempt: AddressAttempt) => void) | undefined
  /** Turn of the dial if 100 others are under way, 0 to 100: higher ones first. Defaults to 50. */
  priority?: number | undefined
  /**
   * The peer dials this swarm at the same time, to traverse NATs: all addresses are dialled at once, and both sides have
   * agreed on who has the dialer's role in the upgrade.
   */
  simultaneousConnect?: SimultaneousConnect | undefined
}

/** The part of this side in a simultaneous connect. */
export interface SimultaneousConnect {
  /**
   * Whether this side has the dialer's role in the upgrade; the peer then has the listener's. Over QUIC each side is the
   * dialer of what it dials: both dials may succeed, each with a connection of its own.
   */
  readonly isClient: boolean
  /** The reason, for logs. */
  readonly reason?: string
}

/** What an address manager, its ranker and a gater know about a dial. */
export interface DialContext {
  /** The peer, as text; undefined if only an address is known. */
  readonly peer: string | undefined
  /** Addresses that the caller has named, and those of names among them, as opposed to those of the peerstore. */
  readonly named: ReadonlySet<string>
  /** Addresses that a transport of the application dials. */
  readonly custom: ReadonlySet<string>
  /** The options of the call, frozen. */
  readonly options: Readonly<DialOptions>
}

const SIMULTANEOUS_CHECKS: OptionChecks<SimultaneousConnect> = {
  isClient: aBoolean,
  reason: aString
}

/** @internal Checks for the options of a dial. */
export const DIAL_CHECKS: OptionChecks<DialOptions> = {
  signal: aSignal,
  timeout: aDuration,
  addresses: (value, name) => {
    anArray(value, name)
    // Parsing checks each address.
    for (const addr of value as AddrLike[]) parseAddress(addr)
  },
  noDial: aFlag,
  force: aFlag,
  forceDirectDial: aFlag,
  allowLimited: aFlag,
  onAttempt: aFunction,
  security: someOf('tls', 'noise'),
  priority: integer(0, 100),
  simultaneousConnect: (value, name) => {
    // The check of options refuses everything but an object.
    const given = value as SimultaneousConnect
    checkOptions(given, SIMULTANEOUS_CHECKS, name)
    aBoolean(given.isClient, `${name}.isClient`)
  }
}

/** @internal Returns whether `force` or another flag is set: true, or a string with the reason. */
export function isSet(flag: boolean | string | undefined): boolean {
  return flag !== undefined && flag !== false
}

function reasonOf(flag: boolean | string | undefined): string {
  return typeof flag === 'string' ? flag : ''
}

/** Returns the timeout of a dial in milliseconds, the default included. */
export function getDialPeerTimeout(options?: DialOptions): number {
  return options?.timeout ?? DIAL_TIMEOUT_MS
}

/** Whether a call may not dial. */
export interface NoDial {
  /** Whether it is set. */
  readonly noDial: boolean
  /** The reason; empty if none is given. */
  readonly reason: string
}

/** Returns whether a call may not dial. */
export function getNoDial(options?: DialOptions): NoDial {
  return { noDial: isSet(options?.noDial), reason: reasonOf(options?.noDial) }
}

/** Whether a call asks for a direct connection. */
export interface ForceDirectDial {
  /** Whether it is set. */
  readonly forceDirectDial: boolean
  /** The reason; empty if none is given. */
  readonly reason: string
}

/** Returns whether a call asks for a direct connection. */
export function getForceDirectDial(options?: DialOptions): ForceDirectDial {
  const { forceDirectDial } = options ?? {}
  return { forceDirectDial: isSet(forceDirectDial), reason: reasonOf(forceDirectDial) }
}

/** Whether a call accepts a limited connection. */
export interface UseTransient {
  /** Whether it is set. */
  readonly useTransient: boolean
  /** The reason; empty if none is given. */
  readonly reason: string
}

/** Returns whether a call accepts a limited connection: the option `allowLimited`. */
export function getUseTransient(options?: DialOptions): UseTransient {
  return { useTransient: isSet(options?.allowLimited), reason: reasonOf(options?.allowLimited) }
}

/** Returns the part of this side in a simultaneous connect; undefined if the call asks for none. */
export function getSimultaneousConnect(
  options?: DialOptions
): Required<SimultaneousConnect> | undefined {
  const given = options?.simultaneousConnect
  return given && { isClient: given.isClient, reason: given.reason ?? '' }
}
