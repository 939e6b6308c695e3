/**
 * The connection pruner: above `connections.high` it closes connections down to `connections.low`, those first whose
 * peers are worth least.
 */
import { type AbortOptions, abortable, aborted } from '../base/abort.ts'
import { aBoolean, anArray, aSignal, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { connectionFacade } from '../connection/facade.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { ConnectionErrorCode } from '../constants.ts'
import type { Swarm } from '../swarm.ts'
import { hostOf, type ManagerHost } from './host.ts'
import type { ConnectionPrunerLike } from './interfaces.ts'
import { NeverPruned } from './never-prune.ts'
import { decide, type PruneDecision, type PruneLicence } from './prune-decision.ts'
import { candidateOf, sorted } from './prune-order.ts'

/** Connections that are closed in one turn of the event loop, which takes some milliseconds of it. */
const CLOSED_AT_ONCE = 32

/** The state of a pruner: CMInfo of go-libp2p and py-libp2p. */
export interface ConnectionManagerInfo {
  /** `connections.low`. */
  readonly low: number
  /** `connections.high`; `Infinity` if nothing is pruned. */
  readonly high: number
  /** Open connections, now. */
  readonly connected: number
  /** `connections.gracePeriod`, in milliseconds. */
  readonly gracePeriod: number
  /** Time of the last decision that closed connections, in milliseconds since the epoch; undefined before it. */
  readonly lastTrim: number | undefined
}

/** Options of {@link ConnectionPruner.trim}. */
export interface TrimOptions extends AbortOptions {
  /**
   * Ignore the grace period and, if that does not suffice, protection: for a shortage of memory. Connections of
   * `connections.neverPrune` stay. Defaults to false.
   */
  force?: boolean
}

/** Options of `new ConnectionPruner`. */
export interface ConnectionPrunerOptions {
  /** Remote addresses whose connections stay, in place of `connections.neverPrune`. */
  allow?: readonly string[]
}

const TRIM_CHECKS: OptionChecks<TrimOptions> = { signal: aSignal, force: aBoolean }
const OPTION_CHECKS: OptionChecks<ConnectionPrunerOptions> = { allow: anArray }

/**
 * Closes connections when there are more than `connections.high`, down to `connections.low`.
 *
 * It decides when a connection is opened, and every `connections.silencePeriod` while there are too many. Connections of
 * protected peers, those younger than `connections.gracePeriod` and those of `connections.neverPrune` stay, but count.
 * Of the others those of peers without a connection on record are closed first; then by the sum of the peer's tags, by
 * the number of streams, inbound before outbound, oldest first. The peers read the code `GarbageCollected`, the
 * application the reason: `connection.closeReason.rule`, and the event `prune` of the swarm.
 *
 * Every swarm has one, `swarm.connectionPruner`. See docs/connection-manager.md.
 */
export class ConnectionPruner implements ConnectionPrunerLike {
  readonly #swarm: Swarm
  readonly #host: ManagerHost
  readonly #neverPruned: NeverPruned
  #isStarted = false
  #isScheduled = false
  #timer: unknown
  #lastDecision = Number.NEGATIVE_INFINITY
  #lastTrim: number | undefined
  /** The decision that is being carried out, and the latest one, whose connections may not have ended. */
  #running: Promise<number> | undefined
  #latest: Promise<number> | undefined
  #forcing: Promise<number> | undefined

  /** @throws {@link InvalidParametersError} if `swarm` is not a swarm, and for an invalid option. */
  constructor(swarm: Swarm, options: ConnectionPrunerOptions = {}) {
    this.#host = hostOf(swarm)
    checkOptions(options, OPTION_CHECKS)
    this.#swarm = swarm
    const { allow } = options
    this.#neverPruned =
      allow === undefined
        ? new NeverPruned(this.#host.config.neverPrune, 'connections.neverPrune')
        : new NeverPruned(allow, 'allow')
  }

  /** Starts to watch the connections of the swarm, which calls it. */
  start(): void {
    this.#isStarted = true
    this.#decideSoon()
  }

  /** Makes no more decisions, and closes no more connections by one under way. The swarm calls it. */
  stop(): void {
    this.#isStarted = false
    this.#host.clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  /** Called by the swarm with each new connection. */
  connected(connection: Connection): void {
    this.#neverPruned.has(connection)
    this.#decideSoon()
  }

  #decideSoon(): void {
    if (!this.#isStarted || !this.#isAbove || this.#isScheduled) return
    const { clock, config } = this.#host
    const wait = this.#lastDecision + config.silencePeriod - clock.now()
    if (wait > 0) {
      this.#wait(wait)
      return
    }
    this.#isScheduled = true
    // Whoever has dialled the new connection receives it first, and several may be opened at once.
    setImmediate(() => {
      this.#isScheduled = false
      void this.maybePrune()
    })
  }

  /**
   * Closes connections down to `connections.low`, if there are more than `connections.high` and the pruner is started;
   * resolves to their number when they have ended. Joins a decision under way. Never rejects.
   */
  maybePrune(): Promise<number> {
    if (this.#running !== undefined) return this.#running
    return this.#isStarted && this.#isAbove ? this.#decide({}) : Promise.resolve(0)
  }

  /**
   * Closes connections down to `connections.low` now, also if there are fewer than `connections.high`: TrimOpenConns of
   * go-libp2p, with `force` ForceTrim. Resolves to their number when they have ended, and so have those of the decision
   * before. Joins a decision under way, and a forced call one that is forced.
   *
   * @throws {@link AbortError} by `signal`, which ends the wait; if it is aborted at the call, nothing is closed.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  trim(options: TrimOptions = {}): Promise<number> {
    checkOptions(options, TRIM_CHECKS)
    const { force = false, signal } = options
    if (signal?.aborted === true) return Promise.reject(aborted(signal))
    if (!force) return abortable(this.#trim(), signal)
    this.#forcing ??= this.#force().finally(() => {
      this.#forcing = undefined
    })
    return abortable(this.#forcing, signal)
  }

  async #trim(): Promise<number> {
    const before = this.#latest
    const closed = await (this.#running ?? this.#decide({}))
    await before
    return closed
  }

  /** Closes what is not protected first, then what is. */
  async #force(): Promise<number> {
    while (this.#running !== undefined) await this.#running
    const closed = await this.#decide({ ignoresGrace: true })
    // Another decision may have begun while the connections ended.
    while (this.#running !== undefined) await this.#running
    if (this.#swarm.getTotalConnections() <= this.#host.config.low) return closed
    return closed + (await this.#decide({ ignoresGrace: true, ignoresProtection: true }))
  }

  /** Returns the marks, the number of open connections and the time of the last trim. */
  info(): ConnectionManagerInfo {
    const { low, high, gracePeriod } = this.#host.config
    const connected = this.#swarm.getTotalConnections()
    return { low, high, connected, gracePeriod, lastTrim: this.#lastTrim }
  }

  /**
   * Returns the decision that {@link ConnectionPruner.trim} would make now, without closing anything: every connection
   * that may be closed, in the order in which it would be, with what decides.
   */
  explain(): PruneDecision {
    return this.#decision({}, true)
  }

  /**
   * Returns connections in the order of pruning by tags, whatever the policy: `values` has the sums of the tags by the
   * text of the peer; one that is missing counts as 0. Pure.
   *
   * @throws {@link InvalidParametersError} if `connections` is no list of connections.
   */
  sortConnections(
    connections: readonly Connection[],
    values: ReadonlyMap<string, number>
  ): Connection[] {
    anArray(connections, 'connections')
    const candidates = connections.map((connection) => {
      checkConnection(connection)
      const { peer } = connectionFacade.coreOf(connection)
      return candidateOf(connection, values.get(peer) ?? 0, false)
    })
    return sorted(candidates, this.#host.config.tieBreak).map(({ connection }) => connection)
  }

  get #isAbove(): boolean {
    return this.#swarm.getTotalConnections() > this.#host.config.high
  }

  /** Decides in `ms`, unless it waits for an earlier time already. */
  #wait(ms: number): void {
    this.#timer ??= this.#host.clock.setTimer(() => {
      this.#timer = undefined
      void this.maybePrune()
    }, ms)
  }

  #decision(licence: PruneLicence, isWhole: boolean): PruneDecision {
    const { config, tags, clock, onFailure } = this.#host
    const neverPruned = this.#neverPruned
    const context = { config, tags, neverPruned, now: clock.now(), onFailure }
    return decide(this.#swarm.getConnections(), context, licence, isWhole)
  }

  /** Makes a decision and carries it out; resolves to the number of connections closed, when they have ended. */
  #decide(licence: PruneLicence): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#running = promise
    this.#latest = promise
    this.#carryOut(licence)
      .then((ends) => Promise.all(ends))
      .then(({ length }) => resolve(length))
      .catch((err: unknown) => {
        this.#host.onFailure(err, this, 'pruning failed')
        resolve(0)
      })
    return promise
  }

  /** Resolves to the ends of the connections that are closed. */
  async #carryOut(licence: PruneLicence): Promise<Promise<void>[]> {
    try {
      const { clock } = this.#host
      this.#lastDecision = clock.now()
      const decision = this.#decision(licence, false)
      if (decision.verdicts.length > 0) this.#host.pruned(decision)
      return await this.#close(decision, licence)
    } finally {
      // Connections that take their time to end are no longer counted: they delay no other decision.
      this.#running = undefined
      // Some may be in grace, and leave it without any event.
      if (this.#isStarted && this.#isAbove) this.#wait(this.#host.config.silencePeriod)
    }
  }

  async #close({ verdicts, low }: PruneDecision, licence: PruneLicence): Promise<Promise<void>[]> {
    const { tags } = this.#host
    const ends: Promise<void>[] = []
    for (const [index, { candidate, reason }] of verdicts.entries()) {
      if (index > 0 && index % CLOSED_AT_ONCE === 0) await nextTurn()
      // Others may have been closed since the decision.
      if (this.#swarm.getTotalConnections() <= low || !this.#swarm.isStarted()) break
      const core = connectionFacade.coreOf(candidate.connection)
      // So may this one, or its peer been protected.
      const isProtected = licence.ignoresProtection !== true && tags.protects(core.peer)
      if (core.closing || isProtected) continue
      this.#lastTrim = this.#lastDecision
      core.closeBy(reason, ConnectionErrorCode.GarbageCollected)
      ends.push(core.closed)
    }
    return ends
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
