/** The event of a dial that has ended. */
import type { PeerId } from '@libp2p/interface'
import { connectionFacade } from '../connection/facade.ts'
import { Connection } from '../connection.ts'
import type { AddressAttempt } from '../errors.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { DialTarget } from './failure.ts'
import type { Outcome } from './shared-dial.ts'

/** The detail of the event `dial`: a dial that has ended, whatever the number of its callers. */
export interface DialDetail {
  /** The peer; undefined if only an address was known and nobody has answered. */
  readonly peer: PeerId | undefined
  /** The connection; undefined if the dial has failed. */
  readonly connection: Connection | undefined
  /** The error of the last caller; undefined if there is a connection. */
  readonly error: Error | undefined
  /** The addresses that failed, were abandoned, or were not dialled, each with its reason. */
  readonly attempts: readonly AddressAttempt[]
}

/** Why an address of a peer would or would not be dialled. */
export interface DialExplanation {
  /** Whether it would be. */
  readonly canDial: boolean
  /** The stage that refuses it; undefined if none does. */
  readonly stage: AddressAttempt['stage'] | undefined
  /** The reason in one clause; empty if there is none. */
  readonly reason: string
  /** Advice in one clause; empty if there is none. */
  readonly hint: string
}

/** @internal Returns the explanation of a refusal, or of the lack of one. */
export function explanationOf(refusal: AddressAttempt | undefined): DialExplanation {
  if (refusal === undefined) return { canDial: true, stage: undefined, reason: '', hint: '' }
  const { stage, cause, hint } = refusal
  return { canDial: false, stage, reason: cause.message, hint }
}

/** @internal Returns the detail of a dial that has ended with `outcome`. */
export function detailOf(outcome: Outcome, target: DialTarget): DialDetail {
  if (outcome instanceof Connection) {
    const { attempts } = connectionFacade.coreOf(outcome).dialReport
    return {
      peer: outcome.remotePeer,
      connection: outcome,
      error: undefined,
      attempts: [...attempts, ...target.refused]
    }
  }
  const error = outcome(target)
  return {
    peer: target.peer === undefined ? undefined : peerIdOf(target.peer),
    connection: undefined,
    error,
    attempts: attemptsOf(error)
  }
}

function attemptsOf(error: Error): readonly AddressAttempt[] {
  // Those of dials have a list, or undefined.
  const { attempts } = error as { readonly attempts?: readonly AddressAttempt[] | undefined }
  return attempts ?? []
}
