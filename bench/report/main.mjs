// Reports of an existing result file: `node bench/report/main.mjs --help`.

import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { RESULTS, readHistory } from './history.mjs'
import { markdown } from './markdown.mjs'
import { page } from './page.mjs'
import { checkFigures, withFigures } from './readme.mjs'
import { readResult } from './result.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README = fileURLToPath(new URL('../../README.md', import.meta.url))

const USAGE = `usage: node bench/report/main.mjs FILE.json [--html OUT | --readme]
       node bench/report/main.mjs --check
  FILE.json     written by npm run bench -- --json FILE.json; its tables go to standard output
  --html OUT    writes a page instead, with the history of bench/results
  --readme      updates the figures of README.md instead
  --check       checks that README.md has the figures of the file that it names`

try {
  run(process.argv.slice(2))
} catch (err) {
  console.error(err.message)
  process.exitCode = 1
}

function run(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      html: { type: 'string' },
      readme: { type: 'boolean' },
      check: { type: 'boolean' },
      help: { type: 'boolean' }
    }
  })
  if (values.help) return console.log(USAGE)
  if (values.check) return check()
  if (positionals.length !== 1) throw new Error(USAGE)
  const result = readResult(positionals[0])
  if (values.readme) return writeReadme(positionals[0], result)
  if (values.html === undefined) return process.stdout.write(markdown(result))
  writeFileSync(values.html, page(result, readHistory(RESULTS)))
}

function writeReadme(path, result) {
  const file = relative(ROOT, path)
  if (!file.startsWith('bench/results/')) {
    throw new Error(`expected a committed file in bench/results, received ${file}`)
  }
  writeFileSync(README, withFigures(readFileSync(README, 'utf8'), file, result))
}

function check() {
  checkFigures(readFileSync(README, 'utf8'), (file) => readResult(join(ROOT, file)))
}
