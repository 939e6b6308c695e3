/**
 * Reports errors of application callbacks: handlers, listeners, notifiees, predicates, services.
 *
 * An error neither ends the process nor affects another callback. It goes to the log; without a logger for it, the
 * first error of each callback becomes a process warning, and later ones, which a remote may provoke at will, are
 * dropped.
 */
import type { OnFailure } from '../base/events.ts'
import { StreamErrorCode } from '../constants.ts'
import {
  AbortError,
  type ErrorKind,
  Libp2pError,
  RateLimitError,
  StreamResetError
} from '../errors.ts'
import { reasonOf } from '../text/printable.ts'
import type { Log } from './log.ts'

/** The name of the warnings. */
const WARNING = 'FerroswarmWarning'

/** Reports the failures of one swarm's callbacks. */
export class Failures {
  readonly #log: Log | undefined
  readonly #warned = new WeakSet<object>()

  constructor(log: Log | undefined) {
    this.#log = log
  }

  /** Reports that `callback` has thrown or rejected. */
  readonly report: OnFailure = (err, callback, message) => {
    if (this.#log?.write('error', 'swarm', message, err) || this.#warned.has(callback)) return
    this.#warned.add(callback)
    process.emitWarning(warningOf(err, message))
  }

  /** Reports an expected end at `debug`: the remote has gone, or the swarm is closing. */
  expected(err: unknown, message: () => string): void {
    if (this.#log?.hears('debug')) this.#log.write('debug', 'swarm', message(), err)
  }
}

function warningOf(err: unknown, clause: string): Error {
  const thrown = err instanceof Error ? err : undefined
  const message = thrown === undefined ? reasonOf(err) : `${thrown.name}: ${thrown.message}`
  const warning = new Error(`${clause}: ${message} (later ones go to a logger only)`)
  warning.name = WARNING
  // Node.js prints the detail of a warning, but its stack only with `--trace-warnings`.
  return Object.assign(warning, { code: 'ERR_CALLBACK', cause: err, detail: thrown?.stack })
}

/** Returns whether `err` is an end that any stream can have: closed or reset by the remote, connection lost, abort. */
export function isExpectedEnd(err: unknown): boolean {
  if (err instanceof StreamResetError) return true
  return err instanceof Libp2pError && err.kind === 'closed'
}

const CODES: Readonly<Partial<Record<ErrorKind, number>>> = {
  limit: StreamErrorCode.ResourceLimitExceeded,
  closed: StreamErrorCode.NoError
}

/**
 * Returns the reset code sent to the remote after a handler failed with `err`; see docs/streams.md.
 *
 * Go's list has no code for an application failure. ProtocolViolation stands in for it as the only code about the
 * stream's content: the others concern resources, negotiation and the node, and would make a remote retry.
 */
export function resetCodeOf(err: unknown, isClosing: boolean): number {
  if (isClosing && (err instanceof AbortError || isAbort(err))) return StreamErrorCode.Shutdown
  if (err instanceof RateLimitError) return StreamErrorCode.RateLimited
  const kind = err instanceof Libp2pError ? err.kind : undefined
  return (kind && CODES[kind]) ?? StreamErrorCode.ProtocolViolation
}

/** Returns whether `err` is the platform's error for an aborted call. */
function isAbort(err: unknown): boolean {
  return err instanceof Error && err.name === 'AbortError'
}
