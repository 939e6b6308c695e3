/** Options of dials, as part of the public facade of a swarm. */
import type { AbortOptions } from '../base/abort.ts'
import type { SecurityName } from '../constants.ts'
import type { AddrLike } from '../identity/address.ts'

/** Options of a dial. `signal` and `timeout` apply to this call only, even if the dial is shared. */
export interface DialOptions extends AbortOptions {
  /** Timeout of the whole call in milliseconds. Defaults to 60,000. */
  timeout?: number | undefined
  /** Addresses to try besides those of the address book. */
  addresses?: readonly AddrLike[]
  /** Use an open connection, or reject with `NoConnectionError`; never dial. A string gives the reason. */
  noDial?: boolean | string
  /** Dial even if there is a connection, and addresses that have just failed. A string gives the reason. */
  force?: boolean | string
  /** Accepted security protocols, preferred first; no open connection over another is used. Defaults to the swarm's. */
  security?: readonly SecurityName[]
  /** Turn of the dial if 100 others are under way, 0 to 100: higher ones first. Defaults to 50. */
  priority?: number | undefined
}
