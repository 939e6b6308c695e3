/** The option `transports` of a swarm. */
import { aFunction, anArray, type Check, misuse } from '../base/arguments.ts'
import type { NativeTransportName } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import type { Transport } from './transport.ts'

/** An entry of the option. */
export type TransportChoice = NativeTransportName | Transport

/**
 * Those of a swarm that names none. Unix sockets and memory are for this host: whoever tells the swarm an address, such as
 * a peer, must not reach a socket of this host by it, so they are dialled only where the application has named them.
 */
const DEFAULTS: readonly NativeTransportName[] = ['tcp', 'quic', 'ws']

const NAMES: readonly NativeTransportName[] = [...DEFAULTS, 'unix', 'memory']

/** @internal Those whose bytes the cipher of a private network can wrap. */
export const PRIVATE: readonly NativeTransportName[] = ['tcp', 'ws', 'unix']

/** Those that muxers of the application do not replace: TCP by sockets of Node.js, and QUIC, which has its own streams. */
const BESIDE_MUXERS: readonly NativeTransportName[] = ['tcp', 'quic']

/** Those that can be secured by another protocol than TLS. */
const BESIDE_TLS: readonly NativeTransportName[] = ['tcp', 'ws', 'unix', 'memory']

/** What decides which native transports a swarm can have. */
export interface TransportNeeds {
  /** Whether the swarm is in a private network. */
  readonly isPrivate: boolean
  /** Whether a muxer of the application is to carry connections. */
  readonly hasOwnMuxer: boolean
  /** Whether TLS is among its security protocols. */
  readonly hasTls: boolean
}

/** Checks the option. Throws `InvalidParametersError`. */
export const checkTransports: Check = (value, name) => {
  anArray(value, name)
  // An array, by the check above.
  const list = value as readonly unknown[]
  if (list.length === 0) throw misuse(name, 'at least one transport', value)
  if (new Set(list).size < list.length) throw misuse(name, 'each transport once', value)
  for (const [index, each] of list.entries()) checkChoice(each, `${name}[${index}]`)
}

/**
 * Returns the transports of a swarm: those that are named, or the defaults as far as they are possible. Throws
 * `InvalidParametersError` for one that is named and is not possible, and for a muxer of the application in a private
 * network.
 */
export function resolveTransports(
  given: readonly TransportChoice[] | undefined,
  { isPrivate, hasOwnMuxer, hasTls }: TransportNeeds
): readonly TransportChoice[] {
  if (isPrivate && hasOwnMuxer) {
    // The cipher is native, and JavaScript carries the bytes of such a muxer past it.
    throw new InvalidParametersError(
      'expected no muxers of the application with psk: its cipher does not reach their bytes'
    )
  }
  const rules = [
    { applies: isPrivate, possible: PRIVATE, why: 'with psk' },
    {
      applies: hasOwnMuxer,
      possible: BESIDE_MUXERS,
      why: 'beside muxers of the application'
    },
    { applies: !hasTls, possible: BESIDE_TLS, why: 'without tls in the option security' }
  ].filter(({ applies }) => applies)
  const isPossible = (name: NativeTransportName): boolean =>
    rules.every(({ possible }) => possible.includes(name))
  if (given === undefined) return DEFAULTS.filter(isPossible)
  for (const [index, each] of given.entries()) {
    if (typeof each !== 'string' || isPossible(each)) continue
    const expected = NAMES.filter(isPossible).join(', ')
    const why = rules.find(({ possible }) => !possible.includes(each))?.why
    throw misuse(`transports[${index}]`, `one of ${expected} or a transport ${why}`, each)
  }
  return [...given]
}

/**
 * Throws `InvalidParametersError` if the environment variable `LIBP2P_FORCE_PNET` is 1, as in go-libp2p and kubo, and the
 * swarm is in no private network.
 */
export function checkForcedPrivacy(isPrivate: boolean): void {
  if (process.env.LIBP2P_FORCE_PNET !== '1' || isPrivate) return
  throw new InvalidParametersError(
    'LIBP2P_FORCE_PNET=1 asks for a private network, and there is no option psk'
  )
}

function checkChoice(value: unknown, name: string): void {
  // Any value can be looked for.
  if (NAMES.includes(value as NativeTransportName)) return
  if (typeof value !== 'object' || value === null) {
    throw misuse(name, `one of ${NAMES.join(', ')} or a transport`, value)
  }
  // Member access is safe on any object.
  const transport = value as Readonly<Record<string, unknown>>
  for (const method of ['canDial', 'dial']) aFunction(transport[method], `${name}.${method}`)
  for (const method of ['canListen', 'listen']) {
    if (transport[method] !== undefined) aFunction(transport[method], `${name}.${method}`)
  }
}
