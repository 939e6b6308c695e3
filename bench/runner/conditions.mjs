// Whether the machine was fit to be measured on while a round ran.

import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { median } from '../report/statistics.mjs'

/** Part of the machine's processors from which others take what the bench is measured on. */
const FOREIGN_PART_MAX = 0.1
/** Percent of the time that the machine's host may give to others. */
const STEAL_MAX = 2
/** What the control, raw TCP, may differ by from its median in a round. */
const CONTROL_DRIFT_MAX = 0.1
/** The kernel tells times in hundredths of a second, on every architecture. */
const TICKS_PER_SECOND = 100
/** Under this process the kernel keeps its threads. */
const KERNEL_THREADS = 2

/**
 * What a run came to, under which conditions. The load average is recorded and flags nothing: it counts the peers' own
 * threads that wait for a processor, and raw TCP's server has one a connection.
 */
export async function underWatch(run) {
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
 * Ticks of the processes outside this one's group so far, those of their children that have ended included. The peers
 * are in the group; the kernel's own threads work for them.
 */
export function foreignTicks(processes, self = process.pid) {
  const own = processes.find(({ pid }) => pid === self)?.group
  return processes
    .filter(({ parent, group }) => group !== own && parent !== KERNEL_THREADS)
    .reduce((sum, { ticks }) => sum + ticks, 0)
}

/** What `/proc/<pid>/stat` tells of each process; nothing where there is no /proc. */
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
    // Behind the name, which may hold anything: state, parent, group, ..., and from the twelfth field four times.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [parent, group] = fields.slice(1, 3).map(Number)
    const ticks = fields.slice(11, 15).reduce((sum, count) => sum + Number(count), 0)
    return [{ pid: Number(pid), parent, group, ticks }]
  } catch {
    return [] // It ended since the folder was read.
  }
}

/** Rounds in which the control went astray, with what it did, by number. */
export function controlDrift(values) {
  const usual = median(values.filter(Number.isFinite))
  const drifts = values.map((value) => Math.abs(value / usual - 1))
  return new Map(
    drifts.flatMap((drift, round) =>
      drift > CONTROL_DRIFT_MAX ? [[round, `raw drifted ${Math.round(100 * drift)} %`]] : []
    )
  )
}

/** Ticks of all processors so far, and those stolen; zeroes where there is no /proc. */
function processorTicks() {
  try {
    const ticks = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/ +/).slice(1, 9)
    return { all: ticks.reduce((sum, count) => sum + Number(count), 0), steal: Number(ticks[7]) }
  } catch {
    return { all: 0, steal: 0 }
  }
}
