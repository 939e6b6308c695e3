import { writeSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

export function printLine(value) {
  writeSync(1, `${JSON.stringify(value)}\n`)
}

export function residentKiB() {
  return Math.round(process.memoryUsage.rss() / 1024)
}

/** A stopwatch that is running from its making. */
export class Stopwatch {
  #cpu = process.cpuUsage()
  #start = performance.now()

  /** The result line with a rate over operations. */
  stop(ops, bytes, latenciesMs = []) {
    const measured = this.#read()
    const line = { ops, bytes, seconds: measured.seconds, perSec: ops / measured.seconds }
    if (latenciesMs.length > 0) {
      const sorted = Float64Array.from(latenciesMs).sort()
      line.p50_us = percentile(sorted, 50) * 1e3
      line.p99_us = percentile(sorted, 99) * 1e3
    }
    return Object.assign(line, measured)
  }

  /** The result line with a rate over bytes. */
  stopBulk(ops, bytes) {
    const measured = this.#read()
    return {
      ops,
      bytes,
      seconds: measured.seconds,
      MBps: bytes / 1e6 / measured.seconds,
      ...measured
    }
  }

  #read() {
    const seconds = (performance.now() - this.#start) / 1e3
    const cpu = process.cpuUsage(this.#cpu)
    return {
      seconds,
      cpu_user_s: cpu.user / 1e6,
      cpu_sys_s: cpu.system / 1e6,
      rss_kb: residentKiB()
    }
  }
}

function percentile(sorted, percent) {
  return sorted[Math.floor(((sorted.length - 1) * percent) / 100)]
}
