/** The addresses of one peer, with their lifetimes and in the order in which they are dialled. */
import {
  ADDRESS_TTL_CONNECTED,
  ADDRESS_TTL_PERMANENT,
  ADDRESS_TTL_RECENTLY_CONNECTED,
  ADDRESS_TTL_TEMPORARY
} from '../constants.ts'
import { dialRefusal, type ParsedAddress } from '../identity/parsed-address.ts'

/**
 * Maximum addresses per peer. A peer may advertise 500; a dial takes 25 of them, and 20 are kept after the peer has left,
 * so that those beyond would only cost memory, at every peer that an attacker invents.
 */
export const ADDRESSES_MAX = 64

/** Addresses kept of a peer whose last connection has ended, as in go. */
const ADDRESSES_LEFT_MAX = 20

/** Quality of an address, worst first, which is also the order of eviction. */
export const UNDIALABLE = 0
export const UNVERIFIED = 1
export const WORKED = 2
export type Quality = typeof UNDIALABLE | typeof UNVERIFIED | typeof WORKED

/** A lifetime, and when it ends. */
export interface Lifetime {
  readonly ttl: number
  readonly expiresAt: number
}

/** An address and what is known of it. */
export interface KnownAddress {
  /** As text, without `/p2p`. */
  readonly text: string
  quality: Quality
  /** Its lifetime, by which {@link PeerAddresses.update} finds it. */
  ttl: number
  /** When it expires, in milliseconds since the epoch; Infinity for never. */
  expiresAt: number
  /** The lifetime that it has without a connection, if that is longer than {@link ADDRESS_TTL_RECENTLY_CONNECTED}. */
  own: Lifetime | undefined
  /** Whether it is from a signed record of the peer. */
  isCertified: boolean
  /** When it was last heard of. */
  observedAt: number
}

/** Returns when an address that is added now expires. */
export function expiryOf(ttl: number, now: number): number {
  return ttl >= ADDRESS_TTL_CONNECTED ? Number.POSITIVE_INFINITY : now + ttl
}

/** Returns {@link KnownAddress.own} of a lifetime. */
export function ownLifetime(ttl: number, expiresAt: number): Lifetime | undefined {
  const isOwn = ttl > ADDRESS_TTL_RECENTLY_CONNECTED && ttl < ADDRESS_TTL_CONNECTED
  return isOwn ? { ttl, expiresAt } : undefined
}

/** Returns the lifetime of an address of a peer that has left now. */
export function lifetimeLeft({ own }: KnownAddress, now: number): Lifetime {
  const ttl = ADDRESS_TTL_RECENTLY_CONNECTED
  const expiresAt = now + ttl
  return own !== undefined && own.expiresAt > expiresAt ? own : { ttl, expiresAt }
}

/** Addresses dialled successfully, then unverified ones, then those without a transport; the most recent first. */
export class PeerAddresses {
  readonly #known = new Map<string, KnownAddress>()
  /** No address expires before. */
  #firstExpiry = Number.POSITIVE_INFINITY
  #keepsWorked = false

  get size(): number {
    return this.#known.size
  }

  /** Whether one of them expires. */
  get expires(): boolean {
    return this.#firstExpiry !== Number.POSITIVE_INFINITY
  }

  get hasWorked(): boolean {
    for (const { quality } of this.#known.values()) if (quality === WORKED) return true
    return false
  }

  get hasPermanent(): boolean {
    for (const { ttl } of this.#known.values()) if (ttl === ADDRESS_TTL_PERMANENT) return true
    return false
  }

  /** Approximate bytes of memory. */
  get bytes(): number {
    let bytes = 0
    for (const text of this.#known.keys()) bytes += ENTRY_BYTES + 2 * text.length
    return bytes
  }

  /** Sets whether addresses that were dialled successfully outlive their lifetime. */
  keepWorked(keeps: boolean): void {
    this.#keepsWorked = keeps
    this.#findExpiry()
  }

  /** Adds an address, or makes it the most recent one. Its lifetime is only ever extended. */
  add(address: ParsedAddress, quality: Quality, ttl: number, now: number): KnownAddress {
    const { text } = address
    // A transport of the application may have dialled it.
    const isDialable = quality === WORKED || dialRefusal(address) === undefined
    const fresh = isDialable ? quality : UNDIALABLE
    const expiresAt = expiryOf(ttl, now)
    const known = this.#known.get(text) ?? {
      text,
      quality: fresh,
      ttl,
      expiresAt,
      own: undefined,
      isCertified: false,
      observedAt: now
    }
    if (known.expiresAt <= now) known.ttl = ttl
    // The larger of two standings is one of them.
    known.quality = Math.max(known.quality, fresh) as Quality
    known.ttl = Math.max(known.ttl, ttl)
    known.expiresAt = Math.max(known.expiresAt, expiresAt)
    known.observedAt = now
    if (expiresAt > (known.own?.expiresAt ?? 0))
      known.own = ownLifetime(ttl, expiresAt) ?? known.own
    this.put(known)
    return known
  }

  /**
   * Makes an address that worked before, and is one of a connected peer again, the most recent one. Returns whether its
   * lifetime has changed; undefined if it never worked.
   */
  worked(text: string): boolean | undefined {
    const known = this.#known.get(text)
    if (known?.quality !== WORKED) return undefined
    if (this.#known.size > 1) {
      this.#known.delete(text)
      this.#known.set(text, known)
    }
    if (known.ttl >= ADDRESS_TTL_CONNECTED) return false
    known.ttl = ADDRESS_TTL_CONNECTED
    known.expiresAt = Number.POSITIVE_INFINITY
    this.#findExpiry()
    return true
  }

  /** Adds or replaces an address. */
  put(address: KnownAddress): void {
    const { text } = address
    this.#known.delete(text)
    this.#known.set(text, address)
    this.#firstExpiry = Math.min(this.#firstExpiry, this.#expiryOf(address))
    if (this.#known.size > ADDRESSES_MAX) this.#known.delete(this.#worst())
  }

  /** Sets the lifetime of an address, which may shorten it; adds it if it is unknown. A lifetime of 0 removes it. */
  set(address: ParsedAddress, ttl: number, now: number): void {
    if (ttl === 0) {
      this.delete(address.text)
      return
    }
    const known = this.add(address, UNVERIFIED, ttl, now)
    known.ttl = ttl
    known.expiresAt = expiryOf(ttl, now)
    known.own = ownLifetime(ttl, known.expiresAt)
    this.#findExpiry()
  }

  /** Gives the addresses of one lifetime another one; 0 removes them. Returns whether there was one. */
  update(oldTtl: number, newTtl: number, now: number): boolean {
    let found = false
    for (const address of this.#known.values()) {
      if (address.ttl !== oldTtl) continue
      found = true
      if (newTtl === 0) this.#known.delete(address.text)
      address.ttl = newTtl
      address.expiresAt = expiryOf(newTtl, now)
      address.own = ownLifetime(newTtl, address.expiresAt)
    }
    this.#findExpiry()
    return found
  }

  /** Lets the addresses of a peer expire that has left, and removes all but the best 20 of them. */
  left(now: number): void {
    let count = 0
    for (const address of this.#ranked()) {
      if (address.ttl !== ADDRESS_TTL_CONNECTED) continue
      const { ttl, expiresAt } = lifetimeLeft(address, now)
      // Those that the application has given a longer lifetime stay.
      const isRecent = ttl === ADDRESS_TTL_RECENTLY_CONNECTED
      if (isRecent) count += 1
      if (isRecent && count > ADDRESSES_LEFT_MAX) this.#known.delete(address.text)
      address.ttl = ttl
      address.expiresAt = expiresAt
      address.observedAt = now
    }
    this.#findExpiry()
  }

  /** Removes the addresses for which `matches` returns true. */
  remove(matches: (address: KnownAddress) => boolean): void {
    for (const address of this.#known.values()) {
      if (matches(address)) this.#known.delete(address.text)
    }
  }

  delete(text: string): void {
    this.#known.delete(text)
  }

  clear(): void {
    this.#known.clear()
    this.#firstExpiry = Number.POSITIVE_INFINITY
  }

  /** Removes expired addresses; returns whether there were any. */
  sweep(now: number): boolean {
    if (now < this.#firstExpiry) return false
    const before = this.#known.size
    this.remove((address) => this.#expiryOf(address) <= now)
    this.#findExpiry()
    return this.#known.size < before
  }

  /** Returns the addresses as text, in the order in which they are dialled. */
  texts(clock: { now(): number }): string[] {
    const isCurrent =
      this.#firstExpiry === Number.POSITIVE_INFINITY || clock.now() < this.#firstExpiry
    // The common case: there is nothing to sort.
    if (isCurrent && this.#known.size === 1) return [...this.#known.keys()]
    const now = isCurrent ? Number.NEGATIVE_INFINITY : clock.now()
    return this.#ranked()
      .filter((address) => now < this.#expiryOf(address))
      .map(({ text }) => text)
  }

  /** Returns whether there is an address now. */
  hasCurrent(now: number): boolean {
    if (now < this.#firstExpiry) return this.#known.size > 0
    for (const address of this.#known.values()) if (now < this.#expiryOf(address)) return true
    return false
  }

  /** Returns whether there is an address that is not only for a dial at hand. */
  hasLasting(now: number): boolean {
    for (const address of this.#known.values()) {
      if (address.ttl > ADDRESS_TTL_TEMPORARY && now < this.#expiryOf(address)) return true
    }
    return false
  }

  /** Yields the addresses, expired ones included, the least recent first. */
  all(): MapIterator<KnownAddress> {
    return this.#known.values()
  }

  #ranked(): KnownAddress[] {
    const known = [...this.#known.values()].reverse()
    return known.sort((one, other) => other.quality - one.quality)
  }

  #expiryOf({ quality, expiresAt }: KnownAddress): number {
    return this.#keepsWorked && quality === WORKED ? Number.POSITIVE_INFINITY : expiresAt
  }

  #findExpiry(): void {
    let first = Number.POSITIVE_INFINITY
    for (const address of this.#known.values()) first = Math.min(first, this.#expiryOf(address))
    this.#firstExpiry = first
  }

  /**
   * Returns the oldest address of the worst quality. What the application keeps is not evicted by addresses that its peer
   * reports.
   */
  #worst(): string {
    let found = ''
    let least = Number.POSITIVE_INFINITY
    for (const { text, quality, ttl } of this.#known.values()) {
      const isKept = quality === UNVERIFIED && ttl === ADDRESS_TTL_PERMANENT
      const worth = isKept ? quality + 0.5 : quality
      if (worth >= least) continue
      found = text
      least = worth
    }
    return found
  }
}

/** Bytes of one address beside its text, measured. */
const ENTRY_BYTES = 200
