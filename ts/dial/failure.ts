/** The errors of dials that led nowhere. */
import type { DialTarget } from '../diagnostics/connections.ts'
import {
  AbortError,
  type AddressAttempt,
  DialAllFailedError,
  NoConnectionError,
  NoRemoteAddrsError,
  TimeoutError
} from '../errors.ts'
import { attemptsText } from './attempt.ts'

/** Every address failed. */
export function allFailed(
  peer: string | undefined,
  attempts: readonly AddressAttempt[]
): DialAllFailedError {
  const whose = peer === undefined ? '' : ` of ${peer}`
  return new DialAllFailedError(`every address${whose} failed: ${attemptsText(attempts)}`, {
    peerId: peer,
    attempts,
    cause: attempts[0]?.cause
  })
}

/** The time of a caller is up. */
export function late(ms: number, attempts: readonly AddressAttempt[]): TimeoutError {
  const message = `the dial did not succeed within its ${Math.round(ms)} ms`
  return new TimeoutError(`${message}${tried(attempts)}`, { attempts })
}

/** A caller has aborted. */
export function abandoned(
  signal: AbortSignal | undefined,
  attempts: readonly AddressAttempt[]
): AbortError {
  const cause: unknown = signal?.reason
  return new AbortError(`the dial was aborted${tried(attempts)}`, { cause, attempts })
}

/** Why a dial does not begin. */
export function nowhere({ peer, refused }: DialTarget): Error {
  return refused.length > 0
    ? allFailed(peer, refused)
    : new NoRemoteAddrsError(`no address of ${peer} is known`)
}

/** The caller has ruled out dialling; text is the reason. */
export function notAllowed(reason: boolean | string | undefined): NoConnectionError {
  const because = typeof reason === 'string' ? `: ${reason}` : ''
  return new NoConnectionError(`no connection to the peer, and dialling is ruled out${because}`)
}

function tried(attempts: readonly AddressAttempt[]): string {
  const { length } = attempts
  if (length === 0) return ''
  return `; ${length} ${length === 1 ? 'address' : 'addresses'} tried: ${attemptsText(attempts)}`
}
