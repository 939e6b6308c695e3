/** The option `peerstore` of a swarm. */
import {
  aString,
  type Check,
  checkOptions,
  misuse,
  type OptionChecks,
  objectWith
} from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { lazyModule } from '../base/lazy-module.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { InvalidParametersError } from '../errors.ts'
import type { DatastoreLike } from './interfaces.ts'
import { type PeerBook, TableBook } from './peer-book.ts'
import { PEERS_MAX } from './peer-table.ts'
import { aPeerCount, Peerstore, type PeerstoreLike } from './peerstore.ts'

// What few programs use.
const loadReplacedBook = lazyModule<typeof import('./replaced-book.ts')>(
  import.meta.url,
  './replaced-book'
)

const loadStorage = lazyModule<typeof import('./storage.ts')>(import.meta.url, './storage')

/** Options of the peerstore of a swarm. See docs/peerstore.md. */
export interface PeerstoreOptions {
  /** A file in which it is kept, which is made with its folders if there is none. Defaults to memory alone. */
  path?: string
  /** A datastore in which it is kept instead, an `interface-datastore` that its owner opens and closes. */
  datastore?: DatastoreLike
  /** Maximum number of peers, 1 or more. Defaults to 10,000. */
  maxPeers?: number
}

const CHECKS: OptionChecks<PeerstoreOptions> = {
  path: (value, name) => {
    aString(value, name)
    // A file name ends at a null character, without an error.
    if (value === '' || (value as string).includes('\0')) throw misuse(name, 'a path', value)
  },
  datastore: objectWith('query', 'batch'),
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
  'put',
  'get',
  'delete',
  'peers',
  'peersWithAddrs'
)

/** @internal The check of the option. */
export const checkPeerstore: Check = (value, name) => {
  if (isPeerstore(value)) aPeerstore(value, name)
  // `checkOptions` accepts any value, and throws.
  else {
    const options = value as PeerstoreOptions
    checkOptions(options, CHECKS, name)
    if (options.path !== undefined && options.datastore !== undefined) {
      throw new InvalidParametersError(`${name}.path and ${name}.datastore exclude each other`)
    }
  }
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
  if (isPeerstore(option)) return option
  return new Peerstore({ maxPeers: option.maxPeers ?? PEERS_MAX, clock })
}

/** @internal What persists a peerstore. */
export interface PeerstoreStorage {
  /** Loads what is stored. */
  open(): Promise<void>
  /** Stores what is pending, for `ms` and some seconds at most; never rejects. */
  close(ms: number): Promise<void>
}

/** @internal Returns what persists the peerstore of a swarm; undefined if nothing does. */
export function storageOf(
  option: PeerstoreOptions | PeerstoreLike | undefined,
  store: PeerstoreLike,
  self: string,
  logger: Logger
): PeerstoreStorage | undefined {
  if (option === undefined || isPeerstore(option) || !(store instanceof Peerstore)) return undefined
  const place = option.path ?? option.datastore
  return place === undefined ? undefined : loadStorage().journalOf(place, store.table, self, logger)
}

/** @internal Returns the swarm's own use of its peerstore. */
export function bookOf(
  store: PeerstoreLike,
  debug: (line: string, err?: unknown) => void,
  onFailure: OnFailure
): PeerBook {
  // A class that extends it may override calls, which are then made.
  if (store instanceof Peerstore && Object.getPrototypeOf(store) === Peerstore.prototype) {
    return new TableBook(store.table, debug)
  }
  const { ReplacedBook } = loadReplacedBook()
  return new ReplacedBook(store, (err) => onFailure(err, store, 'the peerstore failed'))
}
