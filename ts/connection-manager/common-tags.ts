/** Well-known tags of peers, and functions for `upsertTag`. */
import { misuse } from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'

/**
 * Tags with an agreed meaning, named as in py-libp2p. A peer with a tag that begins with `keep-alive` is reconnected,
 * see docs/connection-manager.md; the others mean something to applications only.
 *
 * @enum
 */
export const CommonTags = Object.freeze({
  KEEP_ALIVE: 'keep-alive',
  BOOTSTRAP: 'bootstrap',
  RELAY: 'relay',
  DHT: 'dht',
  PUBSUB: 'pubsub',
  BITSWAP: 'bitswap',
  APPLICATION: 'application',
  ACTIVE_STREAMS: 'active-streams'
} as const)

/** Returns the new value of a tag by its present one, which is 0 if the peer does not have the tag. */
export type TagUpdate = (value: number) => number

/** @internal Returns whether a tag asks for reconnection: `keep-alive`, or any that begins with it, as in js-libp2p. */
export function isKeepAlive(tag: string): boolean {
  return tag.startsWith(CommonTags.KEEP_ALIVE)
}

/**
 * Returns an update that adds `delta` to a tag.
 *
 * @throws {@link InvalidParametersError} if `delta` is not a whole number.
 */
export function upsertAdd(delta: number): TagUpdate {
  aTagValue(delta, 'delta')
  return (value) => value + delta
}

/**
 * Returns an update that adds `delta` to a tag and keeps the result within `min` and `max`.
 *
 * @throws {@link InvalidParametersError} if an argument is not a whole number, or `min` exceeds `max`.
 */
export function upsertBounded(delta: number, min: number, max: number): TagUpdate {
  aTagValue(delta, 'delta')
  checkBounds(min, max)
  return (value) => Math.min(Math.max(value + delta, min), max)
}

/**
 * Returns an update that sets a tag to `value`.
 *
 * @throws {@link InvalidParametersError} if `value` is not a whole number.
 */
export function upsertSet(value: number): TagUpdate {
  aTagValue(value, 'value')
  return () => value
}

/** The largest value of a tag, and the smallest one negated. The sum of any four million of them is exact. */
const TAG_VALUE_MAX = 0x7fffffff

/** @internal Checks the value of a tag: values are added up, and their sums compared. */
export function aTagValue(value: unknown, name: string): void {
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= TAG_VALUE_MAX) {
    return
  }
  throw misuse(name, `a whole number between -${TAG_VALUE_MAX} and ${TAG_VALUE_MAX}`, value)
}

/** @internal Returns the nearest value that a tag may have. */
export function boundedTagValue(value: number): number {
  return Math.min(Math.max(value, -TAG_VALUE_MAX), TAG_VALUE_MAX)
}

/** @internal Checks the bounds of a tag. */
export function checkBounds(min: number, max: number): void {
  aTagValue(min, 'min')
  aTagValue(max, 'max')
  if (min > max) throw new InvalidParametersError(`expected min ${min} to be at most max ${max}`)
}
