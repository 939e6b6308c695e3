// Compares the peers in one run on this machine: `npm run bench -- --help`.
//
// Every peer is a pair of processes that implement interop/contract.md. ava runs the scenarios sequentially, in
// processes that read the plan from the folder of the run and write their results to it. The table goes to standard
// output, progress to standard error.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { environment, namespacePrefix } from './environment.mjs'
import { readOptions, USAGE } from './options.mjs'
import { preparePeers } from './peers.mjs'
import { RESULTS, readHistory } from './report/history.mjs'
import { markdown } from './report/markdown.mjs'
import { page } from './report/page.mjs'
import { SCHEMA } from './report/result.mjs'
import { writePlan } from './runner/plan.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const AVA = ['node_modules/ava/entrypoints/cli.js', '--config', 'ava.bench.config.js']

const options = parse()
if (options.help) {
  console.log(USAGE)
} else {
  process.exitCode = await bench()
}

function parse() {
  try {
    return readOptions(process.argv.slice(2))
  } catch (err) {
    console.error(`${err.message}\n${USAGE}`)
    process.exit(2)
  }
}

/** Resolves to the exit code, which is ava's: non-zero after failures or missed floors. */
async function bench() {
  const started = new Date()
  const source = sources()
  for (const file of [options.json, options.page]) {
    if (file !== undefined) mkdirSync(dirname(file), { recursive: true })
  }
  // Outside of the namespace: building a peer may need the network.
  const peers = await preparePeers(options.peers)
  const { mode, stacks, rounds, secondsPerRound } = options
  const run = writePlan({ mode, stacks, rounds, secondsPerRound, peers })
  try {
    const prefix = namespacePrefix()
    const where = environment(prefix)
    const code = await runAva(prefix, run.environment)
    const result = {
      schema: SCHEMA,
      command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
      mode,
      ...source,
      started: started.toISOString(),
      seconds: Math.round((Date.now() - started) / 1_000),
      rounds,
      secondsPerRound,
      environment: where,
      peers: Object.fromEntries(
        Object.entries(peers).map(([name, peer]) => [name, described(peer)])
      ),
      scenarios: run.sections()
    }
    if (options.json !== undefined) {
      writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`)
    }
    if (options.page !== undefined) writeFileSync(options.page, page(result, readHistory(RESULTS)))
    process.stdout.write(markdown(result))
    return code
  } finally {
    run.remove()
  }
}

async function runAva(prefix, environment) {
  const [program, ...args] = [...prefix, process.execPath, ...AVA, ...options.files]
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ['ignore', process.stderr, 'inherit'],
    env: { ...process.env, ...environment }
  })
  const [code] = await once(child, 'exit')
  return code ?? 1
}

/** Returns the commit, and whether the sources differ from it, except for result files. */
function sources() {
  const git = (...args) => spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim()
  return {
    commit: git('rev-parse', 'HEAD') || 'unknown',
    dirty: git('status', '--porcelain', '--', ':!bench/results') !== ''
  }
}

function described({ title, version, crypto, missing }) {
  return { title, version, crypto, missing }
}
