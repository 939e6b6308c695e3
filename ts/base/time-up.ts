/** Which aborts are deadlines. */

/** Whether `signal` is one of `AbortSignal.timeout`, or of a deadline of ours. */
export function isTimeUp(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && signal.reason?.name === 'TimeoutError'
}
