/** One dial: attempts at its addresses, their repetition, and the callers that wait for its end. */
import { type DrainHost, isAborted, onceGivenUp } from '../base/abort.ts'
import type { Clock } from '../base/clock.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { OnFailure } from '../base/events.ts'
import type { Dialled } from '../connection/facts.ts'
import type { Connection } from '../connection.ts'
import { DIAL_PARALLEL, DIAL_PRIVATE_ADDRESS_TIMEOUT_MS, DIAL_TIMEOUT_MS } from '../constants.ts'
import {
  type AddressAttempt,
  ResourceLimitExceededError,
  type ResourceScopeClosedError
} from '../errors.ts'
import type { DialGate } from '../gate/swarm-gate.ts'
import { requestHost } from '../identity/transport-forms.ts'
import type { NativeAttempt, NativeRefusal } from '../native/addon.ts'
import { CustomDials, type CustomDialsHost, isCustom, type PlanEntry } from './custom-dials.ts'
import {
  abandoned,
  attemptOf,
  type DialTarget,
  late,
  notBegun,
  unfinishedAttempt
} from './failure.ts'
import { type Manner, NativeDials, type NativeDialsHost } from './native-dials.ts'
import type { DialOptions } from './options.ts'
import { dialOf, type Prepared } from './planner.ts'
import { Repetition } from './repetition.ts'
import { type Resolution, Resolutions } from './resolutions.ts'
import { isTransient, type RetryConfig } from './retry.ts'

/** An attempt under way for as long, when its caller gives up, counts as a failure: the timeout of a local address. */
const SILENT_MS = DIAL_PRIVATE_ADDRESS_TIMEOUT_MS

/** The parts of a swarm that a dial needs. */
export interface SharedDialHost extends NativeDialsHost, CustomDialsHost {
  readonly engine: DrainHost & {
    /** Keeps the process alive until `release`. */
    retain(): void
    release(): void
  }
  readonly clock: Clock
  readonly gate: Pick<DialGate, 'refused'>
  readonly onFailure: OnFailure
  readonly options: {
    readonly random: () => number
    readonly retry: Readonly<Required<RetryConfig>>
  }
  /** Reports that a limit has refused a connection to an address. */
  connectionRefused(
    refusal: ResourceLimitExceededError,
    address: string,
    direction: 'outbound'
  ): void
  /** Returns the error of a refusal by a limit, or by a closed manager. */
  refusalError(refusal: NativeRefusal): ResourceLimitExceededError | ResourceScopeClosedError
}

/** Outcome of a dial for one caller: a connection, or a factory of the caller's error. */
export type Outcome = Connection | ((target: DialTarget) => Error)

/** The last attempts at all addresses of a dial that has failed, and the failure of the command behind them, if any. */
export interface Failure {
  readonly error: Error | undefined
  readonly attempts: readonly AddressAttempt[]
}

/** The dialer's interface to a shared dial. */
interface Owner extends Manner {
  /** Returns the number of attempts at a time. */
  parallel(): number
  /** Whether transports of the application make some of them. */
  readonly isMixed: boolean
  /** Those of the call that has opened the dial. */
  readonly options: Readonly<DialOptions>
  /** Called once. */
  ended(outcome: Outcome): void
  /** Called with an attempt that has failed or was abandoned. */
  attempted(attempt: AddressAttempt): void
  /** Called if the last caller has waited for too long, with the addresses that have failed or stayed silent. */
  gaveUp(attempts: readonly AddressAttempt[]): void
  succeeded(connection: Connection, how: Dialled): void
  /** Returns the factory of the callers' errors. */
  failed(failure: Failure): (target: DialTarget) => Error
}

/** The attempts of a dial that is given up or has succeeded. */
interface Progress {
  readonly failed: readonly AddressAttempt[]
  readonly unfinished: readonly AddressAttempt[]
}

interface Planned {
  readonly entry: PlanEntry
  readonly resolvedFrom: string | undefined
  /** Number of attempts that have failed. */
  tries: number
}

interface Waiter {
  /** Whether a connection that somebody else has made is an answer. */
  readonly accepts: (connection: Connection) => boolean
  readonly end: (outcome: Outcome) => void
  readonly onAttempt: DialOptions['onAttempt']
}

/** A dial shared by the callers that wait for it. The first connection ends it. */
export class SharedDial {
  readonly peer: string | undefined
  readonly #host: SharedDialHost
  readonly #owner: Owner
  /** Addresses that wait for {@link SharedDial.start}. */
  #queued: PlanEntry[] = []
  /** Every address that is dialled. */
  readonly #addresses = new Map<string, Planned>()
  /** Every address that was prepared, those that are not dialled included. */
  readonly #known = new Set<string>()
  /** The addresses that are not dialled. */
  readonly #refused = new Map<string, AddressAttempt>()
  /** Undefined if there are no names. */
  #names: Resolutions | undefined
  readonly #dials: NativeDials
  /** Undefined unless a transport of the application dials. */
  #custom: CustomDials | undefined
  readonly #repetition: Repetition
  /** The last failure at each address, in the order of their times. */
  readonly #failed = new Map<string, AddressAttempt>()
  readonly #waiters = new Set<Waiter>()
  #hasStarted = false
  #outcome: Outcome | undefined

  constructor(peer: string | undefined, host: SharedDialHost, owner: Owner) {
    this.peer = peer
    this.#host = host
    this.#owner = owner
    this.#dials = new NativeDials(host, owner, {
      onConnection: (connection, address) => this.#onConnection(connection, address),
      onRefused: (refusal) => this.#end(() => refusal),
      onFailed: (address, attempt) => this.#onFailed(address, attempt),
      onProgress: (error) => this.#onProgress(error)
    })
    this.#repetition = new Repetition(host, () => this.#repeatDue())
    // Neither a timer nor a place in the queue keeps the process alive.
    host.engine.retain()
  }

  /** Whether an attempt is under way or yet to come. */
  get #isPending(): boolean {
    const inFlight = this.#dials.size + (this.#custom?.size ?? 0)
    const attempts = inFlight + this.#repetition.size + this.#queued.length
    return attempts + (this.#names?.size ?? 0) > 0
  }

  /** Whether its turn has come. */
  get hasStarted(): boolean {
    return this.#hasStarted
  }

  /** Returns whether all of these addresses were prepared for this dial. */
  hasAll(addresses: readonly string[]): boolean {
    return addresses.every((address) => this.#known.has(address))
  }

  /** Returns whether all of these addresses are dialled. */
  dialsAll(addresses: readonly string[]): boolean {
    return addresses.every((address) => this.#addresses.has(address))
  }

  /** Records that these addresses are prepared, so that no further call prepares them. */
  knows(addresses: readonly string[], refused: readonly AddressAttempt[]): void {
    for (const address of addresses) this.#known.add(address)
    for (const attempt of refused) this.#refused.set(attempt.address, attempt)
  }

  /** Returns the refusals among these addresses. */
  refusalsOf(addresses: readonly string[]): AddressAttempt[] {
    return addresses.flatMap((address) => this.#refused.get(address) ?? [])
  }

  /** Adds the addresses of a plan that this dial does not have yet. */
  add(plan: readonly PlanEntry[], resolvedFrom?: string): void {
    const host = resolvedFrom === undefined ? undefined : requestHost(resolvedFrom)
    const fresh = plan
      .filter(({ address }) => !this.#addresses.has(address))
      .map((entry) => (host === undefined ? entry : { ...entry, host }))
    for (const entry of fresh) this.#addresses.set(entry.address, { entry, resolvedFrom, tries: 0 })
    if (!this.#hasStarted) this.#queued.push(...fresh)
    else this.#attempt(fresh)
  }

  /** Adds the addresses that a name is resolved to. */
  resolve(resolution: Resolution): void {
    this.#names ??= new Resolutions(this.#host.clock, (name, prepared) => {
      this.#onResolved(name, prepared)
    })
    if (this.#hasStarted) this.#names.start()
    this.#names.add(resolution)
  }

  /** Begins: its turn has come. */
  start(): void {
    this.#hasStarted = true
    const plan = this.#queued
    this.#queued = []
    this.#attempt(plan)
    this.#names?.start()
  }

  #attempt(plan: readonly PlanEntry[]): void {
    const custom = plan.filter(isCustom)
    const native = custom.length === 0 ? plan : plan.filter((entry) => !isCustom(entry))
    if (native.length > 0) {
      const { isMixed } = this.#owner
      const parallel = this.#owner.parallel()
      // The rest is for transports of the application, whose addresses may be known later.
      this.#dials.begin(native, isMixed ? Math.max(Math.floor(parallel / 2), 1) : parallel)
    }
    if (custom.length === 0) return
    this.#custom ??= this.#customDials()
    this.#custom.begin(custom)
  }

  #customDials(): CustomDials {
    const owner = this.#owner
    return new CustomDials(this.#host, owner.options, {
      parallel: () => Math.max(owner.parallel() - this.#dials.parallel, 1),
      isAlone: () => this.#dials.size === 0,
      onConnection: (connection, address) => this.#onConnection(connection, address),
      onFailed: (attempt) => this.#record(attempt),
      onProgress: () => {
        this.#onProgress()
        this.#endIfOver()
      }
    })
  }

  /** Ends the dial for its callers; `error` makes the error of each. */
  fail(error: (target: DialTarget) => Error): void {
    this.#end(error)
  }

  /** Ends it for the callers who accept a connection that they did not dial; those left go on waiting. */
  answer(connection: Connection): void {
    for (const { accepts, end } of this.#waiters) if (accepts(connection)) end(connection)
    if (this.#waiters.size > 0) return
    // The remote has dialled too, and may have taken a connection of this dial as the answer to its own.
    this.#stop(connection, connection.direction === 'inbound')
  }

  /** Waits for the outcome; the last caller to give up ends the dial. */
  join(
    { signal, timeout = DIAL_TIMEOUT_MS, onAttempt }: DialOptions,
    accepts: (connection: Connection) => boolean
  ): Promise<Outcome> {
    const { clock, engine } = this.#host
    // A callback of the application may have ended the dial, or aborted the call, since it began.
    if (this.#outcome !== undefined) return Promise.resolve(this.#outcome)
    if (isAborted(signal)) {
      if (this.#waiters.size === 0) this.#stop(() => abandoned(signal, []))
      return Promise.resolve(() => abandoned(signal, []))
    }
    return new Promise((resolve) => {
      const waiter: Waiter = {
        accepts,
        onAttempt,
        end: (outcome) => {
          this.#waiters.delete(waiter)
          release()
          resolve(outcome)
        }
      }
      const ms = Math.min(timeout, TIMER_MS_MAX)
      const release = onceGivenUp(engine, clock, signal, ms, (why) => {
        if (!this.#waiters.has(waiter)) return
        const isLate = why === 'late'
        const code = isLate ? 'ERR_TIMEOUT' : 'ERR_ABORTED'
        const { failed, unfinished } = this.#attemptsSoFar(code)
        const begun = new Set([...failed, ...unfinished].map(({ address }) => address))
        const rest = [...this.#addresses.keys()].filter((address) => !begun.has(address))
        const waiting = rest.map((address) => notBegun(address, code))
        const outcome = ({ refused }: DialTarget): Error => {
          const all = [...failed, ...unfinished, ...waiting, ...refused]
          return isLate ? late(ms, all) : abandoned(signal, all)
        }
        waiter.end(outcome)
        if (this.#waiters.size > 0) return
        for (const attempt of unfinished) this.#owner.attempted(attempt)
        // Those that have not waited for long may be fine: the caller was in a hurry.
        const silent = unfinished.filter(
          ({ address, elapsed }) => this.#failed.has(address) || elapsed >= SILENT_MS
        )
        if (isLate) this.#owner.gaveUp([...failed, ...silent])
        this.#stop(outcome)
      })
      this.#waiters.add(waiter)
    })
  }

  /** Cancels the native dials, whose failures end the dial; ends it with `error` if none is in flight. */
  cancel(error: () => Error): void {
    this.#repetition.end()
    this.#names?.drop()
    this.#custom?.drop()
    if (this.#dials.size === 0) this.#end(error)
    this.#dials.cancel()
  }

  #onConnection(connection: Connection, address: string): void {
    this.#owner.succeeded(connection, this.#howDialled(address))
    this.#end(connection)
  }

  /** Records a failed attempt, and schedules its repetition. */
  #onFailed(address: string, attempt: NativeAttempt): void {
    const { refusal } = attempt
    const cause = refusal === undefined ? undefined : this.#host.refusalError(refusal)
    if (cause instanceof ResourceLimitExceededError) {
      this.#host.connectionRefused(cause, address, 'outbound')
    }
    const ended = attemptOf(address, attempt, cause)
    // By the lists; the hooks report their refusals.
    if (ended.stage === 'gate') {
      this.#host.gate.refused('addrDial', dialOf(this.peer, address), ended.cause.message)
    }
    this.#record(ended)
  }

  #record(attempt: AddressAttempt): void {
    const { address } = attempt
    const ended = this.#from(attempt)
    this.#tell(ended)
    this.#failed.delete(address)
    this.#failed.set(address, ended)
    const known = this.#addresses.get(address)
    if (known === undefined) return
    known.tries += 1
    if (isTransient(ended.cause.code)) this.#repetition.add(address, known.tries)
  }

  #onProgress(error?: Error): void {
    // A listener of a refusal may have ended the dial.
    if (this.#outcome !== undefined) return
    this.#custom?.startDue()
    this.#repeatDue()
    if (error !== undefined) this.#endIfOver(error)
  }

  #endIfOver(error?: Error): void {
    if (this.#isPending || this.#outcome !== undefined) return
    this.#end(this.#owner.failed({ error, attempts: [...this.#failed.values()] }))
  }

  #onResolved(name: string, { plan, refused }: Prepared): void {
    for (const attempt of refused) {
      const { address } = attempt
      if (this.#addresses.has(address) || this.#failed.has(address)) continue
      const ended = address === name ? attempt : { ...attempt, resolvedFrom: name }
      this.#failed.set(address, ended)
      this.#tell(ended)
    }
    this.#orEnd(() => this.add(plan, name))
    this.#endIfOver()
  }

  /** Reports an attempt that has failed, or was abandoned for another. */
  #tell(attempt: AddressAttempt): void {
    this.#owner.attempted(attempt)
    for (const { onAttempt } of this.#waiters) {
      try {
        onAttempt?.(attempt)
      } catch (err) {
        this.#host.onFailure(err, onAttempt ?? this, 'a listener of attempts failed')
      }
    }
  }

  /** Adds the name that the address of an attempt was resolved from. */
  #from(attempt: AddressAttempt): AddressAttempt {
    const resolvedFrom = this.#addresses.get(attempt.address)?.resolvedFrom
    return resolvedFrom === undefined ? attempt : { ...attempt, resolvedFrom }
  }

  /** Returns how the connection to `address` was dialled. */
  #howDialled(address: string): Dialled {
    const resolvedFrom = this.#addresses.get(address)?.resolvedFrom
    // The common case: there is nothing to ask for.
    const isOnly = this.#addresses.size === 1 && this.#failed.size === 0
    if (isOnly) return { resolvedFrom, attempts: [] }
    const { failed, unfinished } = this.#attemptsSoFar('ERR_ABORTED')
    for (const attempt of unfinished) this.#tell(attempt)
    return { resolvedFrom, attempts: [...failed, ...unfinished] }
  }

  /** Repeats what is due, as far as the limit of attempts at a time allows. */
  #repeatDue(): void {
    while (this.#repetition.isDue && this.#underWay() < DIAL_PARALLEL) {
      const known = this.#addresses.get(this.#repetition.next() ?? '')
      if (known === undefined) continue
      this.#orEnd(() => this.#attempt([{ ...known.entry, delayMs: 0 }]))
    }
  }

  /** Begins attempts when no caller is there to be told; what that throws ends the dial. */
  #orEnd(begin: () => void): void {
    try {
      begin()
    } catch (err) {
      // A command that cannot be issued throws an `Error`.
      this.#end(() => err as Error)
    }
  }

  /** Returns the number of attempts in flight. */
  #underWay(): number {
    return this.#dials.progress().length + (this.#custom?.running ?? 0)
  }

  /** Returns the last failure at each address, and the attempts in flight, whose causes get `code`. */
  #attemptsSoFar(code: 'ERR_TIMEOUT' | 'ERR_ABORTED'): Progress {
    const unfinished = new Map<string, AddressAttempt>()
    for (const [address, attempt] of this.#dials.progress()) {
      unfinished.set(address, this.#from(unfinishedAttempt(address, attempt, code)))
    }
    for (const attempt of this.#custom?.unfinished(code) ?? []) {
      unfinished.set(attempt.address, this.#from(attempt))
    }
    const failed = [...this.#failed.values()].filter(({ address }) => !unfinished.has(address))
    return {
      failed,
      unfinished: [...unfinished.values(), ...(this.#names?.unfinished(code) ?? [])]
    }
  }

  #end(outcome: Outcome): void {
    for (const { end } of this.#waiters) end(outcome)
    this.#stop(outcome)
  }

  /** Closes the dial to further callers, and abandons its attempts. */
  #stop(outcome: Outcome, keeps = false): void {
    if (this.#outcome !== undefined) return
    this.#outcome = outcome
    this.#repetition.end()
    this.#names?.drop()
    this.#queued = []
    this.#dials.drop(keeps)
    this.#custom?.drop()
    this.#host.engine.release()
    this.#owner.ended(outcome)
  }
}
