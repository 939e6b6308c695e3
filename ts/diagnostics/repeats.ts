/**
 * Rate limit for facts that a remote can provoke repeatedly: one line per kind, connection and second. Suppressed facts
 * are counted in the next line, at the latest when the connection ends. Connections not yet reported to this thread
 * count as one.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { NativeDiagnostic } from '../native/diagnostic.ts'
import type { DiagnosticName } from './codes.ts'

/** Facts that a connection can have more than once; the other connection facts come with its end. */
const REPEATING: ReadonlySet<DiagnosticName> = new Set([
  'memoryShed',
  'readPaused',
  'streamRefused',
  'writesHeld'
])

/** Milliseconds per line for facts of one kind. */
const INTERVAL_MS = 1_000

interface Repeated {
  reportedAt: number
  /** Facts suppressed since then. */
  suppressed: number
  /** The last suppressed fact. */
  last: NativeDiagnostic | undefined
}

/** Limits the lines of repeating facts and counts the suppressed ones. */
export class Repeats {
  readonly #clock: Clock
  // Causes of repeating facts are option names, so a connection has a handful. `this` is the key of unreported ones.
  readonly #kinds = new WeakMap<Connection | Repeats, Map<string, Repeated>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns the number of such facts suppressed before this one; undefined if it is suppressed as well. */
  admit(
    name: DiagnosticName,
    native: NativeDiagnostic,
    connection: Connection | undefined
  ): number | undefined {
    if (!REPEATING.has(name)) return 0
    const kinds = this.#kinds.get(connection ?? this) ?? new Map<string, Repeated>()
    this.#kinds.set(connection ?? this, kinds)
    const kind = `${name} ${native.text}`
    const now = this.#clock.now()
    const known = kinds.get(kind)
    // A clock that was set back also starts a new interval.
    if (known !== undefined && now >= known.reportedAt && now < known.reportedAt + INTERVAL_MS) {
      known.suppressed += 1
      known.last = native
      return undefined
    }
    kinds.set(kind, { reportedAt: now, suppressed: 0, last: undefined })
    return known?.suppressed ?? 0
  }

  /**
   * Calls `report` with the last suppressed fact of each kind and the number suppressed before it; drops the state of
   * the connection.
   */
  end(
    connection: Connection | undefined,
    report: (last: NativeDiagnostic, before: number) => void
  ): void {
    const kinds = this.#kinds.get(connection ?? this)
    if (kinds === undefined) return
    this.#kinds.delete(connection ?? this)
    for (const { last, suppressed } of kinds.values()) {
      if (last !== undefined) report(last, suppressed - 1)
    }
  }
}
