// What a result line is made of.

import { readFileSync } from 'node:fs'

export function printLine(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Runs from its making; `stop` gives the part of the line that a clock and the system know. */
export function startWatch() {
  const usage = process.cpuUsage()
  const start = performance.now()
  const read = (ops, bytes) => {
    const seconds = (performance.now() - start) / 1_000
    const { user, system } = process.cpuUsage(usage)
    return {
      ops,
      bytes,
      seconds,
      cpu_user_s: user / 1e6,
      cpu_sys_s: system / 1e6,
      rss_kb: residentKiB()
    }
  }
  return {
    /** The line of a workload counted in operations; latencies in milliseconds. */
    stop: (ops, bytes, latencies) => {
      const line = read(ops, bytes)
      return { ...line, perSec: ops / line.seconds, ...percentiles(latencies) }
    },
    /** The line of a transfer. */
    stopBulk: (ops, bytes) => {
      const line = read(ops, bytes)
      return { ...line, MBps: bytes / 1e6 / line.seconds }
    }
  }
}

function percentiles(latencies) {
  if (latencies === undefined || latencies.length === 0) return {}
  const sorted = Float64Array.from(latencies).sort()
  const at = (percent) => sorted[Math.floor(((sorted.length - 1) * percent) / 100)] * 1_000
  return { p50_us: at(50), p99_us: at(99) }
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
