/** The option `gater`: hooks of the application that refuse connections. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { aFunction, anObject, areOptions, type Check, misuse } from '../base/arguments.ts'
import type { DialOptions } from '../dial/options.ts'
import { GateHook } from '../native/record.ts'

/** The answer of a hook: true allows, false refuses, a string refuses and is the reason. */
export type GateAnswer = boolean | string

/** What is known of a remote that has connected. */
export interface AcceptedConnection {
  /** The local address; without parts if it is not known. */
  readonly localAddr: Multiaddr
  /** The address of the remote; without parts if it is not known. */
  readonly remoteAddr: Multiaddr
}

/** What is known of a connection after its security handshake. */
export interface SecuredConnection extends AcceptedConnection {
  /** The side that has opened it. */
  readonly direction: 'inbound' | 'outbound'
  /** The authenticated remote. */
  readonly peer: PeerId
}

/** What is known of a connection that is about to be announced. */
export interface UpgradedConnection extends SecuredConnection {
  /** Protocol id of the security protocol, such as `/noise`. */
  readonly security: string
  /** Protocol id of the muxer, such as `/yamux/1.0.0`. */
  readonly muxer: string
}

type Answered = GateAnswer | Promise<GateAnswer>

/**
 * Refuses connections. A dial asks `peerDial`, `addrDial`, `secured` and `upgraded`, a connection of a remote `accept`,
 * `secured` and `upgraded`, in this order. A hook that throws, rejects or takes more than 5 s refuses. See
 * docs/gating.md.
 *
 * @example
 * ```ts
 * const swarm = await createSwarm({
 *   gater: {
 *     secured: ({ peer }) => friends.has(peer.toString()) || 'not one of our peers'
 *   }
 * })
 * ```
 */
export interface ConnectionGater {
  /** Asked once for a dial of a peer, before its names are resolved. The options are those of the call, frozen. */
  peerDial?(peer: PeerId, options: Readonly<DialOptions>): Answered
  /**
   * Asked for each address, those of a name included; `peer` is undefined if the call names none. The options are those
   * of the call, frozen.
   */
  addrDial?(peer: PeerId | undefined, addr: Multiaddr, options: Readonly<DialOptions>): Answered
  /** Asked about a remote that has connected, before a byte is sent to it. */
  accept?(connection: AcceptedConnection): Answered
  /** Asked about a connection whose remote is authenticated. */
  secured?(connection: SecuredConnection): Answered
  /** Asked about a connection with a muxer, before anybody is told of it. */
  upgraded?(connection: UpgradedConnection): Answered
}

/** A hook of a gater. */
export type GateStage = keyof ConnectionGater

const HOOKS: readonly GateStage[] = ['peerDial', 'addrDial', 'accept', 'secured', 'upgraded']

/** @internal Checks the option `gater`. Throws `InvalidParametersError`. */
export const aGater: Check = (value, name) => {
  anObject(value, name)
  // Member access is safe on any object.
  const gater = value as Readonly<Record<string, unknown>>
  const given = HOOKS.filter((hook) => gater[hook] !== undefined)
  for (const hook of given) aFunction(gater[hook], `${name}.${hook}`)
  const hooks = `the hooks ${HOOKS.join(', ')}`
  // A misspelt hook would be a hole. An object of a class may have methods of its own, but none with such a name.
  const isMistaken = areOptions(gater) ? isOther : isMisspelt
  const other = namesOf(gater).find((key) => isMistaken(key) && typeof gater[key] === 'function')
  if (other !== undefined) throw misuse(name, `an object with ${hooks} alone`, other)
  if (given.length === 0) throw misuse(name, `an object with ${hooks}`, value)
}

function isOther(name: string): boolean {
  return !HOOKS.some((hook) => hook === name)
}

/** Returns whether a name differs from that of a hook by the case of letters. */
function isMisspelt(name: string): boolean {
  return isOther(name) && HOOKS.some((hook) => hook.toLowerCase() === name.toLowerCase())
}

/** Returns the names of the properties of an object and its prototypes, without those that every object inherits. */
function namesOf(object: object): string[] {
  const prototype: object | null = Object.getPrototypeOf(object)
  const isRoot = prototype === null || Object.getPrototypeOf(prototype) === null
  const inherited = isRoot ? [] : namesOf(prototype)
  return [...Object.getOwnPropertyNames(object), ...inherited]
}

/** @internal Returns the bits of the hooks that the native side asks for. */
export function askedNatively(gater: ConnectionGater | undefined): number {
  const hooks = Object.entries(GateHook)
  // `Object.entries` widens the keys to `string`.
  const given = hooks.filter(([hook]) => gater?.[hook as GateStage] !== undefined)
  return given.reduce((bits, [, bit]) => bits | bit, 0)
}
