/** Resource usage of this process. Threads and descriptors are counted on Linux; 0 elsewhere. */
import { readdirSync } from 'node:fs'

const IS_LINUX = process.platform === 'linux'

/** Figures in which a leak would show. */
export interface ProcessFigures {
  readonly threads: number
  readonly descriptors: number
  readonly residentBytes: number
  /** Resident memory without JavaScript's heap and its buffers. */
  readonly nativeBytes: number
}

/** Returns the current figures. */
export function processFigures(): ProcessFigures {
  const { rss, heapTotal, external } = process.memoryUsage()
  return {
    threads: IS_LINUX ? readdirSync('/proc/self/task').length : 0,
    descriptors: IS_LINUX ? readdirSync('/proc/self/fd').length : 0,
    residentBytes: rss,
    nativeBytes: rss - heapTotal - external
  }
}

/** Returns the CPU time of all threads so far, in milliseconds. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
