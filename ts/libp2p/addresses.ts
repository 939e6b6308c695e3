/** Addresses of TCP, as a transport of libp2p gets them. */
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr'

/** Where a TCP address leads. */
export interface TcpPlace {
  /** An IP address, or a name. */
  readonly host: string
  /** The version of IP; for a name undefined, if either will do. */
  readonly family: 4 | 6 | undefined
  readonly isName: boolean
  readonly port: number
  /** Zone of a link-local address. */
  readonly zone: string | undefined
  /** The peer at its end; empty if it has none. */
  readonly peer: string
}

const FAMILIES: Readonly<Record<string, 4 | 6 | undefined>> = { ip4: 4, ip6: 6, dns4: 4, dns6: 6 }
const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

/** Returns the parts of an address of TCP, and nothing else; undefined for any other. */
export function tcpPlace(address: Multiaddr): TcpPlace | undefined {
  const parts = [...address.getComponents()]
  const zone = parts[0]?.name === 'ip6zone' ? parts.shift()?.value : undefined
  const peer = parts.at(-1)?.code === CODE_P2P ? (parts.pop()?.value ?? '') : ''
  const [host, tcp, ...rest] = parts
  if (host === undefined || tcp === undefined || rest.length > 0) return undefined
  if (!HOSTS.has(host.name) || tcp.name !== 'tcp' || host.value === undefined) return undefined
  return {
    host: host.value,
    family: FAMILIES[host.name],
    isName: host.name.startsWith('dns'),
    port: Number(tcp.value),
    zone,
    peer
  }
}

/** Returns the text of a socket address, with its zone in front. */
export function socketAddress(family: number, host: string, port: number, zone?: string): string {
  const prefix = zone === undefined ? '' : `/ip6zone/${zone}`
  return `${prefix}/ip${family}/${host}/tcp/${port}`
}

/** Returns an address of TCP with another port. */
export function withPort(address: Multiaddr, port: number | string): Multiaddr {
  return multiaddr(`${address}`.replace(/\/tcp\/\d+/, `/tcp/${port}`))
}

/**
 * Returns the socket addresses of a place, in the order of the system: a name is looked up as the system does it, with
 * its files and its cache.
 *
 * @throws what `dns.lookup` throws, such as `ENOTFOUND`
 */
export async function socketAddresses({
  host,
  family,
  isName,
  port,
  zone
}: TcpPlace): Promise<string[]> {
  if (!isName) return [socketAddress(family ?? 4, host, port, zone)]
  const { lookup } = process.getBuiltinModule('node:dns/promises')
  const found = await lookup(host, { all: true, family: family ?? 0 })
  return found.map((entry) => socketAddress(entry.family, entry.address, port))
}
