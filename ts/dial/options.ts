/** Options of a dial: a part of the public facade of a swarm. */
import type { AbortOptions } from '../base/abort.ts'
import type { SecurityName } from '../constants.ts'
import type { AddrLike } from '../identity/address.ts'

/** Options of a dial. `signal` and `timeout` are the caller's own, also where a dial is shared. */
export interface DialOptions extends AbortOptions {
  /** Milliseconds for the whole call; 60,000 unless given. */
  timeout?: number
  /** Addresses to try before those of the address book. */
  addresses?: readonly AddrLike[]
  /** Do not dial: take a connection that is there or reject with `NoConnectionError`. Text is the reason. */
  noDial?: boolean | string
  /** Dial although there is a connection. Text is the reason. */
  force?: boolean | string
  /** Security protocols to accept, preferred first; the swarm's unless given. A connection over another does not do. */
  security?: readonly SecurityName[]
}
