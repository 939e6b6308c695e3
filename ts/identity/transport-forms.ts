/**
 * The forms of addresses that native transports take, and what each of them says.
 *
 * All forms are read from canonical text. The binary forms of `/unix` and `/memory` differ between implementations, so only
 * their text is ever used: paths are percent-encoded in it, as by the multiaddr package.
 */
import type { NativeTransportName } from '../constants.ts'

// Not imported: importing the package must not load avoidable Node.js modules.
const { isIPv4, isIPv6 } = process.getBuiltinModule('node:net')

/** The address of a socket. */
export interface SocketPlace {
  readonly family: 4 | 6
  /** The IP address in canonical form. */
  readonly host: string
  readonly port: number
  /** The interface of a link-local address, by name or number. */
  readonly zone: string | undefined
}

/** A TCP port. */
export interface TcpPlace extends SocketPlace {
  readonly transport: 'tcp'
}

/** A UDP port at which QUIC is spoken. */
export interface QuicPlace extends SocketPlace {
  readonly transport: 'quic'
}

/** A TCP port at which WebSocket is spoken. */
export interface WebSocketPlace extends SocketPlace {
  readonly transport: 'ws'
  /** Whether TLS is below it: `/wss`, `/tls/ws`, `/tls/sni/<name>/ws`. */
  readonly isSecure: boolean
  /** The name for TLS of `/sni`; undefined for the IP address. */
  readonly serverName: string | undefined
  /** The decoded path of `/http-path`, beginning with a slash; undefined for `/`. */
  readonly path: string | undefined
}

/** A Unix socket. */
export interface UnixPlace {
  readonly transport: 'unix'
  /** The absolute path, decoded. */
  readonly path: string
}

/** A listener of this process. */
export interface MemoryPlace {
  readonly transport: 'memory'
  /** The number that it is known by; 0 stands for a free one. */
  readonly number: bigint
}

/** Where an address leads, by the transport that takes it. */
export type Place = TcpPlace | QuicPlace | WebSocketPlace | UnixPlace | MemoryPlace

/** The reason for the refusal of an address. */
export interface Refusal {
  /** One clause that names the offending part. */
  readonly reason: string
  /** Advice to the caller. */
  readonly hint: string
  /** Code of the error. Defaults to `ERR_NO_TRANSPORT`. */
  readonly code?: 'ERR_LISTEN' | 'ERR_NO_TRANSPORT'
}

/** A place, and the address in canonical text. */
export interface PlacedText {
  readonly place: Place
  readonly text: string
}

/** What follows the host of a socket: the port, and what is spoken there. */
const SERVICE =
  /\/(tcp|udp)\/(0|[1-9]\d{0,4})((?:\/quic-v1|\/wss?|\/tls(?:\/sni\/([^/]+))?\/ws)?)(?:\/http-path\/([^/]+))?$/
    .source
const SOCKET = new RegExp(`^(?:/ip6zone/([^/]+))?/ip([46])/([^/%]+)${SERVICE}`)
const NAMED = new RegExp(`^/dns[46]?/([^/]+)${SERVICE}`)
/** A name whose records are whole addresses, and what these end with. */
const DNSADDR = /^\/dnsaddr\/([^/]+)(?:\/.+)?$/
const UNIX = /^\/unix\/[^/]+$/
const MEMORY = /^\/memory\/([^/]+)$/

const HOST_NAME = /^[\p{L}\p{M}\p{N}_.-]{1,253}$/u
/** Names for TLS are in ASCII (RFC 6066, section 3). */
const SERVER_NAME = /^[\w.-]{1,253}$/
const MAPPED = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/
const NUMBER = /^(?:0|[1-9]\d{0,19})$/
const NUMBER_MAX = 2n ** 64n - 1n

const LINK_LOCAL = /^fe[89ab]/

const NO_ZONE = 'put the interface in front: /ip6zone/<interface>/ip6/…'
const NO_HOST = 'it stands for every address of a host that listens: use one of them'
const NO_PORT = 'use the port that the listener has'

/** Bytes of `sun_path` without the final zero: 108 on Linux, 104 on macOS and the BSDs. */
const UNIX_PATH_BYTES_MAX = ['linux', 'android'].includes(process.platform) ? 107 : 103

/** Returns where canonical text leads; undefined for an address that no transport takes. */
export function placeOfText(text: string): Place | undefined {
  return placedText(text)?.place
}

/** Returns the socket address of TCP in canonical text; undefined for an address of another kind. */
export function tcpPlaceOf(text: string): TcpPlace | undefined {
  const place = placeOfText(text)
  return place?.transport === 'tcp' ? place : undefined
}

/** Returns where an address leads, with its text; IPv4-mapped IPv6 addresses become IPv4. */
export function placedText(text: string): PlacedText | undefined {
  const match = SOCKET.exec(text)
  if (match !== null) return socketOf(match)
  if (UNIX.test(text)) {
    const path = decoded(text.slice('/unix/'.length))
    return path !== undefined && unixPathFault(path) === undefined
      ? { place: { transport: 'unix', path }, text }
      : undefined
  }
  const number = numberOf(MEMORY.exec(text)?.[1] ?? '')
  return number === undefined ? undefined : { place: { transport: 'memory', number }, text }
}

/**
 * Returns canonical text without what is spoken at its port, as `/ip4/<host>/tcp/<port>`; undefined for an address that
 * has no port, or that no transport takes.
 */
export function socketTextOf(text: string): string | undefined {
  const place = placeOfText(text)
  if (place === undefined || !('port' in place)) return undefined
  const { zone, family, host, port } = place
  const interfaced = zone === undefined ? '' : `/ip6zone/${zone}`
  return `${interfaced}/ip${family}/${host}/${protocolOf(place)}/${port}`
}

function protocolOf({ transport }: Place): 'tcp' | 'udp' {
  return transport === 'quic' ? 'udp' : 'tcp'
}

/** Returns why a place cannot be dialled; undefined if it can. */
export function undialable(place: Place): Refusal | undefined {
  if (place.transport === 'unix') return undefined
  if (place.transport === 'memory') {
    return place.number === 0n
      ? { reason: '/memory/0 is not a number that can be dialled', hint: NO_PORT }
      : undefined
  }
  const { host, family, port } = place
  if (host === '0.0.0.0' || host === '::') {
    return { reason: `/ip${family}/${host} is not a host that can be dialled`, hint: NO_HOST }
  }
  if (port === 0) {
    return { reason: `/${protocolOf(place)}/0 is not a port that can be dialled`, hint: NO_PORT }
  }
  return withoutZone(place)
}

/** Returns why a place cannot be listened on; undefined if it can. */
export function unlistenable(place: Place): Refusal | undefined {
  return 'host' in place ? withoutZone(place) : undefined
}

function withoutZone({ host, zone }: SocketPlace): Refusal | undefined {
  if (zone !== undefined || !LINK_LOCAL.test(host)) return undefined
  return { reason: `/ip6/${host} is link-local and names no interface`, hint: NO_ZONE }
}

/** Returns whether the text of a place is canonical as it stands: none of its parts is percent-encoded. */
export function isPlain({ place }: PlacedText): boolean {
  if (place.transport !== 'ws') return place.transport !== 'unix'
  return place.serverName === undefined && place.path === undefined
}

/**
 * Returns the DNS name of an address that can be dialled once it is resolved, with the transport that then takes it;
 * the records of `/dnsaddr` may be of any.
 */
export function namedText(
  text: string
): { readonly name: string; readonly transport: NativeTransportName | undefined } | undefined {
  const [, name, ...service] = NAMED.exec(text) ?? []
  const transport = serviceOf(service)?.transport
  if (name !== undefined && transport !== undefined) {
    return isHostName(name) ? { name, transport } : undefined
  }
  const [, other = ''] = DNSADDR.exec(text) ?? []
  return isHostName(other) ? { name: other, transport: undefined } : undefined
}

/**
 * Returns the name that a WebSocket without TLS at a named address is asked for, as HTTP has it: in ASCII, without the dot
 * of the root; undefined for another address. With TLS, the resolved address has it.
 */
export function requestHost(text: string): string | undefined {
  const [, name = '', ...service] = NAMED.exec(text) ?? []
  const spoken = serviceOf(service)
  if (spoken?.transport !== 'ws' || spoken.isSecure) return undefined
  return process.getBuiltinModule('node:url').domainToASCII(name.replace(/\.$/, '')) || undefined
}

/** Returns whether text can be a DNS name. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text)
}

/** Returns whether text can be a name for TLS. */
export function isServerName(text: string): boolean {
  return SERVER_NAME.test(text)
}

/** Returns what keeps a path from being that of a Unix socket, in one clause; undefined if nothing does. */
export function unixPathFault(path: string): string | undefined {
  if (!path.startsWith('/')) return 'is not an absolute path'
  if (path.includes('\0')) return 'contains a zero byte'
  const bytes = Buffer.byteLength(path)
  return bytes > UNIX_PATH_BYTES_MAX
    ? `is a path of ${bytes} bytes, of ${UNIX_PATH_BYTES_MAX} at most`
    : undefined
}

/** Returns the number of `/memory`; undefined for text that is none of 64 bits. */
export function numberOf(text: string): bigint | undefined {
  if (!NUMBER.test(text)) return undefined
  const number = BigInt(text)
  return number <= NUMBER_MAX ? number : undefined
}

/** What is spoken at a port. */
type Service =
  | { readonly transport: 'tcp' | 'quic' }
  | Pick<WebSocketPlace, 'transport' | 'isSecure' | 'serverName' | 'path'>

/** Returns the service of the groups of {@link SERVICE}; undefined if no transport speaks it. */
function serviceOf([protocol, , spoken, serverName, path]: readonly (string | undefined)[]):
  | Service
  | undefined {
  if (spoken === '' || spoken === '/quic-v1') {
    const transport = spoken === '' ? 'tcp' : 'quic'
    const isUdp = protocol === 'udp'
    return path === undefined && isUdp === (transport === 'quic') ? { transport } : undefined
  }
  if (spoken === undefined || protocol !== 'tcp') return undefined
  if (serverName !== undefined && !isServerName(serverName)) return undefined
  const isSecure = spoken !== '/ws'
  if (path === undefined) return { transport: 'ws', isSecure, serverName, path }
  const below = decoded(path)
  return below === undefined
    ? undefined
    : { transport: 'ws', isSecure, serverName, path: `/${below}` }
}

/** Returns percent-encoded text, as the multiaddr package decodes it; undefined if it is malformed. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function socketOf([, zone, family, host = '', ...groups]: RegExpExecArray): PlacedText | undefined {
  const [protocol, port, spoken, , path] = groups
  const service = serviceOf(groups)
  const socket = socketPlace(family === '4' ? 4 : 6, host, Number(port), zone)
  if (service === undefined || socket === undefined) return undefined
  const interfaced = zone === undefined ? '' : `/ip6zone/${zone}`
  const below = path === undefined ? '' : `/http-path/${path}`
  return {
    place: { ...socket, ...service },
    text: `${interfaced}/ip${socket.family}/${socket.host}/${protocol}/${port}${spoken}${below}`
  }
}

/** Returns a socket address with a canonical host; IPv4-mapped IPv6 addresses become IPv4. */
function socketPlace(
  family: 4 | 6,
  host: string,
  port: number,
  zone: string | undefined
): SocketPlace | undefined {
  if (port > 65_535) return undefined
  if (family === 4)
    return isIPv4(host) && zone === undefined ? { family, host, port, zone } : undefined
  if (!isIPv6(host)) return undefined
  const canonical = new URL(`http://[${host}]`).hostname.slice(1, -1)
  const mapped = MAPPED.exec(canonical)
  if (mapped === null) return { family, host: canonical, port, zone }
  if (zone !== undefined) return undefined
  const [, high = 0, low = 0] = mapped.map((word) => Number.parseInt(word, 16))
  return { family: 4, host: [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.'), port, zone }
}
