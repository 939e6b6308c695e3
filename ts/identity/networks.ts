/** Networks in CIDR notation, and entries of lists of them. */
import { misuse } from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'
import { peerText } from './peer-id.ts'

// Not imported: importing the package must not load avoidable Node.js modules.
const { isIPv4, isIPv6 } = process.getBuiltinModule('node:net')

/** The addresses that share a prefix. An IPv4-mapped network of IPv6 is one of IPv4. */
export interface Network {
  /** Version of IP. */
  readonly family: 4 | 6
  /** The first address, in canonical form: bits behind the prefix are 0. */
  readonly address: string
  /** Length of the prefix in bits: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefix: number
}

/** A network of the allowlist, of all its peers or of one. */
export interface AllowedNetwork extends Network {
  /** Canonical text of the only peer that is allowed; undefined for every peer. */
  readonly peer: string | undefined
}

/** Bits of an address. */
export const ADDRESS_BITS = { 4: 32, 6: 128 } as const

const CIDR = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/
const MULTIADDR =
  /^\/ip([46])\/([^/%]+)(?:\/ipcidr\/(0|[1-9]\d{0,2}))?(?:\/(?:p2p|ipfs)\/([^/]+))?$/

/** The prefix of IPv4-mapped addresses. */
const MAPPED_WORDS = [0, 0, 0, 0, 0, 0xffff]
const MAPPED_BITS = 96

/** Returns the network of CIDR notation, or of one address. Throws `InvalidParametersError` naming `name` otherwise. */
export function parseNetwork(value: unknown, name: string): Network {
  const [, address, prefix] = match(value, CIDR)
  const network = networkOf(address, prefix)
  if (network === undefined) {
    throw misuse(name, 'an IP address or a network such as 192.0.2.0/24', value)
  }
  return network
}

/**
 * Returns an entry of the allowlist: an address or a network, also as a multiaddr, which may name a peer.
 *
 * Throws `InvalidParametersError` naming `name` otherwise. A port is refused: that of an inbound connection varies.
 */
export function parseAllowed(value: unknown, name: string): AllowedNetwork {
  const network = networkAt(value)
  if (network === undefined) {
    const forms = '192.0.2.0/24 or /ip4/192.0.2.0/ipcidr/24/p2p/<peer id>'
    throw misuse(name, `an IP address, a network or a multiaddr, such as ${forms}`, value)
  }
  const { peer } = network
  return Object.freeze({ ...network, peer: peer === undefined ? undefined : namedPeer(peer, name) })
}

/** Returns the network of an entry, with the text of its peer if it names one; undefined if it is none. */
function networkAt(value: unknown): AllowedNetwork | undefined {
  const [, family, address, prefix, peer] = match(value, MULTIADDR)
  const network = family === undefined ? networkOfCidr(value) : networkOf(address, prefix, family)
  return network && { ...network, peer }
}

/** Returns the text of an entry that may be a multiaddr; any other value as it is. */
export function hostsText(entry: unknown): unknown {
  return typeof entry === 'object' && entry !== null && 'getComponents' in entry
    ? String(entry)
    : entry
}

/**
 * Returns an entry of a list of hosts: an address or a network, also as a multiaddr.
 *
 * Throws `InvalidParametersError` naming `name` otherwise. A peer is refused: hosts are judged before it is known.
 */
export function parseHosts(value: unknown, name: string): Network {
  const network = networkAt(value)
  if (network === undefined || network.peer !== undefined) {
    const forms = '192.0.2.0/24 or /ip4/192.0.2.0/ipcidr/24'
    throw misuse(name, `an IP address, a network or a multiaddr of one, such as ${forms}`, value)
  }
  return network
}

/** Returns the canonical text of a peer id. Throws `InvalidParametersError` naming `name` if it is none. */
export function namedPeer(peer: string, name: string): string {
  try {
    return peerText(peer)
  } catch (err) {
    const { message } = misuse(`the peer of ${name}`, 'a peer id', peer)
    throw new InvalidParametersError(message, { cause: err })
  }
}

/** Returns a network in CIDR notation. */
export function networkText({ address, prefix }: Network): string {
  return `${address}/${prefix}`
}

function networkOfCidr(value: unknown): Network | undefined {
  const [, address, prefix] = match(value, CIDR)
  return networkOf(address, prefix)
}

function match(value: unknown, form: RegExp): readonly (string | undefined)[] {
  return (typeof value === 'string' && form.exec(value)) || []
}

function networkOf(
  address: string | undefined,
  prefix: string | undefined,
  family?: string
): Network | undefined {
  if (address === undefined) return undefined
  const isV4 = isIPv4(address)
  // Nearly every entry of a long list, and canonical already.
  if (isV4 && prefix === undefined && family !== '6') return { family: 4, address, prefix: 32 }
  const words = wordsOf(address)
  if (words === undefined) return undefined
  if (family !== undefined && family !== (isV4 ? '4' : '6')) return undefined
  const width = ADDRESS_BITS[isV4 ? 4 : 6]
  const bits = prefix === undefined ? width : Number(prefix)
  if (bits > width) return undefined
  return Object.freeze(masked(words, isV4 ? bits + MAPPED_BITS : bits))
}

/** Returns the eight words of an address of either family; undefined if it is not one. */
function wordsOf(address: string): number[] | undefined {
  const text = isIPv4(address) ? `::ffff:${address}` : address
  if (!isIPv6(text)) return undefined
  // Canonical text holds no dotted part, and at most one gap.
  const [head = '', tail] = canonical(text).split('::')
  const before = numbersOf(head)
  const after = numbersOf(tail ?? '')
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
}

function numbersOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16))
}

function masked(words: readonly number[], bits: number): Network {
  const kept = words.map((word, index) => {
    const free = Math.min(16, Math.max(0, 16 * (index + 1) - bits))
    return (word >> free) << free
  })
  const [high = 0, low = 0] = kept.slice(6)
  // A prefix of less than 96 bits does not keep all of these.
  if (MAPPED_WORDS.every((word, index) => word === kept[index])) {
    const address = [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
    return { family: 4, address, prefix: bits - MAPPED_BITS }
  }
  const address = canonical(kept.map((word) => word.toString(16)).join(':'))
  return { family: 6, address, prefix: bits }
}

/** Returns the canonical text of an IPv6 address without a zone. */
function canonical(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}
