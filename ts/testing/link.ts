/** The links of a simulated network: how long a packet takes from one node to another, and whether it arrives at all. */
import {
  aDuration,
  type Check,
  checkOptions,
  misuse,
  type OptionChecks
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { Half } from './half.ts'

/** The properties of a link, the same in both directions. All optional. */
export interface LinkOptions {
  /** Milliseconds of a packet in one direction. Defaults to 10. */
  latency?: number
  /** Up to so many more milliseconds, drawn for each packet, in whole microseconds. Packets keep their order. Defaults to 0. */
  jitter?: number
  /** Bytes per second in each direction, shared by the connections of the link; `Infinity` for no bound, the default. */
  bandwidth?: number
  /** Probability that a dial is answered by a reset instead of a connection. Defaults to 0. */
  dialFailure?: number
  /**
   * Losses per hour of a connection: the time until one is lost is drawn at its beginning, from an exponential
   * distribution. Both ends see a reset. Defaults to 0.
   */
  lossPerHour?: number
  /**
   * Milliseconds after which the connections across a partition are lost, as by the keepalive of a muxer: until then they
   * wait for {@link SimulatedNetwork.heal}. Defaults to 40,000.
   */
  stallTimeout?: number
}

/** The properties of a link with all defaults. */
export type Link = Readonly<Required<LinkOptions>>

const DEFAULTS: Link = Object.freeze({
  // Between cities of one continent.
  latency: 10,
  jitter: 0,
  bandwidth: Number.POSITIVE_INFINITY,
  dialFailure: 0,
  lossPerHour: 0,
  // That of the keepalive of yamux: a ping after 30 s, whose answer is awaited for 10 s.
  stallTimeout: 40_000
})

const aFiniteDuration: Check = (value, name) => {
  aDuration(value, name)
  if (value === Number.POSITIVE_INFINITY) {
    throw misuse(name, `a duration of 0 to ${TIMER_MS_MAX} ms`, value)
  }
}

const aProbability: Check = (value, name) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw misuse(name, 'a probability between 0 and 1', value)
  }
}

const aRate: Check = (value, name) => {
  if (typeof value !== 'number' || !(value >= 0) || value === Number.POSITIVE_INFINITY) {
    throw misuse(name, 'a number of 0 or more', value)
  }
}

const aBandwidth: Check = (value, name) => {
  if (typeof value !== 'number' || !(value > 0)) {
    throw misuse(name, 'bytes per second, more than 0', value)
  }
}

/** Checks of the properties of a link, for the options that include them. */
export const LINK_CHECKS: OptionChecks<LinkOptions> = {
  latency: aFiniteDuration,
  jitter: aFiniteDuration,
  bandwidth: aBandwidth,
  dialFailure: aProbability,
  lossPerHour: aRate,
  stallTimeout: aFiniteDuration
}

/** Returns the properties of a link that `options` change. Throws `InvalidParametersError`. */
export function linkOf(options: LinkOptions, base: Link = DEFAULTS): Link {
  checkOptions(options, LINK_CHECKS)
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.freeze({ ...base, ...Object.fromEntries(given) })
}

/** One direction of a link. */
export class Path {
  link: Link
  readonly #random: () => number
  readonly #halves = new Set<Half>()
  #isCut = false
  // When the last packet has left, by the bandwidth.
  #freeAt = 0

  constructor(link: Link, random: () => number) {
    this.link = link
    this.#random = random
  }

  /** Whether a partition stops the packets of this direction. */
  get isCut(): boolean {
    return this.#isCut
  }

  /** Adds the direction of a connection; until it is removed, it hears of partitions. */
  add(half: Half): void {
    this.#halves.add(half)
    if (this.#isCut) half.cut()
  }

  remove(half: Half): void {
    this.#halves.delete(half)
  }

  cut(): void {
    if (this.#isCut) return
    this.#isCut = true
    for (const half of this.#halves) half.cut()
  }

  heal(): void {
    if (!this.#isCut) return
    this.#isCut = false
    for (const half of this.#halves) half.heal()
  }

  /** Returns when a packet of `bytes` that is sent now arrives. */
  arrival(now: number, bytes: number): number {
    const { latency, jitter, bandwidth } = this.link
    this.#freeAt = Math.max(this.#freeAt, now) + (bytes / bandwidth) * 1_000
    // Without a bandwidth, exactly now.
    const sent = bandwidth === Number.POSITIVE_INFINITY ? now : this.#freeAt
    const extra = jitter === 0 ? 0 : Math.round(this.#random() * jitter * 1_000) / 1_000
    return sent + latency + extra
  }

  /** Draws whether a dial fails. */
  failsDial(): boolean {
    const { dialFailure } = this.link
    return dialFailure > 0 && this.#random() < dialFailure
  }

  /** Draws the milliseconds until a connection is lost; Infinity for never. */
  lifetime(): number {
    const { lossPerHour } = this.link
    if (lossPerHour === 0) return Number.POSITIVE_INFINITY
    return (-Math.log(1 - this.#random()) / lossPerHour) * 3_600_000
  }
}
