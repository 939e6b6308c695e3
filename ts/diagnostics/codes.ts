/** What the native side reports, and how much it matters; mirrors `Fact::code` in `crates/runtime/src/diagnostics.rs`. */
import type { LogNamespace } from './log.ts'

/** Numbers of diagnostic facts; the hundreds are their level. */
export const DiagnosticCode = {
  acceptFailed: 101,
  internal: 102,
  connectionRefused: 201,
  budgetSpent: 202,
  memoryShed: 203,
  readPaused: 204,
  streamRefused: 205,
  upgradeFailed: 301,
  muxerFailed: 302,
  recordFailed: 303,
  connectionStalled: 304,
  socketFailed: 305,
  upgradeAbandoned: 401
} as const

/** The name of a diagnostic fact. */
export type DiagnosticName = keyof typeof DiagnosticCode

/** How much a fact matters: the method of the logger that hears of it. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** Levels as the bits that the native side takes. */
export const LEVEL_BITS: Readonly<Record<LogLevel, number>> = {
  error: 1,
  warn: 2,
  info: 4,
  debug: 8
}

const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug']

const NAMES: ReadonlyMap<number, DiagnosticName> = new Map(
  // `Object.entries` forgets the type of keys.
  Object.entries(DiagnosticCode).map(([name, code]) => [code, name as DiagnosticName])
)

/** What `DEBUG` knows these facts by, behind `ferroswarm:`. */
export const NAMESPACES: Readonly<Record<DiagnosticName, LogNamespace>> = {
  acceptFailed: 'listener',
  internal: 'connection',
  connectionRefused: 'listener',
  budgetSpent: 'connection',
  memoryShed: 'connection',
  readPaused: 'connection',
  streamRefused: 'stream',
  upgradeFailed: 'upgrade',
  muxerFailed: 'connection',
  recordFailed: 'connection',
  connectionStalled: 'connection',
  socketFailed: 'connection',
  upgradeAbandoned: 'upgrade'
}

/** The name of a number; undefined for one that is not in the table. */
export function diagnosticName(code: number): DiagnosticName | undefined {
  return NAMES.get(code)
}

/** The level of a number. */
export function diagnosticLevel(code: number): LogLevel {
  return LEVELS[Math.floor(code / 100) - 1] ?? 'debug'
}
