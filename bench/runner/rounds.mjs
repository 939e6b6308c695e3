// Runs a series of a scenario: every peer in turn, in rounds that each start with a different peer.

import { controlDrift, withConditions } from './conditions.mjs'

/** Maximum runs of a peer to determine the work that fills a round; they also warm it up. */
const CALIBRATIONS_MAX = 3
/** Maximum factor by which one calibration increases the work: short runs are imprecise. */
const GROWTH_MAX = 16
/** Fraction of a round from which a run determines the rate precisely enough. */
const CALIBRATED_PART = 1 / 4

/** The peer whose figures show changes of the machine itself. */
const CONTROL = 'raw'

/**
 * Resolves to the rounds of every peer: `{ ours: [round, ...] }`, a round being `{ line, load, steal, unfit }` or
 * `{ error }`.
 *
 * @param series the series to run: see scenario.mjs
 * @param peers the peers' names
 * @param run runs a peer with the given amount of work, and resolves to its line
 * @param onRound is called after each round
 */
export async function measureRounds(series, peers, plan, run, onRound) {
  const rounds = Object.fromEntries(peers.map((peer) => [peer, []]))
  const sizes = {}
  for (const peer of peers) sizes[peer] = await sizeFor(series, plan, (size) => run(peer, size))
  for (let round = 0; round < Math.min(plan.rounds, series.roundsMax ?? plan.rounds); round += 1) {
    for (let turn = 0; turn < peers.length; turn += 1) {
      const peer = peers[(round + turn) % peers.length]
      const outcome = await withConditions(() => run(peer, sizes[peer])).then(
        ({ line, conditions }) => ({ line, ...conditions }),
        (err) => ({ error: err.message })
      )
      rounds[peer].push(outcome)
      onRound(peer, round, outcome)
    }
  }
  markDrift(series, rounds)
  return rounds
}

/** Determines the work that takes a peer about the duration of a round. */
async function sizeFor({ first }, { secondsPerRound }, run) {
  let size = first
  // Without a duration the initial size is used; a series without a size has the same work for all peers.
  if (size === undefined || secondsPerRound === undefined) return size
  for (let count = 0; count < CALIBRATIONS_MAX; count += 1) {
    let seconds
    try {
      seconds = (await run(size)).seconds
    } catch {
      return size // It fails in the rounds as well, which report it.
    }
    size = Math.max(1, Math.round(size * Math.min(GROWTH_MAX, secondsPerRound / seconds)))
    if (seconds >= secondsPerRound * CALIBRATED_PART) break
  }
  return size
}

/** Flags the rounds in which raw TCP itself deviated from its median. */
function markDrift({ figures }, rounds) {
  if (rounds[CONTROL] === undefined) return
  const values = rounds[CONTROL].map(({ line }) => (line ? figures[0].value(line) : Number.NaN))
  for (const [round, reason] of controlDrift(values)) {
    for (const outcomes of Object.values(rounds)) {
      const outcome = outcomes[round]
      if (outcome.error !== undefined) continue
      outcome.unfit = [outcome.unfit, reason].filter(Boolean).join(', ')
    }
  }
}
