/**
 * Diagnostic facts as the native side writes them; mirrors `crates/node/src/diagnostic.rs`. See docs/diagnostics.md.
 */
import type { HotCalls } from './addon.ts'

/** Words of one fact. */
export const DIAGNOSTIC_WORDS = 10

/** Bytes that the texts of one fact may take. */
export const DIAGNOSTIC_TEXT_MAX = 1 << 10

/** Facts that one crossing takes. */
const FACTS_MAX = 64

/** A fact that no caller waits for. */
export interface NativeDiagnostic {
  readonly code: number
  readonly node: number
  /** The handle of its connection; 0 for none. */
  readonly connection: number
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly details: readonly [number, number, number]
  /** Where the remote is, as text; empty where there is none. */
  readonly address: string
  /** The cause in one clause; may be empty. */
  readonly text: string
}

/** Takes facts from the native side, as many a crossing as there are. */
export class DiagnosticReader {
  readonly #hot: HotCalls
  // Made when there is a first fact, which most processes never see.
  #words: Uint32Array | undefined
  #texts: Buffer | undefined

  constructor(hot: HotCalls) {
    this.#hot = hot
  }

  /** Every fact that waits. */
  take(tell: (diagnostic: NativeDiagnostic) => void): void {
    this.#words ??= new Uint32Array(FACTS_MAX * DIAGNOSTIC_WORDS)
    this.#texts ??= Buffer.allocUnsafeSlow(FACTS_MAX * DIAGNOSTIC_TEXT_MAX)
    for (;;) {
      const count = this.#hot.takeDiagnostics(this.#words, this.#texts)
      if (count <= 0) return
      let from = 0
      for (let index = 0; index < count; index += 1) {
        const words = this.#words.subarray(index * DIAGNOSTIC_WORDS, (index + 1) * DIAGNOSTIC_WORDS)
        // A fact has that many words.
        const textAt = from + (words[8] as number)
        const end = textAt + (words[9] as number)
        tell(
          decoded(
            words,
            this.#texts.toString('utf8', from, textAt),
            this.#texts.toString('utf8', textAt, end)
          )
        )
        from = end
      }
    }
  }
}

function decoded(words: Uint32Array, address: string, text: string): NativeDiagnostic {
  const [code = 0, node = 0, connection = 0, high = 0, low = 0, first = 0, second = 0, third = 0] =
    words
  const time = high * 2 ** 32 + low
  return { code, node, connection, time, details: [first, second, third], address, text }
}
