/** Which of our own addresses a peer is told: those it can make use of, from where it is. */
import { networkInterfaces } from 'node:os'
import type { Multiaddr } from '@multiformats/multiaddr'
import { hostPort, isPrivate, parseAddress } from '../identity/address.ts'

/** Bytes of addresses told at most: what the oldest peers read in one message. */
const ADDRESSES_BYTES_MAX = 4 * 1024

const WILDCARD = /^\/(ip4\/0\.0\.0\.0|ip6\/::)(?=\/)/
const LOOPBACK = /^(?:127\.|::1$)/
const LINK_LOCAL_IPV6 = /^fe[89ab]/i

/** Addresses with wildcards replaced by those of this host's interfaces, each once. */
export function expandWildcards(addresses: readonly string[]): string[] {
  return [...new Set(addresses.flatMap(expand))]
}

/**
 * Listen addresses for a peer at `remote`: all of them for one on this host, all but loopback for one on the local
 * network, else the public ones.
 */
export function addressesFor(remote: string, listening: readonly Multiaddr[]): Multiaddr[] {
  const ours = expandWildcards(listening.map((addr) => addr.toString()))
  const told: Multiaddr[] = []
  let bytes = 0
  for (const address of ours) {
    if (!isUseful(address, remote)) continue
    const addr = parseAddress(address)
    bytes += addr.bytes.length
    if (bytes > ADDRESSES_BYTES_MAX) break
    told.push(addr)
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

function isUseful(address: string, remote: string): boolean {
  const host = hostPort(address)?.host
  const remoteHost = hostPort(remote)?.host
  if (host === undefined || remoteHost === undefined || LOOPBACK.test(remoteHost)) return true
  return isPrivate(remote) ? !LOOPBACK.test(host) : !isPrivate(address)
}
