// Checks whether the machine was fit for measurements during a round.

import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { median } from '../report/statistics.mjs'

/** Maximum fraction of the machine's processors used by other processes. */
const FOREIGN_PART_MAX = 0.1
/** Maximum steal time, in percent. */
const STEAL_MAX = 2
/** Maximum relative deviation of the control, raw TCP, from its median. */
const CONTROL_DRIFT_MAX = 0.1
/** USER_HZ, which is 100 on every architecture. */
const TICKS_PER_SECOND = 100
/** Pid of kthreadd, the parent of the kernel's threads. */
const KERNEL_THREADS = 2

/**
 * Resolves to the line of a run and its conditions. The load average is only recorded: it includes the peers' own
 * threads that wait for a processor, of which raw TCP's server has one per connection.
 */
export async function withConditions(run) {
  const load = loadavg()[0]
  const before = processorTicks()
  const foreignBefore = foreignTicks(everyProcess())
  const started = performance.now()
  const line = await run()
  const seconds = (performance.now() - started) / 1_000
  const foreign = (foreignTicks(everyProcess()) - foreignBefore) / TICKS_PER_SECOND / seconds
  const after = processorTicks()
  const steal = (100 * (after.steal - before.steal)) / Math.max(1, after.all - before.all)
  const unfit = []
  if (foreign > FOREIGN_PART_MAX * availableParallelism()) {
    unfit.push(`others took ${foreign.toFixed(1)} processors`)
  }
  if (steal > STEAL_MAX) unfit.push(`steal ${steal.toFixed(1)} %`)
  return { line, conditions: { load, steal, ...(unfit.length > 0 && { unfit: unfit.join(', ') }) } }
}

/**
 * Returns the total ticks of processes outside this one's group, including their terminated children. The peers are in
 * the group; kernel threads are excluded, as they work for the peers.
 */
export function foreignTicks(processes, self = process.pid) {
  const own = processes.find(({ pid }) => pid === self)?.group
  return processes
    .filter(({ parent, group }) => group !== own && parent !== KERNEL_THREADS)
    .reduce((sum, { ticks }) => sum + ticks, 0)
}

/** Reads `/proc/<pid>/stat` of each process; empty without /proc. */
function everyProcess() {
  try {
    return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? processOf(name) : []))
  } catch {
    return []
  }
}

function processOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // After the name, which may contain anything: state, parent, group, ..., and four times from the twelfth field on.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [parent, group] = fields.slice(1, 3).map(Number)
    const ticks = fields.slice(11, 15).reduce((sum, count) => sum + Number(count), 0)
    return [{ pid: Number(pid), parent, group, ticks }]
  } catch {
    return [] // It has exited since the folder was read.
  }
}

/** Returns the rounds in which the control drifted, with the reason, by index. */
export function controlDrift(values) {
  const usual = median(values.filter(Number.isFinite))
  const drifts = values.map((value) => Math.abs(value / usual - 1))
  return new Map(
    drifts.flatMap((drift, round) =>
      drift > CONTROL_DRIFT_MAX ? [[round, `raw drifted ${Math.round(100 * drift)} %`]] : []
    )
  )
}

/** Returns the total ticks of all processors, and the stolen ones; zero without /proc. */
function processorTicks() {
  try {
    const ticks = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/ +/).slice(1, 9)
    return { all: ticks.reduce((sum, count) => sum + Number(count), 0), steal: Number(ticks[7]) }
  } catch {
    return { all: 0, steal: 0 }
  }
}
