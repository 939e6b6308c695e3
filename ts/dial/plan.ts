/** The plan of a dial: when each address is tried, and for how long. */
import { DIAL_ADDRESS_TIMEOUT_MS, DIAL_PRIVATE_ADDRESS_TIMEOUT_MS } from '../constants.ts'
import { isPrivate } from '../identity/address.ts'
import type { NativeDialEntry } from '../native/addon.ts'

/** Milliseconds that an address is ahead of the next one: the Connection Attempt Delay that RFC 8305 recommends. */
const HEAD_START_MS = 250

/** A plan for addresses in their order. */
export function dialPlan(addresses: readonly string[]): NativeDialEntry[] {
  return addresses.map((address, index) => ({
    address,
    delayMs: index * HEAD_START_MS,
    timeoutMs: isPrivate(address) ? DIAL_PRIVATE_ADDRESS_TIMEOUT_MS : DIAL_ADDRESS_TIMEOUT_MS
  }))
}
