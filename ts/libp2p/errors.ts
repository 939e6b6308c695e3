/** Errors of native commands, as applications of libp2p expect them. */
import { AbortError } from '../errors.ts'
import { CommandError } from '../native/command-error.ts'
import { nativeError } from '../native/native-error.ts'

/** Codes of the system that applications compare, by our own. */
const SYSTEM_CODES: Readonly<Record<string, string>> = {
  ERR_CONNECTION_REFUSED: 'ECONNREFUSED',
  ERR_UNREACHABLE: 'EHOSTUNREACH',
  ERR_CONNECTION_RESET: 'ECONNRESET',
  ERR_ADDRESS_IN_USE: 'EADDRINUSE',
  ERR_ADDRESS_NOT_AVAILABLE: 'EADDRNOTAVAIL',
  ERR_PERMISSION: 'EACCES'
}

/** Returns what was thrown as an error. */
export function asError(err: unknown): Error {
  return err instanceof Error ? err : new Error(String(err))
}

/** Returns the error of a dial, an upgrade or a listener: that of its last attempt, if it had any. */
export function connectError(err: unknown): Error {
  if (!(err instanceof CommandError)) return asError(err)
  const attempt = err.result.attempts?.at(-1)
  const error = attempt === undefined ? err.plain() : nativeError(attempt.code, attempt.detail)
  if (error instanceof AbortError) return error
  const system = SYSTEM_CODES[(error as { code?: string }).code ?? '']
  return system === undefined
    ? error
    : Object.assign(new Error(error.message), { code: system, cause: error })
}
