/** The schedule of a dial: start and timeout of each address. */
import { anArray, misuse } from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { DIAL_PRIVATE_ADDRESS_TIMEOUT_MS, DIAL_UPGRADE_HOLD_MS } from '../constants.ts'
import { isPrivate } from '../identity/address.ts'
import type { RankedAddress } from './ranker.ts'

/** One attempt of a dial. */
export interface PlannedAttempt {
  readonly address: string
  /** The peer that the remote must be. */
  readonly peer: string | undefined
  /** The name that a WebSocket asks for if its address has none: that which the address was resolved from. */
  readonly host?: string | undefined
  /** Since the start of the dial; a failure of the previous attempt starts it earlier, and brings forward those behind. */
  readonly delayMs: number
  /** For this attempt, including its upgrade. */
  readonly timeoutMs: number
  /** Since its connection: until then no other attempt of the plan starts, as it may be about to win. */
  readonly holdMs: number
}

/**
 * Returns the plan for ranked addresses, by their delays. Throws `InvalidParametersError` for a ranking, which may be
 * the application's, of anything but the addresses that were passed to it.
 */
export function dialPlan(
  ranked: readonly RankedAddress[],
  addresses: readonly string[],
  { peer, dialTimeout }: { readonly peer?: string | undefined; readonly dialTimeout: number }
): PlannedAttempt[] {
  anArray(ranked, 'the ranked addresses')
  for (const { address, delay } of ranked) {
    if (!addresses.includes(address)) {
      throw misuse('each ranked address', 'one of those that were passed', address)
    }
    if (!(delay >= 0 && delay <= TIMER_MS_MAX)) {
      throw misuse(`the delay of ${address}`, 'milliseconds, 0 or more', delay)
    }
  }
  const plan = ranked.map(({ address, delay }): PlannedAttempt => {
    const isLocal = isPrivate(address)
    const limit = isLocal ? DIAL_PRIVATE_ADDRESS_TIMEOUT_MS : TIMER_MS_MAX
    return {
      address,
      peer,
      delayMs: delay,
      timeoutMs: Math.min(limit, dialTimeout),
      holdMs: isLocal ? 0 : DIAL_UPGRADE_HOLD_MS
    }
  })
  // Stable: the order among equals is that of the ranking.
  return plan.length < 2 ? plan : plan.sort((one, other) => one.delayMs - other.delayMs)
}
