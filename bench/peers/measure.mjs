// Measurements for the lines of a peer in Node.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'

// Importing node:fs would instantiate all of its exports, which takes 4 ms of the measured start.
const { readFileSync } = process.getBuiltinModule('node:fs')

/** Sampling interval of the event loop in milliseconds; lateness beyond it is the delay. */
const SAMPLE_MS = 1

export function printLine(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Prints `{"phase"}` with `figures`, and waits for a line of input. */
export async function phase(name, figures = {}) {
  printLine({ phase: name, ...figures })
  input ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  await input.next()
}

let input

/** Closes the input, which would keep a client with phases alive. */
export function endPhases() {
  process.stdin.destroy()
}

/** Answers `stats` and `watch` until the input ends; the latter measures the event loop until the next command. */
export async function serveStats(counters) {
  let watch
  for await (const line of createInterface({ input: process.stdin })) {
    if (line !== 'stats' && line !== 'watch') throw new Error(`there is no command ${line}`)
    const { user, system } = process.cpuUsage()
    const figures = { rss_kb: residentKiB(), cpu_user_s: user / 1e6, cpu_sys_s: system / 1e6 }
    printLine({ ...figures, loop: watch?.(), counters: counters?.() })
    watch = line === 'watch' ? watchLoop() : undefined
  }
}

/** Measures the event loop until the returned function is called. */
function watchLoop() {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_MS })
  const before = performance.eventLoopUtilization()
  delay.enable()
  return () => {
    delay.disable()
    const { utilization } = performance.eventLoopUtilization(before)
    const late = (nanoseconds) => Math.max(0, nanoseconds / 1e3 - SAMPLE_MS * 1e3)
    return { p99_us: late(delay.percentile(99)), max_us: late(delay.max), utilization }
  }
}

/**
 * Starts a stopwatch, whose `stop` returns the result line. The line has the growth of the implementation's `counters`.
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
    /** Returns the result line of a workload counted in operations; latencies are in milliseconds. */
    stop: (ops, bytes, latencies, percents = [50, 99]) => {
      const line = read(ops, bytes)
      return { ...line, perSec: ops / line.seconds, ...percentiles(latencies, percents) }
    },
    /** Returns the result line of a transfer. */
    stopBulk: (ops, bytes) => {
      const line = read(ops, bytes)
      return { ...line, MBps: bytes / 1e6 / line.seconds }
    }
  }
}

/** Returns percentiles by name: `p50_us`, `p999_us` for 99.9, ... */
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

/** Returns the resident set size in KiB; as reported by Node on systems without /proc. */
export function residentKiB() {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1])
  } catch {
    return Math.round(process.memoryUsage.rss() / 1_024)
  }
}

/** Runs `operation(worker)` n times over concurrent workers; resolves to the latencies in milliseconds. */
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
