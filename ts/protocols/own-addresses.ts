/** Selection of the local addresses to advertise to a peer: those that are reachable from its network. */
import { addressBytes, hostPort, isOfThisHost, isPrivate } from '../identity/address.ts'
import { expandWildcards } from '../identity/interfaces.ts'

/** Maximum bytes of advertised addresses: the limit of the oldest peers for one message. */
const ADDRESSES_BYTES_MAX = 4 * 1024

const LOOPBACK = /^(?:127\.|::1$)/

/** Location of a peer, which can reach all addresses, all but loopback, or public addresses only. */
export type Reach = 'host' | 'network' | 'world'

/** Returns the location of a peer with the address `remote`. */
export function reachOf(remote: string): Reach {
  const host = hostPort(remote)?.host
  if (host === undefined || LOOPBACK.test(host)) return 'host'
  return isPrivate(remote) ? 'network' : 'world'
}

/** Returns the listen addresses to advertise, up to {@link ADDRESSES_BYTES_MAX}. */
export function addressesFor(reach: Reach, listening: readonly string[]): string[] {
  const advertised: string[] = []
  let bytes = 0
  for (const address of expandWildcards(listening)) {
    if (!isUseful(address, reach)) continue
    bytes += addressBytes(address).length
    if (bytes > ADDRESSES_BYTES_MAX) break
    advertised.push(address)
  }
  return advertised
}

function isUseful(address: string, reach: Reach): boolean {
  // The binary forms of these differ between implementations, so that no peer gets one.
  if (isOfThisHost(address)) return false
  const host = hostPort(address)?.host
  if (host === undefined || reach === 'host') return true
  // Interface names are only valid on this host.
  if (host.includes('%')) return false
  return reach === 'network' ? !LOOPBACK.test(host) : !isPrivate(address)
}
