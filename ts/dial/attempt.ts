/** What became of single addresses, as the errors of dials and listens list it. */
import { type AddressAttempt, DialError, type ErrorCode } from '../errors.ts'
import { type ParsedAddress, type Refusal, transportOf } from '../identity/parsed-address.ts'
import type { NativeAttempt } from '../native/addon.ts'
import { nativeError } from '../native/native-error.ts'

const HINTS: Partial<Record<ErrorCode, string>> = {
  ERR_CONNECTION_REFUSED: 'nothing listens there',
  ERR_UNREACHABLE: 'no route to that host or network',
  ERR_NO_TRANSPORT: 'this node has no transport for the address',
  ERR_UNEXPECTED_PEER: 'another peer listens there',
  ERR_ADDRESS_IN_USE: 'another process listens there',
  ERR_ADDRESS_NOT_AVAILABLE: 'this host has no such address',
  ERR_PERMISSION: 'ports below 1024 need privileges',
  ERR_TIMEOUT: 'the host is down, or a firewall drops packets'
}

/** Something accepted the connection and then did not go on with the handshake. */
const SILENT = 'something answers there and stays silent: it may not speak libp2p'

/** An attempt of the native side. */
export function attemptOf(attempt: NativeAttempt): AddressAttempt {
  const cause = nativeError(attempt.code, attempt.detail)
  // Rust names the three of a dial, `listener.ts` the other one.
  const stage = attempt.stage as AddressAttempt['stage']
  return {
    address: attempt.address,
    resolvedFrom: undefined,
    transport: transportOf(attempt.address),
    stage,
    elapsed: attempt.elapsedMs,
    cause,
    hint: isSilence(stage, cause.code) ? SILENT : (HINTS[cause.code] ?? '')
  }
}

function isSilence(stage: AddressAttempt['stage'], code: ErrorCode): boolean {
  return code === 'ERR_TIMEOUT' && stage !== 'dial' && stage !== 'listen'
}

/** An address that no attempt was made at. */
export function refusedAttempt(
  { text }: ParsedAddress,
  { reason, hint }: Refusal,
  stage: AddressAttempt['stage']
): AddressAttempt {
  return {
    address: text,
    resolvedFrom: undefined,
    transport: transportOf(text),
    stage,
    elapsed: 0,
    cause: new DialError(reason, { code: 'ERR_NO_TRANSPORT' }),
    hint
  }
}

/** The attempts of an error in one line. */
export function attemptsText(attempts: readonly AddressAttempt[]): string {
  return attempts.map(({ address, cause }) => `${address}: ${cause.message}`).join('; ')
}
