/** A decision of the pruner: which connections to close, and why these. */
import { misuse } from '../base/arguments.ts'
import type { OnFailure } from '../base/events.ts'
import { INSPECT, type InspectArguments, shown } from '../base/inspection.ts'
import type { ResolvedConnectionConfig } from '../connection/config.ts'
import { connectionFacade } from '../connection/facade.ts'
import type { Connection } from '../connection.ts'
import type { NeverPruned } from './never-prune.ts'
import {
  candidateOf,
  type PruneCandidate,
  type PrunePolicy,
  type PruneRule,
  ruleBetween,
  sorted
} from './prune-order.ts'
import type { TagStore } from './tag-store.ts'

/** Why a connection is left out of a decision. */
export type PruneExemption = 'protected' | 'grace' | 'neverPrune'

/** The place of one connection in a decision. */
export interface PruneVerdict {
  /** The connection, and what was compared of it. */
  readonly candidate: PruneCandidate
  /** Whether it is closed. */
  readonly isClosed: boolean
  /** What decides: the first criterion by which it differs from `against`. */
  readonly rule: PruneRule
  /** The first that stays; for one that stays the last that is closed. Undefined if there is none. */
  readonly against: PruneCandidate | undefined
  /** The decision in words, with the compared values. */
  readonly reason: string
  /** Returns the verdict for a log: the ids of the connection and its peer, and what is above. */
  toJSON(): Record<string, unknown>
}

/** A decision of the pruner. */
export interface PruneDecision {
  /** Open connections at the time. */
  readonly connected: number
  /** `connections.high`. */
  readonly high: number
  /** `connections.low`. */
  readonly low: number
  /** The connections that are closed, in order; of `explain`, all that were considered. */
  readonly verdicts: readonly PruneVerdict[]
  /** Numbers of connections that were not considered. */
  readonly exempt: Readonly<Record<PruneExemption, number>>
}

/** @internal What is decided upon. */
export interface PruneContext {
  readonly config: ResolvedConnectionConfig
  readonly tags: TagStore
  readonly neverPruned: NeverPruned
  readonly now: number
  readonly onFailure: OnFailure
}

/** @internal What a decision passes over. */
export interface PruneLicence {
  readonly ignoresGrace?: boolean
  readonly ignoresProtection?: boolean
}

/**
 * @internal Decides which of `connections` are closed so that `connections.low` of them stay; `isWhole` reports all of
 * them.
 */
export function decide(
  connections: readonly Connection[],
  context: PruneContext,
  licence: PruneLicence = {},
  isWhole = false
): PruneDecision {
  const { config } = context
  const { high, low } = config
  const exempt = { protected: 0, grace: 0, neverPrune: 0 }
  const candidates: PruneCandidate[] = []
  for (const connection of connections) {
    const exemption = exemptionOf(connection, context, licence)
    if (exemption !== undefined) exempt[exemption] += 1
    else candidates.push(factsOf(connection, context.tags))
  }
  const { order, byPolicy } = ordered(candidates, context)
  // Connections in grace do not push out others: a flood of new ones takes the place of none below the low mark.
  const established = connections.length - exempt.grace
  const count = Math.min(Math.max(established - low, 0), order.length)
  const shown = isWhole ? order : order.slice(0, count)
  const connected = connections.length
  const verdicts = shown.map((candidate, index) => {
    const isClosed = index < count
    // Undefined if nothing, or everything, is closed.
    const against = order[isClosed ? count : count - 1]
    return new Verdict(candidate, isClosed, against, { byPolicy, connected, high, low })
  })
  return { connected, high, low, verdicts, exempt }
}

function exemptionOf(
  connection: Connection,
  { config, tags, neverPruned, now }: PruneContext,
  { ignoresGrace = false, ignoresProtection = false }: PruneLicence
): PruneExemption | undefined {
  const { peer, opened } = connectionFacade.coreOf(connection)
  if (!ignoresProtection && tags.protects(peer)) return 'protected'
  if (!ignoresGrace && now - opened < config.gracePeriod) return 'grace'
  return neverPruned.has(connection) ? 'neverPrune' : undefined
}

function factsOf(connection: Connection, tags: TagStore): PruneCandidate {
  const { peer } = connectionFacade.coreOf(connection)
  return candidateOf(connection, tags.sumOf(peer), tags.isTemporary(peer))
}

/** Returns candidates in the order of the policy; in the usual one if that fails. */
function ordered(
  candidates: PruneCandidate[],
  { config, onFailure }: PruneContext
): { order: PruneCandidate[]; byPolicy: boolean } {
  const { prunePolicy, tieBreak } = config
  const order = sorted(candidates, tieBreak)
  if (prunePolicy === 'tags') return { order, byPolicy: false }
  try {
    return { order: order.toSorted(preferenceOf(prunePolicy, order)), byPolicy: true }
  } catch (err) {
    onFailure(err, prunePolicy, 'connections.prunePolicy failed, so tags decide')
    return { order, byPolicy: false }
  }
}

/** Returns the comparison of a policy of the application, whose results are checked. */
function preferenceOf(
  policy: PrunePolicy,
  candidates: readonly PruneCandidate[]
): (one: PruneCandidate, other: PruneCandidate) => number {
  const { score, compare } = policy as { score?: Score; compare?: Compare }
  if (compare !== undefined) {
    return (one, other) => aNumber(compare(one, other), 'the result of compare')
  }
  const scores = new Map<PruneCandidate, number>()
  for (const candidate of candidates) {
    scores.set(candidate, aNumber(score?.(candidate), 'the result of score'))
  }
  return (one, other) => (scores.get(one) ?? 0) - (scores.get(other) ?? 0) || 0
}

type Score = (candidate: PruneCandidate) => number
type Compare = (one: PruneCandidate, other: PruneCandidate) => number

function aNumber(value: unknown, name: string): number {
  if (typeof value !== 'number' || Number.isNaN(value)) throw misuse(name, 'a number', value)
  return value
}

/** What a rule has compared. */
const COMPARED: Readonly<Record<PruneRule, (facts: PruneCandidate) => string>> = {
  temporary: ({ temporary }) => (temporary ? 'no connection on record' : 'connections on record'),
  value: ({ value }) => `tags worth ${value}`,
  streams: ({ streams }) => `${streams} streams`,
  direction: ({ direction }) => direction,
  age: ({ opened }) => `open since ${new Date(opened).toISOString()}`,
  policy: () => 'by connections.prunePolicy',
  'only candidates': () => 'all others are protected, too young or in connections.neverPrune',
  'few enough': () => 'no more connections than connections.low, apart from new ones'
}

/** What the verdicts of a decision have in common. */
interface Terms extends Pick<PruneDecision, 'connected' | 'high' | 'low'> {
  /** Whether a policy of the application decides. */
  readonly byPolicy: boolean
}

/** A verdict whose rule and reason are found when they are asked for: a decision may have thousands. */
class Verdict implements PruneVerdict {
  readonly candidate: PruneCandidate
  readonly isClosed: boolean
  readonly against: PruneCandidate | undefined
  readonly #terms: Terms

  constructor(
    candidate: PruneCandidate,
    isClosed: boolean,
    against: PruneCandidate | undefined,
    terms: Terms
  ) {
    this.candidate = candidate
    this.isClosed = isClosed
    this.against = against
    this.#terms = terms
  }

  get rule(): PruneRule {
    const { candidate, isClosed, against } = this
    if (against === undefined) return isClosed ? 'only candidates' : 'few enough'
    return this.#terms.byPolicy ? 'policy' : ruleBetween(candidate, against)
  }

  toJSON(): Record<string, unknown> {
    const { connection, ...facts } = this.candidate
    const { isClosed, rule, reason } = this
    const peer = connection.remotePeer.toString()
    return { connection: connection.id, peer, isClosed, rule, reason, ...facts }
  }

  /** @internal */
  [INSPECT](...args: InspectArguments): unknown {
    return shown('PruneVerdict', this.candidate.connection.id, () => this.toJSON(), args)
  }

  get reason(): string {
    const { candidate, isClosed, against, rule } = this
    const { connected, high, low } = this.#terms
    const compared = COMPARED[rule]
    const cause =
      connected > high
        ? `pruned, as ${connected} connections were more than connections.high ${high}`
        : `trimmed, as ${connected} connections were more than connections.low ${low}`
    const clause = `${isClosed ? cause : 'stays'}: ${compared(candidate)}`
    if (against === undefined || rule === 'policy') return clause
    const which = isClosed ? 'first that stays' : 'last to be closed'
    return `${clause}, ${compared(against)} of the ${which}`
  }
}
