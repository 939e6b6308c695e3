/** Codes and levels of native diagnostic facts; mirrors `Fact::code` in `crates/runtime/src/diagnostics.rs`. */
import type { LogNamespace } from './log.ts'

/** Codes of diagnostic facts; the hundreds digit is the level. */
export const DiagnosticCode = {
  acceptFailed: 101,
  internal: 102,
  connectionRefused: 201,
  budgetSpent: 202,
  memoryShed: 203,
  readPaused: 204,
  streamRefused: 205,
  writesHeld: 206,
  datagramsDropped: 207,
  upgradeFailed: 301,
  muxerFailed: 302,
  recordFailed: 303,
  connectionStalled: 304,
  socketFailed: 305,
  quicFailed: 306,
  transportFailed: 307,
  upgradeAbandoned: 401,
  connectionGated: 402
} as const

/** The name of a diagnostic fact. */
export type DiagnosticName = keyof typeof DiagnosticCode

/** Severity of a fact: the logger method that is called with it. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** Levels as bits of the native side's mask. */
export const LEVEL_BITS: Readonly<Record<LogLevel, number>> = {
  error: 1,
  warn: 2,
  info: 4,
  debug: 8
}

const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug']

const NAMES: ReadonlyMap<number, DiagnosticName> = new Map(
  // `Object.entries` widens the keys to `string`.
  Object.entries(DiagnosticCode).map(([name, code]) => [code, name as DiagnosticName])
)

/** `DEBUG` namespaces of the facts, behind `ferroswarm:`. */
export const NAMESPACES: Readonly<Record<DiagnosticName, LogNamespace>> = {
  acceptFailed: 'listener',
  internal: 'connection',
  connectionRefused: 'listener',
  budgetSpent: 'connection',
  memoryShed: 'connection',
  readPaused: 'connection',
  streamRefused: 'stream',
  writesHeld: 'connection',
  datagramsDropped: 'connection',
  upgradeFailed: 'upgrade',
  muxerFailed: 'connection',
  recordFailed: 'connection',
  connectionStalled: 'connection',
  socketFailed: 'connection',
  quicFailed: 'connection',
  transportFailed: 'connection',
  upgradeAbandoned: 'upgrade',
  connectionGated: 'listener'
}

/** Returns the name of a code; undefined if it is unknown. */
export function diagnosticName(code: number): DiagnosticName | undefined {
  return NAMES.get(code)
}

/** Returns the level of a code. */
export function diagnosticLevel(code: number): LogLevel {
  return LEVELS[Math.floor(code / 100) - 1] ?? 'debug'
}
