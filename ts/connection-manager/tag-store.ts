/** Tags and protection of peers: what their connections are worth, for the pruner, the auto-connector and others. */
import type { PeerId } from '@libp2p/interface'
import {
  aFunction,
  aPeriod,
  aString,
  checkOptions,
  misuse,
  type OptionChecks,
  objectWith
} from '../base/arguments.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { lazyModule } from '../base/lazy-module.ts'
import { Failures } from '../diagnostics/failures.ts'
import { InvalidParametersError } from '../errors.ts'
import { type PeerLike, peerIdOf, peerText } from '../identity/peer-id.ts'
import { aTagValue, boundedTagValue, isKeepAlive, type TagUpdate } from './common-tags.ts'
import type { DecayingTag, DecayingTagOptions, DecayingTags } from './decay.ts'

/** Milliseconds between two ticks of the timer of decaying tags by default, as in go-libp2p. */
export const DECAY_RESOLUTION_MS = 60_000

/** Maximum number of peers without a connection whose tags are kept: as many as the peerstore has. */
const DISCONNECTED_MAX = 10_000

/** Peers that are forgotten at once beyond the maximum: their values are sorted, which is not done for each. */
const FORGOTTEN_AT_ONCE = 1_000

/** What is known of a peer: see {@link TagStore.getTagInfo}. */
export interface TagInfo {
  /** Time of its first connection since it had none; before that of its first tag. Milliseconds since the epoch. */
  readonly firstSeen: number
  /** The sum of its tags. */
  readonly value: number
  /** Values by tag, decaying ones included. */
  readonly tags: Readonly<Record<string, number>>
  /** Times at which its open connections were recorded, by their ids. */
  readonly conns: Readonly<Record<string, number>>
}

/** Options of `new TagStore`. */
export interface TagStoreOptions {
  /** Defaults to {@link systemClock}. */
  clock?: Clock
  /** Milliseconds between two ticks of the timer of decaying tags. Defaults to 60,000. */
  decayResolution?: number
}

/** @internal What a swarm wants to hear of its store. */
export interface TagStoreEvents {
  /** Called when a tag has got another value; undefined once the peer does not have it. Not for decaying tags. */
  changed?(peer: string, tag: string, value: number | undefined): void
  readonly onFailure?: OnFailure
}

const CHECKS: OptionChecks<TagStoreOptions> = {
  clock: objectWith('now', 'setTimer', 'clearTimer'),
  decayResolution: aPeriod
}

/** One peer. */
interface Entry {
  firstSeen: number
  value: number
  /** Whether it has not had a connection yet. */
  temporary: boolean
  tags: Map<string, number> | undefined
  /** Ids and times of its open connections: rarely more than one. */
  conns: (readonly [id: string, at: number])[] | undefined
}

const loadDecay = lazyModule<typeof import('./decay.ts')>(import.meta.url, './decay')

/**
 * Tags of peers with whole numbers as values, negative ones too, and protection of peers. `swarm.tagStore` is the one of
 * a swarm; all its calls are synchronous.
 *
 * Tags and protection outlive connections, and may be set before the first. The tags of at most 10,000 peers without a
 * connection are kept: beyond that peers that never had one are forgotten first, then those of the lowest value;
 * protected ones, and those tagged `keep-alive`, never are.
 */
export class TagStore {
  readonly #clock: Clock
  readonly #resolution: number
  #events: TagStoreEvents = {}
  readonly #entries = new Map<string, Entry>()
  readonly #protected = new Map<string, Set<string>>()
  #decaying: DecayingTags | undefined
  /** Number of entries without a connection, and that above which some may be forgotten. */
  #disconnected = 0
  #forgetAbove = DISCONNECTED_MAX

  /** @throws {@link InvalidParametersError} for an invalid option. */
  constructor(options: TagStoreOptions = {}) {
    checkOptions(options, CHECKS)
    this.#clock = options.clock ?? systemClock
    this.#resolution = options.decayResolution ?? DECAY_RESOLUTION_MS
  }

  /** @internal Sets what is called, in place of nothing. */
  report(events: TagStoreEvents): this {
    this.#events = events
    return this
  }

  /**
   * Sets a tag of a peer, in place of an earlier value of it.
   *
   * @throws {@link InvalidParametersError} for an invalid peer, a value that is no whole number, and a decaying tag.
   */
  tagPeer(peer: PeerLike, tag: string, value: number): void {
    const id = peerText(peer)
    this.#checkTag(tag)
    aTagValue(value, 'value')
    this.#set(id, tag, value)
  }

  /** Removes a tag of a peer, if it has it. */
  untagPeer(peer: PeerLike, tag: string): void {
    const id = peerText(peer)
    this.#checkTag(tag)
    const entry = this.#entries.get(id)
    const value = entry?.tags?.get(tag)
    if (entry === undefined || value === undefined) return
    entry.tags?.delete(tag)
    entry.value -= value
    this.#dropIfEmpty(id, entry)
    // It may have been kept for this tag.
    if (isKeepAlive(tag)) this.#forgetAbove = DISCONNECTED_MAX
    this.#events.changed?.(id, tag, undefined)
  }

  /**
   * Sets a tag of a peer to what `update` returns of its present value, 0 if it does not have it. See
   * {@link upsertAdd}, {@link upsertBounded} and {@link upsertSet}. What `update` throws is passed on.
   *
   * @throws {@link InvalidParametersError} for an invalid argument, and if `update` returns no whole number.
   */
  upsertTag(peer: PeerLike, tag: string, update: TagUpdate): void {
    const id = peerText(peer)
    this.#checkTag(tag)
    aFunction(update, 'update')
    const value = update(this.#entries.get(id)?.tags?.get(tag) ?? 0)
    aTagValue(value, 'the result of update')
    this.#set(id, tag, value)
  }

  /** Returns the value of a tag of a peer; 0 if it does not have it. */
  getTag(peer: PeerLike, tag: string): number {
    const id = peerText(peer)
    aString(tag, 'tag')
    return this.#entries.get(id)?.tags?.get(tag) ?? this.#decaying?.valueOf(id, tag) ?? 0
  }

  /** Returns the sum of the tags of a peer; 0 if it has none. */
  getTagValue(peer: PeerLike): number {
    return this.sumOf(peerText(peer))
  }

  /** Returns what is known of a peer, as a copy; undefined if it is neither tagged nor connected. */
  getTagInfo(peer: PeerLike): TagInfo | undefined {
    const id = peerText(peer)
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    const { firstSeen, value, tags = [], conns = [] } = entry
    const decaying = this.#decaying?.tagsOf(id) ?? []
    return {
      firstSeen,
      value,
      tags: Object.fromEntries([...tags, ...decaying]),
      conns: Object.fromEntries(conns)
    }
  }

  /** Protects a peer: the pruner closes none of its connections while any tag protects it. Idempotent for a tag. */
  protect(peer: PeerLike, tag: string): void {
    const id = peerText(peer)
    aTag(tag)
    const tags = this.#protected.get(id)
    if (tags === undefined) this.#protected.set(id, new Set([tag]))
    else tags.add(tag)
  }

  /** Ends the protection of a peer by a tag; returns whether other tags still protect it. */
  unprotect(peer: PeerLike, tag: string): boolean {
    const id = peerText(peer)
    aTag(tag)
    const tags = this.#protected.get(id)
    if (tags === undefined) return false
    tags.delete(tag)
    if (tags.size > 0) return true
    this.#protected.delete(id)
    this.#forgetAbove = DISCONNECTED_MAX
    this.#forgetBeyondMax()
    return false
  }

  /** Returns whether a peer is protected by a tag; without one, or with an empty one, whether by any. */
  isProtected(peer: PeerLike, tag = ''): boolean {
    const id = peerText(peer)
    aString(tag, 'tag')
    const tags = this.#protected.get(id)
    return tags !== undefined && (tag === '' || tags.has(tag))
  }

  /** Returns the peers that are protected. */
  getProtectedPeers(): PeerId[] {
    return Array.from(this.#protected.keys(), peerIdOf)
  }

  /** Returns the peers that are tagged or connected. */
  getAllPeers(): PeerId[] {
    return Array.from(this.#entries.keys(), peerIdOf)
  }

  /** Forgets the tags of a peer, but neither its protection nor its open connections. */
  clearPeer(peer: PeerLike): void {
    const id = peerText(peer)
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#forget(id, entry)
  }

  /**
   * Records a connection to a peer. The swarm does so for its own store.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  recordConnection(peer: PeerLike, connectionId: string): void {
    const id = peerText(peer)
    aString(connectionId, 'connectionId')
    this.connected(id, connectionId)
  }

  /** Records the end of a connection. Does nothing if it was not recorded. */
  removeConnection(peer: PeerLike, connectionId: string): void {
    const id = peerText(peer)
    aString(connectionId, 'connectionId')
    this.disconnected(id, connectionId)
  }

  /**
   * Registers a tag whose value decays, such as the esteem that a peer has earned by its answers. See the presets
   * {@link decayLinear}, {@link bumpSumBounded} and others. Its values are part of the sum of a peer.
   *
   * @throws {@link InvalidParametersError} for an invalid option, and for a name that is registered already, or that of
   * other tags.
   * @example
   * ```ts
   * const answers = swarm.tagStore.registerDecayingTag('answers', {
   *   interval: 60_000,
   *   decay: decayLinear(0.5),
   *   bump: bumpSumBounded(0, 100)
   * })
   * answers.bump(peerId, 10)
   * ```
   */
  registerDecayingTag(name: string, options: DecayingTagOptions): DecayingTag {
    aTag(name)
    const isTaken = [...this.#entries.values()].some(({ tags }) => tags?.has(name) === true)
    if (isTaken || isKeepAlive(name)) {
      throw new InvalidParametersError(
        `the name ${JSON.stringify(name)} is that of a tag that does not decay`
      )
    }
    this.#decaying ??= new (loadDecay().DecayingTags)({
      clock: this.#clock,
      resolution: this.#resolution,
      changed: (peer, delta) => this.#add(peer, delta),
      onFailure: this.#events.onFailure ?? new Failures(undefined).report
    })
    return this.#decaying.register(name, options)
  }

  /** @internal The sum of the tags of a peer by its canonical text. */
  sumOf(peer: string): number {
    return this.#entries.get(peer)?.value ?? 0
  }

  /** @internal Whether no connection of a peer, by its canonical text, is on record. */
  isTemporary(peer: string): boolean {
    return this.#entries.get(peer)?.conns === undefined
  }

  /** @internal The tags of a peer, by its canonical text, that begin with `keep-alive`. */
  keepAliveTags(peer: string): Map<string, number> {
    const { tags = [] } = this.#entries.get(peer) ?? {}
    return new Map([...tags].filter(([tag]) => isKeepAlive(tag)))
  }

  /** @internal Whether a peer, by its canonical text, has such a tag. */
  isKeptAlive(peer: string): boolean {
    for (const tag of this.#entries.get(peer)?.tags?.keys() ?? []) if (isKeepAlive(tag)) return true
    return false
  }

  /** @internal The peers with such a tag, by their canonical text. */
  keptAlive(): string[] {
    return [...this.#entries.keys()].filter((peer) => this.isKeptAlive(peer))
  }

  /** @internal Sets tags of a peer that were stored, but for those that it has: no change that is reported. */
  restore(peer: string, stored: ReadonlyMap<string, number>): void {
    for (const [tag, value] of stored) {
      // What another program has stored may be any number.
      if (this.#entries.get(peer)?.tags?.has(tag) !== true)
        this.#put(peer, tag, boundedTagValue(value))
    }
  }

  /** @internal {@link isProtected} for the canonical text of a peer. */
  protects(peer: string): boolean {
    return this.#protected.has(peer)
  }

  /** @internal {@link recordConnection} for the canonical text of a peer. */
  connected(peer: string, connectionId: string): void {
    const now = this.#clock.now()
    const entry = this.#entries.get(peer)
    if (entry === undefined) {
      this.#entries.set(peer, {
        firstSeen: now,
        value: 0,
        temporary: false,
        tags: undefined,
        conns: [[connectionId, now]]
      })
    } else if (entry.conns === undefined) {
      this.#disconnected -= 1
      entry.firstSeen = now
      entry.temporary = false
      entry.conns = [[connectionId, now]]
    } else if (entry.conns.every(([id]) => id !== connectionId)) {
      entry.conns.push([connectionId, now])
    }
  }

  /** @internal {@link removeConnection} for the canonical text of a peer. */
  disconnected(peer: string, connectionId: string): void {
    const entry = this.#entries.get(peer)
    const conns = entry?.conns
    const place = conns?.findIndex(([id]) => id === connectionId) ?? -1
    if (entry === undefined || place < 0) return
    conns?.splice(place, 1)
    if (conns?.length !== 0) return
    entry.conns = undefined
    this.#disconnected += 1
    this.#dropIfEmpty(peer, entry)
    this.#forgetBeyondMax()
  }

  /** @internal Ends the decay of tags, when the swarm is closed. */
  close(): void {
    this.#decaying?.close()
  }

  #checkTag(tag: string): void {
    aTag(tag)
    if (this.#decaying?.has(tag) === true) {
      throw new InvalidParametersError(`the tag ${JSON.stringify(tag)} decays: bump it instead`)
    }
  }

  #set(peer: string, tag: string, value: number): void {
    if (this.#entries.get(peer)?.tags?.get(tag) === value) return
    this.#put(peer, tag, value)
    this.#events.changed?.(peer, tag, value)
  }

  #put(peer: string, tag: string, value: number): void {
    const entry = this.#entryOf(peer)
    entry.tags ??= new Map()
    entry.value += value - (entry.tags.get(tag) ?? 0)
    entry.tags.set(tag, value)
    this.#forgetBeyondMax(peer)
  }

  /** Adds the change of a decaying tag to the sum of a peer. */
  #add(peer: string, delta: number): void {
    const entry = this.#entryOf(peer)
    entry.value += delta
    this.#dropIfEmpty(peer, entry)
    this.#forgetBeyondMax(peer)
  }

  #entryOf(peer: string): Entry {
    const known = this.#entries.get(peer)
    if (known !== undefined) return known
    const firstSeen = this.#clock.now()
    const entry: Entry = {
      firstSeen,
      value: 0,
      temporary: true,
      tags: undefined,
      conns: undefined
    }
    this.#entries.set(peer, entry)
    this.#disconnected += 1
    return entry
  }

  #dropIfEmpty(peer: string, { tags, conns }: Entry): void {
    const isTagged =
      (tags !== undefined && tags.size > 0) || this.#decaying?.isTagged(peer) === true
    if (conns !== undefined || isTagged) return
    this.#entries.delete(peer)
    this.#disconnected -= 1
  }

  #forget(peer: string, entry: Entry): void {
    const tags = [...(entry.tags?.keys() ?? [])]
    this.#decaying?.forget(peer)
    entry.tags = undefined
    entry.value = 0
    this.#dropIfEmpty(peer, entry)
    for (const tag of tags) this.#events.changed?.(peer, tag, undefined)
  }

  /** Forgets peers without a connection while they are too many: never connected ones first, then by value. */
  #forgetBeyondMax(written?: string): void {
    if (this.#disconnected <= this.#forgetAbove) return
    const counted = [...this.#entries].filter(
      ([peer, { conns }]) => conns === undefined && !this.protects(peer) && !this.isKeptAlive(peer)
    )
    // Those that are kept do not count.
    this.#forgetAbove = DISCONNECTED_MAX + this.#disconnected - counted.length
    const excess = counted.length - DISCONNECTED_MAX
    if (excess <= 0) return
    const forgettable = counted.filter(([peer]) => peer !== written)
    const rank = ({ temporary, value }: Entry): number => (temporary ? value - 2 ** 52 : value)
    forgettable.sort(([, one], [, other]) => rank(one) - rank(other))
    for (const [peer, entry] of forgettable.slice(0, Math.max(excess, FORGOTTEN_AT_ONCE))) {
      this.#forget(peer, entry)
    }
  }
}

/** Checks the name of a tag. */
function aTag(tag: unknown): void {
  if (typeof tag !== 'string' || tag === '') throw misuse('tag', 'a string that is not empty', tag)
}
