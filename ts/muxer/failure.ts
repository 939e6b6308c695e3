/** Errors of muxers of the application. What they throw may be anything, and errors may be those of another package. */
import type { ConnectionEnd } from '../connection/facts.ts'
import { IOError, Libp2pError } from '../errors.ts'
import { reasonOf } from '../text/printable.ts'

/** Names of the errors by which a muxer says that its connection is closed. */
const ENDS: ReadonlySet<unknown> = new Set([
  'MuxerClosedError',
  'ConnectionClosedError',
  'AbortError'
])

/** Returns the error of a call that failed with `err`; `what` is a clause for those of the application. */
export function errorOf(err: unknown, what: string): Libp2pError {
  return err instanceof Libp2pError ? err : new IOError(`${what}: ${reasonOf(err)}`, { cause: err })
}

/**
 * Returns the reason for which a connection has ended of itself. An error that says no more than that it is closed is
 * an orderly end.
 */
export function closeReasonOf(err: unknown): ConnectionEnd {
  if (err === undefined) return { closeCode: 0, remote: true, error: undefined }
  const { closeCode, cause } = Object(err) as { closeCode?: unknown; cause?: unknown }
  const code = typeof closeCode === 'number' ? closeCode >>> 0 : 0
  const isEnd = err instanceof Error && ENDS.has(err.name) && code === 0 && cause === undefined
  const error = isEnd ? undefined : errorOf(err, 'the muxed connection failed')
  return { closeCode: code, remote: true, error }
}
