/**
 * Tags whose values decay with time, by the algorithm of go-libp2p's connection manager: one timer, the resolution, at
 * whose ticks the tags that are due decay for all of their peers.
 */
import { aFunction, anObject, aPeriod, checkOptions, type OptionChecks } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import { InvalidParametersError, StateError } from '../errors.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import { aTagValue } from './common-tags.ts'

/** Intervals that are made up for at one tick, after which a machine that was asleep goes on from now. */
const MISSED_MAX = 100

/** The value of a decaying tag of one peer. */
export interface DecayingValue {
  /** The value. */
  readonly value: number
  /** Time of the first bump, in milliseconds since the epoch. */
  readonly added: number
  /** Time of the last bump. */
  readonly lastBump: number
}

/** Returns the value after an interval at time `now`; undefined removes the tag of the peer. */
export type DecayFunction = (value: DecayingValue, now: number) => number | undefined

/** Returns the value after a bump by `delta`; `value` is 0 for the first. */
export type BumpFunction = (value: number, delta: number) => number

/** Options of {@link TagStore.registerDecayingTag}. */
export interface DecayingTagOptions {
  /**
   * Milliseconds between two decays, 1 or more. Tags decay at the ticks of one timer, whose resolution is
   * `connections.decayResolution`: a shorter interval is raised to it, a longer one is kept on average.
   */
  interval: number
  /** How it decays, such as {@link decayLinear}. */
  decay: DecayFunction
  /** How it is bumped, such as {@link bumpSumUnbounded}. */
  bump: BumpFunction
}

/** A tag of {@link TagStore.registerDecayingTag}. */
export interface DecayingTag {
  /** The name. */
  readonly name: string
  /** The interval in effect, in milliseconds. */
  readonly interval: number
  /**
   * Changes the value of a peer by its {@link BumpFunction}.
   *
   * @throws {@link StateError} if the tag is closed.
   * @throws {@link InvalidParametersError} for an invalid argument, and if the result is no whole number below 2^31.
   */
  bump(peer: PeerLike, delta: number): void
  /** Removes it from a peer. */
  remove(peer: PeerLike): void
  /** Removes it from all peers and frees its name. Idempotent. */
  close(): void
}

/** The store that tags belong to. */
interface DecayHost {
  readonly clock: Clock
  /** Milliseconds between two ticks. */
  readonly resolution: number
  /** Called after each change, with that of the peer's sum. */
  changed(peer: string, delta: number): void
  readonly onFailure: OnFailure
}

const CHECKS: OptionChecks<DecayingTagOptions> = {
  interval: aPeriod,
  decay: aFunction,
  bump: aFunction
}

/** @internal The decaying tags of a store. Their timer runs while any peer has one. */
export class DecayingTags {
  readonly #host: DecayHost
  readonly #tags = new Map<string, Tag>()
  #timer: unknown
  #isClosed = false

  constructor(host: DecayHost) {
    this.#host = host
  }

  /** Implements {@link TagStore.registerDecayingTag}. */
  register(name: string, options: DecayingTagOptions): DecayingTag {
    anObject(options, 'options')
    checkOptions(options, CHECKS)
    const { interval, decay, bump } = options
    // None of them has a default.
    aPeriod(interval, 'interval')
    aFunction(decay, 'decay')
    aFunction(bump, 'bump')
    if (this.#tags.has(name)) {
      throw new InvalidParametersError(`the decaying tag ${JSON.stringify(name)} exists already`)
    }
    const { clock, resolution } = this.#host
    const tag = new Tag(
      name,
      { interval: Math.max(interval, resolution), decay, bump },
      {
        ...this.#host,
        now: () => clock.now(),
        used: () => this.#tick(),
        closed: () => this.#tags.delete(name)
      }
    )
    this.#tags.set(name, tag)
    return tag
  }

  has(name: string): boolean {
    return this.#tags.has(name)
  }

  valueOf(peer: string, name: string): number | undefined {
    return this.#tags.get(name)?.values.get(peer)?.value
  }

  /** Returns the names and values of a peer's tags. */
  tagsOf(peer: string): [string, number][] {
    return [...this.#tags.values()].flatMap(({ name, values }) => {
      const value = values.get(peer)?.value
      return value === undefined ? [] : [[name, value] as [string, number]]
    })
  }

  isTagged(peer: string): boolean {
    for (const { values } of this.#tags.values()) if (values.has(peer)) return true
    return false
  }

  /** Removes the tags of a peer whose sum is forgotten. */
  forget(peer: string): void {
    for (const { values } of this.#tags.values()) values.delete(peer)
  }

  /** Ends the decay. */
  close(): void {
    this.#isClosed = true
    this.#host.clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  /** Waits for the next tick, if any peer has a tag. */
  #tick(): void {
    const { clock, resolution } = this.#host
    const isUsed = [...this.#tags.values()].some(({ values }) => values.size > 0)
    if (this.#timer !== undefined || this.#isClosed || !isUsed) return
    this.#timer = clock.setTimer(() => {
      this.#timer = undefined
      const now = clock.now()
      for (const tag of this.#tags.values()) tag.decay(now)
      this.#tick()
    }, resolution)
  }
}

interface TagHost extends Pick<DecayHost, 'changed' | 'onFailure'> {
  now(): number
  /** Called when a peer has got the tag. */
  used(): void
  closed(): void
}

class Tag implements DecayingTag {
  readonly name: string
  readonly interval: number
  readonly values = new Map<string, DecayingValue>()
  readonly #options: DecayingTagOptions
  readonly #host: TagHost
  #dueAt: number
  #isClosed = false

  constructor(name: string, options: DecayingTagOptions, host: TagHost) {
    this.name = name
    this.interval = options.interval
    this.#options = options
    this.#host = host
    this.#dueAt = host.now() + this.interval
  }

  bump(peer: PeerLike, delta: number): void {
    const id = peerText(peer)
    aTagValue(delta, 'delta')
    if (this.#isClosed) throw new StateError(`the decaying tag ${this.name} is closed`)
    const now = this.#host.now()
    const before = this.values.get(id)
    const value = this.#options.bump(before?.value ?? 0, delta)
    aTagValue(value, 'the result of bump')
    // While nobody had it, no ticks were counted.
    if (this.values.size === 0) this.#dueAt = now + this.interval
    this.values.set(id, { value, added: before?.added ?? now, lastBump: now })
    this.#host.changed(id, value - (before?.value ?? 0))
    this.#host.used()
  }

  remove(peer: PeerLike): void {
    this.#remove(peerText(peer))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const peer of [...this.values.keys()]) this.#remove(peer)
    this.#host.closed()
  }

  /** Decays the values of all peers, once for each interval that has passed. */
  decay(now: number): void {
    for (let times = 0; this.#dueAt <= now; times += 1) {
      if (times === MISSED_MAX) {
        this.#dueAt = now + this.interval
        return
      }
      this.#dueAt += this.interval
      for (const [peer, value] of [...this.values]) this.#decayOne(peer, value, now)
    }
  }

  #decayOne(peer: string, before: DecayingValue, now: number): void {
    const { decay } = this.#options
    try {
      const value = decay(before, now)
      // The callback may have changed it, or forgotten the peer.
      if (this.values.get(peer) !== before) return
      if (value === undefined) {
        this.#remove(peer)
        return
      }
      aTagValue(value, 'the result of decay')
      this.values.set(peer, { ...before, value })
      this.#host.changed(peer, value - before.value)
    } catch (err) {
      this.#host.onFailure(err, decay, `the decay of the tag ${this.name} failed`)
    }
  }

  #remove(peer: string): void {
    const { value } = this.values.get(peer) ?? {}
    if (value === undefined) return
    this.values.delete(peer)
    this.#host.changed(peer, -value)
  }
}
