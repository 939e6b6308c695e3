/** Why no transport takes an address: the offending part, by name. Loaded when an address is refused. */
import type { Component } from '@multiformats/multiaddr'
import {
  isHostName,
  isServerName,
  numberOf,
  type Refusal,
  unixPathFault
} from './transport-forms.ts'

const NAMES: ReadonlySet<string> = new Set(['dns', 'dns4', 'dns6', 'dnsaddr'])
const HOSTS: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

const SUPPORTED =
  'addresses are /ip4/…, /ip6/… or /dns/…, then /tcp/<port>, /tcp/<port>/ws or /udp/<port>/quic-v1'
const NO_PATH = 'percent-encode an absolute path: /unix/%2Frun%2Fnode.sock'
const NO_NUMBER = 'use a number of 64 bits: /memory/1'

/** Parts of known transports that this package does not have, and what to do about each. */
const FOREIGN: Readonly<Record<string, string>> = {
  quic: 'it is draft 29 of QUIC: use /quic-v1',
  webtransport: 'WebTransport is not supported: use /quic-v1 without it',
  webrtc: 'WebRTC is not supported: use /quic-v1 or /tcp',
  'webrtc-direct': 'WebRTC is not supported: use /quic-v1 or /tcp',
  'p2p-circuit': 'relays are not supported yet: use an address of the peer itself'
}

/** Returns why an address, `text`, is none that a transport takes. */
export function refusalOf(text: string, components: readonly Component[]): Refusal {
  const [first, ...others] = components
  if (first === undefined) {
    return { reason: 'it names a peer and no place', hint: 'dial the peer, or name its place' }
  }
  if (NAMES.has(first.name) && !isHostName(first.value ?? '')) return notAName(first)
  if (first.name === 'unix') return unixRefusal(first, others)
  if (first.name === 'memory') return memoryRefusal(first, others)
  const names = components.map(({ name }) => name)
  const isZoned = names[0] === 'ip6zone' && names[1] === 'ip6'
  const host = isZoned ? 1 : 0
  if (!HOSTS.has(names[host] ?? '')) return notTaken(components)
  if (components.length === host + 1) {
    return { reason: `${inAscii(text)} names no port`, hint: SUPPORTED }
  }
  const server = components.find(({ name }) => name === 'sni')
  if (server !== undefined && !isServerName(server.value ?? '')) return notAName(server)
  const supported = host + 1 + serviceLength(names.slice(host + 1))
  if (names.at(-1) === 'udp' && components.length === host + 2) {
    const reason = `${inAscii(text)} names no transport over UDP`
    return { reason, hint: 'QUIC is one: append /quic-v1' }
  }
  // In a relayed address the peer of the relay is not the offending part, but the part after it is.
  const isRelay = names[supported] === 'p2p' && supported > host + 1
  const rest = components.slice(isRelay && supported + 1 < names.length ? supported + 1 : supported)
  // Each part is one of a transport, and together they are not, such as a mapped address with a zone.
  return notTaken(rest.length > 0 ? rest : components)
}

/** Returns how many components after a host are those of a transport. */
function serviceLength(names: readonly string[]): number {
  const [protocol] = names
  if (protocol === 'udp') return names[1] === 'quic-v1' ? 2 : 1
  if (protocol !== 'tcp') return 0
  const [spoken = ''] = /^(?:wss?|tls ws|tls sni ws)(?= |$)/.exec(names.slice(1).join(' ')) ?? []
  if (spoken === '') return 1
  const length = 1 + spoken.split(' ').length
  return names[length] === 'http-path' ? length + 1 : length
}

function unixRefusal(first: Component, others: readonly Component[]): Refusal {
  const fault = unixPathFault(first.value ?? '')
  if (fault === undefined) return notTaken(others)
  return { reason: `${partsText([first])} ${fault}`, hint: NO_PATH }
}

function memoryRefusal(first: Component, others: readonly Component[]): Refusal {
  if (numberOf(first.value ?? '') !== undefined) return notTaken(others)
  return { reason: `${partsText([first])} is not a number`, hint: NO_NUMBER }
}

function notAName(component: Component): Refusal {
  return {
    reason: `${partsText([component])} is not a host name`,
    hint: 'names are letters, digits, hyphens and dots'
  }
}

function notTaken(rest: readonly Component[]): Refusal {
  const [first] = rest
  const hint = first && FOREIGN[first.name]
  return hint === undefined
    ? { reason: `no transport takes ${partsText(rest)}`, hint: SUPPORTED }
    : { reason: `no transport takes /${first?.name}`, hint }
}

function partsText(components: readonly Component[]): string {
  const parts = components.map(({ name, value }) =>
    value === undefined ? name : `${name}/${value}`
  )
  return inAscii(`/${parts.join('/')}`)
}

/** Escapes everything but printable ASCII in untrusted text: other characters may look like parts of an address. */
export function inAscii(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
}
