// The command line of the benches.

import { parseArgs } from 'node:util'
import { PEERS } from './peers.mjs'
import { SCENARIOS } from './scenarios.mjs'

export const STACKS = { noise: 'tcp-noise-yamux', tls: 'tcp-tls-yamux' }

/** The peer that the others are compared with. */
export const BASELINE = 'js'

export const USAGE = `usage: npm run bench -- [options]
  --peers a,b       of ${Object.keys(PEERS).join(', ')} (default: ours,${BASELINE})
  --stack S         noise, tls or both (default: noise)
  --scenarios a,b   of ${SCENARIOS.map(({ name }) => name).join(', ')} (default: all)
  --rounds N        runs of each peer a scenario (default: 5, with --quick 2)
  --quick           an eighth of the work
  --json FILE       every figure of every round`

/** Parts of the full work in a quick run. */
const QUICK_SCALE = 1 / 8

/** What was asked for; throws an error with a sentence for the user. */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      peers: { type: 'string', default: `ours,${BASELINE}` },
      stack: { type: 'string', default: 'noise' },
      scenarios: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`expected one round or more, received ${values.rounds}`)
  }
  const names = values.scenarios?.split(',') ?? SCENARIOS.map(({ name }) => name)
  return {
    help: values.help,
    peers: values.peers.split(',').map((name) => known(name, Object.keys(PEERS), 'peer')),
    stacks:
      values.stack === 'both'
        ? Object.values(STACKS)
        : [STACKS[known(values.stack, Object.keys(STACKS), 'stack')]],
    scenarios: names.map((name) => {
      const all = SCENARIOS.map((scenario) => scenario.name)
      return SCENARIOS[all.indexOf(known(name, all, 'scenario'))]
    }),
    rounds,
    scale: values.quick ? QUICK_SCALE : 1,
    json: values.json
  }
}

function known(name, names, kind) {
  if (names.includes(name)) return name
  throw new Error(`there is no ${kind} named ${name}: expected one of ${names.join(', ')}`)
}
