/** The option `peerstore` of a swarm. */
import { type Check, checkOptions, type OptionChecks, objectWith } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { lazyModule } from '../base/lazy-module.ts'
import { type PeerBook, TableBook } from './peer-book.ts'
import { aPeerCount, Peerstore, type PeerstoreLike } from './peerstore.ts'

// What few programs use.
const loadReplacedBook = lazyModule<typeof import('./replaced-book.ts')>(
  import.meta.url,
  './replaced-book'
)

/** Options of the peerstore of a swarm. See docs/peerstore.md. */
export interface PeerstoreOptions {
  /** Maximum number of peers, 1 or more. Defaults to 10,000. */
  maxPeers?: number
}

const CHECKS: OptionChecks<PeerstoreOptions> = {
  maxPeers: aPeerCount
}

/** What the swarm calls. */
const aPeerstore = objectWith(
  'addrs',
  'addAddrs',
  'updateAddrs',
  'consumePeerRecord',
  'addPubKey',
  'setProtocols',
  'put'
)

/** @internal The check of the option. */
export const checkPeerstore: Check = (value, name) => {
  if (isPeerstore(value)) aPeerstore(value, name)
  // `checkOptions` accepts any value, and throws.
  else checkOptions(value as PeerstoreOptions, CHECKS, name)
}

/** Returns whether a value is to be a peerstore, rather than options of one: no option is a method. */
function isPeerstore(value: unknown): value is PeerstoreLike {
  return value instanceof Peerstore || typeof (value as PeerstoreLike | null)?.addrs === 'function'
}

/** @internal Returns the peerstore of a swarm. */
export function makePeerstore(
  option: PeerstoreOptions | PeerstoreLike | undefined,
  clock: Clock
): PeerstoreLike {
  if (option === undefined) return new Peerstore({ clock })
  return isPeerstore(option) ? option : new Peerstore({ ...option, clock })
}

/** @internal Returns the swarm's own use of its peerstore. */
export function bookOf(
  store: PeerstoreLike,
  debug: (line: string, err?: unknown) => void,
  onFailure: OnFailure
): PeerBook {
  if (store instanceof Peerstore) return new TableBook(store.table, debug)
  const { ReplacedBook } = loadReplacedBook()
  return new ReplacedBook(store, (err) => onFailure(err, store, 'the peerstore failed'))
}
