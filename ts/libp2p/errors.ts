/** Errors of native commands, as applications of libp2p expect them. */
import { AbortError, UnexpectedPeerError } from '../errors.ts'
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

/** Names of the upgrader's errors, which libp2p does not export, by the stage that failed. */
const UPGRADE_ERRORS: Readonly<Record<string, string>> = {
  security: 'EncryptionFailedError',
  muxer: 'MuxerUnavailableError'
}

/** Returns what was thrown as an error. */
export function asError(err: unknown): Error {
  return err instanceof Error ? err : new Error(String(err))
}

/**
 * Returns the error of a dial, an upgrade or a listener: that of its last attempt, if it had any. `addresses` are those of
 * the attempts.
 */
export function connectError(err: unknown, addresses: readonly string[] = []): Error {
  if (!(err instanceof CommandError)) return asError(err)
  const attempt = err.result.attempts?.at(-1)
  if (attempt === undefined) return systemError(err.plain())
  const error = nativeError(attempt.code, attempt.detail)
  if (error instanceof AbortError || error instanceof UnexpectedPeerError) return error
  const name = UPGRADE_ERRORS[attempt.stage]
  if (name !== undefined) return Object.assign(new Error(error.message), { name, cause: error })
  return systemError(error, addresses[attempt.index])
}

/** Returns an error of a socket as Node.js has it, if the system has a name for it. */
export function systemError(error: Error, address?: string): Error {
  const code = SYSTEM_CODES[(error as { code?: string }).code ?? '']
  if (code === undefined) return error
  if (address === undefined) return Object.assign(new Error(error.message), { code, cause: error })
  const parts = address.split('/')
  const [host = '', port = ''] = [parts.at(-3), parts.at(-1)]
  return Object.assign(new Error(`connection error ${host}:${port}: ${error.message}`), {
    code,
    syscall: 'connect',
    address: host,
    port: Number(port),
    cause: error
  })
}
