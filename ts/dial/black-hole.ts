/** Kinds of addresses that lead nowhere from this host: a network may drop all UDP packets, or all IPv6 ones. */
import { isPrivate } from '../identity/address.ts'

/** Number of the last outcomes that count, and of requests between two that are let through. Those of go-libp2p. */
const WINDOW = 100

/** Fewer answers in the window than this are a black hole. */
const ANSWERS_MIN = 5

/** An abandoned attempt that has waited for less is no evidence: the head start of an address over the next. */
const SILENT_MS = 250

/** @internal The state of a kind: not known yet or being tested, reachable, or a black hole. */
type State = 'probing' | 'allowed' | 'blocked'

/** @internal Counts the answers to attempts at one kind of address. */
export class SuccessCounter {
  readonly #window: number
  readonly #min: number
  readonly #outcomes: boolean[] = []
  #successes = 0
  #requests = 0

  constructor(window = WINDOW, min = ANSWERS_MIN) {
    this.#window = window
    this.#min = min
  }

  get state(): State {
    if (this.#outcomes.length < this.#window) return 'probing'
    return this.#successes >= this.#min ? 'allowed' : 'blocked'
  }

  /** Counts a request, and returns its state: one in {@link WINDOW} of those that are blocked is a probe. */
  request(): State {
    this.#requests += 1
    const { state } = this
    return state === 'blocked' && this.#requests % this.#window === 0 ? 'probing' : state
  }

  record(isSuccess: boolean): void {
    if (isSuccess && this.state === 'blocked') {
      this.#outcomes.length = 0
      this.#successes = 0
      this.#requests = 0
      return
    }
    this.#outcomes.push(isSuccess)
    if (isSuccess) this.#successes += 1
    if (this.#outcomes.length > this.#window && this.#outcomes.shift() === true) {
      this.#successes -= 1
    }
  }
}

/** Kinds of addresses whose black holes are detected; both by default. */
export interface BlackHoleDetection {
  /** Addresses over UDP. */
  readonly udp?: boolean
  /** IPv6 addresses. */
  readonly ipv6?: boolean
}

const UDP = /^\/ip[46]\/[^/]+\/udp\//

/** The kinds of a public address. */
interface Kinds {
  readonly udp: boolean
  readonly ipv6: boolean
}

/** @internal Finds kinds of public addresses that nobody answers, so that dials do not wait for them. */
export class BlackHoles {
  readonly #udp: SuccessCounter | undefined
  readonly #ipv6: SuccessCounter | undefined

  constructor({ udp = true, ipv6 = true }: BlackHoleDetection = {}) {
    this.#udp = udp ? new SuccessCounter() : undefined
    this.#ipv6 = ipv6 ? new SuccessCounter() : undefined
  }

  /**
   * Returns the test of the addresses of one request: whether one is in a black hole. `isTrial` asks for an explanation,
   * not for a dial: it does not count as a request.
   */
  screen(addresses: readonly string[], isTrial = false): (address: string) => boolean {
    const state = (counter: SuccessCounter | undefined, isConcerned: boolean): State => {
      if (counter === undefined || !isConcerned) return 'allowed'
      return isTrial ? counter.state : counter.request()
    }
    const all = addresses.map(kindsOf)
    const udp = state(
      this.#udp,
      all.some((kinds) => kinds?.udp === true)
    )
    const ipv6 = state(
      this.#ipv6,
      all.some((kinds) => kinds?.ipv6 === true)
    )
    if (udp !== 'blocked' && ipv6 !== 'blocked') return () => false
    return (address) => {
      const kinds = kindsOf(address)
      if (kinds === undefined) return false
      // A probe of one kind passes the block of the other.
      if ((kinds.udp && udp === 'probing') || (kinds.ipv6 && ipv6 === 'probing')) return false
      return (kinds.udp && udp === 'blocked') || (kinds.ipv6 && ipv6 === 'blocked')
    }
  }

  /** Records that an attempt was answered, in whatever way: a refusal too shows that packets arrive. */
  answered(address: string): void {
    this.#record(address, true)
  }

  /** Records that an attempt had no answer for `ms`; short waits do not count. */
  silent(address: string, ms: number): void {
    if (ms >= SILENT_MS) this.#record(address, false)
  }

  #record(address: string, isSuccess: boolean): void {
    const kinds = kindsOf(address)
    if (kinds?.udp === true) this.#udp?.record(isSuccess)
    if (kinds?.ipv6 === true) this.#ipv6?.record(isSuccess)
  }
}

/** Returns the kinds of a public address that has one; undefined for all others. */
function kindsOf(address: string): Kinds | undefined {
  const ipv6 = address.startsWith('/ip6/')
  const udp = UDP.test(address)
  if (!(ipv6 || udp) || isPrivate(address)) return undefined
  return { udp, ipv6 }
}
