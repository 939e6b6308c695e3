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
const BYTE = '(0|[1-9]\\d{0,2})'
const PORT = '(0|[1-9]\\d{0,4})'
const IPV4_SOCKET = new RegExp(
  `^/ip4/${BYTE}\\.${BYTE}\\.${BYTE}\\.${BYTE}/(?:tcp/${PORT}|udp/${PORT}/quic-v1)$`
)
// Binary form: code of ip4, 4 bytes, then code of tcp and 2 bytes of port, or code of udp, 2 bytes of port and code of
// quic-v1. Codes are varints.
const CODE_IPV4 = 4
const TCP = Object.freeze({ length: 8, code: 6 })
const QUIC = Object.freeze({ length: 11, udp: [0x91, 0x02], quic: [0xcd, 0x03] })
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
 * Returns an address in binary form. The most common forms are encoded here, as every connection sends one.
 *
 * Throws `InvalidParametersError` for malformed text.
 */
export function addressBytes(text: string): Uint8Array {
  const match = IPV4_SOCKET.exec(text)
  if (match === null) return parsed(text).bytes
  const [, a, b, c, d, tcp, udp] = match
  const host = [Number(a), Number(b), Number(c), Number(d)]
  const port = Number(tcp ?? udp)
  if (Math.max(...host) > 255 || port > 65_535) return parsed(text).bytes
  return tcp === undefined
    ? Uint8Array.of(CODE_IPV4, ...host, ...QUIC.udp, port >> 8, port, ...QUIC.quic)
    : Uint8Array.of(CODE_IPV4, ...host, TCP.code, port >> 8, port)
}

/** Returns the text of a form of {@link addressBytes}; undefined for any other. */
function commonText(bytes: Uint8Array): string | undefined {
  if (bytes[0] !== CODE_IPV4) return undefined
  const [, a, b, c, d, ...rest] = bytes
  const host = `/ip4/${a}.${b}.${c}.${d}`
  if (bytes.length === TCP.length) {
    const [code, high = 0, low = 0] = rest
    return code === TCP.code ? `${host}/tcp/${(high << 8) | low}` : undefined
  }
  if (bytes.length !== QUIC.length) return undefined
  const [first, second, high = 0, low = 0, third, fourth] = rest
  const isUdp = first === QUIC.udp[0] && second === QUIC.udp[1]
  const isQuic = third === QUIC.quic[0] && fourth === QUIC.quic[1]
  return isUdp && isQuic ? `${host}/udp/${(high << 8) | low}/quic-v1` : undefined
}

/**
 * Returns the text of an address in binary form; undefined if it is malformed, of an unknown kind, or has an invalid
 * peer id.
 */
export function addressOf(bytes: Uint8Array): string | undefined {
  const common = commonText(bytes)
  if (common !== undefined) return common
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
