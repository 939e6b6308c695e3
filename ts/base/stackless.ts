/** Errors that no call of the application's leads to. */

/**
 * `work`, with the errors that it makes left without a stack.
 *
 * For what a record tells: there are but our own frames on the stack then, the same ones for each of them, and taking
 * them costs more than the rest of a stream's end. Nothing of the application's may run in `work`.
 */
export function stackless<T>(work: () => T): T {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return work()
  } finally {
    Error.stackTraceLimit = limit
  }
}
