import { writeSync } from 'node:fs'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'

/** Milliseconds between two samples of the event loop; lateness beyond them is its delay. */
const SAMPLE_MS = 1

export function printLine(value) {
  writeSync(1, `${JSON.stringify(value)}\n`)
}

export function residentKiB() {
  return Math.round(process.memoryUsage.rss() / 1024)
}

let input

/** Prints `{"phase"}` with further figures, and waits for a line of input. */
export async function phase(name, figures = {}) {
  printLine({ phase: name, ...figures })
  input ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  await input.next()
}

/**
 * Serves `stats`, `watch` and `dial` until the input ends; `watch` monitors the event loop until the next command but
 * `dial`, whose answer is that of the function.
 */
export async function serveCommands(dial) {
  let watch
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.startsWith('dial ')) {
      printLine(await dial(line.slice('dial '.length)))
      continue
    }
    if (line !== 'stats' && line !== 'watch') throw new Error(`there is no command ${line}`)
    const { user, system } = process.cpuUsage()
    const figures = { rss_kb: residentKiB(), cpu_user_s: user / 1e6, cpu_sys_s: system / 1e6 }
    printLine({ ...figures, loop: watch?.() })
    watch = line === 'watch' ? watchLoop() : undefined
  }
}

/** Monitors the event loop until the returned function is called. */
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

/** A stopwatch that runs from its creation. */
export class Stopwatch {
  #cpu = process.cpuUsage()
  #start = performance.now()

  /** Returns the result line with a rate over operations. */
  stop(ops, bytes, latenciesMs = [], percents = [50, 99]) {
    const measured = this.#read()
    const line = { ops, bytes, seconds: measured.seconds, perSec: ops / measured.seconds }
    if (latenciesMs.length > 0) {
      const sorted = Float64Array.from(latenciesMs).sort()
      for (const percent of percents) {
        line[`p${String(percent).replace('.', '')}_us`] = percentile(sorted, percent) * 1e3
      }
    }
    return Object.assign(line, measured)
  }

  /** Returns the result line with a rate over bytes. */
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
