import test from 'ava'
import { markdown } from '../../bench/report/markdown.mjs'
import { digits, notesOf, standing } from '../../bench/report/words.mjs'
import { benchResult } from '../support/bench-result.ts'

const text: string = markdown(benchResult())

/** Returns the cells of a row by the headings of its table. */
function cellsOf(section: string, title: string) {
  const lines = text.slice(text.indexOf(`## ${section}`)).split('\n')
  const cells = (line = '') =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim())
  const heads = cells(lines.find((line) => line.startsWith('| figure')))
  const row = cells(lines.find((line) => line.startsWith(`| ${title}`)))
  return Object.fromEntries(heads.map((head, index) => [head, row[index]]))
}

test('one table per stack, and one for scenarios without a stack', (t) => {
  t.deepEqual(text.match(/^## .*$/gm), [
    '## TCP, Noise, yamux',
    '## TCP, TLS 1.3, yamux',
    '## Any stack'
  ])
})

test('a scenario has its own line above its figures', (t) => {
  t.regex(text, /^\| \*\*S1 Bulk, one stream\*\* (\| {2})+\|\n\| upload, one stream, MB\/s \|/m)
})

test('a figure has its median and spread, the CPU of both ends, and the ratio with its interval', (t) => {
  const cells = cellsOf('TCP, Noise', 'upload')
  t.is(cells.ferroswarm, '**1000** [900-1100]; 0.700 + 0.600 ns/B; 1 of 3 unfit, counted')
  t.is(
    cells['js-libp2p'],
    '**225** [200-250]; ours **4.25x** [4.00-4.50], CPU 0.195x; 1 of 3 failed: the client ended with exit code 1'
  )
  t.is(cells['raw TCP'], '**4100** [4000-4200]; ours **0.243x** [0.225-0.262]')
})

test('unfit rounds count if too few others remain, and are left out otherwise', (t) => {
  const fit = [{ value: 1 }, { value: 2 }, { value: 3 }]
  const unfit = { value: 9, unfit: 'steal 9 %' }
  t.deepEqual(notesOf({ rounds: [...fit, unfit] }), ['1 of 4 unfit, left out'])
  t.deepEqual(notesOf({ rounds: [...fit.slice(1), unfit] }), ['1 of 3 unfit, counted'])
})

test('a peer without a figure shows the reason', (t) => {
  t.is(cellsOf('TCP, Noise', 'upload')['go-libp2p'], '3 of 3 failed: refused')
  t.is(cellsOf('Any stack', 'start of a process')['js-libp2p'], 'has no such workload')
})

test('floors are held, missed or not judged, and an aim follows its floor', (t) => {
  t.is(
    cellsOf('TCP, Noise', 'upload')['floors and aims'],
    'held ≥ 4x js-libp2p: 4.25x, aim 5.5x not reached; **missed** CPU ≤ 0.1x js-libp2p: 0.195x; ' +
      'not judged ≥ 1.2x go-libp2p: -, aim 2x not judged'
  )
  t.is(
    cellsOf('Any stack', 'start of a process')['floors and aims'],
    'held ≤ 150 ms: 75.0, aim 80 ms reached'
  )
  t.is(cellsOf('Any stack', 'heap at rest')['floors and aims'], '')
  t.regex(text, /^Floors: 3 held, 2 missed, 2 not judged; 1 of 5 aims reached\.$/m)
})

test('a missing peer has a line', (t) => {
  t.regex(text, /^- \*\*zig-libp2p is missing\*\*: there is no <zig> \| in PATH$/m)
})

test('an aim alone is not a floor', (t) => {
  const result = benchResult()
  const floors = result.scenarios[0]?.figures[0]?.floors ?? []
  floors.splice(0, 3, {
    against: 'js',
    of: 'value',
    op: '>=',
    floor: null,
    aim: 4,
    measured: 4.25,
    held: null,
    aimReached: true
  } as never)
  t.true(markdown(result).includes('| aim ≥ 4x js-libp2p: 4.25x, reached |'))
})

test('numbers have three significant digits', (t) => {
  const cases: [number, string][] = [
    [0, '0'],
    [0.01234, '0.0123'],
    [1, '1.00'],
    [12.345, '12.3'],
    [999.6, '1000'],
    [9994, '9994'],
    [12_345, '12.3 k'],
    [999_600, '1.00 M'],
    [4_761_234, '4.76 M'],
    [Number.NaN, '-']
  ]
  for (const [value, text] of cases) t.is(digits(value), text)
})

test('ours is ahead or behind only if the interval excludes 1', (t) => {
  t.is(standing({ low: 1.1, high: 1.2 }, 'more'), 'ahead')
  t.is(standing({ low: 1.1, high: 1.2 }, 'less'), 'behind')
  t.is(standing({ low: 0.8, high: 0.9 }, 'less'), 'ahead')
  t.is(standing({ low: 0.8, high: 0.9 }, 'more'), 'behind')
  t.is(standing({ low: 0.9, high: 1.1 }, 'more'), 'even')
  t.is(standing({ low: 1.1, high: 1.1 }, 'more'), '', 'one round')
})
