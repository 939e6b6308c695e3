import test from 'ava'
import { checkFigures, withFigures } from '../../bench/report/readme.mjs'
import { benchResult } from '../support/bench-result.ts'

const FILE = 'bench/results/a.json'
const EMPTY = `# title\n\n<!-- figures of ${FILE} -->\n<!-- end of the figures -->\n\nbelow\n`

const filled: string = withFigures(EMPTY, FILE, benchResult())

test('figures replace the text between the markers, and nothing else', (t) => {
  t.true(filled.startsWith('# title\n\n<!-- figures of'))
  t.true(filled.endsWith('<!-- end of the figures -->\n\nbelow\n'))
  t.is(withFigures(filled, FILE, benchResult()), filled)
  t.true(
    withFigures(filled, 'bench/results/b.json', benchResult()).includes(
      '<!-- figures of bench/results/b.json -->'
    )
  )
})

test('a row has a figure over every stack, with its ratio and its CPU time ratio', (t) => {
  t.true(
    filled.includes(
      '| upload, one stream, MB/s | **1000** | 4.25x (0.20) |  | **1000** | 4.25x (0.20) |  |'
    )
  )
  t.true(filled.includes('| start of a process to listening, ms | **75.0** |  |  |'))
  t.false(filled.includes('heap at rest'), 'has no floor')
})

test('the command, the commit, floors and missing peers follow the table, in lines that fit', (t) => {
  const text = filled.replaceAll('\n', ' ')
  t.true(text.includes(`\`${benchResult().command}\` on 2026-11-21, commit 0123456789ab`))
  t.true(
    text.includes(
      '3 of 7 floors held; 2 of 28 rounds unfit, 8 failed. zig-libp2p is missing: there is no <zig> | in PATH. '
    )
  )
  for (const line of filled.split('\n')) t.true(line.length <= 140 || line.startsWith('|'))
})

test('a README that agrees with its file passes, and no other', (t) => {
  const read = (file: string) => {
    t.is(file, FILE)
    return benchResult()
  }
  t.notThrows(() => checkFigures(filled, read))
  const message = /^README\.md differs from bench\/results\/a\.json/
  t.throws(() => checkFigures(filled.replace('4.25x', '4.26x'), read), { message })
  t.throws(() => checkFigures(EMPTY, read), { message })
  const other = benchResult()
  other.rounds = 7
  t.throws(() => checkFigures(filled, () => other), { message })
})

test('a README without markers is an error', (t) => {
  t.throws(() => checkFigures('# title\n', benchResult), {
    message: /README\.md has no figures between/
  })
})
