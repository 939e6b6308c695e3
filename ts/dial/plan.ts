/** The schedule of a dial: start delay and timeout of each address. */
import { DIAL_ADDRESS_TIMEOUT_MS, DIAL_PRIVATE_ADDRESS_TIMEOUT_MS } from '../constants.ts'
import { isPrivate } from '../identity/address.ts'
import type { NativeDialEntry } from '../native/addon.ts'

/** Milliseconds between the starts of successive attempts: the Connection Attempt Delay recommended by RFC 8305. */
const ATTEMPT_DELAY_MS = 250

/** Returns the plan for addresses, in the given order. */
export function dialPlan(addresses: readonly string[]): NativeDialEntry[] {
  return addresses.map((address, index) => ({
    address,
    delayMs: index * ATTEMPT_DELAY_MS,
    timeoutMs: isPrivate(address) ? DIAL_PRIVATE_ADDRESS_TIMEOUT_MS : DIAL_ADDRESS_TIMEOUT_MS
  }))
}
