// What the lines of a peer in Node are made of.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'

// An import of node:fs makes the module's every export, which is 4 ms of a start that is measured.
const { readFileSync } = process.getBuiltinModule('node:fs')

/** Milliseconds between two looks at the event loop; what it comes late beyond them is its delay. */
const LOOK_MS = 1

export function printLine(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Prints `{"phase"}` with what else there is to tell, and waits for a line of input. */
export async function phase(name, figures = {}) {
  printLine({ phase: name, ...figures })
  input ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  await input.next()
}

let input

/** A client that read phases lets go of its input, which would keep it alive. */
export function endPhases() {
  process.stdin.destroy()
}

/** The server's commands, until its input ends: `stats`, and `watch`, which watches the event loop until the next. */
export async function tellStats(counters) {
  let watch
  for await (const line of createInterface({ input: process.stdin })) {
    if (line !== 'stats' && line !== 'watch') throw new Error(`there is no command ${line}`)
    const { user, system } = process.cpuUsage()
    const figures = { rss_kb: residentKiB(), cpu_user_s: user / 1e6, cpu_sys_s: system / 1e6 }
    printLine({ ...figures, loop: watch?.(), counters: counters?.() })
    watch = line === 'watch' ? watchLoop() : undefined
  }
}

/** Watches the event loop until the answer is called. */
function watchLoop() {
  const delay = monitorEventLoopDelay({ resolution: LOOK_MS })
  const before = performance.eventLoopUtilization()
  delay.enable()
  return () => {
    delay.disable()
    const { utilization } = performance.eventLoopUtilization(before)
    const late = (nanoseconds) => Math.max(0, nanoseconds / 1e3 - LOOK_MS * 1e3)
    return { p99_us: late(delay.percentile(99)), max_us: late(delay.max), utilization }
  }
}

/**
 * Runs from its making; `stop` gives the line. `counters` are those of the implementation: their growth is told.
 */
export function startWatch(counters) {
  const counted = counters?.()
  const usage = process.cpuUsage()
  const start = performance.now()
  const read = (ops, bytes) => {
    const seconds = (performance.now() - start) / 1_000
    const { user, system } = process.cpuUsage(usage)
    const growth = counted && difference(counters(), counted)
    return {
      ops,
      bytes,
      seconds,
      cpu_user_s: user / 1e6,
      cpu_sys_s: system / 1e6,
      rss_kb: residentKiB(),
      counters: growth
    }
  }
  return {
    /** The line of a workload counted in operations; latencies in milliseconds. */
    stop: (ops, bytes, latencies, percents = [50, 99]) => {
      const line = read(ops, bytes)
      return { ...line, perSec: ops / line.seconds, ...percentiles(latencies, percents) }
    },
    /** The line of a transfer. */
    stopBulk: (ops, bytes) => {
      const line = read(ops, bytes)
      return { ...line, MBps: bytes / 1e6 / line.seconds }
    }
  }
}

/** `p50_us`, `p999_us` for 99.9, ... */
function percentiles(latencies, percents) {
  if (latencies === undefined || latencies.length === 0) return {}
  const sorted = Float64Array.from(latencies).sort()
  const at = (percent) => sorted[Math.floor(((sorted.length - 1) * percent) / 100)] * 1_000
  const name = (percent) => `p${String(percent).replace('.', '')}_us`
  return Object.fromEntries(percents.map((percent) => [name(percent), at(percent)]))
}

function difference(after, before) {
  return Object.fromEntries(Object.entries(after).map(([name, n]) => [name, n - before[name]]))
}

/** The resident set; where the system has no /proc, as Node tells it. */
export function residentKiB() {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1])
  } catch {
    return Math.round(process.memoryUsage.rss() / 1_024)
  }
}

/** `operation(worker)` n times by so many workers; how long each took, in milliseconds. */
export async function eachOf(n, workers, operation) {
  const latencies = new Float64Array(n)
  let next = 0
  const work = async (worker) => {
    while (next < n) {
      const index = next
      next += 1
      const start = performance.now()
      await operation(worker, index)
      latencies[index] = performance.now() - start
    }
  }
  await Promise.all(Array.from({ length: Math.min(workers, n) }, (_, worker) => work(worker)))
  return latencies
}
