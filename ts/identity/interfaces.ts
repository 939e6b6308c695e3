/** Addresses of this host in place of wildcards. */

const WILDCARD = /^\/(ip4\/0\.0\.0\.0|ip6\/::)(?=\/)/
const LINK_LOCAL_IPV6 = /^fe[89ab]/i

/**
 * Returns the distinct addresses with wildcards replaced by those of this host's interfaces, loopback included.
 *
 * A link-local IPv6 address is valid only with its interface, whose name means nothing to other hosts: `withZones` has
 * them, as `/ip6zone/<interface>/ip6/fe80::…`.
 */
export function expandWildcards(
  addresses: readonly string[],
  options: { readonly withZones?: boolean } = {}
): string[] {
  return [...new Set(addresses.flatMap((address) => expand(address, options.withZones ?? false)))]
}

function expand(address: string, withZones: boolean): string[] {
  const match = WILDCARD.exec(address)
  if (match === null) return [address]
  const rest = address.slice(match[0].length)
  const family = match[0].startsWith('/ip4') ? 'IPv4' : 'IPv6'
  // Loaded on use: importing the package must not load avoidable Node.js modules.
  const { networkInterfaces } = process.getBuiltinModule('node:os')
  return Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    entries
      .filter((entry) => entry.family === family)
      .flatMap(({ address: host }) => {
        if (family === 'IPv4') return `/ip4/${host}${rest}`
        if (!LINK_LOCAL_IPV6.test(host)) return `/ip6/${host}${rest}`
        return withZones ? `/ip6zone/${name}/ip6/${host}${rest}` : []
      })
  )
}
