/** Prepares addresses for a dial: which are attempted and when, and why the others are not. */
import { anArray } from '../base/arguments.ts'
import type { AddressAttempt } from '../errors.ts'
import type { RefusedText } from '../gate/refusals.ts'
import type { DialGate } from '../gate/swarm-gate.ts'
import { isRelayed } from '../identity/parsed-address.ts'
import type { Transport } from '../transport/transport.ts'
import type { Transports } from '../transport/transports.ts'
import { type AddressManagerLike, checkFilterResult } from './address-manager.ts'
import type { BackOff } from './back-off.ts'
import type { BlackHoles } from './black-hole.ts'
import type { PlanEntry } from './custom-dials.ts'
import {
  backedOff,
  filteredAttempt,
  gated,
  inBlackHole,
  leftOut,
  ownAddress,
  relayedAddress,
  unused
} from './failure.ts'
import { type DialContext, isSet } from './options.ts'
import { dialPlan } from './plan.ts'
import { withoutSamePort } from './same-port.ts'

/** The dependencies of a planner. */
export interface PlannerHost {
  readonly addressManager: AddressManagerLike
  readonly backOff: BackOff
  /** Milliseconds for one address. */
  readonly dialTimeout: number
  readonly blackHoles: BlackHoles
  readonly transports: Transports
  readonly gate: DialGate
  /** Returns whether this swarm itself listens on an address. */
  isOwn(address: string): boolean
}

/** The addresses of a call, prepared. */
export interface Prepared {
  /** Attempts, in the order of their starts. */
  readonly plan: readonly PlanEntry[]
  /** Addresses whose names are to be resolved. */
  readonly names: readonly string[]
  /** Addresses that are not attempted. */
  readonly refused: readonly AddressAttempt[]
}

/** Returns whether an address begins with a name, which is to be resolved. */
export function isNamed(address: string): boolean {
  return address.startsWith('/dns')
}

/** Returns the dial of an address, for the report of its refusal. */
export function dialOf(peer: string | undefined, remoteAddress: string): RefusedText {
  return { direction: 'outbound', peer, remoteAddress }
}

const NO_TRANSPORTS: ReadonlyMap<string, Transport> = new Map()

function withTransport(entry: PlanEntry, custom: ReadonlyMap<string, Transport>): PlanEntry {
  const transport = custom.get(entry.address)
  return transport === undefined ? entry : { ...entry, transport }
}

const NONE: readonly never[] = Object.freeze([])

/** @internal Prepares nothing: the call joins a dial that has all of its addresses. */
export const NOTHING: Prepared = Object.freeze({ plan: NONE, names: NONE, refused: NONE })

/** Plans the addresses of dials. */
export class Planner {
  readonly #host: PlannerHost

  constructor(host: PlannerHost) {
    this.#host = host
  }

  /**
   * Prepares addresses; at once, unless a gater takes its time. Throws what an address manager of the application throws.
   *
   * `isTrial` prepares them for an explanation, not for a dial.
   */
  prepare(
    addresses: readonly string[],
    call: DialContext,
    isTrial = false
  ): Prepared | Promise<Prepared> {
    const { addressManager, gate, transports } = this.#host
    const custom = transports.isNative ? NO_TRANSPORTS : transports.ofApplication(addresses)
    const context = custom.size === 0 ? call : { ...call, custom: new Set(custom.keys()) }
    const refused: AddressAttempt[] = []
    const filtered = addressManager.filter(this.#enabled(addresses, context, refused), context)
    checkFilterResult(filtered)
    refused.push(...filtered.refused.map((each) => filteredAttempt(each)))
    const now = this.#passing(filtered.accepted, context, refused, isTrial)
    const kept = addressManager.cap(now, context)
    anArray(kept, 'the result of cap')
    if (kept.length < now.length) {
      const chosen = new Set(kept)
      refused.push(...now.filter((address) => !chosen.has(address)).map(leftOut))
    }
    const { hooks } = gate
    if (hooks === undefined) return this.#rank(kept, refused, context, custom)
    const answers = kept.map((address) =>
      // The addresses of a name are asked for when it is resolved.
      isNamed(address) && !custom.has(address)
        ? undefined
        : hooks.address(context.peer, address, context.options)
    )
    const passed = (reasons: readonly (string | undefined)[]): Prepared => {
      const allowed = kept.filter((address, index) => {
        const reason = reasons[index]
        if (reason !== undefined) {
          refused.push(gated(address, reason))
          if (!isTrial) gate.refused('addrDial', dialOf(context.peer, address), reason)
        }
        return reason === undefined
      })
      return this.#rank(allowed, refused, context, custom)
    }
    return answers.some((answer) => answer instanceof Promise)
      ? Promise.all(answers).then(passed)
      : // None of them is a promise.
        passed(answers as (string | undefined)[])
  }

  /** Returns the addresses whose transports this swarm uses for the call; adds the others to `refused`. */
  #enabled(
    addresses: readonly string[],
    { custom, options }: DialContext,
    refused: AddressAttempt[]
  ): readonly string[] {
    const missing = addresses.map((address) =>
      custom.has(address) ? undefined : this.#host.transports.refusalOf(address, options)
    )
    if (missing.every((refusal) => refusal === undefined)) return addresses
    return addresses.filter((address, index) => {
      const refusal = missing[index]
      if (refusal !== undefined) refused.push(unused(address, refusal))
      return refusal === undefined
    })
  }

  /** Returns the addresses that may be dialled now; adds the others to `refused`. */
  #passing(
    addresses: readonly string[],
    { peer, custom, options }: DialContext,
    refused: AddressAttempt[],
    isTrial: boolean
  ): readonly string[] {
    const { backOff, blackHoles, gate } = this.#host
    const isForced = isSet(options.force)
    const isDirect = isSet(options.forceDirectDial)
    const isLost = isForced ? () => false : blackHoles.screen(addresses, isTrial)
    const refusalOf = (address: string): AddressAttempt | undefined => {
      if (isDirect && isRelayed(address)) return relayedAddress(address)
      // A name is judged when it is resolved, unless a transport of the application does that.
      const isJudgedLater = isNamed(address) && !custom.has(address)
      const rule = isJudgedLater ? undefined : gate.ruleOf(address)
      if (rule !== undefined) {
        if (!isTrial) gate.refused('addrDial', dialOf(peer, address), rule)
        return gated(address, rule)
      }
      if (isLost(address)) return inBlackHole(address)
      if (this.#host.isOwn(address)) return ownAddress(address)
      const ms = peer === undefined || isForced ? 0 : backOff.remaining(peer, address)
      return ms > 0 ? backedOff(address, ms) : undefined
    }
    return addresses.filter((address) => {
      const refusal = refusalOf(address)
      if (refusal !== undefined) refused.push(refusal)
      return refusal === undefined
    })
  }

  #rank(
    allowed: readonly string[],
    refused: AddressAttempt[],
    context: DialContext,
    custom: ReadonlyMap<string, Transport>
  ): Prepared {
    const kept = withoutSamePort(allowed, refused)
    // A transport of the application may resolve names itself.
    const isName = (address: string): boolean => isNamed(address) && !custom.has(address)
    const names = kept.some(isName) ? kept.filter(isName) : NONE
    const concrete = names.length === 0 ? kept : kept.filter((address) => !isName(address))
    // Both sides dial at the same time: nothing may wait.
    const ranked =
      context.options.simultaneousConnect === undefined
        ? this.#host.addressManager.rank(concrete, context)
        : concrete.map((address) => ({ address, delay: 0 }))
    const plan = dialPlan(ranked, concrete, {
      peer: context.peer,
      dialTimeout: this.#host.dialTimeout
    })
    if (plan.length < concrete.length) {
      const planned = new Set(plan.map(({ address }) => address))
      refused.push(...concrete.filter((address) => !planned.has(address)).map(leftOut))
    }
    const entries = custom.size === 0 ? plan : plan.map((entry) => withTransport(entry, custom))
    return { plan: entries, names, refused: refused.length === 0 ? NONE : refused }
  }
}
