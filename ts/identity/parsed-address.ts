/**
 * Parsing of addresses to dial, to listen on or to store.
 *
 * Every part is significant: an address with an unsupported part is refused with the name of the part, which is never
 * ignored.
 */
import type { Component } from '@multiformats/multiaddr'
import { misuse } from '../base/arguments.ts'
import type { TransportName } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import type { AddrLike } from './address.ts'
import { loadMultiaddrs } from './load.ts'
import { peerText } from './peer-id.ts'

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

/** The reason for the refusal of an address. */
export interface Refusal {
  /** One clause that names the offending part. */
  readonly reason: string
  /** Advice to the caller. */
  readonly hint: string
}

/** A parsed address. */
export interface ParsedAddress {
  /** Canonical text without the trailing `/p2p` part; empty if there is nothing else. */
  readonly text: string
  /** The peer id of the trailing `/p2p` part, as text. */
  readonly peer: string | undefined
  /** Undefined if `name` or `refusal` is set. */
  readonly place: SocketPlace | undefined
  /** The DNS name that it begins with, if it can be dialled once the name is resolved. */
  readonly name: string | undefined
  readonly refusal: Refusal | undefined
}

// The most common form, parsed without loading a package.
const SOCKET =
  /^(?:\/ip6zone\/([^/]+))?\/ip([46])\/([^/%]+)\/tcp\/(0|[1-9]\d{0,4})(?:\/(?:p2p|ipfs)\/([^/]+))?$/
const HOST = /^(?:\/ip6zone\/[^/]+)?\/ip[46]\/([^/]+)/
const PEER_PART = /\/(?:p2p|ipfs)\/([^/]+)$/
/** A name with a transport, or a name whose records are whole addresses. */
const NAMED = /^\/(?:dns[46]?\/([^/]+)\/tcp\/(?:0|[1-9]\d{0,4})|dnsaddr\/([^/]+)(?:\/.+)?)$/
const HOST_NAME = /^[\p{L}\p{M}\p{N}_.-]{1,253}$/u
const NAMES: ReadonlySet<string> = new Set(['dns', 'dns4', 'dns6', 'dnsaddr'])
const HOSTS: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])
const LINK_LOCAL = /^fe[89ab]/
const MAPPED = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/

const SUPPORTED = 'addresses are /ip4/…, /ip6/… or /dns/…, then /tcp/<port>'
const NO_NAMES = 'listen on an address of this host'
const NO_ZONE = 'put the interface in front: /ip6zone/<interface>/ip6/…'
const NO_HOST = 'it stands for every address of a host that listens: use one of them'

/** Parses an address. Throws `InvalidParametersError` if it is malformed. */
export function parseAddress(addr: AddrLike): ParsedAddress {
  const text = textOf(addr)
  const match = SOCKET.exec(text)
  if (match !== null) {
    const [, zone, family, host = '', port, peer] = match
    const place = placeOf(family === '4' ? 4 : 6, host, Number(port), zone)
    if (place !== undefined) {
      const named = peer === undefined ? undefined : peerText(peer)
      return {
        text: placeText(place),
        peer: named,
        place,
        name: undefined,
        refusal: undefined
      }
    }
  }
  return parseOther(text)
}

/** Returns the reason why an address cannot be dialled; undefined if it can. */
export function dialRefusal({ place, refusal }: ParsedAddress): Refusal | undefined {
  if (place === undefined) return refusal
  const { host, family, port } = place
  if (host === '0.0.0.0' || host === '::') {
    return { reason: `/ip${family}/${host} is not a host that can be dialled`, hint: NO_HOST }
  }
  if (port === 0) {
    return {
      reason: '/tcp/0 is not a port that can be dialled',
      hint: 'use the port that the listener has'
    }
  }
  return zoneRefusal(place)
}

/** Returns the reason why an address cannot be listened on; undefined if it can. */
export function listenRefusal({ place, name, refusal }: ParsedAddress): Refusal | undefined {
  if (name !== undefined) {
    return { reason: `${printable(name)} is a name, which cannot be listened on`, hint: NO_NAMES }
  }
  return place === undefined ? refusal : zoneRefusal(place)
}

/** Returns the socket address in canonical text; undefined for an address of another kind. */
export function placeOfText(text: string): SocketPlace | undefined {
  const match = SOCKET.exec(text)
  if (match === null) return undefined
  const [, zone, family, host = '', port] = match
  return placeOf(family === '4' ? 4 : 6, host, Number(port), zone)
}

/** Returns whether an address leads through a relay. */
export function isRelayed(address: string): boolean {
  return /\/p2p-circuit(?:\/|$)/.test(address)
}

/**
 * Returns the IP address at the start of an address, without a zone; undefined if it has none, or if that is the one of
 * a relay.
 */
export function ipOf(address: string): string | undefined {
  return isRelayed(address) ? undefined : firstIpOf(address)
}

/**
 * Returns the hosts that lists judge an address by: its IP address, or that of its relay and, as it is not known where
 * that leads to, undefined.
 */
export function judgedHostsOf(address: string): readonly (string | undefined)[] {
  const host = firstIpOf(address)
  return host !== undefined && isRelayed(address) ? [host, undefined] : [host]
}

function firstIpOf(address: string): string | undefined {
  return HOST.exec(address)?.[1]?.split('%', 1)[0]
}

/** Returns the outermost transport of an address; empty if it names none. */
export function transportOf(address: string): TransportName | '' {
  if (SOCKET.test(address)) return 'tcp'
  const names = new Set(componentsOf(address).map(({ name }) => name))
  for (const [name, transport] of TRANSPORTS) if (names.has(name)) return transport
  return ''
}

// Outer transports first.
const TRANSPORTS: readonly (readonly [string, TransportName])[] = [
  ['p2p-circuit', 'circuit'],
  ['webtransport', 'webtransport'],
  ['webrtc', 'webrtc'],
  ['webrtc-direct', 'webrtc-direct'],
  ['quic-v1', 'quic'],
  ['quic', 'quic'],
  ['wss', 'ws'],
  ['ws', 'ws'],
  ['tcp', 'tcp'],
  ['unix', 'unix'],
  ['memory', 'memory']
]

function textOf(addr: AddrLike): string {
  if (typeof addr === 'object' && addr !== null && typeof addr.getComponents === 'function') {
    return addr.toString()
  }
  if (typeof addr !== 'string') {
    throw misuse('the address', 'a multiaddr', addr)
  }
  return addr
}

function zoneRefusal({ host, zone }: SocketPlace): Refusal | undefined {
  if (zone !== undefined || !LINK_LOCAL.test(host)) return undefined
  return { reason: `/ip6/${host} is link-local and names no interface`, hint: NO_ZONE }
}

/** Returns a socket address with a canonical host; IPv4-mapped IPv6 addresses become IPv4. */
function placeOf(
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

function placeText({ family, host, port, zone }: SocketPlace): string {
  const interfaced = zone === undefined ? '' : `/ip6zone/${zone}`
  return `${interfaced}/ip${family}/${host}/tcp/${port}`
}

function parseOther(given: string): ParsedAddress {
  const canonical = canonicalText(given)
  const match = PEER_PART.exec(canonical)
  const [, named] = match ?? []
  const peer = named === undefined ? undefined : peerText(named)
  const text = match === null ? canonical : canonical.slice(0, match.index)
  // An address with two trailing peers must not be reduced to the last one.
  const place = PEER_PART.test(text) ? undefined : placeOfText(text)
  const name = place === undefined ? nameOf(text) : undefined
  const isOther = place === undefined && name === undefined
  return {
    text: place === undefined ? text : placeText(place),
    peer,
    place,
    name,
    refusal: isOther ? refusalOf(text, componentsOf(text)) : undefined
  }
}

/** Returns the DNS name of an address that can be dialled once it is resolved. */
function nameOf(text: string): string | undefined {
  if (PEER_PART.test(text)) return undefined
  const match = NAMED.exec(text)
  const name = match?.[1] ?? match?.[2] ?? ''
  return HOST_NAME.test(name) ? name : undefined
}

function canonicalText(given: string): string {
  const text = loadMultiaddrs().multiaddr
  try {
    const parsed = text(given)
    if (parsed.getComponents().length > 0) return parsed.toString()
  } catch (err) {
    throw new InvalidParametersError(`expected a multiaddr, received ${JSON.stringify(given)}`, {
      cause: err
    })
  }
  throw new InvalidParametersError(`expected a multiaddr, received ${JSON.stringify(given)}`)
}

function componentsOf(text: string): readonly Component[] {
  return text === '' ? [] : loadMultiaddrs().multiaddr(text).getComponents()
}

/** Returns the reason why an address is not a socket address. */
function refusalOf(text: string, components: readonly Component[]): Refusal {
  if (components.length === 0) {
    return { reason: 'it names a peer and no place', hint: 'dial the peer, or name its place' }
  }
  const names = components.map(({ name }) => name)
  const [first] = components
  if (first !== undefined && NAMES.has(first.name) && !HOST_NAME.test(first.value ?? '')) {
    return {
      reason: `${partsText([first])} is not a host name`,
      hint: 'names are letters, digits, hyphens and dots'
    }
  }
  const host = names[0] === 'ip6zone' && names[1] === 'ip6' ? 1 : 0
  let supported = HOSTS.has(names[host] ?? '') ? host + 1 : 0
  if (supported === components.length)
    return { reason: `${printable(text)} names no port`, hint: SUPPORTED }
  if (supported > 0 && names[supported] === 'tcp') supported += 1
  // In a relayed address the peer of the relay is not the offending part, but the part after it is.
  if (supported > 1 && names[supported] === 'p2p' && supported + 1 < names.length) supported += 1
  const rest = supported < components.length ? components.slice(supported) : components
  return { reason: `no transport takes ${partsText(rest)}`, hint: SUPPORTED }
}

function partsText(components: readonly Component[]): string {
  const parts = components.map(({ name, value }) =>
    value === undefined ? name : `${name}/${value}`
  )
  return printable(`/${parts.join('/')}`)
}

/** Escapes non-printable characters of untrusted text. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
}
