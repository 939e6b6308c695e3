/** The application's say in dials: a gater refuses peers and addresses. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { aFunction, anObject, type Check, misuse } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { multiaddrOf } from '../identity/address.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { reasonOf } from '../text/printable.ts'
import type { DialOptions } from './options.ts'

/** The answer of a hook: true allows, false refuses, a string refuses and is the reason. */
export type GateAnswer = boolean | string

/**
 * Refuses dials. A hook that throws, rejects or takes more than 5 s refuses. The options are those of the call, frozen.
 *
 * @example
 * ```ts
 * const swarm = await createSwarm({
 *   gater: {
 *     addrDial: (_peer, addr) => !addr.toString().startsWith('/ip4/10.') || 'not the office network'
 *   }
 * })
 * ```
 */
export interface ConnectionGater {
  /** Asked once for a dial of a peer, before its names are resolved. */
  peerDial?(peer: PeerId, options: Readonly<DialOptions>): GateAnswer | Promise<GateAnswer>
  /** Asked for each address, those of a name included; `peer` is undefined if the call names none. */
  addrDial?(
    peer: PeerId | undefined,
    addr: Multiaddr,
    options: Readonly<DialOptions>
  ): GateAnswer | Promise<GateAnswer>
}

/** Maximum wait for the answer of a hook, in milliseconds. */
const ANSWER_TIMEOUT_MS = 5_000

/** Hooks of connection gaters elsewhere: one that is never asked would be a hole. */
const NOT_ASKED = ['accept', 'secured', 'upgraded'] as const

/** @internal Checks the option `gater`. Throws `InvalidParametersError`. */
export const aGater: Check = (value, name) => {
  anObject(value, name)
  // Member access is safe on any object.
  const gater = value as Readonly<Record<string, unknown>>
  for (const hook of ['peerDial', 'addrDial']) {
    if (gater[hook] !== undefined) aFunction(gater[hook], `${name}.${hook}`)
  }
  if (gater.peerDial === undefined && gater.addrDial === undefined) {
    throw misuse(name, 'an object with the hooks peerDial or addrDial', value)
  }
  for (const hook of NOT_ASKED) {
    if (gater[hook] !== undefined) {
      throw misuse(name, `the hooks peerDial and addrDial, as ${hook} is not asked`, hook)
    }
  }
}

/** @internal The dependencies of a gate. */
interface GateHost {
  readonly clock: Clock
  readonly onFailure: OnFailure
}

type Refusal = string | undefined

/** @internal Asks a gater. Answers are the reasons of refusals, at once if the hook answers at once. */
export class Gate {
  readonly #gater: ConnectionGater
  readonly #host: GateHost

  constructor(gater: ConnectionGater, host: GateHost) {
    this.#gater = gater
    this.#host = host
  }

  peer(peer: string, options: Readonly<DialOptions>): Refusal | Promise<Refusal> {
    const gater = this.#gater
    if (gater.peerDial === undefined) return undefined
    return this.#ask(() => gater.peerDial?.(peerIdOf(peer), options))
  }

  address(
    peer: string | undefined,
    address: string,
    options: Readonly<DialOptions>
  ): Refusal | Promise<Refusal> {
    const gater = this.#gater
    if (gater.addrDial === undefined) return undefined
    const id = peer === undefined ? undefined : peerIdOf(peer)
    return this.#ask(() => gater.addrDial?.(id, multiaddrOf(address), options))
  }

  #ask(hook: () => GateAnswer | Promise<GateAnswer> | undefined): Refusal | Promise<Refusal> {
    try {
      const answer = hook()
      // A string has no `then`, and a promise may be another library's.
      return typeof answer === 'object' ? this.#wait(Promise.resolve(answer)) : refusalOf(answer)
    } catch (err) {
      return this.#failed(err)
    }
  }

  #wait(answer: Promise<GateAnswer>): Promise<Refusal> {
    const { clock } = this.#host
    return new Promise((resolve) => {
      const timer = clock.setTimer(
        () => resolve(`the gater did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s`),
        ANSWER_TIMEOUT_MS
      )
      answer
        .then(refusalOf)
        .catch((err: unknown) => this.#failed(err))
        .then((refusal) => {
          clock.clearTimer(timer)
          resolve(refusal)
        })
    })
  }

  #failed(err: unknown): string {
    this.#host.onFailure(err, this.#gater, 'a hook of the gater failed')
    return `the gater failed: ${reasonOf(err)}`
  }
}

function refusalOf(answer: unknown): Refusal {
  if (answer === true) return undefined
  if (typeof answer === 'string' && answer !== '') return answer
  return answer === false ? 'the gater refuses it' : 'the gater has not allowed it'
}
