// The command line of the benchmarks.

import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { PEERS } from './peers.mjs'
import { NOISE, QUIC, TLS, WS } from './runner/workloads.mjs'

const STACKS = { noise: [NOISE], tls: [TLS], both: [NOISE, TLS], quic: [QUIC], ws: [WS] }

/** Defaults of each mode. */
const MODES = {
  default: { rounds: 5, secondsPerRound: 1, stack: 'noise', peers: 'ours,js' },
  quick: { rounds: 1, secondsPerRound: 0.2, stack: 'noise', peers: 'ours,js' },
  full: { rounds: 5, secondsPerRound: 2, stack: 'both', peers: Object.keys(PEERS).join() },
  soak: { rounds: 1, secondsPerRound: 600, stack: 'noise', peers: 'ours' }
}

/** The scenario of the soak mode. */
const SOAK = 'S10'

/** Files of the scenarios by id. */
const SCENARIOS = Object.fromEntries(
  readdirSync(new URL('scenarios/', import.meta.url))
    .map((name) => [/^s\d+/.exec(name)[0].toUpperCase(), `bench/scenarios/${name}`])
    .sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)))
)

export const USAGE = `usage: npm run bench -- [options] [scenarios]
  scenarios         of ${Object.keys(SCENARIOS).join(' ')} (default: all but ${SOAK})
  --peers a,b       of ${Object.keys(PEERS).join(', ')} (default: ${MODES.default.peers}; with --full all)
  --stack S         noise, tls, both of these, quic or ws (default: noise; with --full both)
  --rounds N        rounds; each peer runs once per round (default: ${MODES.default.rounds}; with --quick ${MODES.quick.rounds})
  --seconds N       duration of a peer's run (default: ${MODES.default.secondsPerRound}; with --full ${MODES.full.secondsPerRound}, --quick ${MODES.quick.secondsPerRound})
  --quick           under a minute: a smoke test, figures are not reliable
  --full            every peer and figure; exits with code 1 if a floor is missed
  --soak            ${SOAK} only: opens and closes connections and streams for --seconds (default: ${MODES.soak.secondsPerRound})
  --json FILE       every figure of every round, for the reports of bench/report/main.mjs
  --page FILE       the report as an HTML page`

/** Parses the options; throws an error with a message for the user. */
export function readOptions(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      peers: { type: 'string' },
      stack: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean' },
      full: { type: 'boolean' },
      soak: { type: 'boolean' },
      json: { type: 'string' },
      page: { type: 'string' },
      help: { type: 'boolean' }
    }
  })
  const mode = oneMode(values)
  const { rounds, secondsPerRound, stack, peers } = MODES[mode]
  const names = (values.peers ?? peers).split(',')
  return {
    help: values.help,
    mode,
    peers: names.map((name) => known(name, Object.keys(PEERS), 'peer')),
    stacks: STACKS[known(values.stack ?? stack, Object.keys(STACKS), 'stack')],
    rounds: positive('rounds', values.rounds ?? rounds, Number.isInteger),
    secondsPerRound: positive('seconds', values.seconds ?? secondsPerRound, Number.isFinite),
    files: filesOf(mode, positionals),
    json: values.json,
    page: values.page
  }
}

function oneMode(values) {
  const requested = Object.keys(MODES).filter((mode) => values[mode])
  if (requested.length > 1) throw new Error(`expected one of --${requested.join(' and --')}`)
  return requested[0] ?? 'default'
}

function filesOf(mode, requested) {
  const all = Object.keys(SCENARIOS).filter((id) => (id === SOAK) === (mode === 'soak'))
  const ids =
    requested.length === 0 ? all : requested.map((id) => known(id.toUpperCase(), all, 'scenario'))
  return ids.map((id) => SCENARIOS[id])
}

function positive(option, text, isOne) {
  const number = Number(text)
  if (isOne(number) && number > 0) return number
  throw new Error(`--${option}: expected a number above 0, received ${text}`)
}

function known(name, names, kind) {
  if (names.includes(name)) return name
  throw new Error(`there is no ${kind} named ${name}: expected one of ${names.join(', ')}`)
}
