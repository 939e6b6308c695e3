// Processors: which of them a process runs on, and what it uses.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** The processor of the node and its legitimate peers, and that of the attacker and its sinks: two machines. */
export const NODE_PROCESSOR = 0
export const ATTACKER_PROCESSOR = 1

/** Makes a process and all of its threads run on one processor. */
export function pin(pid, processor) {
  const { status, error, stderr } = spawnSync('taskset', ['-acp', processor, pid].map(String), {
    encoding: 'utf8'
  })
  if (status !== 0) throw new Error(`taskset failed: ${error?.message ?? stderr.trim()}`)
}

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
