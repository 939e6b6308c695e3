/** The log of a swarm: to its logger, and to stderr for the namespaces in `DEBUG`. */

import { reasonOf } from '../text/printable.ts'
import { LEVEL_BITS, type LogLevel } from './codes.ts'
import type { Logger } from './logger.ts'

const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug']
const EVERY_LEVEL = 15
const PREFIX = 'ferroswarm:'

/** Namespaces for `DEBUG`, without the prefix `ferroswarm:`. */
export const LOG_NAMESPACES = [
  'swarm',
  'listener',
  'connection',
  'upgrade',
  'stream',
  'dial',
  'dns'
] as const

/** A namespace of `DEBUG`, without its prefix. */
export type LogNamespace = (typeof LOG_NAMESPACES)[number]

/** The log of one swarm. Callers check {@link Log.levels} first, so that disabled levels cost nothing. */
export class Log {
  /** Bits of the enabled levels; see `LEVEL_BITS`. */
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

  /** Returns whether a level is enabled. */
  hears(level: LogLevel): boolean {
    return (this.levels & LEVEL_BITS[level]) !== 0
  }

  /** Returns a logger with all levels that writes to a namespace; disabled levels do nothing. */
  loggerOf(namespace: LogNamespace): Logger {
    const at =
      (level: LogLevel) =>
      (message: string, ...details: unknown[]): void => {
        if (this.hears(level)) this.write(level, namespace, message, ...details)
      }
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }

  /**
   * Writes a message with details; returns whether it was logged anywhere. An error thrown by the logger becomes a
   * process warning.
   */
  write(level: LogLevel, namespace: LogNamespace, message: string, ...details: unknown[]): boolean {
    try {
      this.#logger[level]?.(message, ...details)
    } catch (err) {
      process.emitWarning(err instanceof Error ? err : reasonOf(err))
    }
    if (!this.#namespaces.has(namespace)) return this.#logger[level] !== undefined
    const { inspect } = process.getBuiltinModule('node:util')
    const shown = details.map((detail) => ` ${inspect(detail, { breakLength: Infinity })}`).join('')
    process.stderr.write(`${new Date().toISOString()} ${PREFIX}${namespace} ${message}${shown}\n`)
    return true
  }
}

/**
 * Returns whether `DEBUG` enables a namespace, with the syntax of the package `debug`: names with `*`, separated by
 * commas or spaces, excluded with a leading `-`.
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
