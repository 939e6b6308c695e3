/** The order in which addresses are dialled, and the head start of each over the next. */
import { hostPort, isOfThisHost, isPrivate } from '../identity/address.ts'
import { isRelayed } from '../identity/parsed-address.ts'
import type { DialContext } from './options.ts'

/** An address and the time at which it is dialled. */
export interface RankedAddress {
  /** The address, as text. */
  readonly address: string
  /** Milliseconds from the start of the dial. An address starts earlier if all that started before it have failed. */
  readonly delay: number
}

/** Returns the times at which addresses are dialled. Addresses that it leaves out are not dialled. */
export type DialRanker = (
  addresses: readonly string[],
  context: DialContext
) => readonly RankedAddress[]

/** Head start of the first address of a kind over the next, and of one kind over another, in milliseconds. */
interface HeadStart {
  readonly quic: number
  readonly tcp: number
  readonly other: number
}

// Those of go-libp2p. 250 ms is the Connection Attempt Delay recommended by RFC 8305, section 5.
const PUBLIC: HeadStart = { quic: 250, tcp: 250, other: 1_000 }
const PRIVATE: HeadStart = { quic: 30, tcp: 30, other: 100 }

/** Head start of public addresses over relayed ones. */
const RELAY_DELAY_MS = 500

const IP = /^(?:\/ip6zone\/[^/]+)?\/ip[46]\//

type Kind = 'quic' | 'tcp' | 'other'

interface Candidate {
  readonly address: string
  readonly kind: Kind
  readonly isIPv6: boolean
  /** Lower ones first. */
  readonly score: number
}

/**
 * Ranks addresses as go-libp2p does. Private, public and relayed addresses are dialled side by side, relayed ones
 * 500 ms later if there are public ones. Of each group QUIC comes before TCP before the rest, IPv6 before IPv4, low ports
 * before high ones. The second address starts 250 ms after the first, 30 ms in a local network; if the first is IPv6, the
 * second is IPv4 (RFC 8305), and the rest follow after the same time again. Unix sockets and memory are dialled at once,
 * other addresses without an IP address come last.
 */
export const defaultDialRanker = (addresses: readonly string[]): readonly RankedAddress[] => {
  const [only] = addresses
  // The common case: there is nothing to rank.
  if (only !== undefined && addresses.length === 1 && IP.test(only)) {
    return [{ address: only, delay: 0 }]
  }
  const relayed: string[] = []
  const here: string[] = []
  const local: string[] = []
  const open: string[] = []
  const nameless: string[] = []
  for (const address of addresses) {
    if (isRelayed(address)) relayed.push(address)
    else if (isOfThisHost(address)) here.push(address)
    else if (isPrivate(address)) local.push(address)
    else if (IP.test(address)) open.push(address)
    else nameless.push(address)
  }
  const ranked = [
    ...noDelayDialRanker(here),
    ...group(local, PRIVATE, 0),
    ...group(open, PUBLIC, 0),
    ...group(relayed, PUBLIC, open.length > 0 ? RELAY_DELAY_MS : 0)
  ]
  const last = ranked.reduce((latest, { delay }) => Math.max(latest, delay), 0)
  return [...ranked, ...nameless.map((address) => ({ address, delay: last + PUBLIC.other }))]
}

/** Ranks no address above another: all are dialled at once. */
export const noDelayDialRanker = (addresses: readonly string[]): readonly RankedAddress[] =>
  addresses.map((address) => ({ address, delay: 0 }))

function group(addresses: readonly string[], head: HeadStart, offset: number): RankedAddress[] {
  const candidates = addresses.map(candidateOf).sort((one, other) => one.score - other.score)
  const of = (kind: Kind): Candidate[] => candidates.filter((candidate) => candidate.kind === kind)
  const quic = staggered(of('quic'), head.quic, offset)
  const tcp = staggered(of('tcp'), head.tcp, quic.length > 0 ? lastOf(quic) + head.tcp : offset)
  const earlier = [...quic, ...tcp]
  const after = (earlier.length > 0 ? lastOf(earlier) : offset) + head.other
  return [...earlier, ...of('other').map(({ address }) => ({ address, delay: after }))]
}

/** Schedules addresses of one kind: the first, the second, and then all others. */
function staggered(candidates: readonly Candidate[], step: number, start: number): RankedAddress[] {
  const [first] = candidates
  const firstIPv4 = candidates.findIndex(({ isIPv6 }) => !isIPv6)
  const races = first?.isIPv6 === true && firstIPv4 > 0
  const order = [...candidates]
  // Happy eyeballs: the best address of the other family is second.
  if (races) order.splice(1, 0, ...order.splice(firstIPv4, 1))
  return order.map(({ address }, index) => ({
    address,
    delay: start + step * Math.min(index, races ? 2 : 1)
  }))
}

function lastOf(ranked: readonly RankedAddress[]): number {
  return ranked.at(-1)?.delay ?? 0
}

// Powers of two above the 65,535 ports, each larger than the sum of those below. Those of go-libp2p.
const IPV4 = 1 << 18
const DRAFT_29 = 1 << 17
const WEBTRANSPORT = 1 << 19
const TCP = 1 << 20
const WEBRTC_DIRECT = 1 << 21
const OTHER = 1 << 30

/** What is spoken at the port of an IP address, and what over that. */
const SPOKEN = /^(?:\/ip6zone\/[^/]+)?\/ip[46]\/[^/]+\/(tcp|udp)\/\d+(?:\/([^/]+))?(?:\/([^/]+))?/

function candidateOf(address: string): Candidate {
  const isIPv6 = /^(?:\/ip6zone\/[^/]+)?\/ip6\//.test(address)
  const port = hostPort(address)?.port ?? 0
  const [kind, weight] = kindOf(address)
  return { address, kind, isIPv6, score: weight + (isIPv6 ? 0 : IPV4) + port }
}

function kindOf(address: string): [Kind, number] {
  const [, protocol = '', spoken = '', over = ''] = SPOKEN.exec(address) ?? []
  if (protocol === 'tcp') return ['tcp', TCP]
  if (spoken === 'webrtc-direct') return ['other', WEBRTC_DIRECT]
  if (spoken !== 'quic-v1' && spoken !== 'quic') return ['other', OTHER]
  if (over === 'webtransport') return ['quic', WEBTRANSPORT]
  return ['quic', spoken === 'quic' ? DRAFT_29 : 0]
}
