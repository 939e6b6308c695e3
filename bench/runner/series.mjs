// Measures a series over one stack: selects the peers, runs the rounds, derives the figures.

import { figuresOf, NOT_COMPARED } from './figures.mjs'
import { measureRounds } from './rounds.mjs'
import { runWorkload } from './servers.mjs'

export async function measureSeries(series, stack, plan, servers) {
  const targets = {}
  const notOffered = {}
  for (const [peer, entry] of Object.entries(plan.peers)) {
    if (entry.missing !== undefined) continue // Reported once, with the peer.
    const reason = reasonToSkip(series, entry, plan, peer)
    if (reason === undefined) targets[peer] = targetOf(peer, stack, plan, series.server)
    else notOffered[peer] = reason
  }
  const runOne = series.run ?? ((...args) => runWorkload(series, ...args))
  const run = (peer, size) => runOne(targets[peer], size, { servers, plan })
  const report = (peer, round, outcome) => {
    console.error(
      `${stack ?? 'any stack'}, round ${round + 1}, ${peer}: ${text(series, peer, outcome)}`
    )
  }
  const rounds = await measureRounds(series, Object.keys(targets), plan, run, report)
  return figuresOf(series, rounds, notOffered, stack)
}

function reasonToSkip({ workload, peers, server, needs }, { lacks }, plan, peer) {
  const takesPart = peers === undefined ? peer !== 'dropin' : peers.includes(peer)
  if (!takesPart) return NOT_COMPARED
  if (lacks?.includes(workload)) return `no ${workload}`
  for (const other of [server, needs]) {
    if (other === undefined) continue
    const { command, lacks } = plan.peers[other] ?? {}
    if (command === undefined || lacks?.includes(workload)) return `peer ${other} is not available`
  }
  return undefined
}

/** Returns the command and stack of a peer. One with a stack of its own always uses that: it is a baseline. */
function targetOf(peer, stack, plan, server) {
  const { command, stack: only } = plan.peers[peer]
  const target = { peer, command, stack: only ?? stack }
  return server === undefined ? target : { ...target, server: targetOf(server, stack, plan) }
}

function text(series, peer, { line, error, unfit }) {
  if (error !== undefined) return error
  const figures = series.figures.filter(({ peers }) => peers?.includes(peer) ?? true)
  const values = figures.map(({ title, unit, value }) => {
    const figure = value(line)
    return `${title} ${Number.isFinite(figure) ? Number(figure.toPrecision(4)) : '-'} ${unit}`
  })
  return `${values.join('; ')}${unfit === undefined ? '' : ` (${unfit})`}`
}
