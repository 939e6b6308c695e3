/**
 * Layout of native diagnostic facts; mirrors `crates/node/src/diagnostic.rs`. See docs/diagnostics.md.
 */
import type { HotCalls, NativeRefusal } from './addon.ts'

/** Words per fact. */
export const DIAGNOSTIC_WORDS = 10

/** Maximum bytes of the texts of one fact. */
export const DIAGNOSTIC_TEXT_MAX = 2 << 10

/** Maximum facts per native call. */
const FACTS_MAX = 64

/** A diagnostic fact. */
export interface NativeDiagnostic {
  readonly code: number
  readonly node: number
  /** Handle of its connection; 0 for none. */
  readonly connection: number
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly details: readonly [number, number, number]
  /** The remote address as text; empty if there is none. */
  readonly address: string
  /** The cause in one clause; may be empty. */
  readonly text: string
  /** The refusal that the text of some facts describes, see {@link refusalOf}. */
  readonly refusal?: NativeRefusal
}

/** Parses the text of a refusal: resource, limit, usage, amount requested, priority, and the name of the scope. */
export function refusalOf(text: string): NativeRefusal {
  const [resource = '', limit, current, requested, priority, ...scope] = text.split(' ')
  return {
    resource,
    limit: Number(limit),
    current: Number(current),
    requested: Number(requested),
    priority: Number(priority),
    // The names of protocols may have spaces.
    scope: scope.join(' ')
  }
}

/** Takes facts from the native side, in batches. */
export class DiagnosticReader {
  readonly #hot: HotCalls
  // Allocated for the first fact: most processes never have one.
  #words: Uint32Array | undefined
  #texts: Buffer | undefined

  constructor(hot: HotCalls) {
    this.#hot = hot
  }

  /** Calls `report` with every pending fact; throws what it throws first, once all are taken. */
  take(report: (diagnostic: NativeDiagnostic) => void): void {
    const failures: unknown[] = []
    this.#words ??= new Uint32Array(FACTS_MAX * DIAGNOSTIC_WORDS)
    this.#texts ??= Buffer.allocUnsafeSlow(FACTS_MAX * DIAGNOSTIC_TEXT_MAX)
    for (;;) {
      const count = this.#hot.takeDiagnostics(this.#words, this.#texts)
      if (count <= 0) break
      let from = 0
      for (let index = 0; index < count; index += 1) {
        const words = this.#words.subarray(index * DIAGNOSTIC_WORDS, (index + 1) * DIAGNOSTIC_WORDS)
        // Each fact has `DIAGNOSTIC_WORDS` words.
        const textAt = from + (words[8] as number)
        const end = textAt + (words[9] as number)
        const address = this.#texts.toString('utf8', from, textAt)
        const text = this.#texts.toString('utf8', textAt, end)
        from = end
        try {
          report(decoded(words, address, text))
        } catch (err) {
          failures.push(err)
        }
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}

function decoded(words: Uint32Array, address: string, text: string): NativeDiagnostic {
  const [code = 0, node = 0, connection = 0, high = 0, low = 0, first = 0, second = 0, third = 0] =
    words
  const time = high * 2 ** 32 + low
  return { code, node, connection, time, details: [first, second, third], address, text }
}
