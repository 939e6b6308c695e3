// Whether the machine was fit to be measured on while a round ran.

import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { median } from '../report/statistics.mjs'

/** Load average beside the bench's own from which others take its processors. */
const FOREIGN_LOAD_MAX = 2.5
/** Percent of the time that the machine's host may give to others. */
const STEAL_MAX = 2
/** What the control, raw TCP, may differ by from its median in a round. */
const CONTROL_DRIFT_MAX = 0.1
/** Seconds over which the first load average decays. */
const LOAD_PERIOD_S = 60

/** The load that this bench's own runs make, averaged as the kernel does it. */
let own = 0
let lastMs = performance.now()

/** Load and steal around one run. `run` gives its line; `cpuOf` what CPU seconds it took. */
export async function underWatch(run, cpuOf) {
  settle(0)
  const load = loadavg()[0]
  const foreign = load - own
  const before = processorTicks()
  const line = await run()
  settle(cpuOf(line))
  const after = processorTicks()
  const steal = (100 * (after.steal - before.steal)) / Math.max(1, after.all - before.all)
  const unfit = []
  if (foreign > FOREIGN_LOAD_MAX) unfit.push(`load ${load.toFixed(1)}`)
  if (steal > STEAL_MAX) unfit.push(`steal ${steal.toFixed(1)} %`)
  return { line, conditions: { load, steal, ...(unfit.length > 0 && { unfit: unfit.join(', ') }) } }
}

function settle(cpuSeconds) {
  const now = performance.now()
  const seconds = (now - lastMs) / 1_000
  lastMs = now
  const kept = Math.exp(-seconds / LOAD_PERIOD_S)
  own = own * kept + (1 - kept) * (seconds > 0 ? cpuSeconds / seconds : 0)
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
