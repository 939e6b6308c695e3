/**
 * Runs the Rust tests, the budgets and the TypeScript tests, forwards their output, and ends with a summary:
 *
 *     N passed, N failed, N skipped
 *
 * Interop tests are included for the implementations already built by `npm run test:interop`; if CI is set, all are
 * built and tested. `--interop` runs only these tests, and builds missing implementations.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { stripVTControlCharacters } from 'node:util'
import { builtPeers } from '../interop/build.mjs'
import { environment, ROOT } from './shared.mjs'

/** Suites that need no other implementation. */
const OWN_SUITES = ['__test__/unit/**/*.spec.ts', '__test__/integration/**/*.spec.ts']
const INTEROP_SUITES = ['__test__/interop/**/*.spec.ts']
const CARGO_TEST = ['test', '--no-fail-fast']

const total = { passed: 0, failed: 0, skipped: 0 }
const failures = []

const isInterop = process.argv[2] === '--interop'
const requested = process.argv.slice(isInterop ? 3 : 2)
// Undefined stands for all, built if necessary.
const peers = isInterop || process.env.CI !== undefined ? undefined : await builtPeers()
const isWithoutPeers = requested.length === 0 && peers?.length === 0
const extra = peers === undefined ? {} : { FERROSWARM_TEST_PEERS: peers.join(' ') }

if (isInterop) {
  await suite('cargo', [...CARGO_TEST, '--workspace', '--test', 'interop'])
  await suite('ava', requested.length === 0 ? INTEROP_SUITES : requested)
} else {
  await suite('cargo', [...CARGO_TEST, '--workspace'])
  await suite('node', ['tools/budgets.mjs'])
  await suite('ava', isWithoutPeers ? OWN_SUITES : requested)
}

if (failures.length > 0) {
  console.log('\nFailures:')
  for (const failure of failures) console.log(`  ${failure}`)
}
if (isWithoutPeers) {
  console.log('\nWithout other implementations: "npm run test:interop" builds and tests them.')
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 ? 1 : 0

async function suite(program, args) {
  const failedBefore = total.failed
  const code = await eachLine(program, args, program === 'ava' ? readAvaLine : readCargoLine)
  if (code === 0 || total.failed > failedBefore) return
  // The build failed, or the run crashed without a failed test.
  total.failed += 1
  failures.push(`${program} ${args.join(' ')}: ended with code ${code}`)
}

function eachLine(program, args, readLine) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: environment(extra),
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
  // Printed by tests that skip themselves, which cargo counts as passed.
  if (line.startsWith('skipped: ')) {
    total.passed -= 1
    total.skipped += 1
  }
  const failed = /^test (.+) \.\.\. FAILED$/.exec(line)
  if (failed !== null) failures.push(`rust: ${failed[1]}`)
}

/** Parses the counts in ava's last lines; everything other than a pass or a skip is a failure. */
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
