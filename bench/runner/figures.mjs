// From the rounds of a series to the figures of the result file: medians, ratios, and which goals they reach.

import { ratio, spread } from '../report/statistics.mjs'

/** Our end of every ratio. */
export const SUBJECT = 'ours'

/** Why a peer is left out of a figure that makes no sense for it. */
export const NOT_COMPARED = 'not compared in this figure'

/** The figures of a series, as they stand in the result file. `notOffered` has the peers that took no part, with why. */
export function figuresOf(series, rounds, notOffered, stack) {
  return series.figures.map((figure, index) => {
    // CPU stands beside the first figure: the others are of the same runs.
    const cpu = index === 0 ? series.cpu : undefined
    const peers = {}
    for (const [peer, outcomes] of Object.entries(rounds)) {
      const takesPart = figure.peers?.includes(peer) ?? true
      peers[peer] = takesPart
        ? summary(
            outcomes.map((outcome) => roundOf(figure, cpu, outcome)),
            cpu
          )
        : { rounds: [], missing: NOT_COMPARED }
    }
    const ratios = ratiosOf(peers)
    for (const [peer, missing] of Object.entries(notOffered)) peers[peer] = { rounds: [], missing }
    const { id, title, unit, better } = figure
    const floors = (figure.floors?.[stack ?? 'any'] ?? [])
      .filter(({ against }) => against === null || peers[against] !== undefined)
      .map((goal) => judged(goal, measuredFor(goal, peers, ratios)))
    return { id, title, unit, better, peers, ratios, floors }
  })
}

function roundOf(figure, cpu, { line, error, load, steal, unfit }) {
  if (error !== undefined) return { error }
  const value = figure.value(line)
  if (!Number.isFinite(value)) return { error: `the line has no ${figure.id}` }
  const round = { value, load, steal }
  if (cpu !== undefined) {
    round.cpuClient = ((line.cpu_user_s + line.cpu_sys_s) * cpu.scale) / cpu.per(line)
    round.cpuServer = (line.server_cpu_s * cpu.scale) / cpu.per(line)
  }
  if (unfit !== undefined) round.unfit = unfit
  return round
}

function summary(rounds, cpu) {
  const client = spread(rounds, ({ cpuClient }) => cpuClient)?.median
  const server = spread(rounds, ({ cpuServer }) => cpuServer)?.median
  return {
    rounds,
    ...spread(rounds),
    ...(client !== undefined && server !== undefined && { cpu: { unit: cpu.unit, client, server } })
  }
}

/** Ours divided by each peer's within a round: the machine of that minute is on both sides. */
function ratiosOf(peers) {
  const ours = peers[SUBJECT]?.rounds ?? []
  const ratios = {}
  for (const [peer, { rounds }] of Object.entries(peers)) {
    const ofValue = peer === SUBJECT ? undefined : ratio(ours, rounds)
    if (ofValue === undefined) continue
    const ofCpu = ratio(ours, rounds, ({ cpuClient, cpuServer }) => cpuClient + cpuServer)
    ratios[peer] = { ...ofValue, ...(ofCpu !== undefined && { cpu: ofCpu.median }) }
  }
  return ratios
}

function measuredFor({ against, of }, peers, ratios) {
  if (against === null) return peers[SUBJECT]?.median
  return of === 'cpu' ? ratios[against]?.cpu : ratios[against]?.median
}

/** A goal beside what was measured; null where there was nothing to measure or to reach. */
function judged({ against, of, op, floor, aim }, measured) {
  const reaches = (goal) => {
    if (measured === undefined || goal === undefined) return null
    return op === '>=' ? measured >= goal : measured <= goal
  }
  return {
    against,
    of,
    op,
    floor: floor ?? null,
    aim: aim ?? null,
    measured: measured ?? null,
    held: reaches(floor),
    aimReached: reaches(aim)
  }
}
