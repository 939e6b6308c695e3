// Converts the rounds of a series to the figures of the result file: medians, ratios, and outcomes of goals.

import { ratio, spread } from '../report/statistics.mjs'

/** The peer whose figures are the numerators of all ratios, except for series that name another one. */
export const SUBJECT = 'ours'

/** Returns the peer whose figures are the numerators of a figure's ratios. */
export const subjectOf = (figure) => figure.subject ?? SUBJECT

/** Reason for omitting a peer from a figure that does not apply to it. */
export const NOT_COMPARED = 'not compared in this figure'

/** Returns the figures of a series for the result file. `notOffered` has the peers that took no part, with the reason. */
export function figuresOf(series, rounds, notOffered, stack) {
  return series.figures.map((figure, index) => {
    // Only the first figure has CPU time: the others are from the same runs.
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
    const subject = subjectOf(series)
    const ratios = ratiosOf(peers, subject)
    for (const [peer, missing] of Object.entries(notOffered)) peers[peer] = { rounds: [], missing }
    const { id, title, unit, better } = figure
    const floors = (figure.floors?.[stack ?? 'any'] ?? [])
      .filter(({ against }) => against === null || peers[against] !== undefined)
      .map((goal) => judged(goal, measuredFor(goal, peers[subject], ratios)))
    const named = subject === SUBJECT ? {} : { subject }
    return { id, title, unit, better, ...named, peers, ratios, floors }
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

/** Divides ours by each peer's within a round, so that the machine's state at that time cancels out. */
function ratiosOf(peers, subject) {
  const ours = peers[subject]?.rounds ?? []
  const ratios = {}
  for (const [peer, { rounds }] of Object.entries(peers)) {
    const ofValue = peer === subject ? undefined : ratio(ours, rounds)
    if (ofValue === undefined) continue
    const ofCpu = ratio(ours, rounds, ({ cpuClient, cpuServer }) => cpuClient + cpuServer)
    ratios[peer] = { ...ofValue, ...(ofCpu !== undefined && { cpu: ofCpu.median }) }
  }
  return ratios
}

function measuredFor({ against, of }, own, ratios) {
  if (against === null) return own?.median
  return of === 'cpu' ? ratios[against]?.cpu : ratios[against]?.median
}

/** Returns a goal with its outcome; null if nothing was measured or there is no goal. */
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
