/** Prepares the addresses of calls: asks the gater about the peer, has them planned, and resolves their names. */
import { type DrainHost, onceGivenUp } from '../base/abort.ts'
import { type Clock, TIMER_MS_MAX } from '../base/clock.ts'
import { DIAL_RESOLVED_MAX } from '../constants.ts'
import type { DnsResolverLike } from '../dns/records.ts'
import { type AddressAttempt, DialDeniedError, DialError } from '../errors.ts'
import type { DialGate } from '../gate/swarm-gate.ts'
import { isOfThisHost, multiaddrOf } from '../identity/address.ts'
import type { Identity } from '../identity/keys.ts'
import { type ParsedAddress, parseAddress } from '../identity/parsed-address.ts'
import type { Call } from './call.ts'
import { abandoned, gated, late, namedHere, ownAddress, unresolvedName } from './failure.ts'
import { type DialContext, type DialOptions, getDialPeerTimeout } from './options.ts'
import { dialOf, NOTHING, type Planner, type Prepared } from './planner.ts'
import { plainOf } from './same-port.ts'

/** The parts of a swarm that preparation needs. */
export interface PreparationHost {
  readonly engine: DrainHost & {
    /** Keeps the process alive until `release`. */
    retain(): void
    release(): void
  }
  readonly clock: Clock
  readonly dns: DnsResolverLike
  readonly options: { readonly identity: Pick<Identity, 'peer'> }
}

/** The preparation of one swarm's calls. */
export class Preparation {
  readonly #host: PreparationHost
  readonly #planner: Planner
  readonly #gate: DialGate
  /** Ends of the calls that wait for the gater. */
  readonly #waiting = new Set<(err: Error) => void>()

  constructor(host: PreparationHost, planner: Planner, gate: DialGate) {
    this.#host = host
    this.#planner = planner
    this.#gate = gate
  }

  /** Prepares the addresses of a call; at once, unless a gater takes its time. Throws `DialDeniedError`. */
  prepare({ context, addresses }: Call): Prepared | Promise<Prepared> {
    const { peer, options } = context
    const { hooks } = this.#gate
    const answer = peer === undefined ? undefined : hooks?.peer(peer, options)
    const proceed = (reason: string | undefined): Prepared | Promise<Prepared> => {
      if (reason !== undefined) {
        this.#gate.refused('peerDial', { direction: 'outbound', peer }, reason)
        throw new DialDeniedError(reason)
      }
      return this.#planner.prepare(addresses, context)
    }
    const prepared = answer instanceof Promise ? answer.then(proceed) : proceed(answer)
    return prepared instanceof Promise ? this.#inTime(prepared, options) : prepared
  }

  /** Rejects the calls that wait for the gater; `error` makes the error of each. */
  close(error: () => Error): void {
    for (const reject of this.#waiting) reject(error())
  }

  /** Returns why an address of a peer, of which others are `known`, would not be dialled now; undefined if it would be. */
  async refusalOf(
    address: string,
    peer: string,
    context: DialContext,
    known: readonly string[]
  ): Promise<AddressAttempt | undefined> {
    const reason = await this.#gate.hooks?.peer(peer, context.options)
    if (reason !== undefined) return gated(address, reason)
    const plain = plainOf(address)
    const addresses = plain !== undefined && known.includes(plain) ? [plain, address] : [address]
    const { refused } = await this.#planner.prepare(addresses, context, true)
    return refused.find((attempt) => attempt.address === address)
  }

  /** Resolves the name of an address, and prepares the addresses that it stands for. */
  async resolve(address: string, { context }: Call, signal: AbortSignal): Promise<Prepared> {
    const { peer } = context
    const suffix = peer === undefined ? '' : `/p2p/${peer}`
    const resolved = await this.#host.dns.resolve(multiaddrOf(address + suffix), { signal })
    const parsed = resolved.map(parseAddress)
    const denied = this.#refusedOf(parsed, peer)
    if (denied.length > 0) return { ...NOTHING, refused: denied }
    // A resolver of the application may not leave them out.
    const found = parsed.filter(({ text }) => !isOfThisHost(text))
    const ofThisHost = parsed.filter(({ text }) => isOfThisHost(text)).map(namedHere)
    // Without a peer each address may be of another one, of those that its record names.
    const peers = new Map<string, string | undefined>()
    for (const each of found.slice(0, DIAL_RESOLVED_MAX)) {
      const isOther = peer !== undefined && each.peer !== undefined && each.peer !== peer
      if (!isOther && !peers.has(each.text)) peers.set(each.text, peer ?? each.peer)
    }
    const addresses = [...peers.keys()]
    if (addresses.length === 0) {
      if (ofThisHost.length > 0) return { ...NOTHING, refused: ofThisHost }
      throw new DialError('the name has no address of the peer')
    }
    const named = new Set(
      context.named.has(address) ? [...context.named, ...addresses] : context.named
    )
    const prepared = await Promise.all(
      [...new Set(peers.values())].map((of) => {
        const theirs = addresses.filter((each) => peers.get(each) === of)
        return this.#prepareFor(theirs, { ...context, named, peer: of }, of === peer)
      })
    )
    return {
      ...NOTHING,
      plan: prepared.flatMap(({ plan }) => plan),
      // A resolver of the application may return names.
      refused: [
        ...ofThisHost,
        ...prepared.flatMap(({ names, refused }) => [...refused, ...names.map(unresolvedName)])
      ]
    }
  }

  /** Returns the refusals of all addresses of a name if the lists refuse one of them: whoever controls it chose them all. */
  #refusedOf(found: readonly ParsedAddress[], peer: string | undefined): AddressAttempt[] {
    const judged = found.map((each) => ({ ...each, rule: this.#gate.ruleOf(each.text) }))
    const known = judged.find(({ rule }) => rule !== undefined)
    if (known === undefined) return []
    // Reported up to the number that would be dialled, the first that is refused among them.
    const shown = judged.slice(0, DIAL_RESOLVED_MAX)
    if (!shown.includes(known)) shown.splice(-1, 1, known)
    const each = new Map(shown.map((it) => [it.text, it]))
    return Array.from(each.values(), ({ text, rule, peer: of }) => {
      if (rule === undefined) return gated(text, `${known.text} of the same name: ${known.rule}`)
      this.#gate.refused('addrDial', dialOf(peer ?? of, text), rule)
      return gated(text, rule)
    })
  }

  /** Prepares the addresses of a peer that a name has led to; its gate is asked unless it `isKnown`. */
  async #prepareFor(
    addresses: readonly string[],
    context: DialContext,
    isKnown: boolean
  ): Promise<Prepared> {
    const { peer, options } = context
    if (isKnown || peer === undefined) return this.#planner.prepare(addresses, context)
    if (peer === this.#host.options.identity.peer) {
      return { ...NOTHING, refused: addresses.map(ownAddress) }
    }
    const reason = await this.#gate.hooks?.peer(peer, options)
    if (reason === undefined) return this.#planner.prepare(addresses, context)
    this.#gate.refused('peerDial', { direction: 'outbound', peer }, reason)
    return { ...NOTHING, refused: addresses.map((address) => gated(address, reason)) }
  }

  /** Waits for the gater, for as long as the call has. */
  #inTime(preparing: Promise<Prepared>, options: DialOptions): Promise<Prepared> {
    const { engine, clock } = this.#host
    const { signal } = options
    const ms = Math.min(getDialPeerTimeout(options), TIMER_MS_MAX)
    // Timers of the clock do not keep the process alive.
    engine.retain()
    return new Promise<Prepared>((resolve, reject) => {
      const release = onceGivenUp(engine, clock, signal, ms, (why) => {
        reject(why === 'late' ? late(ms, []) : abandoned(signal, []))
      })
      this.#waiting.add(reject)
      preparing.then(resolve, reject).finally(() => {
        release()
        this.#waiting.delete(reject)
      })
    }).finally(() => engine.release())
  }
}
