/** Every bench scenario runs and its result is complete. Speed is not tested here. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { checkResult } from '../../bench/report/result.mjs'

const BENCH = join(import.meta.dirname, '..', '..', 'bench', 'run.mjs')

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

function bench(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BENCH, ...args], (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

test('a quick run measures every scenario, and its result file is complete', async (t) => {
  t.timeout(300_000, 'a machine that is busy with other tests')
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'result.json')
  const { code, out, err } = await bench('--quick', '--json', file)
  t.is(code, 0, err)
  const result = checkResult(JSON.parse(await readFile(file, 'utf8')))
  t.is(result.mode, 'quick')
  for (const { id, title, figures } of result.scenarios) {
    t.true(out.includes(`**${id} ${title}**`), id)
    for (const { title } of figures) t.true(out.includes(`| ${title}, `), title)
  }
  t.deepEqual(
    result.scenarios.map(({ id }: { id: string }) => id),
    ['S1', 'S2', 'S3', 'S4', 'S5', 'S6', 'S7', 'S8', 'S9', 'S12', 'S13', 'S14']
  )
})

test('an invalid argument exits with code 2 and a message', async (t) => {
  const calls: [string[], RegExp][] = [
    [['--peers', 'ours,kad'], /^there is no peer named kad: expected one of ours, /],
    [['S99'], /^there is no scenario named S99: expected one of S1, /],
    [['--quick', '--full'], /^expected one of --quick and --full/],
    [['--rounds', '0'], /^--rounds: expected a number above 0, received 0/],
    [['--colour'], /^Unknown option '--colour'/]
  ]
  for (const [args, message] of calls) {
    const { code, out, err } = await bench(...args)
    t.is(code, 2, args.join(' '))
    t.is(out, '')
    t.regex(err, message)
  }
})
