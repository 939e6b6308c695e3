/** Closes that wait for the other side. */
import { TimeoutError } from '../errors.ts'

/** Milliseconds that a close takes at most whose caller gives no signal: a peer that reads nothing does not hold it. */
export const CLOSE_MS = 60_000

/** Run `close` until the caller's signal is aborted, or else for a time of its own. */
export async function closing(
  signal: AbortSignal | undefined,
  close: (signal: AbortSignal) => Promise<void>
): Promise<void> {
  if (signal !== undefined) return close(signal)
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new TimeoutError()), CLOSE_MS)
  // What holds the process, if anything, is what is closed.
  timer.unref()
  try {
    await close(late.signal)
  } catch (err) {
    if (!late.signal.aborted) throw err
    throw new TimeoutError(`the other side took not everything within ${CLOSE_MS} ms`, {
      cause: err
    })
  } finally {
    clearTimeout(timer)
  }
}
