/**
 * The peers of a store, in memory: their entries, the bound of their number and of their memory, and the expiry of their
 * addresses.
 */
import type { Clock } from '../base/clock.ts'
import { PeerEntry, RANK } from './peer-entry.ts'

/** Default of the option `maxPeers`, some 25 MB of ordinary peers. */
export const PEERS_MAX = 10_000

/**
 * Mean bytes of a peer, whose multiple by `maxPeers` bounds the memory: three times what an ordinary peer has, far below
 * the 100 KiB that a peer may report of itself.
 */
const MEAN_BYTES_MAX = 6_700

/** The least of that bound: more than what one peer may have, so that any write of one fits. */
const BYTES_MIN = 1.25 * 1024 * 1024

/** Interval of the removal of expired addresses, which are invisible before. */
const SWEEP_MS = 60_000

/** Told of every change of an entry. It handles the rejections of what it returns. */
export interface TableSink {
  changed(entry: PeerEntry): Promise<void>
  /** The application has removed a peer, which need not be one of the table; or it was evicted, or all of it has expired. */
  deleted(peer: string, isEvicted: boolean): Promise<void>
  /** Called when the application awaits one of these promises. */
  urge(): void
}

/** Peers by their text. */
export class PeerTable {
  readonly clock: Clock
  readonly maxPeers: number
  readonly #peers = new Map<string, PeerEntry>()
  readonly #ranks = Object.values(RANK).map(() => new Recency())
  /** Whoever is connected, known or not. Bounded by the connections. */
  readonly #connected = new Set<string>()
  readonly #bytesMax: number
  #bytes = 0
  #timer: unknown
  #isClosed = false
  /** The swarm that runs with it. */
  #user: object | undefined
  #sink: TableSink | undefined

  constructor(clock: Clock, maxPeers = PEERS_MAX) {
    this.clock = clock
    this.maxPeers = maxPeers
    this.#bytesMax = Math.max(maxPeers * MEAN_BYTES_MAX, BYTES_MIN)
  }

  /** Tells `sink` of the changes from here on. */
  report(sink: TableSink | undefined): void {
    this.#sink = sink
  }

  /** Returns a promise of the caller's own for a change; the change is then made durable at once. */
  own(stored: Promise<void>): Promise<void> {
    if (stored === DONE) return DONE
    this.#sink?.urge()
    // Its rejection is unhandled if the caller does not handle it.
    return stored.then(() => {})
  }

  get(peer: string): PeerEntry | undefined {
    return this.#peers.get(peer)
  }

  all(): MapIterator<PeerEntry> {
    return this.#peers.values()
  }

  get size(): number {
    return this.#peers.size
  }

  /** Returns the entry of a peer, which {@link settle} adds if it is new. */
  ensure(peer: string): PeerEntry {
    const known = this.#peers.get(peer)
    if (known !== undefined) return known
    const entry = new PeerEntry(peer)
    entry.isConnected = this.#connected.has(peer)
    return entry
  }

  /**
   * Returns a message if the application cannot keep a peer, or `bytes` more of one. What it keeps is not evicted, so it has
   * bounds of its own, equal to those of the other peers.
   */
  refusal(peer: string, bytes = 0): string | undefined {
    const entry = this.#peers.get(peer)
    const kept = this.#ranks[RANK.kept]
    if (kept === undefined) return undefined
    const isKept = entry?.rank === RANK.kept
    if (!isKept && kept.size >= this.maxPeers) {
      return `${kept.size} peers have permanent addresses, metadata or tags, and maxPeers is ${this.maxPeers}`
    }
    const total = kept.bytes + bytes + (isKept ? 0 : (entry?.bytes ?? 0))
    if (total <= this.#bytesMax) return undefined
    return `${total} bytes of peers with permanent addresses, metadata or tags exceed the limit of ${this.#bytesMax}`
  }

  /** Makes a peer the most recent one of its rank; `hasChanged` if more than its place has to be stored. */
  touch(entry: PeerEntry, hasChanged: boolean): void {
    this.#ranks[entry.rank]?.touch(entry)
    // A failure has been logged, and the write is repeated.
    if (hasChanged) void this.#sink?.changed(entry)
  }

  /** Lists an entry by the rank that it has now. */
  rank(entry: PeerEntry): void {
    this.#ranks[entry.rank]?.remove(entry)
    entry.rank = entry.rankNow()
    this.#ranks[entry.rank]?.append(entry)
  }

  /**
   * Takes a changed entry over: adds it, or removes it if nothing is known any more, and evicts others. Resolves when the
   * change is durable.
   */
  settle(entry: PeerEntry): Promise<void> {
    if (entry.isEmpty) return this.delete(entry.peer)
    this.#place(entry)
    const stored = this.#sink?.changed(entry) ?? DONE
    this.#evict(entry)
    return stored
  }

  /** {@link settle} of an entry whose change need not be stored. */
  load(entry: PeerEntry): void {
    this.#place(entry)
    this.#evict(entry)
  }

  /** Lists an entry by its rank, and counts its memory. */
  #place(entry: PeerEntry): void {
    if (this.#peers.get(entry.peer) === entry) this.#unlist(entry)
    this.#peers.set(entry.peer, entry)
    entry.bytes = entry.measure()
    entry.rank = entry.rankNow()
    this.#bytes += entry.bytes
    this.#ranks[entry.rank]?.append(entry)
    if (entry.addresses.expires) this.#sweepLater()
  }

  /** Removes a peer. Resolves when that is durable. */
  delete(peer: string, isEvicted = false): Promise<void> {
    const entry = this.#peers.get(peer)
    if (entry !== undefined) {
      this.#unlist(entry)
      this.#peers.delete(peer)
    }
    return this.#sink?.deleted(peer, isEvicted) ?? DONE
  }

  /** Records that a peer has its first connection, or that its last one has ended. */
  setConnected(peer: string, isConnected: boolean): PeerEntry | undefined {
    if (isConnected) this.#connected.add(peer)
    else this.#connected.delete(peer)
    const entry = this.#peers.get(peer)
    if (entry !== undefined) entry.isConnected = isConnected
    return entry
  }

  /** Whether a peer has a connection. */
  isConnected(peer: string): boolean {
    return this.#connected.has(peer)
  }

  /** Takes up the work for a swarm, maybe after an earlier one. Returns whether no other one uses it. */
  open(user: object): boolean {
    if (this.#user !== undefined) return false
    this.#user = user
    this.#isClosed = false
    return true
  }

  /** Ends the timer, also for writes to come: addresses that have expired are not returned in any case. */
  close(user: object): void {
    if (this.#user !== undefined && this.#user !== user) return
    this.#user = undefined
    this.#isClosed = true
    this.clock.clearTimer(this.#timer)
    this.#timer = undefined
    this.#connected.clear()
  }

  #unlist(entry: PeerEntry): void {
    this.#ranks[entry.rank]?.remove(entry)
    this.#bytes -= entry.bytes
  }

  /** Evicts others than `settled`, whose write may be awaited. */
  #evict(settled: PeerEntry): void {
    while (this.#exceeds()) {
      const stalest = this.#stalest(settled)
      if (stalest === undefined) return
      void this.delete(stalest.peer, true)
    }
  }

  /** Whether the peers that the application does not keep exceed their bounds. */
  #exceeds(): boolean {
    const { size = 0, bytes = 0 } = this.#ranks[RANK.kept] ?? {}
    return this.#peers.size - size > this.maxPeers || this.#bytes - bytes > this.#bytesMax
  }

  #stalest(settled: PeerEntry): PeerEntry | undefined {
    for (const rank of EVICTED) {
      const first = this.#ranks[rank]?.first
      const stalest = first === settled ? first.next : first
      if (stalest !== undefined) return stalest
    }
    return undefined
  }

  /** Removes expired addresses, while there are any that expire. */
  #sweep(): void {
    this.#timer = undefined
    const now = this.clock.now()
    let expires = false
    for (const entry of [...this.#peers.values()]) {
      if (entry.addresses.sweep(now)) {
        // A record of no address is of no use, as in go.
        if (entry.addresses.size === 0) entry.record = undefined
        void (entry.isEmpty ? this.delete(entry.peer, true) : this.settle(entry))
      }
      expires ||= entry.addresses.expires
    }
    if (expires) this.#sweepLater()
  }

  #sweepLater(): void {
    if (this.#isClosed) return
    this.#timer ??= this.clock.setTimer(() => this.#sweep(), SWEEP_MS)
  }
}

const EVICTED = [RANK.bare, RANK.unreached, RANK.reached]

/** What a store in memory returns. */
export const DONE: Promise<void> = Promise.resolve()

/** A list of entries, the least recent first. Links in the entries cost less than a map at every dial. */
class Recency {
  first: PeerEntry | undefined
  /** Number of its entries, and their bytes. */
  size = 0
  bytes = 0
  #last: PeerEntry | undefined

  append(entry: PeerEntry): void {
    this.size += 1
    this.bytes += entry.bytes
    entry.previous = this.#last
    entry.next = undefined
    if (this.#last === undefined) this.first = entry
    else this.#last.next = entry
    this.#last = entry
  }

  remove(entry: PeerEntry): void {
    this.size -= 1
    this.bytes -= entry.bytes
    if (entry.previous === undefined) this.first = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.#last = entry.previous
    else entry.next.previous = entry.previous
  }

  touch(entry: PeerEntry): void {
    if (entry === this.#last) return
    this.remove(entry)
    this.append(entry)
  }
}
