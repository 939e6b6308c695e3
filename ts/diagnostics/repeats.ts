/**
 * What a remote can bring about over and over: of one kind a connection has a line a second, and the others are counted
 * in the next line, which may come with its end. Connections that this thread has not been told of count as one.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../connection.ts'
import type { NativeDiagnostic } from '../native/diagnostic.ts'
import type { DiagnosticName } from './codes.ts'

/** Facts that a connection can have more than once; the others about one come with its end. */
const REPEATING: ReadonlySet<DiagnosticName> = new Set([
  'memoryShed',
  'readPaused',
  'streamRefused'
])

/** Time in which facts of one kind have one line, in milliseconds. */
const STEP_MS = 1_000

interface Repeated {
  reportedAt: number
  /** Facts since then. */
  suppressed: number
  /** The last one of them. */
  last: NativeDiagnostic | undefined
}

/** Counts the facts of connections that have no line of their own. */
export class Repeats {
  readonly #clock: Clock
  // Causes of what repeats are names of options, so a connection has a handful. What is known of none is our own.
  readonly #kinds = new WeakMap<Connection | Repeats, Map<string, Repeated>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many facts like this one were suppressed before it; undefined if it is suppressed as well. */
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
    // A clock that was put back begins another second too.
    if (known !== undefined && now >= known.reportedAt && now < known.reportedAt + STEP_MS) {
      known.suppressed += 1
      known.last = native
      return undefined
    }
    kinds.set(kind, { reportedAt: now, suppressed: 0, last: undefined })
    return known?.suppressed ?? 0
  }

  /** Call `tell` for the last suppressed fact of each kind, with how many were suppressed before it. Forgets the connection. */
  end(
    connection: Connection | undefined,
    tell: (last: NativeDiagnostic, before: number) => void
  ): void {
    const kinds = this.#kinds.get(connection ?? this)
    if (kinds === undefined) return
    this.#kinds.delete(connection ?? this)
    for (const { last, suppressed } of kinds.values()) {
      if (last !== undefined) tell(last, suppressed - 1)
    }
  }
}
