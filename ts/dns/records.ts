/** The interfaces of name resolution: where records come from, and what resolves addresses. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import type { AddrLike } from '../identity/address.ts'
import type { PeerLike } from '../identity/peer-id.ts'

/**
 * A source of DNS records. A lookup rejects if the name does not exist, or has no such records; one that resolves to
 * anything but a list of strings has failed too.
 */
export interface DnsRecords {
  /** Resolves to the IPv4 or IPv6 addresses of a host. */
  addresses(hostname: string, family: 4 | 6, options: AbortOptions): Promise<readonly string[]>
  /** Resolves to the texts of the TXT records of a name, the strings of each joined. */
  texts(hostname: string, options: AbortOptions): Promise<readonly string[]>
}

/** Options of {@link DnsResolver.resolve}. */
export interface ResolveOptions extends AbortOptions {
  /** The peer that is looked for: `/dnsaddr` entries of other peers are skipped. Defaults to `/p2p` in the address. */
  peer?: PeerLike | undefined
}

/** Anything that can stand in for a {@link DnsResolver}. */
export interface DnsResolverLike {
  /** Resolves to the addresses that an address with a name stands for; to the address itself if it has none. */
  resolve(addr: AddrLike, options?: ResolveOptions): Promise<Multiaddr[]>
}
