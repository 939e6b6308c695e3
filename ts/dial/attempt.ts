/** What became of single addresses, as the errors of dials and listens list it. */
import { type AddressAttempt, DialError, ERROR_CODES, type ErrorCode } from '../errors.ts'
import { type ParsedAddress, type Refusal, transportOf } from '../identity/parsed-address.ts'
import type { NativeAttempt, NativeAttemptUnderWay } from '../native/addon.ts'
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

/** What is known of an attempt that has ended, whoever made it. */
type Ended = Omit<NativeAttempt, 'index'>

/** An attempt of the native side at `address`. */
export function attemptOf(
  address: string,
  { code, detail, elapsedMs, ...ended }: Ended
): AddressAttempt {
  // Rust names the three of a dial, `listener.ts` the other one.
  const stage = ended.stage as AddressAttempt['stage']
  const cause = nativeError(code, detail)
  return {
    address,
    resolvedFrom: undefined,
    transport: transportOf(address),
    stage,
    elapsed: elapsedMs,
    cause,
    hint: isSilence(stage, cause.code) ? SILENT : (HINTS[cause.code] ?? '')
  }
}

/** What an attempt is doing at each stage. */
const DOING: Readonly<Record<string, string>> = {
  dial: 'still connecting',
  security: 'still in the security handshake',
  muxer: 'still negotiating the muxer'
}

/** An attempt at `address` that is given up: its cause has the code of the call that does so. */
export function unfinishedAttempt(
  address: string,
  { stage, elapsedMs }: NativeAttemptUnderWay,
  code: 'ERR_TIMEOUT' | 'ERR_ABORTED'
): AddressAttempt {
  const detail = DOING[stage] ?? stage
  return attemptOf(address, { stage, code: ERROR_CODES[code], detail, elapsedMs })
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
