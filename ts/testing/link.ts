/** The links of a simulated network: how long a packet takes from one node to another, and whether it arrives at all. */
import { anObject, checkOptions } from '../base/arguments.ts'
import type { Half } from './half.ts'
import { LINK_CHECKS, type LinkOptions } from './options.ts'

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

/** Returns the properties of a link that `options` change. Throws `InvalidParametersError`. */
export function linkOf(options: LinkOptions, base: Link = DEFAULTS): Link {
  anObject(options, 'options')
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
