/** Where a swarm says what happens: the logger that it was given, and stderr for the namespaces in `DEBUG`. */
import { LEVEL_BITS, type LogLevel } from './codes.ts'
import type { Logger } from './logger.ts'

const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug']
const EVERY_LEVEL = 15
const PREFIX = 'ferroswarm:'

/** Namespaces that `DEBUG` can name, behind `ferroswarm:`. */
export const LOG_NAMESPACES = [
  'swarm',
  'listener',
  'connection',
  'upgrade',
  'stream',
  'dial'
] as const

/** A namespace of `DEBUG`, without its prefix. */
export type LogNamespace = (typeof LOG_NAMESPACES)[number]

/** The log of one swarm. What writes it looks at {@link Log.levels} first, so that silence costs nothing. */
export class Log {
  /** Bits of the levels that somebody hears; see `LEVEL_BITS`. */
  readonly levels: number
  readonly #logger: Partial<Logger>
  readonly #namespaces: ReadonlySet<string>

  constructor(logger: Partial<Logger> = {}, debug: string | undefined = process.env.DEBUG) {
    this.#logger = logger
    this.#namespaces = new Set(LOG_NAMESPACES.filter((name) => isNamed(debug ?? '', PREFIX + name)))
    const given = LEVELS.filter((level) => typeof logger[level] === 'function')
    const bits = given.reduce((levels, level) => levels | LEVEL_BITS[level], 0)
    this.levels = this.#namespaces.size > 0 ? EVERY_LEVEL : bits
  }

  /** Whether somebody hears of this level. */
  hears(level: LogLevel): boolean {
    return (this.levels & LEVEL_BITS[level]) !== 0
  }

  /**
   * One line, with what it is about behind it; returns whether somebody heard it. A logger that throws is the
   * application's own fault, told as such.
   */
  write(level: LogLevel, namespace: LogNamespace, message: string, ...details: unknown[]): boolean {
    try {
      this.#logger[level]?.(message, ...details)
    } catch (err) {
      process.emitWarning(err instanceof Error ? err : String(err))
    }
    if (!this.#namespaces.has(namespace)) return this.#logger[level] !== undefined
    const { inspect } = process.getBuiltinModule('node:util')
    const shown = details.map((detail) => ` ${inspect(detail, { breakLength: Infinity })}`).join('')
    process.stderr.write(`${new Date().toISOString()} ${PREFIX}${namespace} ${message}${shown}\n`)
    return true
  }
}

/**
 * Whether `DEBUG` names a namespace, as the package `debug` reads it: names with `*`, separated by commas or spaces,
 * those behind `-` left out.
 */
export function isNamed(debug: string, namespace: string): boolean {
  const patterns = debug.split(/[\s,]+/).filter((pattern) => pattern !== '')
  const matches = (pattern: string): boolean =>
    new RegExp(`^${pattern.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`).test(
      namespace
    )
  if (patterns.some((pattern) => pattern.startsWith('-') && matches(pattern.slice(1)))) return false
  return patterns.some((pattern) => !pattern.startsWith('-') && matches(pattern))
}
