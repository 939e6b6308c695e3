/**
 * Terminates workers under traffic, all in one process, and prints what they leave behind.
 *
 *     node terminations.ts <workers> <at once> <seed>
 */
import { Worker } from 'node:worker_threads'
import { type ProcessFigures, processFigures } from '../process-figures.ts'
import { seeded } from '../random.ts'

/** The report, printed as JSON. */
export interface TerminationsReport {
  readonly base: ProcessFigures
  readonly after: ProcessFigures
  /** Workers that were terminated with their traffic flowing. */
  readonly flowing: number
  readonly errors: readonly string[]
}

// Workers before the base is measured: the first ones fill caches and arenas of the allocators.
const WARM_UP = 12
// Approximate time from the start of a worker to its traffic.
const START_MS = 250

const [workers, atOnce, seed] = process.argv.slice(2).map(Number) as [number, number, number]
const random = seeded(seed)
const errors: string[] = []
let flowing = 0

async function terminateOne(): Promise<void> {
  const worker = new Worker(new URL('traffic.ts', import.meta.url))
  worker.on('error', (err) => errors.push(String(err)))
  const started = new Promise((resolve) => worker.once('message', resolve))
  let flows = false
  // Half are terminated anywhere in their start, half during their traffic.
  if (random(2) === 0) {
    await pause(random(START_MS))
  } else {
    await started
    flows = true
    await pause(random(30))
  }
  await worker.terminate()
  if (flows) flowing += 1
}

async function terminateMany(count: number): Promise<void> {
  let left = count
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await terminateOne()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Returns the figures once threads have exited, shortly after they report it. */
async function figuresAfterExit(threads: number): Promise<ProcessFigures> {
  globalThis.gc?.()
  let figures = processFigures()
  for (let polls = 0; polls < 500 && figures.threads > threads; polls += 1) {
    await pause(10)
    figures = processFigures()
  }
  return figures
}

const { threads } = processFigures()
await terminateMany(WARM_UP)
const base = await figuresAfterExit(threads)
flowing = 0
await terminateMany(workers)
const after = await figuresAfterExit(base.threads)
const report: TerminationsReport = { base, after, flowing, errors }
console.log(JSON.stringify(report))
