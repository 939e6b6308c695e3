/** Functions for decaying tags: the presets of go-libp2p. */
import { aPeriod, misuse } from '../base/arguments.ts'
import { aTagValue, checkBounds } from './common-tags.ts'
import type { BumpFunction, DecayFunction } from './decay.ts'

/** Returns a function that leaves values as they are. */
export function decayNone(): DecayFunction {
  return ({ value }) => value
}

/**
 * Returns a function that subtracts `minuend`, and removes what is left of 0 or less.
 *
 * @throws {@link InvalidParametersError} if `minuend` is not a whole number of 0 or more.
 */
export function decayFixed(minuend: number): DecayFunction {
  aTagValue(minuend, 'minuend')
  if (minuend < 0) throw misuse('minuend', 'a whole number of 0 or more', minuend)
  return ({ value }) => positive(value - minuend)
}

/**
 * Returns a function that multiplies by `coefficient`, rounds down, and removes what is left of 0 or less.
 *
 * @throws {@link InvalidParametersError} if `coefficient` is not a number between 0 and 1.
 */
export function decayLinear(coefficient: number): DecayFunction {
  if (!(typeof coefficient === 'number' && coefficient >= 0 && coefficient <= 1)) {
    throw misuse('coefficient', 'a number between 0 and 1', coefficient)
  }
  return ({ value }) => positive(Math.floor(value * coefficient))
}

/**
 * Returns a function that removes the value of a peer that was not bumped for `after` milliseconds.
 *
 * @throws {@link InvalidParametersError} if `after` is not a duration.
 */
export function decayExpireWhenInactive(after: number): DecayFunction {
  aPeriod(after, 'after')
  return ({ value, lastBump }, now) => (now - lastBump >= after ? undefined : value)
}

/** Returns a function that adds to the value. */
export function bumpSumUnbounded(): BumpFunction {
  return (value, delta) => value + delta
}

/**
 * Returns a function that adds to the value and keeps it within `min` and `max`.
 *
 * @throws {@link InvalidParametersError} if an argument is not a whole number, or `min` exceeds `max`.
 */
export function bumpSumBounded(min: number, max: number): BumpFunction {
  checkBounds(min, max)
  return (value, delta) => Math.min(Math.max(value + delta, min), max)
}

/** Returns a function that replaces the value. */
export function bumpOverwrite(): BumpFunction {
  return (_value, delta) => delta
}

function positive(value: number): number | undefined {
  return value > 0 ? value : undefined
}
