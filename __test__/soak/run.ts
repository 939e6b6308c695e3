/**
 * Soak test: nodes on loopback that dial, open streams, close, tag, prune, gate and restart at random, in rounds. After
 * each round everything is closed, and what is left is measured: it must not grow.
 *
 *     npm run soak -- --minutes 30
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { type Random, seeded } from '../support/random.ts'
import { SoakNode } from './node.ts'
import { act, type Counts } from './operations.ts'
import { soakOptions } from './options.ts'

const ROUND_MS = 10_000

/** Operations under way at a time. */
const ACTORS = 12

/** Rounds until caches, pools and compiled code have their size. */
const WARM_UP = 2

/** What a process has left after a round. */
interface Left {
  readonly rss: number
  readonly heap: number
  readonly descriptors: number
  readonly threads: number
  /** Timers, sockets and others that Node.js knows of. */
  readonly handles: number
}

const options = soakOptions()
console.log(`soak: seed ${options.seed}, ${options.nodes} nodes, ${options.minutes} minutes`)
const random = seeded(options.seed)
const folder = mkdtempSync(join(tmpdir(), 'ferroswarm-soak-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const end = Date.now() + options.minutes * 60_000
const counts: Counts = {}
const history: Left[] = []
let violations: string[] = []
while (Date.now() < end && violations.length === 0) {
  violations = await round(random, Math.min(ROUND_MS, end - Date.now()))
  const left = await measure()
  history.push(left)
  console.log(
    `round ${history.length}:`,
    JSON.stringify({ ...left, rss: mib(left.rss), heap: mib(left.heap) })
  )
}
violations.push(...growth(history), ...idle(counts))
console.log('operations:', JSON.stringify(counts))
for (const violation of violations) console.log(`violation: ${violation}`)
console.log(violations.length === 0 ? 'soak: passed' : `soak: failed, seed ${options.seed}`)
process.exitCode = violations.length === 0 ? 0 : 1

/** Runs the nodes for a while and closes them; returns what went wrong. */
async function round(random: Random, ms: number): Promise<string[]> {
  const nodes = Array.from({ length: options.nodes }, (_, index) => {
    return new SoakNode(join(folder, `${index}.redb`))
  })
  await Promise.all(nodes.map((node) => node.start(random)))
  const until = Date.now() + ms
  const actor = async (): Promise<void> => {
    while (Date.now() < until) {
      await act(nodes, random, counts)
      await turn()
    }
  }
  await Promise.all(Array.from({ length: ACTORS }, actor))
  await Promise.all(nodes.map((node) => node.stop()))
  for (const node of nodes) node.remove()
  return nodes.flatMap((node) => node.violations)
}

async function measure(): Promise<Left> {
  // Threads and sockets end a moment after the call that ends them.
  await sleep(500)
  globalThis.gc?.()
  await turn()
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  return {
    rss,
    heap: heapUsed,
    descriptors: process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0,
    threads: process.platform === 'linux' ? readdirSync('/proc/self/task').length : 0,
    handles: process.getActiveResourcesInfo().length
  }
}

/** Returns the operations that nearly always were refused: a swarm that does nothing leaves nothing behind. */
function idle(counts: Counts): string[] {
  return Object.entries(counts).flatMap(([name, { done, refused }]) =>
    done + refused > 100 && done < (done + refused) / 10
      ? [`${name} was done ${done} times only`]
      : []
  )
}

/** Compares the last third with the middle one; returns what has grown. */
function growth(history: readonly Left[]): string[] {
  const steady = history.slice(WARM_UP)
  if (steady.length < 3) {
    console.log('too few rounds to see growth')
    return []
  }
  const third = Math.floor(steady.length / 3)
  const [middle, last] = [steady.slice(-2 * third, -third), steady.slice(-third)]
  // Allocators keep what they had once, so the memory of the process settles in steps.
  const rss = (steady.length < 12 ? 32 : 8) << 20
  const room: Left = { rss, heap: 1 << 20, descriptors: 0, threads: 0, handles: 0 }
  return Object.entries(room).flatMap(([name, most]) => {
    const key = name as keyof Left
    const grown = median(last, key) - median(middle, key)
    return grown > most ? [`${name} has grown by ${grown}, from ${median(middle, key)}`] : []
  })
}

/** Returns the middle value of a figure: an allocator that has returned memory once must not look like growth. */
function median(lefts: readonly Left[], key: keyof Left): number {
  const sorted = lefts.map((left) => left[key]).sort((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function mib(bytes: number): string {
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`
}
