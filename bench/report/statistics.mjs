// What several rounds of a figure come to.

/**
 * A round of a result file: what was measured, or why it could not be.
 *
 * @typedef {{ value?: number, cpuClient?: number, cpuServer?: number, unfit?: string, error?: string }} Round
 */

/** Fit rounds that suffice to leave the unfit ones out: below it a median is no better than its worst round. */
export const FIT_ROUNDS_MIN = 3

/** Resamples behind an interval: enough that another seed moves its ends by less than the rounds are apart. */
const RESAMPLES = 10_000

/** Any number but zero: the same rounds have the same interval in every run. */
const SEED = 0x2545f491

/**
 * The middle one, or the mean of the two in the middle; NaN of none.
 *
 * @param {number[]} values
 * @returns {number}
 */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  if (sorted.length % 2 === 1) return sorted[middle]
  return sorted.length === 0 ? Number.NaN : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * The rounds that count: those that have the value, without the unfit ones where enough of the others remain.
 *
 * @param {Round[]} rounds
 * @param {(round: Round) => number | undefined} figureOf
 * @returns {Round[]}
 */
export function counted(rounds, figureOf = ({ value }) => value) {
  const there = rounds.filter((round) => isThere(round, figureOf))
  const fit = there.filter(({ unfit }) => unfit === undefined)
  return fit.length >= FIT_ROUNDS_MIN ? fit : there
}

/**
 * Median, least and most of the rounds that count; undefined where there are none.
 *
 * @param {Round[]} rounds
 * @param {(round: Round) => number | undefined} figureOf
 * @returns {{ median: number, min: number, max: number } | undefined}
 */
export function spread(rounds, figureOf = ({ value }) => value) {
  const values = counted(rounds, figureOf).map(figureOf)
  if (values.length === 0) return undefined
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/**
 * Ours divided by theirs in each round, and of these the median with its 95 % interval; undefined where no round
 * has both. A round is unfit where either half is.
 *
 * @param {Round[]} ours
 * @param {Round[]} theirs
 * @param {(round: Round) => number | undefined} figureOf
 * @returns {{ median: number, low: number, high: number } | undefined}
 */
export function ratio(ours, theirs, figureOf = ({ value }) => value) {
  const rounds = ours.flatMap((round, index) => {
    const other = theirs[index]
    if (other === undefined || !isThere(round, figureOf) || !isThere(other, figureOf)) return []
    return [{ value: figureOf(round) / figureOf(other), unfit: round.unfit ?? other.unfit }]
  })
  const values = counted(rounds).map(({ value }) => value)
  return values.length === 0 ? undefined : { median: median(values), ...interval(values) }
}

/**
 * Where the median lies in 95 of 100 cases, by the bootstrap: the middle 95 % of the medians of resamples. Up to
 * five values that is from the least to the most of them.
 *
 * @param {number[]} values
 * @returns {{ low: number, high: number }}
 */
export function interval(values) {
  const next = random(SEED)
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(values.map(() => values[next() % values.length]))
  ).sort((a, b) => a - b)
  const tail = Math.floor(RESAMPLES * 0.025)
  return { low: medians[tail], high: medians[RESAMPLES - 1 - tail] }
}

function isThere(round, figureOf) {
  return round.error === undefined && Number.isFinite(figureOf(round))
}

/** Marsaglia's xorshift of 32 bits. */
function random(seed) {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}
