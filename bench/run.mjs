// The peers side by side, in one run, on this machine: `npm run bench -- --help`.
//
// Every peer is a pair of processes that keep interop/contract.md. The table goes to standard output, what is under
// way to standard error. Nothing is asserted here.

import { writeFileSync } from 'node:fs'
import { enterNamespace, environment } from './environment.mjs'
import { measure } from './measure.mjs'
import { BASELINE, readOptions, USAGE } from './options.mjs'
import { commandOf, cryptoOf } from './peers.mjs'
import { heading, summarize, table } from './report.mjs'

const options = parse()
if (options.help) {
  console.log(USAGE)
} else {
  await bench()
}

function parse() {
  try {
    return readOptions(process.argv.slice(2))
  } catch (err) {
    console.error(`${err.message}\n${USAGE}`)
    process.exit(2)
  }
}

async function bench() {
  // Before the namespace: a peer that is not built yet may need the network.
  const commands = {}
  for (const peer of options.peers) commands[peer] = await commandOf(peer)
  enterNamespace()

  const where = environment()
  const crypto = cryptoOf(options.peers)
  console.log(heading(where, crypto, options))
  const stacks = {}
  for (const stack of options.stacks) {
    const rows = []
    const lines = {}
    for (const scenario of options.scenarios) {
      const onRun = (peer, round, line) => tell(stack, scenario, peer, round, line)
      lines[scenario.name] = await measure(scenario, stack, commands, options, onRun)
      rows.push(...summarize(scenario, lines[scenario.name], BASELINE))
    }
    console.log(`\n${table(stack, rows, options.peers, BASELINE)}`)
    stacks[stack] = { rows, lines }
  }
  if (options.json !== undefined) {
    const { rounds, scale } = options
    const result = { environment: where, crypto, rounds, scale, baseline: BASELINE, stacks }
    writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`)
  }
}

function tell(stack, scenario, peer, round, line) {
  const figures = scenario.figures.map(({ name, unit, value }) => {
    const figure = value(line)
    return `${name} ${Number.isFinite(figure) ? figure.toPrecision(4) : '-'} ${unit}`
  })
  console.error(`${stack} round ${round + 1} ${peer}: ${line.error ?? figures.join('; ')}`)
}
