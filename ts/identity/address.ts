/**
 * Addresses as text, the form used by the native side. Returned addresses stay text until another form is needed:
 * @multiformats/multiaddr is loaded at the first such use, and for text that only it can parse.
 */
import type { Component, Multiaddr, MultiaddrInput } from '@multiformats/multiaddr'
import { InvalidParametersError } from '../errors.ts'
import { loadMultiaddrs } from './load.ts'
import { peerText } from './peer-id.ts'

/** An address: a `Multiaddr` or its text. */
export type AddrLike = Multiaddr | string

/** @internal Text of an address without parts, as one that is not known has. */
export const NO_ADDRESS = '/'

/** Host and port of a socket. */
export interface HostPort {
  /** The IP address, or a host name; an IPv6 zone follows a `%`. */
  readonly host: string
  /** The port. */
  readonly port: number
}

const IP_PORT = /^(?:\/ip6zone\/([^/]+))?\/ip([46])\/([^/]+)\/(?:tcp|udp)\/(\d{1,5})(?:\/|$)/
const NAME_PORT = /^\/(dns|dns4|dns6)\/([^/]+)\/(?:tcp|udp)\/(\d{1,5})(?:\/|$)/
const IPV4_TCP = /^\/ip4\/(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/tcp\/(\d{1,5})$/
// Binary form: code of ip4, 4 bytes, code of tcp, 2 bytes of port.
const IPV4_TCP_BYTES = 8
const CODE_IPV4 = 4
const CODE_TCP = 6
const PEER_PARTS = /\/p2p\/([^/]+)/g
const OF_THIS_HOST = /^\/(?:unix|memory)\//
const PRIVATE_IPV4 = /^(?:10|127|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01]))\./
const PRIVATE_IPV6 = /^(?:::1$|f[cd]|fe[89ab])/i

const MULTIADDR = Symbol.for('@multiformats/multiaddr')
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** Compatible with the class of the multiaddr package: same interface and symbol, so that `isMultiaddr` accepts it. */
class TextMultiaddr implements Multiaddr {
  readonly #text: string
  #loaded: Multiaddr | undefined
  readonly [MULTIADDR] = true

  constructor(text: string) {
    this.#text = text
  }

  get bytes(): Multiaddr['bytes'] {
    return this.#load().bytes
  }

  toString(): string {
    return this.#text
  }

  toJSON(): string {
    return this.#text
  }

  getComponents(): Component[] {
    return this.#load().getComponents()
  }

  encapsulate(addr: MultiaddrInput): Multiaddr {
    return this.#load().encapsulate(addr)
  }

  decapsulate(addr: Multiaddr | string): Multiaddr {
    return this.#load().decapsulate(addr)
  }

  decapsulateCode(code: number): Multiaddr {
    return this.#load().decapsulateCode(code)
  }

  equals(addr: Multiaddr): boolean {
    return this.#load().equals(addr)
  }

  [INSPECT](): string {
    return `Multiaddr(${this.#text})`
  }

  #load(): Multiaddr {
    this.#loaded ??= loadMultiaddrs().multiaddr(this.#text)
    return this.#loaded
  }
}

/** Returns the address of valid text. */
export function multiaddrOf(text: string): Multiaddr {
  return new TextMultiaddr(text)
}

function parsed(text: string): Multiaddr {
  try {
    return loadMultiaddrs().multiaddr(text)
  } catch (err) {
    throw new InvalidParametersError(`expected a multiaddr, received ${JSON.stringify(text)}`, {
      cause: err
    })
  }
}

/**
 * Returns an address in binary form. The most common form is encoded here, as every connection sends one.
 *
 * Throws `InvalidParametersError` for malformed text.
 */
export function addressBytes(text: string): Uint8Array {
  const match = IPV4_TCP.exec(text)
  if (match === null) return parsed(text).bytes
  const [, a = 0, b = 0, c = 0, d = 0, port = 0] = match.map(Number)
  if (Math.max(a, b, c, d) > 255 || port > 65_535) return parsed(text).bytes
  return Uint8Array.of(CODE_IPV4, a, b, c, d, CODE_TCP, port >> 8, port)
}

/**
 * Returns the text of an address in binary form; undefined if it is malformed, of an unknown kind, or has an invalid
 * peer id.
 */
export function addressOf(bytes: Uint8Array): string | undefined {
  if (bytes.length === IPV4_TCP_BYTES && bytes[0] === CODE_IPV4 && bytes[5] === CODE_TCP) {
    const [, a, b, c, d, , high = 0, low = 0] = bytes
    return `/ip4/${a}.${b}.${c}.${d}/tcp/${(high << 8) | low}`
  }
  const { multiaddr } = loadMultiaddrs()
  try {
    const text = multiaddr(bytes).toString()
    // Bytes truncated inside a name decode to an empty name, which is invalid as text.
    multiaddr(text)
    for (const [, peer = ''] of text.matchAll(PEER_PARTS)) peerText(peer)
    return text === NO_ADDRESS ? undefined : text
  } catch {
    // Newer peers may listen on unknown transports.
    return undefined
  }
}

/** Returns the text of an address that a peer has sent, as {@link addressOf}; undefined too for one of a host alone. */
export function sentAddressOf(bytes: Uint8Array): string | undefined {
  const text = addressOf(bytes)
  return text === undefined || isOfThisHost(text) ? undefined : text
}

/** Returns host and port at the start of an address; undefined if it has none. A zone follows the host after a `%`. */
export function hostPort(address: string): HostPort | undefined {
  const match = IP_PORT.exec(address)
  if (match !== null) {
    const [, zone, , host = '', port] = match
    return { host: zone === undefined ? host : `${host}%${zone}`, port: Number(port) }
  }
  const name = NAME_PORT.exec(address)
  if (name === null) return undefined
  const [, , host = '', port] = name
  return { host, port: Number(port) }
}

/**
 * Returns whether an address means nothing on other hosts: that of a Unix socket, or of a listener of this process. It is
 * neither sent nor taken from a peer or a name server, which must not lead this host to sockets of its own.
 */
export function isOfThisHost(address: string): boolean {
  return OF_THIS_HOST.test(address)
}

/** Returns whether an address belongs to this host or a local network. */
export function isPrivate(address: string): boolean {
  const match = IP_PORT.exec(address)
  if (match === null) return isOfThisHost(address)
  const [, , family, host = ''] = match
  return family === '4' ? PRIVATE_IPV4.test(host) : PRIVATE_IPV6.test(host)
}
