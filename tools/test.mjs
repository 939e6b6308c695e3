/**
 * Runs the Rust tests, the budgets and the TypeScript tests, passes their output through, and ends with one line
 * over all:
 *
 *     N passed, N failed, N skipped
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { stripVTControlCharacters } from 'node:util'
import { environment, ROOT } from './shared.mjs'

const total = { passed: 0, failed: 0, skipped: 0 }
const failures = []

await suite('cargo', ['test', '--workspace', '--no-fail-fast'], readCargoLine)
await suite('node', ['tools/budgets.mjs'], readCargoLine)
await suite('ava', process.argv.slice(2), readAvaLine)

if (failures.length > 0) {
  console.log('\nFailures:')
  for (const failure of failures) console.log(`  ${failure}`)
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 ? 1 : 0

async function suite(program, args, readLine) {
  const failedBefore = total.failed
  const code = await eachLine(program, args, readLine)
  if (code === 0 || total.failed > failedBefore) return
  // It did not build, or fell over without a failed test.
  total.failed += 1
  failures.push(`${program} ${args.join(' ')}: ended with code ${code}`)
}

function eachLine(program, args, readLine) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32'
    })
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr]
    ]) {
      createInterface({ input: from }).on('line', (line) => {
        to.write(`${line}\n`)
        readLine(stripVTControlCharacters(line))
      })
    }
    child.on('error', (err) => {
      console.error(`${program}: ${err.message}`)
      resolve(1)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}

function readCargoLine(line) {
  const result = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/.exec(line)
  if (result !== null) {
    total.passed += Number(result[1])
    total.failed += Number(result[2])
    total.skipped += Number(result[3])
  }
  const failed = /^test (.+) \.\.\. FAILED$/.exec(line)
  if (failed !== null) failures.push(`rust: ${failed[1]}`)
}

/** The last lines of ava say how many; everything that is neither a pass nor a skip is a failure. */
function readAvaLine(line) {
  const result =
    /^ {2}(\d+) (?:tests? (passed|failed|skipped|todo)|(?:hooks? failed|unhandled rejections?|uncaught exceptions?|tests? remained pending.*))$/.exec(
      line
    )
  if (result !== null) {
    const count = Number(result[1])
    if (result[2] === 'passed') total.passed += count
    else if (result[2] === 'skipped' || result[2] === 'todo') total.skipped += count
    else total.failed += count
  }
  const failed = /^ {2}✘ (.+)$/.exec(line)
  if (failed !== null) failures.push(`ava: ${failed[1]}`)
}
