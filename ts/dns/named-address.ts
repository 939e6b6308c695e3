/** Addresses that begin with a name: `/dns4/example.org/tcp/4001`, `/dnsaddr/example.org/p2p/12D3…`. */
import type { Component } from '@multiformats/multiaddr'
import { loadMultiaddrs } from '../identity/load.ts'
import { peerText } from '../identity/peer-id.ts'

// Not imported: importing the package must not load avoidable Node.js modules.
const { isIP } = process.getBuiltinModule('node:net')

const PROTOCOLS = ['dns', 'dns4', 'dns6', 'dnsaddr'] as const
type NameProtocol = (typeof PROTOCOLS)[number]

/** The components of an address. */
export type Components = readonly Component[]

/** An address that begins with a name. */
export interface NamedAddress {
  readonly protocol: NameProtocol
  readonly hostname: string
  /** What follows the name, without {@link NamedAddress.peer}, up to a relay's `/p2p-circuit`. */
  readonly suffix: Components
  /** The peer of the trailing `/p2p`, as text. */
  readonly peer: string | undefined
  /** What is beyond a relay, from `/p2p-circuit` on. */
  readonly beyond: Components
}

/** Parses an address. Throws if it is malformed, or has an invalid peer. */
export function componentsOf(text: string): Components {
  const components = loadMultiaddrs().multiaddr(text).getComponents()
  return components.map((component) =>
    component.name === 'p2p' ? peerPart(peerText(component.value ?? '')) : component
  )
}

/** Returns the text of an address. */
export function textOf(components: Components): string {
  return loadMultiaddrs()
    .multiaddr([...components])
    .toString()
}

/** Takes the name off an address; undefined if it begins with none. */
export function namedAddress(components: Components): NamedAddress | undefined {
  const [first, ...rest] = components
  const protocol = PROTOCOLS.find((name) => name === first?.name)
  if (protocol === undefined) return undefined
  const relayed = rest.findIndex(({ name }) => name === 'p2p-circuit')
  const beyond = relayed === -1 ? [] : rest.slice(relayed)
  const { body, peer } = withoutPeer(rest.slice(0, rest.length - beyond.length))
  return { protocol, hostname: first?.value ?? '', suffix: body, peer, beyond }
}

/** Returns the components of an address without the trailing `/p2p`, and its peer. */
export function withoutPeer(components: Components): {
  readonly body: Components
  readonly peer: string | undefined
} {
  const last = components.at(-1)
  if (last?.name !== 'p2p') return { body: components, peer: undefined }
  return { body: components.slice(0, -1), peer: last.value }
}

/** Returns whether an address ends with `suffix`. */
export function endsWith(components: Components, suffix: Components): boolean {
  const end = components.slice(components.length - Math.min(suffix.length, components.length))
  return (
    end.length === suffix.length &&
    end.every(({ code, value }, at) => code === suffix[at]?.code && value === suffix[at]?.value)
  )
}

/** Returns an address with the given peer and the part beyond a relay. */
export function completed(
  body: Components,
  peer: string | undefined,
  beyond: Components
): Components {
  return [...body, ...(peer === undefined ? [] : [peerPart(peer)]), ...beyond]
}

/** Returns the address of the host with this IP address, which may have a zone. */
export function atHost(address: string, named: NamedAddress): Components {
  const [host = '', zone] = address.split('%')
  const { multiaddr } = loadMultiaddrs()
  const place = multiaddr(
    `${zone === undefined ? '' : `/ip6zone/${zone}`}/ip${isIP(host)}/${host}`
  ).getComponents()
  const suffix = withServerName(named.suffix, named.hostname)
  return completed([...place, ...suffix], named.peer, named.beyond)
}

/** Keeps the name for TLS, which the IP address replaces: `/tls/ws` and `/wss` become `/tls/sni/<name>/ws`. */
function withServerName(suffix: Components, hostname: string): Components {
  if (isIP(hostname) !== 0) return suffix
  const names = suffix.map(({ name }) => name)
  const at = names.findIndex(
    (name, index) => name === 'wss' || (name === 'tls' && names[index + 1] === 'ws')
  )
  if (at === -1) return suffix
  const secured = loadMultiaddrs()
    .multiaddr(`/tls/sni/${serverName(hostname)}/ws`)
    .getComponents()
  const length = names[at] === 'wss' ? 1 : 2
  return [...suffix.slice(0, at), ...secured, ...suffix.slice(at + length)]
}

/** Returns a name as TLS sends it: in ASCII, without the dot of the root (RFC 6066, section 3). */
function serverName(hostname: string): string {
  const { domainToASCII } = process.getBuiltinModule('node:url')
  const name = hostname.replace(/\.$/, '')
  return domainToASCII(name) || name
}

function peerPart(peer: string): Component {
  return { code: 421, name: 'p2p', value: peer }
}
