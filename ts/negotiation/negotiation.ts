/** Shared by both sides of a negotiation in TypeScript: the deadline, the first line, the errors. */
import { abortable, aborted, isAborted, TimeLimit } from '../base/abort.ts'
import {
  aDuration,
  aSignal,
  checkOptions,
  type OptionChecks,
  objectWith
} from '../base/arguments.ts'
import { NEGOTIATION_TIMEOUT_MS } from '../constants.ts'
import {
  type Libp2pErrorOptions,
  MultiselectCommunicatorError,
  MultiselectError,
  TimeoutError
} from '../errors.ts'
import type { AbortOptions } from '../io/interfaces.ts'
import { reasonOf } from '../text/printable.ts'
import type { MultiselectCommunicatorLike } from './multiselect-communicator.ts'
import { isValidHandshake } from './multiselect-line.ts'

/** Options of every call that negotiates. */
export interface NegotiationOptions extends AbortOptions {
  /** Milliseconds for the whole call. Defaults to 10,000. */
  timeout?: number
}

const NEGOTIATION_CHECKS: OptionChecks<NegotiationOptions> = { signal: aSignal, timeout: aDuration }

type Failure = new (message?: string, options?: Libp2pErrorOptions) => MultiselectError

/**
 * Runs `negotiate` under the caller's signal and a deadline. Rejects with a `Failed` that has the error as its cause,
 * with code ERR_TIMEOUT past the deadline; only the caller's abort rejects with `AbortError`.
 *
 * A carrier that ignores the signal may read bytes after the call has rejected: it must be closed then.
 */
export async function negotiation<T>(
  Failed: Failure,
  options: NegotiationOptions,
  negotiate: (options: AbortOptions) => Promise<T>
): Promise<T> {
  const { signal, timeout = NEGOTIATION_TIMEOUT_MS } = options
  if (isAborted(signal)) throw aborted(signal)
  // Keeps the process alive: an in-memory carrier does not, and the caller waits.
  const limit = new TimeLimit(timeout, signal)
  try {
    return await abortable(negotiate({ signal: limit.signal }), limit.signal)
  } catch (err) {
    if (isAborted(signal)) throw aborted(signal)
    if (limit.isUp) throw timedOut(Failed, timeout)
    // An unreadable line is always wrapped as the cause, on either side.
    if (err instanceof Failed && !(err instanceof MultiselectCommunicatorError)) throw err
    const reason = reasonOf(err)
    throw new Failed(`protocol negotiation failed: ${reason}`, { cause: err })
  } finally {
    limit.clear()
  }
}

function timedOut(Failed: Failure, timeout: number): MultiselectError {
  const cause = new TimeoutError(`timed out after ${timeout} ms`)
  return new Failed(`protocol negotiation timed out after ${timeout} ms`, {
    cause,
    code: 'ERR_TIMEOUT'
  })
}

const aCommunicator = objectWith('read', 'write')

/** Checks and returns the options. Throws `InvalidParametersError` for invalid options or communicator. */
export function negotiationOptions(
  communicator: MultiselectCommunicatorLike,
  options: NegotiationOptions = {}
): NegotiationOptions {
  aCommunicator(communicator, 'communicator')
  checkOptions(options, NEGOTIATION_CHECKS)
  return options
}

/** Reads the remote's first line. Rejects with `MultiselectError` for another version of multistream-select. */
export async function readHeader(
  communicator: MultiselectCommunicatorLike,
  options: AbortOptions
): Promise<void> {
  const text = await communicator.read(options)
  if (isValidHandshake(text)) return
  throw new MultiselectError(`expected /multistream/1.0.0, received ${JSON.stringify(text)}`)
}
