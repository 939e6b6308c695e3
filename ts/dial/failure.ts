/** Errors of failed dials. */
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

/** Returns the error of a dial whose every address failed. */
export function allFailed(
  peer: string | undefined,
  attempts: readonly AddressAttempt[]
): DialAllFailedError {
  const ofPeer = peer === undefined ? '' : ` of ${peer}`
  return new DialAllFailedError(`every address${ofPeer} failed: ${attemptsText(attempts)}`, {
    peerId: peer,
    attempts,
    cause: attempts[0]?.cause
  })
}

/** Returns the error of a caller whose timeout has expired. */
export function late(ms: number, attempts: readonly AddressAttempt[]): TimeoutError {
  const message = `the dial did not succeed within ${Math.round(ms)} ms`
  return new TimeoutError(`${message}${tried(attempts)}`, { attempts })
}

/** Returns the error of a caller that has aborted. */
export function abandoned(
  signal: AbortSignal | undefined,
  attempts: readonly AddressAttempt[]
): AbortError {
  const cause: unknown = signal?.reason
  return new AbortError(`the dial was aborted${tried(attempts)}`, { cause, attempts })
}

/** Returns the error of a dial without a dialable address. */
export function noAddress({ peer, refused }: DialTarget): Error {
  return refused.length > 0
    ? allFailed(peer, refused)
    : new NoRemoteAddrsError(`no address of ${peer} is known`)
}

/** Returns the error of a call with `noDial`; a string is its reason. */
export function notAllowed(reason: boolean | string | undefined): NoConnectionError {
  const because = typeof reason === 'string' ? `: ${reason}` : ''
  return new NoConnectionError(`no connection to the peer, and dialling is not allowed${because}`)
}

function tried(attempts: readonly AddressAttempt[]): string {
  const { length } = attempts
  if (length === 0) return ''
  return `; ${length} ${length === 1 ? 'address' : 'addresses'} tried: ${attemptsText(attempts)}`
}
