// One series of one scenario: every peer in turn, round by round, each round beginning with another peer.

import { controlDrift, underWatch } from './conditions.mjs'

/** Runs of a peer that find out how much work fills a round; they are its warm-up as well. */
const CALIBRATIONS_MAX = 3
/** What one calibration may multiply the work by: a run that is too short says little. */
const GROWTH_MAX = 16
/** A run of at least this part of a round tells its rate well enough. */
const TELLING_PART = 1 / 4

/** The peer whose figures tell how the machine itself went along. */
const CONTROL = 'raw'

/**
 * What every round of every peer came to: `{ ours: [round, ...] }`, a round being `{ line, load, steal, unfit }`, or
 * `{ error }`.
 *
 * @param series what is run: see scenario.mjs
 * @param peers the peers' names
 * @param run runs one peer with so much work, and resolves to its line
 * @param onRound told of each round as it ends
 */
export async function measureRounds(series, peers, plan, run, onRound) {
  const rounds = Object.fromEntries(peers.map((peer) => [peer, []]))
  const sizes = {}
  for (const peer of peers) sizes[peer] = await sizeFor(series, plan, (size) => run(peer, size))
  for (let round = 0; round < Math.min(plan.rounds, series.roundsMax ?? plan.rounds); round += 1) {
    for (let turn = 0; turn < peers.length; turn += 1) {
      const peer = peers[(round + turn) % peers.length]
      const outcome = await underWatch(() => run(peer, sizes[peer])).then(
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

/** How much work takes a peer about as long as a round should. */
async function sizeFor({ first }, { secondsPerRound }, run) {
  let size = first
  // A quick run takes what is given; a series without a size has the same work for all.
  if (size === undefined || secondsPerRound === undefined) return size
  for (let count = 0; count < CALIBRATIONS_MAX; count += 1) {
    let seconds
    try {
      seconds = (await run(size)).seconds
    } catch {
      return size // It fails in the rounds as well, and is reported there.
    }
    size = Math.max(1, Math.round(size * Math.min(GROWTH_MAX, secondsPerRound / seconds)))
    if (seconds >= secondsPerRound * TELLING_PART) break
  }
  return size
}

/** Flags the rounds in which raw TCP itself was faster or slower than usual. */
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
