/** Public errors of stream failures. */
import { abortable } from '../base/abort.ts'
import { StreamState } from '../constants.ts'
import {
  ERROR_CODES,
  type Libp2pError,
  StreamClosedError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  UnsupportedProtocolError
} from '../errors.ts'
import { nativeError } from '../native/native-error.ts'
import { FLAG_CONNECTION_LOST, FLAG_REMOTE } from '../native/record.ts'
import { reasonOf } from '../text/printable.ts'
import type { StreamOwner } from './owner.ts'

/** Returns the error of a call on a stream in RESET or ERROR: a new one, so that its stack is the call's. */
export function failureError(state: StreamState, failure: Libp2pError | undefined): StreamError {
  if (state === StreamState.ERROR) {
    return new StreamError(
      failure?.message ?? 'the stream failed',
      failure === undefined ? {} : { cause: failure, code: failure.code }
    )
  }
  if (failure instanceof StreamResetError) {
    const { errorCode, remote, cause } = failure
    return new StreamResetError(failure.message, { errorCode, remote, ...optional(cause) })
  }
  return new StreamResetError(optional(failure))
}

/** Returns the error of a write in this state, if any. */
export function writeRefusal(
  state: StreamState,
  failure: Libp2pError | undefined
): StreamError | undefined {
  if (state >= StreamState.RESET) return failureError(state, failure)
  return state === StreamState.CLOSE_WRITE || state === StreamState.CLOSE_BOTH
    ? new StreamClosedError('the stream was closed for writing')
    : undefined
}

/** Adds a cause to an error that was made before the cause was known. */
export function addCause(error: Error, cause: Error): void {
  // As `ErrorOptions` defines it: non-enumerable.
  Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
}

/** Returns the error of a reset record. If the connection ended, its error is the cause. */
export function resetFailure(
  wireCode: number,
  flags: number,
  owner: Pick<StreamOwner, 'lost'>
): StreamResetError {
  const lost = (flags & FLAG_CONNECTION_LOST) !== 0
  const remote = (flags & FLAG_REMOTE) !== 0
  const text = lost ? 'its connection ended' : remote ? 'by the remote' : 'here'
  const cause = lost ? owner.lost(wireCode) : undefined
  return new StreamResetError(`stream reset: ${text}, code ${wireCode}`, {
    errorCode: wireCode,
    remote,
    ...optional(cause)
  })
}

/** Wraps an error of an application muxer other than an end, reset or close. */
export function muxerFailure(operation: 'read' | 'write', cause: unknown): StreamError {
  return new StreamError(`${operation} operation failed: ${reasonOf(cause)}`, { cause })
}

/** Returns the error of a local reset. */
export function ownReset(errorCode: number, cause: Error | undefined): StreamResetError {
  return new StreamResetError('the stream was reset here', { errorCode, ...optional(cause) })
}

/** Returns the failure of a code; for a failed negotiation it lists the proposed protocols. */
export function faultOf(code: number, protocols: readonly string[]): Libp2pError {
  if (code !== ERROR_CODES.ERR_UNSUPPORTED_PROTOCOL) return nativeError(code)
  const names = protocols.map((name) => JSON.stringify(name)).join(', ')
  return new UnsupportedProtocolError(`the remote speaks none of ${names}`, { protocols })
}

function optional(cause: unknown): { cause?: unknown } {
  return cause === undefined ? {} : { cause }
}

/** Returns whether an error only means that a half has ended. */
export function isEnd(err: unknown): err is Libp2pError {
  return err instanceof StreamEOFError || err instanceof StreamClosedError
}

/**
 * The peer's pending answer to the only proposal of a stream. Whoever wrote and reads nothing learns of a refusal by an
 * end of the stream that waits for the answer, or comes after it.
 */
export class PendingAnswer {
  #awaited: PromiseWithResolvers<void> | undefined
  #isUnreported = false

  /** Whether the proposal failed, and no call has rejected for it yet. */
  get isUnreported(): boolean {
    return this.#isUnreported
  }

  get isAwaited(): boolean {
    return this.#awaited !== undefined
  }

  /** Resolves when the peer accepts, and rejects when the stream fails. */
  wait(signal: AbortSignal | undefined): Promise<void> {
    this.#awaited ??= Promise.withResolvers()
    return abortable(this.#awaited.promise, signal)
  }

  accept(): void {
    this.#awaited?.resolve()
  }

  /** Called before the stream fails, not by a local call; without a write there is nothing to report. */
  fail(hasWritten: boolean): void {
    this.#isUnreported = hasWritten
  }

  /** A call has rejected with the failure of the stream. */
  reported(): void {
    this.#isUnreported = false
  }

  reject(err: Error): void {
    const awaited = this.#awaited
    if (awaited === undefined) return
    markHandled(awaited.promise)
    awaited.reject(err)
  }

  /** Rejects for a failure that no call has rejected for. Ends that are called together share it. */
  refuse(err: Error): Promise<void> {
    queueMicrotask(() => this.reported())
    return markHandled(Promise.reject(err))
  }
}

/** Marks a rejection as handled: the caller may ignore it, as the stream has the error, too. */
function markHandled(promise: Promise<void>): Promise<void> {
  promise.catch(() => {})
  return promise
}
