/** Asks the hooks of a gater. */
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { DialOptions } from '../dial/options.ts'
import { multiaddrOf } from '../identity/address.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { reasonOf } from '../text/printable.ts'
import type { AcceptedConnection, ConnectionGater, GateAnswer, SecuredConnection } from './gater.ts'

/** Maximum wait for the answer of a hook, in milliseconds. */
const ANSWER_TIMEOUT_MS = 5_000

/** The dependencies of the hooks. */
export interface HooksHost {
  readonly clock: Clock
  readonly onFailure: OnFailure
}

/** A connection that is being set up, as text. */
export interface ConnectionText {
  readonly direction: 'inbound' | 'outbound'
  readonly localAddress: string
  readonly remoteAddress: string
  /** Empty while the remote is not authenticated. */
  readonly peer: string
  /** Empty before the upgrade is complete, as is the muxer. */
  readonly security: string
  readonly muxer: string
}

/** A hook that is asked about a connection that is being set up. */
export type AskedStage = 'accept' | 'secured' | 'upgraded'

/** The reason of a refusal; undefined allows. */
export type Refusal = string | undefined

/** The hooks of one gater. Answers are the reasons of refusals, at once if the hook answers at once. */
export class Hooks {
  readonly #gater: ConnectionGater
  readonly #host: HooksHost
  /** Ends of the waits for answers. */
  readonly #waiting = new Set<(refusal: Refusal) => void>()

  constructor(gater: ConnectionGater, host: HooksHost) {
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

  /** Asks about a connection that is being set up. */
  connection(stage: AskedStage, connection: ConnectionText): Refusal | Promise<Refusal> {
    const gater = this.#gater
    if (gater[stage] === undefined) return undefined
    const { security, muxer } = connection
    switch (stage) {
      case 'accept':
        return this.#ask(() => gater.accept?.(Object.freeze(addressesOf(connection))))
      case 'secured':
        return this.#ask(() => gater.secured?.(Object.freeze(securedOf(connection))))
      case 'upgraded':
        return this.#ask(() =>
          gater.upgraded?.(Object.freeze({ ...securedOf(connection), security, muxer }))
        )
    }
  }

  /** Ends every wait for an answer with a refusal: the swarm is closed. */
  close(): void {
    for (const end of this.#waiting) end('the swarm is closed')
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
      const end = (refusal: Refusal): void => {
        clock.clearTimer(timer)
        this.#waiting.delete(end)
        resolve(refusal)
      }
      const timer = clock.setTimer(
        () => end(`the gater did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s`),
        ANSWER_TIMEOUT_MS
      )
      this.#waiting.add(end)
      answer
        .then(refusalOf)
        .catch((err: unknown) => this.#failed(err))
        .then(end)
    })
  }

  #failed(err: unknown): string {
    this.#host.onFailure(err, this.#gater, 'a hook of the gater failed')
    return `the gater failed: ${reasonOf(err)}`
  }
}

function addressesOf({ localAddress, remoteAddress }: ConnectionText): AcceptedConnection {
  return { localAddr: multiaddrOf(localAddress), remoteAddr: multiaddrOf(remoteAddress) }
}

function securedOf(connection: ConnectionText): SecuredConnection {
  const { direction, peer } = connection
  return { direction, peer: peerIdOf(peer), ...addressesOf(connection) }
}

function refusalOf(answer: unknown): Refusal {
  if (answer === true) return undefined
  if (typeof answer === 'string' && answer !== '') return answer
  return answer === false ? 'the gater refuses it' : 'the gater has not allowed it'
}
