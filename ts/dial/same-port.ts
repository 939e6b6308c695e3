/** Addresses that lead to the same port of a peer: the plain one is dialled, as by go-libp2p. */
import type { AddressAttempt } from '../errors.ts'
import { samePort } from './failure.ts'

const WEB_SOCKET = /^(.*?\/tcp\/\d+)(?:\/tls(?:\/sni\/[^/]+)?)?\/wss?(?:\/http-path\/[^/]+)?$/
/** Draft 29 of QUIC, and WebTransport. */
const OVER_QUIC = /^(.*?\/udp\/\d+)\/quic(?:|(?:-v1)?\/webtransport(?:\/certhash\/[^/]+)*)$/

/** Returns the address that is dialled in place of another one if it is among those of the peer; undefined if none is. */
export function plainOf(address: string): string | undefined {
  const [, tcp] = WEB_SOCKET.exec(address) ?? []
  if (tcp !== undefined) return tcp
  const [, udp] = OVER_QUIC.exec(address) ?? []
  return udp === undefined ? undefined : `${udp}/quic-v1`
}

/** Returns the addresses without those whose plain one is among them; adds these to `refused`. */
export function withoutSamePort(
  addresses: readonly string[],
  refused: AddressAttempt[]
): readonly string[] {
  // The common case: there is no other.
  if (addresses.length < 2) return addresses
  const isDialledPlain = (address: string): boolean => {
    const plain = plainOf(address)
    return plain !== undefined && addresses.includes(plain)
  }
  if (!addresses.some(isDialledPlain)) return addresses
  refused.push(...addresses.filter(isDialledPlain).map(samePort))
  return addresses.filter((address) => !isDialledPlain(address))
}
