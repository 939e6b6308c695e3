/** The option `muxers` of a swarm. */
import { type Check, misuse } from '../base/arguments.ts'
import type { MuxerName } from '../constants.ts'
import { isProtocolName } from '../negotiation/protocol-name.ts'
import { aMultiplexer, type NamedMultiplexer } from './muxed.ts'

/** The protocol of every native engine. */
export const YAMUX = '/yamux/1.0.0'

/** An entry of the option. */
export type MuxerChoice = MuxerName | NamedMultiplexer

/** Checks the option. Throws `InvalidParametersError`. */
export const checkMuxers: Check = (value, name) => {
  if (!Array.isArray(value) || value.length === 0) {
    throw misuse(name, 'a list of yamux, yamux-crate or muxers of the application', value)
  }
  const protocols = new Set<string>()
  for (const [index, muxer] of value.entries()) {
    const protocol = protocolOf(muxer, `${name}[${index}]`)
    if (protocols.has(protocol)) throw misuse(name, 'one muxer of each protocol', protocol)
    protocols.add(protocol)
  }
  if (hasOwnMuxer(value) && value.includes('yamux-crate')) {
    throw misuse(name, 'yamux beside muxers of the application', 'yamux-crate')
  }
}

/** Checks an entry, and returns its protocol. */
function protocolOf(muxer: unknown, name: string): string {
  if (muxer === 'yamux' || muxer === 'yamux-crate') return YAMUX
  if (typeof muxer !== 'object' || muxer === null) {
    throw misuse(name, 'yamux, yamux-crate or a muxer of the application', muxer)
  }
  aMultiplexer(muxer, name)
  // Member access is safe on any object.
  const { protocol } = muxer as { readonly protocol?: unknown }
  if (isProtocolName(protocol)) return protocol
  throw misuse(`${name}.protocol`, 'a protocol name', protocol)
}

/** Returns whether a muxer of the application is among them. */
export function hasOwnMuxer(muxers: readonly MuxerChoice[]): boolean {
  return muxers.some((muxer) => typeof muxer !== 'string')
}
