/** A logger that keeps what it is told. */
import type { DiagnosticName, LogLevel } from '../../ts/diagnostics/codes.ts'
import type { Logger } from '../../ts/diagnostics/logger.ts'
import type { Diagnostic } from '../../ts/diagnostics/report.ts'

/** A line of a log. */
export interface HeardLine {
  /** The method that was called. */
  readonly level: LogLevel
  readonly message: string
}

/** A diagnostic fact and its line. */
export interface HeardFact extends HeardLine {
  readonly fact: Diagnostic
}

/** Lines of a logger, in their order, and whoever waits for the next ones. */
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
        for (const look of this.#waiting) look()
      }
    this.logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }

  /** Every fact of one kind by now. */
  facts(name: DiagnosticName): HeardFact[] {
    return this.lines.filter((line): line is HeardFact => line.fact?.name === name)
  }

  /** The first fact of one kind, heard or to come. */
  fact(name: DiagnosticName): Promise<HeardFact> {
    return this.#first(() => this.facts(name)[0])
  }

  /** The first line that matches, heard or to come. */
  line(pattern: RegExp): Promise<HeardLine> {
    return this.#first(() => this.lines.find(({ message }) => pattern.test(message)))
  }

  #first<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = find()
        if (found === undefined) return
        this.#waiting.delete(look)
        resolve(found)
      }
      this.#waiting.add(look)
      look()
    })
  }
}
