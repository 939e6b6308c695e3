import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { readHistory } from '../../bench/report/history.mjs'
import { html } from '../../bench/report/html.mjs'
import { page } from '../../bench/report/page.mjs'
import { axisOf, scale } from '../../bench/report/plot.mjs'
import { benchResult, upload } from '../support/bench-result.ts'
import { program } from '../support/cli.ts'

const text: string = page(benchResult())

test('values in a template are escaped once, nested templates are not', (t) => {
  const inner = html`<b>${'<&>"\''}</b>`
  t.is(
    String(html`<p title="${'"'}">${inner}${['a', html`<i>`]}${undefined}${null}${false}${0}</p>`),
    '<p title="&quot;"><b>&lt;&amp;&gt;&quot;&#39;</b>a<i>0</p>'
  )
})

test('names of the run cannot become markup', (t) => {
  t.true(text.includes('2 x CPU &lt;fast&gt; &amp; &quot;cheap&quot;'))
  t.true(text.includes('there is no &lt;zig&gt; | in PATH'))
  t.false(/<(fast|zig)/.test(text))
  const result = benchResult()
  result.peers.js.title = '"><script>alert(1)</script>'
  t.false(page(result).includes('<script'))
})

test('the page is self-contained: no address, no script, no file', (t) => {
  const references = [...text.matchAll(/\b(?:href|src|srcset|action|data)="([^"]*)"/g)].map(
    ([, target]) => target
  )
  t.true(references.length > 10)
  t.deepEqual(
    references.filter((target) => !target?.startsWith('#')),
    []
  )
  t.false(/<script|<link|<iframe|<img|\bon[a-z]+=|url\(|@import|https?:/i.test(text))
})

test('every reference within the page has its target, and no id occurs twice', (t) => {
  const ids = [...text.matchAll(/\bid="([^"]*)"/g)].map(([, id]) => id)
  t.deepEqual(
    ids.filter((id, index) => ids.indexOf(id) !== index),
    []
  )
  const targets = [
    ...[...text.matchAll(/\bhref="#([^"]*)"/g)].map(([, id]) => id),
    ...[...text.matchAll(/\baria-labelledby="([^"]*)"/g)].flatMap(([, names]) => names?.split(' '))
  ]
  t.deepEqual(
    targets.filter((id) => !ids.includes(id)),
    []
  )
})

test('every element that is opened is closed', (t) => {
  const open: string[] = []
  const markup = text.replace(/<style>.*<\/style>|<!doctype html>/gs, '')
  for (const [, close, name = '', empty] of markup.matchAll(/<(\/?)([a-z0-9]+)[^>]*?(\/?)>/gi)) {
    if (close === '/') t.is(open.pop(), name)
    else if (empty !== '/' && !['meta', 'br'].includes(name)) open.push(name)
  }
  t.deepEqual(open, [])
})

test('every round has a mark, an unfit one a different mark, a failed one none', (t) => {
  const marks = text.match(/<use class="dot[^>]*><title>round/g) ?? []
  // Per stack: ours 3, js 2, raw 3; without a stack 3 and 1.
  t.is(marks.length, 2 * 8 + 4)
  t.is(marks.filter((mark) => mark.includes('unfit')).length, 2)
})

test('missing, failed and unfit measurements are visible', (t) => {
  for (const note of [
    'zig-libp2p is missing:',
    '1 of 3 unfit, counted; load 3.1',
    '3 of 3 failed: refused',
    'Not measured: js-libp2p (has no such workload).',
    'missed</b> CPU ≤ 0.1x js-libp2p: 0.195x'
  ]) {
    t.true(text.includes(note), note)
  }
})

test('an axis begins at zero and holds every round, floor and aim', (t) => {
  const { end, ticks } = axisOf(upload())
  t.is(ticks[0], 0)
  t.is(ticks.at(-1), end)
  t.is(end, 5000)
  t.is(
    axisOf({
      peers: { ours: { rounds: [{ value: 10 }], median: 10 } },
      floors: [{ against: null, of: 'value', op: '<=', floor: 150, aim: 80 }]
    }).end,
    150
  )
  t.deepEqual(axisOf({ peers: { ours: { rounds: [{ error: 'x' }] } }, floors: [] }).ticks, [0, 1])
})

test('the scale has no more digits than it needs', (t) => {
  const ticks = [0, 0.25, 2, 2.5, 10, 100, 12_500, 20_000, 100_000, 1_000_000]
  const labels = String(scale({ end: 1_000_000, ticks })).matchAll(/>([^<>]+)<\/text>/g)
  const expected = ['0', '0.25', '2', '2.5', '10', '100', '12.5 k', '20 k', '100 k', '1 M']
  t.deepEqual(
    [...labels].map(([, label]) => label),
    expected
  )
})

test('history has the earlier runs of the same mode, and names unreadable files', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const runs = [
    { started: '2026-11-02T10:00:00Z', commit: 'bbbbbbbbb' },
    { started: '2026-11-01T10:00:00Z', commit: 'aaaaaaaaa' },
    { started: '2026-11-03T10:00:00Z', commit: 'ccccccccc', mode: 'quick' },
    { started: '2026-12-01T10:00:00Z', commit: 'ddddddddd' },
    { started: '2026-11-04T10:00:00Z', schema: 7 }
  ]
  for (const [index, run] of runs.entries()) {
    await writeFile(join(folder, `${index}.json`), JSON.stringify({ ...benchResult(), ...run }))
  }
  await writeFile(join(folder, 'notes.txt'), 'no result')
  const history = readHistory(folder)
  t.is(history.results.length, 4)
  t.deepEqual(history.leftOut, [
    `${join(folder, '4.json')}: expected a result of schema 1, received schema 7`
  ])
  const shown: string = page(benchResult(), history)
  t.true(
    shown.includes(
      '2026-11-01 aaaaaaa: 4.25x, 2026-11-02 bbbbbbb: 4.25x, 2026-11-21 0123456: 4.25x</title>'
    )
  )
  t.false(/ccccccc|ddddddd/.test(shown))
  t.true(shown.includes('received schema 7'))
})

test('history may be empty', (t) => {
  t.deepEqual(readHistory('no such folder'), { results: [], leftOut: [] })
})

test('the command makes the page and the tables of a file, and refuses an invalid one', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'a.json')
  const main = ['bench/report/main.mjs', file]
  await writeFile(file, JSON.stringify(benchResult()))
  const made = await program(process.execPath, [...main, '--html', join(folder, 'a.html')])
  t.is(made.code, 0, made.err)
  t.true((await readFile(join(folder, 'a.html'), 'utf8')).startsWith('<!doctype html>'))
  const tables = await program(process.execPath, main)
  t.true(tables.out.includes('## TCP, Noise, yamux'))
  await writeFile(file, JSON.stringify({ ...benchResult(), schema: 2 }))
  const refused = await program(process.execPath, main)
  t.is(refused.code, 1)
  t.is(refused.err, `${file}: expected a result of schema 1, received schema 2\n`)
})
