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
  const written = cidrIn(value)
  if (written === undefined) {
    throw misuse(name, 'an IP address or a network such as 192.0.2.0/24', value)
  }
  return Object.freeze(networkOf(written))
}

/**
 * Returns an entry of the allowlist: an address or a network, also as a multiaddr, which may name a peer.
 *
 * Throws `InvalidParametersError` naming `name` otherwise. A port is refused: that of an inbound connection varies.
 */
export function parseAllowed(value: unknown, name: string): AllowedNetwork {
  const written = writtenIn(value)
  if (written === undefined) {
    const forms = '192.0.2.0/24 or /ip4/192.0.2.0/ipcidr/24/p2p/<peer id>'
    throw misuse(name, `an IP address, a network or a multiaddr, such as ${forms}`, value)
  }
  const { peer } = written
  const allowed = peer === undefined ? undefined : namedPeer(peer, name)
  return Object.freeze({ ...networkOf(written), peer: allowed })
}

/**
 * Returns an entry of a list of hosts in CIDR notation, as it is written: an address or a network, also as a multiaddr.
 * The native side has its canonical form, which takes longer here than everything else: there may be a million of them.
 *
 * Throws `InvalidParametersError` naming `name` otherwise. A peer is refused: hosts are judged before it is known.
 */
export function parseHosts(value: unknown, name: string): string {
  const isMultiaddr = typeof value === 'object' && value !== null && 'getComponents' in value
  const written = writtenIn(isMultiaddr ? String(value) : value)
  if (written === undefined || written.peer !== undefined) {
    const forms = '192.0.2.0/24 or /ip4/192.0.2.0/ipcidr/24'
    throw misuse(name, `an IP address, a network or a multiaddr of one, such as ${forms}`, value)
  }
  return `${written.address}/${written.prefix}`
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

/** An address or a network as it is written: in either family, and with bits behind the prefix. */
interface Written {
  readonly address: string
  readonly family: 4 | 6
  readonly prefix: number
  readonly peer: string | undefined
}

/** Returns what is written in CIDR notation or as a multiaddr; undefined for any other value. */
function writtenIn(value: unknown): Written | undefined {
  const [, family, address, prefix, peer] = match(value, MULTIADDR)
  if (family === undefined) return cidrIn(value)
  const written = writtenAs(address, prefix, peer)
  return `${written?.family}` === family ? written : undefined
}

function cidrIn(value: unknown): Written | undefined {
  const [, address, prefix] = match(value, CIDR)
  return writtenAs(address, prefix)
}

function match(value: unknown, form: RegExp): readonly (string | undefined)[] {
  return (typeof value === 'string' && form.exec(value)) || []
}

function writtenAs(
  address: string | undefined,
  prefix: string | undefined,
  peer?: string
): Written | undefined {
  if (address === undefined) return undefined
  const family = isIPv4(address) ? 4 : 6
  if (family === 6 && !isIPv6(address)) return undefined
  const width = ADDRESS_BITS[family]
  const bits = prefix === undefined ? width : Number(prefix)
  return bits > width ? undefined : { address, family, prefix: bits, peer }
}

function networkOf({ address, family, prefix }: Written): Network {
  const words = wordsOf(family === 4 ? `::ffff:${address}` : address)
  return masked(words, family === 4 ? prefix + MAPPED_BITS : prefix)
}

/** Returns the eight words of an address of IPv6. */
function wordsOf(text: string): number[] {
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
