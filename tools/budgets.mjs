/**
 * Counts the cost of the data path under valgrind, and compares it with the committed budgets.
 *
 *     node tools/budgets.mjs            one line per budget, in the format of cargo test
 *     node tools/budgets.mjs --update   writes crates/budgets/baseline.json and prints the changes
 *
 * Counts the instructions of Rust functions only: those of libc and the cipher depend on the processor, so calls of
 * libc are counted instead. If counting is impossible, one line states the reason: a failure if CI is set, otherwise
 * ignored.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addonBuild, environment, firstLine, ROOT, run, stop } from './shared.mjs'

const BASELINE = join(ROOT, 'crates', 'budgets', 'baseline.json')
const BUILD = addonBuild()

/** Tolerance for differences between builds of the same compiler version, and between linkers. */
const INSTRUCTIONS_TOLERANCE = 0.02

/** Calls of libc whose cost depends on the size or on a lock. */
const CALLS = {
  copies: /mem(?:cpy|move)/,
  fills: /memset|bzero/,
  allocations: /^(?:malloc|calloc|realloc|aligned_alloc|posix_memalign)$/
}

/**
 * Limits for two connected nodes, per MiB or stream and both ends together: dhat's totals of `more` minus those of
 * `less`. Thread scheduling varies between runs, so these have a margin.
 */
const TRAFFIC = [
  {
    ...{ name: 'bulk_bytes_copied_a_byte', traffic: 'bulk', less: 8, more: 40 },
    ...{ mode: 'copy', of: (total) => total.bytes / 2 ** 20, most: 4.3 }
  },
  {
    ...{ name: 'bulk_allocations_a_mib', traffic: 'bulk', less: 8, more: 40 },
    ...{ mode: 'heap', of: (total) => total.blocks, most: 32 }
  },
  {
    ...{ name: 'stream_bytes_copied', traffic: 'streams', less: 200, more: 1_000 },
    ...{ mode: 'copy', of: (total) => total.bytes, most: 9_900 }
  },
  {
    ...{ name: 'stream_allocations', traffic: 'streams', less: 200, more: 1_000 },
    ...{ mode: 'heap', of: (total) => total.blocks, most: 18 }
  }
]

const unavailable = unavailableReason()
if (process.argv.includes('--update')) {
  if (unavailable !== undefined) stop(`No budget was counted: ${unavailable}.`)
  await build()
  await update()
} else {
  await check()
}

/** Returns why counting is impossible here, if it is. */
function unavailableReason() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `the baseline is for linux x64, not ${process.platform} ${process.arch}`
  }
  if (firstLine('valgrind', ['--version']) === undefined) {
    return 'valgrind is required; on Debian "apt-get install valgrind"'
  }
}

async function build() {
  const code = await run('cargo', [...BUILD.args, '--package', 'ferroswarm-budgets'])
  if (code !== 0) stop('The counted programs could not be built: see the output of cargo above.')
}

async function check() {
  const found = { passed: 0, failed: 0, ignored: 0 }
  const report = (name, fault) => {
    found[fault === undefined ? 'passed' : 'failed'] += 1
    if (fault !== undefined) console.log(`budget ${name}: ${fault}`)
    console.log(`test budget ${name} ... ${fault === undefined ? 'ok' : 'FAILED'}`)
  }
  if (unavailable !== undefined) {
    const outcome = process.env.CI === undefined ? 'ignored' : 'failed'
    found[outcome] += 1
    const word = outcome === 'failed' ? 'FAILED' : outcome
    console.log(`test the budgets cannot be counted: ${unavailable} ... ${word}`)
  } else {
    await build()
    const counted = await countInstructions()
    const baseline = readBaseline()
    for (const name of new Set([...Object.keys(counted), ...Object.keys(baseline)])) {
      report(name, differs(baseline[name], counted[name]))
    }
    for (const budget of TRAFFIC) report(budget.name, exceeds(budget, await countTraffic(budget)))
  }
  const { passed, failed, ignored } = found
  const word = failed === 0 ? 'ok' : 'FAILED'
  console.log(`test result: ${word}. ${passed} passed; ${failed} failed; ${ignored} ignored;`)
  process.exitCode = failed === 0 ? 0 : 1
}

async function update() {
  const counted = await countInstructions()
  const baseline = readBaseline()
  for (const [name, now] of Object.entries(counted)) {
    console.log(`${name}: ${shown(now)}${change(baseline[name], now)}`)
  }
  for (const name of Object.keys(baseline)) {
    if (counted[name] === undefined) console.log(`${name}: removed`)
  }
  writeFileSync(BASELINE, `${JSON.stringify(counted, null, 2)}\n`)
}

function readBaseline() {
  return JSON.parse(readFileSync(BASELINE, 'utf8'))
}

function shown(counts) {
  return Object.entries(counts)
    .map(([key, count]) => `${count} ${key}`)
    .join(', ')
}

function change(before, now) {
  if (before === undefined) return '; new'
  if (shown(before) === shown(now)) return ''
  const percent = 100 * (now.instructions / before.instructions - 1)
  return `; before: ${shown(before)} (${percent.toFixed(1)} %)`
}

/** Returns how the counts of a case differ, if they do; fewer count as well, as a baseline that is too high has no effect. */
function differs(expected, counted) {
  if (expected === undefined) return 'has no baseline: npm run budgets -- --update'
  if (counted === undefined) return 'is in the baseline but no longer counted'
  const { instructions, ...calls } = counted
  const { instructions: most, ...expectedCalls } = expected
  const isNear = Math.abs(instructions - most) <= INSTRUCTIONS_TOLERANCE * most
  if (isNear && shown(calls) === shown(expectedCalls)) return undefined
  return `${shown(counted)}${change(expected, counted)}. If intended: npm run budgets -- --update`
}

function exceeds({ name, most }, count) {
  console.log(`budget ${name}: ${count.toFixed(2)} of at most ${most}`)
  return count <= most ? undefined : `${count.toFixed(2)} is more than ${most}`
}

/** Returns the counts of one round, by case. */
async function countInstructions() {
  const parent = join(ROOT, 'target')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'budgets-'))
  try {
    const output = await valgrind(
      [
        '--tool=callgrind',
        // Code outside of it has separate profiles, between those of the cases.
        '--dump-before=instructions::measured',
        '--dump-after=instructions::measured',
        '--compress-strings=no',
        '--compress-pos=no',
        `--callgrind-out-file=${join(folder, 'profile')}`
      ],
      'instructions'
    )
    const cases = [...output.matchAll(/^(\w+) (\d+)$/gm)]
    const profiles = readdirSync(folder).filter((name) => /^profile\.\d+$/.test(name))
    if (cases.length === 0 || profiles.length !== 2 * cases.length) {
      stop(`callgrind wrote ${profiles.length} profiles of ${cases.length} cases:\n${output}`)
    }
    return Object.fromEntries(
      cases.map(([, name, rounds], index) => {
        const profile = readFileSync(join(folder, `profile.${2 * index + 2}`), 'utf8')
        return [name, countsOf(profile, Number(rounds))]
      })
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Sums the instructions of Rust functions and their calls of libc. Names of C functions have no path. */
function countsOf(profile, rounds) {
  const sums = { instructions: 0, copies: 0, fills: 0, allocations: 0 }
  let isRust = false
  let callee = ''
  let isInclusive = false
  for (const line of profile.split('\n')) {
    const [, key, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (key === 'fn') isRust = value.includes('::')
    else if (key === 'cfn') callee = value
    else if (key === 'calls') {
      isInclusive = true
      const kind = Object.keys(CALLS).find((kind) => CALLS[kind].test(callee))
      if (isRust && kind !== undefined) sums[kind] += Number.parseInt(value, 10)
    } else if (/^\d/.test(line)) {
      // The line after a call is the callee's cost.
      if (isRust && !isInclusive) sums.instructions += Number(line.split(' ')[1])
      isInclusive = false
    }
  }
  return Object.fromEntries(
    Object.entries(sums).map(([key, sum]) => [key, Math.round((10 * sum) / rounds) / 10])
  )
}

/** Returns dhat's count per MiB or stream. */
async function countTraffic({ traffic, less, more, mode, of }) {
  const totals = []
  for (const count of [less, more]) {
    const output = await valgrind(
      ['--tool=dhat', `--mode=${mode}`, '--dhat-out-file=/dev/null'],
      ...['traffic', traffic, String(count)]
    )
    const total = /Total: +([\d,]+) bytes in ([\d,]+) blocks/.exec(output)
    if (total === null) stop(`dhat printed no total:\n${output}`)
    const [bytes, blocks] = total.slice(1).map((digits) => Number(digits.replaceAll(',', '')))
    totals.push(of({ bytes, blocks }))
  }
  return (totals[1] - totals[0]) / (more - less)
}

/** Runs a program under valgrind and resolves to the output of both. */
function valgrind(options, program, ...words) {
  return new Promise((resolve) => {
    const child = spawn('valgrind', [...options, join(BUILD.folder, program), ...words], {
      cwd: ROOT,
      // Symbols are resolved before counting starts.
      env: environment({ LD_BIND_NOW: '1' }),
      stdio: ['ignore', 'pipe', 'pipe']
    })
    const output = []
    child.stdout.on('data', (bytes) => output.push(bytes))
    child.stderr.on('data', (bytes) => output.push(bytes))
    child.on('error', (err) => stop(`valgrind: ${err.message}`))
    child.on('close', (code) => {
      const text = Buffer.concat(output).toString()
      if (code !== 0) stop(`${program} ${words.join(' ')} ended with code ${code}:\n${text}`)
      resolve(text)
    })
  })
}
