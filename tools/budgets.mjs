/**
 * Counts what the data path costs, under valgrind, and compares it with what is committed.
 *
 *     node tools/budgets.mjs            one line a budget, as cargo prints its tests
 *     node tools/budgets.mjs --update   writes crates/budgets/baseline.json and says what has changed
 *
 * Instructions are those of Rust's functions: what libc and the cipher take depends on the processor, so of libc
 * the calls are counted instead. Where the counts cannot be taken, one line says why: a failure where CI is set,
 * ignored elsewhere.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addonBuild, environment, firstLine, ROOT, run, stop } from './shared.mjs'

const BASELINE = join(ROOT, 'crates', 'budgets', 'baseline.json')
const BUILD = addonBuild()

/** Room for what another compiler of the same version and another linker make of the same code. */
const INSTRUCTIONS_TOLERANCE = 0.02

/** Calls of libc that cost by the byte or by the lock. */
const CALLS = {
  copies: /mem(?:cpy|move)/,
  fills: /memset|bzero/,
  allocations: /^(?:malloc|calloc|realloc|aligned_alloc|posix_memalign)$/
}

/**
 * What two nodes with a connection between them may take for a MiB or a stream, both ends together: dhat's totals
 * of `more` less those of `less`. The threads take turns differently each time, so these have a margin.
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
    ...{ mode: 'heap', of: (total) => total.blocks, most: 25 }
  }
]

const lacking = whyNot()
if (process.argv.includes('--update')) {
  if (lacking !== undefined) stop(`No budget was counted: ${lacking}.`)
  await build()
  await update()
} else {
  await check()
}

/** Why nothing can be counted here. */
function whyNot() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `the baseline is of linux x64, not of ${process.platform} ${process.arch}`
  }
  if (firstLine('valgrind', ['--version']) === undefined) {
    return 'they need valgrind; on Debian "apt-get install valgrind"'
  }
}

async function build() {
  const code = await run('cargo', [...BUILD.args, '--package', 'ferroswarm-budgets'])
  if (code !== 0)
    stop('The programs that are counted could not be built: see what cargo says above.')
}

async function check() {
  const found = { passed: 0, failed: 0, ignored: 0 }
  const tell = (name, fault) => {
    found[fault === undefined ? 'passed' : 'failed'] += 1
    if (fault !== undefined) console.log(`budget ${name}: ${fault}`)
    console.log(`test budget ${name} ... ${fault === undefined ? 'ok' : 'FAILED'}`)
  }
  if (lacking !== undefined) {
    const outcome = process.env.CI === undefined ? 'ignored' : 'failed'
    found[outcome] += 1
    const word = outcome === 'failed' ? 'FAILED' : outcome
    console.log(`test the budgets cannot be counted: ${lacking} ... ${word}`)
  } else {
    await build()
    const counted = await countInstructions()
    const baseline = readBaseline()
    for (const name of new Set([...Object.keys(counted), ...Object.keys(baseline)])) {
      tell(name, differs(baseline[name], counted[name]))
    }
    for (const budget of TRAFFIC) tell(budget.name, exceeds(budget, await countTraffic(budget)))
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
    if (counted[name] === undefined) console.log(`${name}: gone`)
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

/** What is wrong with the counts of a case; fewer count too, for a baseline above what is true holds nothing. */
function differs(expected, counted) {
  if (expected === undefined) return 'has no baseline: npm run budgets -- --update'
  if (counted === undefined) return 'is in the baseline and not counted any more'
  const { instructions, ...calls } = counted
  const { instructions: most, ...expectedCalls } = expected
  const isNear = Math.abs(instructions - most) <= INSTRUCTIONS_TOLERANCE * most
  if (isNear && shown(calls) === shown(expectedCalls)) return undefined
  return `${shown(counted)}${change(expected, counted)}. If that is meant: npm run budgets -- --update`
}

function exceeds({ name, most }, count) {
  console.log(`budget ${name}: ${count.toFixed(2)} of at most ${most}`)
  return count <= most ? undefined : `${count.toFixed(2)} is more than ${most}`
}

/** Counts of one round, by case. */
async function countInstructions() {
  const parent = join(ROOT, 'target')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'budgets-'))
  try {
    const output = await valgrind(
      [
        '--tool=callgrind',
        // What is outside of it has profiles of its own, between those of the cases.
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

/** Instructions of Rust's functions, and their calls of libc. Names of C have no path. */
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
      // The line behind a call is what the callee took.
      if (isRust && !isInclusive) sums.instructions += Number(line.split(' ')[1])
      isInclusive = false
    }
  }
  return Object.fromEntries(
    Object.entries(sums).map(([key, sum]) => [key, Math.round((10 * sum) / rounds) / 10])
  )
}

/** What dhat counts for one MiB or one stream. */
async function countTraffic({ traffic, less, more, mode, of }) {
  const totals = []
  for (const count of [less, more]) {
    const output = await valgrind(
      ['--tool=dhat', `--mode=${mode}`, '--dhat-out-file=/dev/null'],
      ...['traffic', traffic, String(count)]
    )
    const total = /Total: +([\d,]+) bytes in ([\d,]+) blocks/.exec(output)
    if (total === null) stop(`dhat tells no total:\n${output}`)
    const [bytes, blocks] = total.slice(1).map((digits) => Number(digits.replaceAll(',', '')))
    totals.push(of({ bytes, blocks }))
  }
  return (totals[1] - totals[0]) / (more - less)
}

/** Everything that a program and valgrind print. */
function valgrind(options, program, ...words) {
  return new Promise((resolve) => {
    const child = spawn('valgrind', [...options, join(BUILD.folder, program), ...words], {
      cwd: ROOT,
      // Names are looked up before anything is counted.
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
