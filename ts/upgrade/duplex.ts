/** The duplexes that can be upgraded: their checks, and the addresses that they know themselves. */
import type { Multiaddr } from '@multiformats/multiaddr'
import { misuse } from '../base/arguments.ts'
import { InvalidParametersError, RawConnectionError } from '../errors.ts'
import { NO_ADDRESS } from '../identity/address.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import { type AnyDuplex, carrierOf } from '../io/carriers.ts'
import type { ReadWriteCloser } from '../io/interfaces.ts'
import { TcpStream } from '../io/tcp-stream.ts'

/** A byte carrier between two addresses, with nothing known of the remote yet. */
export interface RawConnection extends ReadWriteCloser {
  /** Whether this side has opened it. */
  readonly isInitiator: boolean
  /** The local address. */
  readonly localAddr: Multiaddr
  /** The address of the remote. */
  readonly remoteAddr: Multiaddr
}

/** Duplexes that were upgraded. */
const taken = new WeakSet<object>()

/** A duplex that was taken for an upgrade. */
export interface TakenDuplex {
  readonly conn: ReadWriteCloser
  /** The error if it has ended already. */
  readonly ended: RawConnectionError | undefined
  /**
   * Addresses as text, without `/p2p`; those of a socket are known once it is connected. Those of a `RawConnection` are
   * read at the first call, which throws what they throw; later calls never throw.
   */
  addresses(): Addresses
}

/** The addresses of a duplex, as text. */
export interface Addresses {
  readonly remote: string
  readonly local: string
}

/** The addresses that a duplex itself names. */
type GivenAddresses = Readonly<Record<keyof Addresses, string | undefined>>

/**
 * Takes a duplex for one upgrade. Throws `InvalidParametersError`, before anything has changed, if it is none, is in
 * use, or was opened by the other side.
 */
export function takeDuplex(duplex: AnyDuplex, isInitiator: boolean): TakenDuplex {
  checkUnused(duplex)
  // Property access is safe on any object, here and below.
  const raw: Partial<RawConnection> = Object(duplex)
  if (typeof raw.isInitiator === 'boolean' && raw.isInitiator !== isInitiator) {
    throw misuse('duplex.isInitiator', `${isInitiator} for this direction`, raw.isInitiator)
  }
  const ended = endOf(duplex)
  const conn = carrierOf(duplex)
  taken.add(duplex)
  let given: GivenAddresses | undefined
  const addresses = (): Addresses => {
    // Only once: code of the application, which may throw when its connection is gone.
    given ??= { remote: placeText(raw.remoteAddr), local: placeText(raw.localAddr) }
    return addressesOf(conn, given)
  }
  return { conn, ended, addresses }
}

function checkUnused(duplex: AnyDuplex): void {
  const { readable, writable }: Partial<ReadableWritablePair> = Object(duplex)
  const isLocked =
    (readable instanceof ReadableStream && readable.locked) ||
    (writable instanceof WritableStream && writable.locked)
  if (isLocked || taken.has(duplex)) {
    throw new InvalidParametersError(
      'expected a duplex that nothing else uses, received one in use'
    )
  }
}

/** The properties by which a duplex of any kind shows that it has ended. */
interface Ends {
  readonly destroyed?: unknown
  readonly readableEnded?: unknown
  readonly writableEnded?: unknown
}

function endOf(duplex: AnyDuplex): RawConnectionError | undefined {
  const { destroyed, readableEnded, writableEnded }: Ends = Object(duplex)
  if (destroyed === true) return new RawConnectionError('the duplex is destroyed')
  if (readableEnded !== true && writableEnded !== true) return undefined
  return new RawConnectionError('the duplex has ended')
}

function addressesOf(conn: ReadWriteCloser, { remote, local }: GivenAddresses): Addresses {
  const socket = conn instanceof TcpStream ? conn.socket : undefined
  const { host, port } = conn instanceof TcpStream ? (conn.remoteAddress ?? {}) : {}
  return {
    remote: remote ?? socketAddress(host, port),
    local: local ?? socketAddress(socket?.localAddress, socket?.localPort)
  }
}

function placeText(addr: Multiaddr | undefined): string | undefined {
  const text = addr?.toString()
  if (text === undefined || text === NO_ADDRESS) return text
  return parseAddress(text).text || NO_ADDRESS
}

/** Returns the address of a TCP socket's end; that of a Unix socket is not known. */
function socketAddress(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return NO_ADDRESS
  const [host = '', zone] = address.split('%')
  const interfaced = zone === undefined ? '' : `/ip6zone/${zone}`
  const family = host.includes(':') ? 6 : 4
  return parseAddress(`${interfaced}/ip${family}/${host}/tcp/${port}`).text
}
