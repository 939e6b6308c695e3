/** Which of our own addresses a peer is told: those it can make use of, from where it is. */
import { networkInterfaces } from 'node:os'
import { addressBytes, hostPort, isPrivate } from '../identity/address.ts'

/** Bytes of addresses told at most: what the oldest peers read in one message. */
const ADDRESSES_BYTES_MAX = 4 * 1024

const WILDCARD = /^\/(ip4\/0\.0\.0\.0|ip6\/::)(?=\/)/
const LOOPBACK = /^(?:127\.|::1$)/
const LINK_LOCAL_IPV6 = /^fe[89ab]/i

/** Addresses with wildcards replaced by those of this host's interfaces, each once. */
export function expandWildcards(addresses: readonly string[]): string[] {
  return [...new Set(addresses.flatMap(expand))]
}

/** From where a peer is it can make use of: everything, all but loopback, or public addresses only. */
export type Reach = 'host' | 'network' | 'world'

/** Where a peer is whose address is `remote`. */
export function reachOf(remote: string): Reach {
  const host = hostPort(remote)?.host
  if (host === undefined || LOOPBACK.test(host)) return 'host'
  return isPrivate(remote) ? 'network' : 'world'
}

/** Listen addresses for a peer, as many as the oldest peers read. */
export function addressesFor(reach: Reach, listening: readonly string[]): string[] {
  const told: string[] = []
  let bytes = 0
  for (const address of expandWildcards(listening)) {
    if (!isUseful(address, reach)) continue
    bytes += addressBytes(address).length
    if (bytes > ADDRESSES_BYTES_MAX) break
    told.push(address)
  }
  return told
}

function expand(address: string): string[] {
  const match = WILDCARD.exec(address)
  if (match === null) return [address]
  const rest = address.slice(match[0].length)
  const [family, protocol] = match[0].startsWith('/ip4') ? ['IPv4', 'ip4'] : ['IPv6', 'ip6']
  return Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter((entry) => entry.family === family && !LINK_LOCAL_IPV6.test(entry.address))
    .map((entry) => `/${protocol}/${entry.address}${rest}`)
}

function isUseful(address: string, reach: Reach): boolean {
  const host = hostPort(address)?.host
  if (host === undefined || reach === 'host') return true
  // The names of our interfaces mean nothing on another host.
  if (host.includes('%')) return false
  return reach === 'network' ? !LOOPBACK.test(host) : !isPrivate(address)
}
