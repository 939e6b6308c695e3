/** Closes that wait for the other side. */
import { TimeLimit } from '../base/abort.ts'
import { TimeoutError } from '../errors.ts'

/** Milliseconds that a close takes at most whose caller gives no signal: a peer that reads nothing does not hold it. */
export const CLOSE_MS = 60_000

/** Run `close` until the caller's signal is aborted, or else for a time of its own. */
export async function closing(
  signal: AbortSignal | undefined,
  close: (signal: AbortSignal) => Promise<void>
): Promise<void> {
  if (signal !== undefined) return close(signal)
  const limit = new TimeLimit(CLOSE_MS, undefined)
  // What holds the process, if anything, is what is closed.
  limit.unref()
  try {
    await close(limit.signal)
  } catch (err) {
    if (!limit.isUp) throw err
    throw new TimeoutError(`the other side took not everything within ${CLOSE_MS} ms`, {
      cause: err
    })
  } finally {
    limit.clear()
  }
}
