/** Rounds of the benches, and their evaluation. */
import test from 'ava'
import { controlDrift, foreignTicks } from '../../bench/runner/conditions.mjs'
import { figuresOf } from '../../bench/runner/figures.mjs'
import { atLeast, cpuAtMost, ownAtMost } from '../../bench/runner/floors.mjs'
import { measureRounds } from '../../bench/runner/rounds.mjs'

const RATE = { id: 'rate', title: 'rate', unit: '/s', better: 'more' } as const

interface Line {
  readonly perSec?: number
  readonly seconds: number
}

interface Judged {
  readonly measured: number | null
  readonly held: boolean | null
  readonly aimReached: boolean | null
}

/** Returns a series whose figure is `perSec`. */
function series(more: object = {}) {
  return { figures: [{ ...RATE, value: (line: Line) => line.perSec, ...more }] }
}

const cpu = { unit: 'us/op', scale: 1e6, per: () => 1 }

/** Returns a round; its CPU time at each end defaults to 100 us. */
function round(perSec: number, more: object = {}, cpuSeconds = 1e-4) {
  const line = { perSec, cpu_user_s: cpuSeconds, cpu_sys_s: 0, server_cpu_s: cpuSeconds }
  return { line, load: 0, steal: 0, ...more }
}

test('only processes outside the group of the bench, and not those of the kernel, disturb a round', (t) => {
  const processes = [
    { pid: 1, parent: 0, group: 1, ticks: 3 },
    { pid: 9, parent: 2, group: 0, ticks: 100 },
    { pid: 20, parent: 1, group: 20, ticks: 1_000 },
    { pid: 21, parent: 20, group: 20, ticks: 1_000 },
    { pid: 30, parent: 1, group: 30, ticks: 40 }
  ]
  t.is(foreignTicks(processes, 21), 43)
})

test('each round begins with a different peer', async (t) => {
  const order: string[] = []
  const plan = { rounds: 3, secondsPerRound: 1 }
  await measureRounds(
    series(),
    ['a', 'b', 'c'],
    plan,
    async () => ({ perSec: 1, seconds: 1 }),
    (peer: string) => order.push(peer)
  )
  t.deepEqual(order, ['a', 'b', 'c', 'b', 'c', 'a', 'c', 'a', 'b'])
})

test('each peer gets enough work to fill a round', async (t) => {
  const speeds = { fast: 100_000, slow: 40 }
  const sizes: Record<string, number[]> = { fast: [], slow: [] }
  await measureRounds(
    { ...series(), first: 10 },
    Object.keys(speeds),
    { rounds: 1, secondsPerRound: 2 },
    async (peer: 'fast' | 'slow', size: number) => {
      sizes[peer]?.push(size)
      return { perSec: 1, seconds: size / speeds[peer] }
    },
    () => {}
  )
  // No step exceeds 16 times the previous one: a run that is too short is a poor estimate.
  t.deepEqual(sizes.fast, [10, 160, 2_560, 40_960])
  t.deepEqual(sizes.slow, [10, 80, 80])
})

test('a peer that fails is reported, and the others continue', async (t) => {
  const rounds = await measureRounds(
    { ...series(), first: 1 },
    ['ours', 'js'],
    { rounds: 2, secondsPerRound: 1 },
    async (peer: string) => {
      if (peer === 'js') throw new Error('it fell over')
      return { perSec: 5, seconds: 1 }
    },
    () => {}
  )
  const [figure] = figuresOf(series({ floors: { any: [atLeast('js', 2)] } }), rounds, {}, null)
  t.deepEqual(figure?.peers.js, {
    rounds: [{ error: 'it fell over' }, { error: 'it fell over' }]
  })
  t.like(figure?.peers.ours, { median: 5 })
  t.like(figure?.floors, [{ measured: null, held: null, aimReached: null }])
})

test('a line without its figure is a failed round', (t) => {
  const rounds = { ours: [{ line: { seconds: 1 }, load: 0, steal: 0 }] }
  const [figure] = figuresOf(series(), rounds, {}, null)
  t.deepEqual(figure?.peers.ours, { rounds: [{ error: 'the line has no rate' }] })
})

test('floors are judged by ratios, by CPU, and by our own figure', (t) => {
  const goals = [atLeast('js', 4, 6), cpuAtMost('js', 0.75, 0.5), ownAtMost(499), atLeast('go', 2)]
  const rounds = { ours: [round(500, {}, 6e-5)], js: [round(100)], rust: [round(50)] }
  const described = { ...series({ floors: { 'tcp-noise-yamux': goals } }), cpu }
  const [figure] = figuresOf(described, rounds, { net: 'no rate' }, 'tcp-noise-yamux')
  t.deepEqual(
    // go is not a peer of this run: its floor is omitted.
    figure?.floors.map(({ measured, held, aimReached }: Judged) => [measured, held, aimReached]),
    [
      [5, true, false],
      [0.6, true, false],
      [500, false, null]
    ]
  )
  t.deepEqual(figure?.peers.net, { rounds: [], missing: 'no rate' })
  t.deepEqual(figure?.peers.ours?.cpu, { unit: 'us/op', client: 60, server: 60 })
  const [other] = figuresOf(described, rounds, {}, 'tcp-tls-yamux')
  t.deepEqual(other?.floors, [])
})

test('a round in which raw TCP drifts from its median is flagged for all', async (t) => {
  t.deepEqual([...controlDrift([100, 109, 91, 88, 100]).keys()], [3])
  const raw = [100, 100, 100, 150]
  const rounds = await measureRounds(
    series(),
    ['ours', 'raw'],
    { rounds: 4, secondsPerRound: 1 },
    async (peer: string) => ({ perSec: peer === 'raw' ? raw.shift() : 10, seconds: 1 }),
    () => {}
  )
  for (const peer of ['ours', 'raw']) {
    t.deepEqual(
      rounds[peer]?.map(({ unfit }: { unfit?: string }) => /raw drifted 50 %/.test(unfit ?? '')),
      [false, false, false, true]
    )
  }
})
