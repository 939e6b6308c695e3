/** Time limits of closes that wait for the remote. */
import { TimeLimit } from '../base/abort.ts'
import { TimeoutError } from '../errors.ts'

/** Maximum milliseconds of a close without a signal, so that a peer which reads nothing cannot block it. */
export const CLOSE_MS = 60_000

/** Runs `close` until the caller's signal is aborted or, without one, for {@link CLOSE_MS}. */
export async function closing(
  signal: AbortSignal | undefined,
  close: (signal: AbortSignal) => Promise<void>
): Promise<void> {
  if (signal !== undefined) return close(signal)
  const limit = new TimeLimit(CLOSE_MS, undefined)
  // Only the carrier being closed may keep the process alive.
  limit.unref()
  try {
    await close(limit.signal)
  } catch (err) {
    if (!limit.isUp) throw err
    throw new TimeoutError(`the remote did not accept everything within ${CLOSE_MS} ms`, {
      cause: err
    })
  } finally {
    limit.clear()
  }
}
