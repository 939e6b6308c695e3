/**
 * What becomes of errors in the application's callbacks: handlers, listeners, notifiees, predicates, services.
 *
 * None of them ends the process or reaches another callback, and none is lost either. They go to the log; where nobody
 * hears it, the first of each callback is a warning of the process, and the later ones, which a remote may bring about as
 * often as it likes, are not told.
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
import type { Log } from './log.ts'

/** The name of the warnings. */
const WARNING = 'FerroswarmWarning'

/** Tells of the failures of one swarm's callbacks. */
export class Failures {
  readonly #log: Log | undefined
  readonly #warned = new WeakSet<object>()

  constructor(log: Log | undefined) {
    this.#log = log
  }

  /** `callback` has thrown or rejected. */
  readonly report: OnFailure = (err, callback, message) => {
    if (this.#log?.write('error', 'swarm', message, err) || this.#warned.has(callback)) return
    this.#warned.add(callback)
    process.emitWarning(warningOf(err, message))
  }

  /** The same for an end that is nobody's fault: the remote has gone, or the swarm is closing. */
  expected(err: unknown, message: () => string): void {
    if (this.#log?.hears('debug')) this.#log.write('debug', 'swarm', message(), err)
  }
}

function warningOf(err: unknown, clause: string): Error {
  const thrown = err instanceof Error ? err : undefined
  const message = thrown === undefined ? String(err) : `${thrown.name}: ${thrown.message}`
  const warning = new Error(`${clause}: ${message} (the next one is told to a logger only)`)
  warning.name = WARNING
  // Node.js prints the detail of a warning, and its stack only if it is asked to.
  return Object.assign(warning, { code: 'ERR_CALLBACK', cause: err, detail: thrown?.stack })
}

/** Ends that any stream can have: a remote that ends or resets, a connection that is lost, an abort. */
export function isExpectedEnd(err: unknown): boolean {
  if (err instanceof StreamResetError) return true
  return err instanceof Libp2pError && err.kind === 'closed'
}

const CODES: Readonly<Partial<Record<ErrorKind, number>>> = {
  limit: StreamErrorCode.ResourceLimitExceeded,
  closed: StreamErrorCode.NoError
}

/**
 * What the remote reads when a handler has failed with `err`; see docs/streams.md.
 *
 * Go's list has no code for a failure of the application. The one that stands for it is the only one that speaks of
 * what was said on the stream: the others speak of resources, of negotiation and of the node, and a remote that reads
 * them would try again.
 */
export function resetCodeOf(err: unknown, isClosing: boolean): number {
  if (isClosing && (err instanceof AbortError || isAbort(err))) return StreamErrorCode.Shutdown
  if (err instanceof RateLimitError) return StreamErrorCode.RateLimited
  const kind = err instanceof Libp2pError ? err.kind : undefined
  return (kind && CODES[kind]) ?? StreamErrorCode.ProtocolViolation
}

/** What the platform throws for an aborted call. */
function isAbort(err: unknown): boolean {
  return err instanceof Error && err.name === 'AbortError'
}
