// One series over one stack: who takes part, what every round comes to, the figures.

import { figuresOf } from './figures.mjs'
import { measureRounds } from './rounds.mjs'
import { runWorkload } from './servers.mjs'

export async function measureSeries(series, stack, plan, servers) {
  const targets = {}
  const notOffered = {}
  for (const [peer, entry] of Object.entries(plan.peers)) {
    if (entry.missing !== undefined) continue // Said once, with the peer.
    const reason = whyNot(series, peer, entry)
    // A peer with a stack of its own has no other: what it has no security or muxer for is its point.
    if (reason === undefined) targets[peer] = { ...entry, peer, stack: entry.stack ?? stack }
    else notOffered[peer] = reason
  }
  const runOne = series.run ?? ((...args) => runWorkload(series, ...args))
  const run = (peer, size) => runOne(targets[peer], servers, size, plan)
  const tell = (peer, round, outcome) => {
    console.error(`${stack ?? 'any stack'}, round ${round + 1}, ${peer}: ${text(series, outcome)}`)
  }
  const rounds = await measureRounds(series, Object.keys(targets), plan, run, tell)
  return figuresOf(series, rounds, notOffered, stack)
}

function whyNot({ workload, peers }, peer, { lacks }) {
  if (peers !== undefined && !peers.includes(peer)) return 'not compared in this figure'
  if (lacks?.includes(workload)) return `no ${workload}`
  return undefined
}

function text({ figures }, { line, error, unfit }) {
  if (error !== undefined) return error
  const values = figures.map(({ title, unit, value }) => {
    const figure = value(line)
    return `${title} ${Number.isFinite(figure) ? Number(figure.toPrecision(4)) : '-'} ${unit}`
  })
  return `${values.join('; ')}${unfit === undefined ? '' : ` (${unfit})`}`
}
