/**
 * The persistence of a peerstore. Peers that change are marked. A write of the application is committed at the end of the
 * turn of the event loop, with everything else that is marked; while a commit is under way the next ones gather. So a write
 * costs a share of a sync, and memory is bounded by the peers.
 */
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { Logger } from '../diagnostics/logger.ts'
import { PeerstoreError, StateError } from '../errors.ts'
import { peerText } from '../identity/peer-id.ts'
import type { Backend } from './backend.ts'
import { putMetadata } from './changes.ts'
import { decodePeer, encodePeer } from './codec.ts'
import type { PeerEntry } from './peer-entry.ts'
import { DONE, type PeerTable, type TableSink } from './peer-table.ts'

/**
 * Milliseconds that changes of the swarm itself gather, which nobody awaits: peers cause them, and should not make the disk
 * sync at will.
 */
const GATHER_MS = 1_000

/** The same after a failed commit: each attempt encodes everything that has failed. */
const RETRY_MS = 10_000

/**
 * Milliseconds that a close waits for the backend beyond the swarm's own timeout: a sync of a slow disk, rather than one that
 * hangs.
 */
const CLOSE_MS = 5_000

/** Writes that are part of one commit. */
type Gathering = PromiseWithResolvers<void>

/** Keeps a backend up to date with a table. */
export class Journal implements TableSink {
  readonly #backend: Backend
  readonly #table: PeerTable
  readonly #logger: Logger
  /** The local peer, whose entry js keeps and this store does not touch. */
  readonly #self: string
  #marked = new Set<string>()
  /** Those of the commit under way. */
  #committing: ReadonlySet<string> = NOBODY
  /** Those that the backend has. */
  readonly #stored = new Set<string>()
  /**
   * Those that it may have: put by a commit that failed, maybe after it was applied. Bounded by the peers, and by those that
   * the application removes.
   */
  readonly #unsure = new Set<string>()
  /** Those that the application has removed before they were loaded. */
  readonly #removed = new Set<string>()
  #gathering: Gathering | undefined
  /** The writes of the commit under way. */
  #settling: Gathering | undefined
  /** Whether the application awaits one of them. */
  #isUrgent = false
  #timer: unknown
  /** The latest commit has failed. */
  #hasFailed = false
  #opening: Promise<void> | undefined
  #isOpen = false
  #isClosed = false
  #running: Promise<void> | undefined

  constructor(backend: Backend, table: PeerTable, self: string, logger: Logger) {
    this.#backend = backend
    this.#table = table
    this.#self = self
    this.#logger = logger
    table.report(this)
  }

  /**
   * Opens the backend, loads its records, and stores what was written before. A failure of the latter is logged, and it is
   * stored later.
   */
  open(): Promise<void> {
    this.#opening ??= this.#open()
    return this.#opening
  }

  async #open(): Promise<void> {
    await this.#backend.open()
    try {
      await this.#load()
    } catch (err) {
      // The first error counts.
      await this.#backend.close().catch(() => {})
      throw err
    }
    this.#isOpen = true
    if (this.#marked.size > 0) await this.#commitNow()
  }

  /**
   * Commits what is pending, and closes the backend. Never rejects: a failure is logged, and so is a backend that does not
   * answer within `ms` and {@link CLOSE_MS}, whose writes reject then.
   */
  async close(ms: number): Promise<void> {
    const { clock } = this.#table
    const late = Promise.withResolvers<void>()
    const timer = clock.setTimer(() => {
      this.#logger.error('the peerstore did not close in time: what it was to store may be lost')
      for (const writes of [this.#settling, this.#gathering]) writes?.reject(unanswered())
      late.resolve()
    }, ms + CLOSE_MS)
    // The timers of a clock do not keep the process alive, and a backend that hangs need not.
    const alive = setInterval(() => {}, TIMER_MS_MAX)
    await Promise.race([this.#end(), late.promise])
    clearInterval(alive)
    clock.clearTimer(timer)
  }

  async #end(): Promise<void> {
    // Whoever opens it has the error.
    await this.#opening?.catch(() => {})
    this.#isClosed = true
    this.#table.clock.clearTimer(this.#timer)
    await this.#running
    if (this.#isOpen && this.#marked.size > 0) await this.#commitNow()
    this.#gathering?.reject(closed())
    if (!this.#isOpen) {
      const { size } = this.#marked
      if (size > 0) this.#logger.warn(`the peerstore was never open: ${size} peers are not stored`)
      return
    }
    try {
      await this.#backend.close()
    } catch (err) {
      this.#logger.error('the peerstore failed to close', err)
    }
  }

  changed({ peer }: PeerEntry): Promise<void> {
    if (peer === this.#self) return DONE
    this.#marked.add(peer)
    return this.#gather()
  }

  deleted(peer: string, isEvicted: boolean): Promise<void> {
    if (peer === this.#self) return DONE
    if (isEvicted) this.#unsure.delete(peer)
    else if (!this.#isOpen) this.#removed.add(peer)
    else if (this.#committing.has(peer)) this.#unsure.add(peer)
    const isStored = this.#stored.has(peer) || this.#committing.has(peer) || this.#unsure.has(peer)
    if (isStored || this.#removed.has(peer)) {
      this.#marked.add(peer)
      return this.#gather()
    }
    // It was never stored: there is nothing to remove.
    this.#marked.delete(peer)
    return DONE
  }

  urge(): void {
    if (this.#isUrgent) return
    this.#isUrgent = true
    this.#schedule()
  }

  #gather(): Promise<void> {
    if (this.#isClosed) return handled(Promise.reject(closed()))
    // The open stores it. To wait for that would make an application wait for ever that awaits its writes, then starts.
    if (!this.#isOpen) return DONE
    if (this.#gathering === undefined) {
      this.#gathering = Promise.withResolvers()
      handled(this.#gathering.promise)
      this.#schedule()
    }
    return this.#gathering.promise
  }

  /** Lets the next commit begin, unless one is under way, whose end calls this again. */
  #schedule(): void {
    if (!this.#isOpen || this.#isClosed || this.#running !== undefined) return
    const begin = (): void => {
      if (!this.#isClosed && this.#running === undefined) void this.#commitNow()
    }
    if (this.#isUrgent) {
      setImmediate(begin)
      return
    }
    const ms = this.#hasFailed ? RETRY_MS : GATHER_MS
    this.#timer ??= this.#table.clock.setTimer(begin, ms)
  }

  #commitNow(): Promise<void> {
    this.#table.clock.clearTimer(this.#timer)
    this.#timer = undefined
    this.#running = this.#commit().finally(() => {
      this.#running = undefined
      if (this.#marked.size > 0) this.#schedule()
    })
    return this.#running
  }

  async #commit(): Promise<void> {
    const gathering = this.#gathering
    const marked = this.#marked
    this.#gathering = undefined
    this.#settling = gathering
    this.#isUrgent = false
    this.#marked = new Set()
    this.#committing = marked
    try {
      const changes = this.#changesOf(marked)
      if (changes.size > 0) await this.#backend.commit(changes)
      for (const [peer, record] of changes) {
        // One that was removed meanwhile is marked again.
        this.#unsure.delete(peer)
        if (record === undefined) this.#stored.delete(peer)
        else this.#stored.add(peer)
      }
      this.#hasFailed = false
      gathering?.resolve()
    } catch (err) {
      // Again with the next commit, unless they were evicted meanwhile and not known to be stored.
      for (const peer of marked) {
        if (this.#table.get(peer) !== undefined) this.#unsure.add(peer)
        if (this.#unsure.has(peer) || this.#stored.has(peer)) this.#marked.add(peer)
      }
      // Once: peers may cause any number of commits.
      if (!this.#hasFailed) {
        this.#logger.error(
          `the peerstore failed to store ${marked.size} peers, and will try again`,
          err
        )
      }
      this.#hasFailed = true
      gathering?.reject(err)
    } finally {
      this.#committing = NOBODY
      this.#settling = undefined
    }
  }

  #changesOf(marked: ReadonlySet<string>): Map<string, Uint8Array | undefined> {
    const now = this.#table.clock.now()
    const changes = new Map<string, Uint8Array | undefined>()
    for (const peer of marked) {
      const entry = this.#table.get(peer)
      changes.set(peer, entry === undefined ? undefined : encodePeer(entry, now))
    }
    return changes
  }

  async #load(): Promise<void> {
    const now = this.#table.clock.now()
    const entries: PeerEntry[] = []
    let skipped = 0
    let reason: unknown
    for await (const page of this.#backend.load()) {
      for (const [peer, record] of page) {
        if (peer === this.#self) continue
        try {
          peerText(peer)
          this.#stored.add(peer)
          entries.push(decodePeer(peer, record, now))
        } catch (err) {
          skipped += 1
          reason ??= err
        }
      }
    }
    if (skipped > 0) this.#logger.warn(`the peerstore skips ${skipped} damaged records`, reason)
    const left = entries.filter(({ peer }) => !this.#removed.has(peer))
    this.#removed.clear()
    this.#fill(left.sort((one, other) => one.updatedAt - other.updatedAt))
  }

  /** Fills the table with entries, the least recent first. */
  #fill(entries: readonly PeerEntry[]): void {
    // These are not evicted, so their number is bounded here.
    const excess = entries.filter(({ isKept }) => isKept).length - this.#table.maxPeers
    let forgotten = 0
    for (const entry of entries) {
      // All of it has expired, or it is beyond the bound.
      if (entry.isEmpty) this.#marked.add(entry.peer)
      else if (entry.isKept && forgotten < excess) {
        forgotten += 1
        this.#marked.add(entry.peer)
      } else this.#table.load(merged(entry, this.#table.get(entry.peer)))
    }
    if (forgotten > 0) {
      this.#logger.warn(
        `the peerstore forgets the ${forgotten} least recent peers with permanent addresses, metadata or tags: maxPeers is ${this.#table.maxPeers}`
      )
    }
  }
}

const NOBODY: ReadonlySet<string> = new Set()

/** Returns a loaded entry, or the one that was written before with what that lacks. */
function merged(loaded: PeerEntry, written: PeerEntry | undefined): PeerEntry {
  if (written === undefined) return loaded
  // Those that were written are the more recent ones.
  const addresses = [...written.addresses.all()]
  for (const address of [...loaded.addresses.all(), ...addresses]) written.addresses.put(address)
  if (written.protocols.length === 0) written.protocols = loaded.protocols
  for (const [key, value] of loaded.metadata ?? []) {
    if (written.metadata?.has(key) !== true) putMetadata(written, key, value)
  }
  written.tags ??= loaded.tags
  written.addresses.keepWorked(written.isTagged)
  written.publicKey ??= loaded.publicKey
  written.record ??= loaded.record
  return written
}

/** Returns a promise whose rejection is not reported as unhandled: it is logged. */
function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => {})
  return promise
}

function unanswered(): PeerstoreError {
  return new PeerstoreError('the peerstore was closed before its storage has answered')
}

function closed(): StateError {
  return new StateError('the peerstore is closed')
}
