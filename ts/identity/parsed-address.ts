/**
 * Parsing of addresses to dial, to listen on or to store.
 *
 * Every part is significant: an address with an unsupported part is refused with the name of the part, which is never
 * ignored.
 */
import type { Component } from '@multiformats/multiaddr'
import { misuse } from '../base/arguments.ts'
import { lazyModule } from '../base/lazy-module.ts'
import type { NativeTransportName, TransportName } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import type { AddrLike } from './address.ts'
import { loadMultiaddrs } from './load.ts'
import { peerText } from './peer-id.ts'
import {
  isPlain,
  namedText,
  type Place,
  placedText,
  placeOfText,
  type Refusal,
  undialable,
  unlistenable
} from './transport-forms.ts'

/** A parsed address. */
export interface ParsedAddress {
  /** Canonical text without the trailing `/p2p` part; empty if there is nothing else. */
  readonly text: string
  /** The peer id of the trailing `/p2p` part, as text. */
  readonly peer: string | undefined
  /** Undefined if `name` or `refusal` is set. */
  readonly place: Place | undefined
  /** The DNS name that it begins with, if it can be dialled once the name is resolved. */
  readonly name: string | undefined
  /** The native transport that takes it, or its addresses once `name` is resolved; undefined if that is not known. */
  readonly transport: NativeTransportName | undefined
  readonly refusal: Refusal | undefined
}

const HOST = /^(?:\/ip6zone\/[^/]+)?\/ip[46]\/([^/]+)/
// A server may be named like that part.
const PEER_PART = /(?<!\/sni)\/(?:p2p|ipfs)\/([^/]+)$/
const RELAY_PART = /\/p2p-circuit(?:\/|$)/

const { url } = import.meta
const loadRefusals = lazyModule<typeof import('./address-refusal.ts')>(url, './address-refusal')

/** Addresses remembered, as each is parsed several times for a dial and may be dialled again; and their length. */
const REMEMBERED_MAX = 128
const REMEMBERED_LENGTH_MAX = 256

/** By the text that was given, oldest first. */
const remembered = new Map<string, ParsedAddress>()

const NO_NAMES = 'listen on an address of this host'

/** Parses an address. Throws `InvalidParametersError` if it is malformed. */
export function parseAddress(addr: AddrLike): ParsedAddress {
  const given = textOf(addr)
  const known = remembered.get(given)
  if (known !== undefined) return known
  const parsed = parseText(given)
  if (given.length <= REMEMBERED_LENGTH_MAX) {
    if (remembered.size === REMEMBERED_MAX) {
      const [oldest = ''] = remembered.keys()
      remembered.delete(oldest)
    }
    remembered.set(given, parsed)
  }
  return parsed
}

function parseText(given: string): ParsedAddress {
  const match = PEER_PART.exec(given)
  const placed = placedText(match === null ? given : given.slice(0, match.index))
  // The common forms are parsed without loading a package.
  if (placed === undefined || !isPlain(placed)) return parseOther(given)
  const { place, text } = placed
  return {
    text,
    peer: match?.[1] === undefined ? undefined : peerText(match[1]),
    place,
    name: undefined,
    transport: place.transport,
    refusal: undefined
  }
}

/** Returns the reason why an address cannot be dialled; undefined if it can. */
export function dialRefusal({ place, refusal }: ParsedAddress): Refusal | undefined {
  return place === undefined ? refusal : undialable(place)
}

/** Returns the reason why an address cannot be listened on; undefined if it can. */
export function listenRefusal({ place, name, refusal }: ParsedAddress): Refusal | undefined {
  if (name !== undefined) {
    const { inAscii } = loadRefusals()
    return { reason: `${inAscii(name)} is a name, which cannot be listened on`, hint: NO_NAMES }
  }
  return place === undefined ? refusal : unlistenable(place)
}

/** Returns whether an address leads through a relay. */
export function isRelayed(address: string): boolean {
  // A name or a path may be spelt like that part.
  return (
    RELAY_PART.test(address) && componentsOf(address).some(({ name }) => name === 'p2p-circuit')
  )
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
  const transport = placeOfText(address)?.transport
  if (transport !== undefined) return transport
  const names = new Set(componentsOf(address).map(({ name }) => name))
  for (const [name, outer] of TRANSPORTS) if (names.has(name)) return outer
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

function parseOther(given: string): ParsedAddress {
  const canonical = canonicalText(given)
  const match = PEER_PART.exec(canonical)
  const [, named] = match ?? []
  const peer = named === undefined ? undefined : peerText(named)
  const text = match === null ? canonical : canonical.slice(0, match.index)
  // An address with two trailing peers must not be reduced to the last one.
  const isSingle = !PEER_PART.test(text)
  const placed = isSingle ? placedText(text) : undefined
  if (placed !== undefined) {
    const { place } = placed
    return { ...placed, peer, name: undefined, transport: place.transport, refusal: undefined }
  }
  const found = isSingle ? namedText(text) : undefined
  return {
    text,
    peer,
    place: undefined,
    name: found?.name,
    transport: found?.transport,
    refusal: found === undefined ? loadRefusals().refusalOf(text, componentsOf(text)) : undefined
  }
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
