/**
 * Addresses as text, which is what the native side takes and gives. Those that the caller gets are text until somebody
 * asks for more: @multiformats/multiaddr is loaded at the first such use, and for text that only it can judge.
 */
import type { Component, Multiaddr, MultiaddrInput } from '@multiformats/multiaddr'
import { InvalidParametersError } from '../errors.ts'
import { loadMultiaddrs } from './load.ts'
import { peerText } from './peer-id.ts'

/** An address: a `Multiaddr`, or its text. */
export type AddrLike = Multiaddr | string

/** Where a socket is. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

const IP_PORT = /^(?:\/ip6zone\/([^/]+))?\/ip([46])\/([^/]+)\/(?:tcp|udp)\/(\d{1,5})(?:\/|$)/
const NAME_PORT = /^\/(dns|dns4|dns6)\/([^/]+)\/(?:tcp|udp)\/(\d{1,5})(?:\/|$)/
const IPV4_TCP = /^\/ip4\/(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/tcp\/(\d{1,5})$/
// Its bytes: the code of ip4, four numbers, the code of tcp, the port.
const IPV4_TCP_BYTES = 8
const CODE_IPV4 = 4
const CODE_TCP = 6
const PEER_PARTS = /\/p2p\/([^/]+)/g
// What the multiaddr package calls an address without a part.
const NO_PARTS = '/'
const PRIVATE_IPV4 = /^(?:10|127|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01]))\./
const PRIVATE_IPV6 = /^(?:::1$|f[cd]|fe[89ab])/i

const MULTIADDR = Symbol.for('@multiformats/multiaddr')
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** It has the shape and the symbol of the package's own, so `isMultiaddr` knows it and either side takes the other. */
class TextMultiaddr implements Multiaddr {
  readonly #text: string
  #whole: Multiaddr | undefined
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
    this.#whole ??= loadMultiaddrs().multiaddr(this.#text)
    return this.#whole
  }
}

/** The address of a text that is known to be one. */
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
 * An address as bytes. The one form that nearly all have is written here, as one is told on every connection.
 *
 * Throws `InvalidParametersError` for bad text.
 */
export function addressBytes(text: string): Uint8Array {
  const match = IPV4_TCP.exec(text)
  if (match === null) return parsed(text).bytes
  const [, a = 0, b = 0, c = 0, d = 0, port = 0] = match.map(Number)
  if (Math.max(a, b, c, d) > 255 || port > 65_535) return parsed(text).bytes
  return Uint8Array.of(CODE_IPV4, a, b, c, d, CODE_TCP, port >> 8, port)
}

/**
 * The text of an address in bytes; undefined for one of a kind that is not known, for what is none, and where a `/p2p`
 * part names no peer.
 */
export function addressOf(bytes: Uint8Array): string | undefined {
  if (bytes.length === IPV4_TCP_BYTES && bytes[0] === CODE_IPV4 && bytes[5] === CODE_TCP) {
    const [, a, b, c, d, , high = 0, low = 0] = bytes
    return `/ip4/${a}.${b}.${c}.${d}/tcp/${(high << 8) | low}`
  }
  const { multiaddr } = loadMultiaddrs()
  try {
    const text = multiaddr(bytes).toString()
    // Bytes that end inside of a name are read as a name without a letter, which no text may hold.
    multiaddr(text)
    for (const [, peer = ''] of text.matchAll(PEER_PARTS)) peerText(peer)
    return text === NO_PARTS ? undefined : text
  } catch {
    // A newer peer may listen on transports we have not heard of.
    return undefined
  }
}

/** Host and port at the head of an address; undefined if it has none. A zone stands behind the host, after a `%`. */
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

/** Whether an address lies on this host or its local network. */
export function isPrivate(address: string): boolean {
  const match = IP_PORT.exec(address)
  if (match === null) return false
  const [, , family, host = ''] = match
  return family === '4' ? PRIVATE_IPV4.test(host) : PRIVATE_IPV6.test(host)
}
