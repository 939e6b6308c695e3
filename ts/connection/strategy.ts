/** Selection among several connections to one peer. */
import { type Check, misuse } from '../base/arguments.ts'
import type { Clock } from '../base/clock.ts'
import { isThenable, type OnFailure } from '../base/events.ts'
import type { Connection } from '../connection.ts'
import { connectionFacade } from './facade.ts'
import { HealthSelection } from './health.ts'
import { byLeast } from './order.ts'

/** The name of a built-in strategy, as in py-libp2p. See docs/connections.md. */
export type ConnectionStrategyName =
  | 'best'
  | 'round_robin'
  | 'least_loaded'
  | 'latency_based'
  | 'health_based'

/**
 * Orders the connections to one peer that accept streams, at least two, oldest first: the first of the result is used,
 * and the next one if it has ended. Those that are left out are not used.
 *
 * Called whenever one of several connections is needed, on this thread. If it throws, or returns anything but a list of
 * these connections, that is reported and the strategy `best` is applied. The first empty list is reported too.
 */
export type ConnectionStrategy = (connections: readonly Connection[]) => readonly Connection[]

const RESULT = 'the result of connections.strategy'
const LEFT_OUT = 'the strategy of connections has left out all, so none of them is used'

/** @internal Orders connections to a peer, and keeps what it needs for that. */
export interface Selection {
  /** Returns at least two connections, oldest first, in the order in which they are tried. */
  order(connections: readonly Connection[]): readonly Connection[]
  /** Called when `newStream` of the swarm has selected a connection. */
  picked?(connection: Connection): void
  /** Called when a stream of a connection has ended. */
  streamEnded?(connection: Connection, failure: Error | undefined): void
}

/** @internal Most streams first, then the newest, so that the others may be closed as unused. */
export const BEST: Selection = {
  order: (connections) => byLeast(connections, (connection) => -streamsOf(connection))
}

const LEAST_LOADED: Selection = { order: (connections) => byLeast(connections, streamsOf) }

const LATENCY_BASED: Selection = {
  order: (connections) =>
    byLeast(connections, (connection) => connection.counters()?.roundTripMs ?? Number.MAX_VALUE)
}

const SELECTIONS: Readonly<Record<ConnectionStrategyName, (clock: Clock) => Selection>> = {
  best: () => BEST,
  round_robin: () => new RoundRobin(),
  least_loaded: () => LEAST_LOADED,
  latency_based: () => LATENCY_BASED,
  health_based: (clock) => new HealthSelection(clock)
}

/** @internal The name of a strategy, or a function. */
export const aStrategy: Check = (value, name) => {
  if (typeof value === 'function') return
  if (typeof value === 'string' && Object.hasOwn(SELECTIONS, value)) return
  throw misuse(name, `one of ${Object.keys(SELECTIONS).join(', ')}, or a function`, value)
}

/** @internal Returns the selection of a strategy; failures of a function go to `onFailure`. */
export function selectionOf(
  strategy: ConnectionStrategyName | ConnectionStrategy,
  clock: Clock,
  onFailure: OnFailure
): Selection {
  return typeof strategy === 'function'
    ? new Chosen(strategy, onFailure)
    : SELECTIONS[strategy](clock)
}

/** The order of a function of the application. */
class Chosen implements Selection {
  readonly #strategy: ConnectionStrategy
  readonly #onFailure: OnFailure
  #hasLeftOutAll = false

  constructor(strategy: ConnectionStrategy, onFailure: OnFailure) {
    this.#strategy = strategy
    this.#onFailure = onFailure
  }

  order(connections: readonly Connection[]): readonly Connection[] {
    const ordered = orderedBy(this.#strategy, connections, this.#onFailure)
    if (ordered.length === 0 && !this.#hasLeftOutAll) {
      this.#hasLeftOutAll = true
      this.#onFailure(misuse(RESULT, 'a list that is not empty', ordered), this, LEFT_OUT)
    }
    return ordered
  }
}

/** Those picked longest ago first, the oldest of them first. */
class RoundRobin implements Selection {
  readonly #turns = new WeakMap<Connection, number>()
  #turn = 0

  order(connections: readonly Connection[]): readonly Connection[] {
    const turnOf = (connection: Connection): number => this.#turns.get(connection) ?? 0
    return connections.toSorted((a, b) => turnOf(a) - turnOf(b))
  }

  picked(connection: Connection): void {
    this.#turn += 1
    this.#turns.set(connection, this.#turn)
  }
}

function streamsOf(connection: Connection): number {
  return connectionFacade.coreOf(connection).streams.size
}

function orderedBy(
  strategy: ConnectionStrategy,
  connections: readonly Connection[],
  onFailure: OnFailure
): readonly Connection[] {
  try {
    // It may be JavaScript, so the result may be anything.
    const ordered: unknown = strategy([...connections])
    if (isSelectionOf(connections, ordered)) return ordered
    // The rejection of an asynchronous function would be unhandled.
    if (isThenable(ordered)) ordered.then(undefined, () => {})
    throw misuse(RESULT, 'a list of the given connections', ordered)
  } catch (err) {
    onFailure(err, strategy, 'the strategy of connections failed')
    return BEST.order(connections)
  }
}

function isSelectionOf(
  connections: readonly Connection[],
  ordered: unknown
): ordered is readonly Connection[] {
  return Array.isArray(ordered) && ordered.every((connection) => connections.includes(connection))
}
