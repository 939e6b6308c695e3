// Statistics over the rounds of a figure.

/**
 * A round of a result file: the measured values, or the error.
 *
 * @typedef {{ value?: number, cpuClient?: number, cpuServer?: number, unfit?: string, error?: string }} Round
 */

/** Minimum number of fit rounds for excluding the unfit ones: with fewer, a median is no better than its worst round. */
export const FIT_ROUNDS_MIN = 3

/** Resamples per interval: enough that another seed moves its ends by less than the distance between rounds. */
const RESAMPLES = 10_000

/** Any non-zero number; it is fixed so that the same rounds always have the same interval. */
const SEED = 0x2545f491

/**
 * Returns the median; NaN of no values.
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
 * Returns the rounds that count: those with the value, without the unfit ones if enough others remain.
 *
 * @param {Round[]} rounds
 * @param {(round: Round) => number | undefined} figureOf
 * @returns {Round[]}
 */
export function counted(rounds, figureOf = ({ value }) => value) {
  const measured = rounds.filter((round) => isMeasured(round, figureOf))
  const fit = measured.filter(({ unfit }) => unfit === undefined)
  return fit.length >= FIT_ROUNDS_MIN ? fit : measured
}

/**
 * Returns median, minimum and maximum of the rounds that count; undefined if there are none.
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
 * Returns the median of ours divided by theirs in each round, with its 95 % interval; undefined if no round has both. A
 * round is unfit if either half is.
 *
 * @param {Round[]} ours
 * @param {Round[]} theirs
 * @param {(round: Round) => number | undefined} figureOf
 * @returns {{ median: number, low: number, high: number } | undefined}
 */
export function ratio(ours, theirs, figureOf = ({ value }) => value) {
  const rounds = ours.flatMap((round, index) => {
    const other = theirs[index]
    if (other === undefined || !isMeasured(round, figureOf) || !isMeasured(other, figureOf))
      return []
    return [{ value: figureOf(round) / figureOf(other), unfit: round.unfit ?? other.unfit }]
  })
  const values = counted(rounds).map(({ value }) => value)
  return values.length === 0 ? undefined : { median: median(values), ...interval(values) }
}

/**
 * Returns the 95 % bootstrap interval of the median: the middle 95 % of the medians of resamples. For up to five
 * values that is from their minimum to their maximum.
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

function isMeasured(round, figureOf) {
  return round.error === undefined && Number.isFinite(figureOf(round))
}

/** Returns a generator of 32-bit numbers: Marsaglia's xorshift. */
function random(seed) {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}
