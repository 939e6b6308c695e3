/** A logger that records its lines. */
import type { DiagnosticName, LogLevel } from '../../ts/diagnostics/codes.ts'
import type { Logger } from '../../ts/diagnostics/logger.ts'
import type { Diagnostic } from '../../ts/diagnostics/report.ts'

/** A log line. */
export interface HeardLine {
  /** The logger method that was called. */
  readonly level: LogLevel
  readonly message: string
}

/** A diagnostic fact and its line. */
export interface HeardFact extends HeardLine {
  readonly fact: Diagnostic
}

/** Records the lines of a logger in order, and resolves waits for later ones. */
export class Hearing {
  readonly lines: (HeardLine & { readonly fact: Diagnostic | undefined })[] = []
  readonly logger: Logger
  readonly #waiting = new Set<() => void>()

  constructor() {
    const at =
      (level: LogLevel) =>
      (message: string, detail?: unknown): void => {
        const isFact = (detail as Partial<Diagnostic> | undefined)?.name !== undefined
        this.lines.push({ level, message, fact: isFact ? (detail as Diagnostic) : undefined })
        for (const check of this.#waiting) check()
      }
    this.logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }

  /** Returns the facts of one kind so far. */
  facts(name: DiagnosticName): HeardFact[] {
    return this.lines.filter((line): line is HeardFact => line.fact?.name === name)
  }

  /** Resolves to the first fact of one kind, logged already or later. */
  fact(name: DiagnosticName): Promise<HeardFact> {
    return this.#first(() => this.facts(name)[0])
  }

  /** Resolves to the first line that matches, logged already or later. */
  line(pattern: RegExp): Promise<HeardLine> {
    return this.#first(() => this.lines.find(({ message }) => pattern.test(message)))
  }

  #first<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve) => {
      const check = (): void => {
        const found = find()
        if (found === undefined) return
        this.#waiting.delete(check)
        resolve(found)
      }
      this.#waiting.add(check)
      check()
    })
  }
}
