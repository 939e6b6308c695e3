/**
 * What a remote can bring about over and over: of one kind a connection has a line a second, and the others are counted
 * in the next line, which may be that of its end.
 */
import type { Clock } from '../clock.ts'
import type { Connection } from '../connection.ts'
import type { NativeDiagnostic } from '../native/diagnostic.ts'

/** Time in which facts of one kind have one line, in milliseconds. */
const STEP_MS = 1_000

interface Repeated {
  toldAt: number
  /** Facts since then. */
  untold: number
  /** The last one of them. */
  last: NativeDiagnostic | undefined
}

/** Counts the facts of connections that have no line of their own. */
export class Repeats {
  readonly #clock: Clock
  // Causes of what repeats are names of options, so a connection has a handful.
  readonly #kinds = new WeakMap<Connection, Map<string, Repeated>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many facts like `native` went untold before it; undefined if it is to go untold as well. */
  admit(connection: Connection, native: NativeDiagnostic): number | undefined {
    const kinds = this.#kinds.get(connection) ?? new Map<string, Repeated>()
    this.#kinds.set(connection, kinds)
    const kind = `${native.code} ${native.text}`
    const now = this.#clock.now()
    const known = kinds.get(kind)
    // A clock that was put back begins another second too.
    if (known !== undefined && now >= known.toldAt && now < known.toldAt + STEP_MS) {
      known.untold += 1
      known.last = native
      return undefined
    }
    kinds.set(kind, { toldAt: now, untold: 0, last: undefined })
    return known?.untold ?? 0
  }

  /** The last untold fact of each kind, with how many went untold before it. Forgets the connection. */
  *end(connection: Connection): Generator<readonly [last: NativeDiagnostic, before: number]> {
    const kinds = this.#kinds.get(connection)
    this.#kinds.delete(connection)
    for (const { last, untold } of kinds?.values() ?? []) {
      if (last !== undefined) yield [last, untold - 1]
    }
  }
}
