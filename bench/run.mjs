// The peers side by side, in one run, on this machine: `npm run bench -- --help`.
//
// Every peer is a pair of processes that keep interop/contract.md. ava runs the scenarios, one after another, in
// processes that read what is asked of them from the folder of the run and leave there what they measured. The table
// goes to standard output, what is under way to standard error.

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

/** Resolves to the exit code: that of ava, which knows of failures and of floors that are not held. */
async function bench() {
  const started = new Date()
  const source = sources()
  for (const file of [options.json, options.page]) {
    if (file !== undefined) mkdirSync(dirname(file), { recursive: true })
  }
  // Before the namespace: a peer that is not built yet may need the network.
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
      peers: Object.fromEntries(Object.entries(peers).map(([name, peer]) => [name, told(peer)])),
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

/** The commit, and whether the sources differ from it; results of earlier runs are none. */
function sources() {
  const git = (...args) => spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim()
  return {
    commit: git('rev-parse', 'HEAD') || 'unknown',
    dirty: git('status', '--porcelain', '--', ':!bench/results') !== ''
  }
}

function told({ title, version, crypto, missing }) {
  return { title, version, crypto, missing }
}
