// Time of the processors: what the processes of a case use, and what all others leave to them.

import { readdirSync, readFileSync } from 'node:fs'

/** Ticks of /proc/stat are 10 ms. */
const TICK_MS = 10

/** Returns the CPU time of a process so far, in milliseconds; exited threads are left out. */
export function processorMsOf(pid) {
  let nanoseconds = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(
        readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]
      )
    } catch {
      // It has just exited.
    }
  }
  return nanoseconds / 1e6
}

/**
 * Returns the CPU time so far that was available to processes, in milliseconds: used by them, or idle. Work divided by
 * its increase is comparable on a machine that is busy with something else.
 */
export function availableMs(pids) {
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].trim().split(/ +/)
  const idleMs = (Number(ticks[3]) + Number(ticks[4])) * TICK_MS
  return pids.reduce((sum, pid) => sum + processorMsOf(pid), idleMs)
}
