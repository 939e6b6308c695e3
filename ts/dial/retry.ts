/** Repeated attempts at an address whose failure may pass. */
import { type Check, checkOptions, integer, misuse, type OptionChecks } from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import { type ErrorCode, InvalidParametersError } from '../errors.ts'

/** How often a failed address is tried again, and after which time. All optional. */
export interface RetryConfig {
  /** Further attempts at an address, 0 to 100. Defaults to 3. */
  maxRetries?: number
  /** Milliseconds before the first of them. Defaults to 100. */
  initialDelay?: number
  /** Maximum of these times in milliseconds; `jitter` never exceeds it. Defaults to 30,000. */
  maxDelay?: number
  /** Factor by which each time is longer than the one before, at least 1. Defaults to 2. */
  multiplier?: number
  /** Largest random deviation from each time, as a share of it: 0 to 1. Defaults to 0.1. */
  jitter?: number
}

/** Retries with all defaults. */
export const RETRY_DEFAULTS: Readonly<Required<RetryConfig>> = Object.freeze({
  maxRetries: 3,
  initialDelay: 100,
  maxDelay: 30_000,
  multiplier: 2,
  jitter: 0.1
})

const RETRIES_MAX = 100

/** Failures that may pass: the host restarts, or the network loses packets. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  'ERR_CONNECTION_REFUSED',
  'ERR_CONNECTION_RESET',
  'ERR_TIMEOUT',
  'ERR_UNREACHABLE'
])

function numberBetween(min: number, max: number): Check {
  return (value, name) => {
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      const range =
        max === Number.POSITIVE_INFINITY ? `of ${min} or more` : `between ${min} and ${max}`
      throw misuse(name, `a number ${range}`, value)
    }
  }
}

const CHECKS: OptionChecks<RetryConfig> = {
  maxRetries: integer(0, RETRIES_MAX),
  initialDelay: numberBetween(0, TIMER_MS_MAX),
  maxDelay: numberBetween(0, TIMER_MS_MAX),
  multiplier: numberBetween(1, Number.POSITIVE_INFINITY),
  jitter: numberBetween(0, 1)
}

/** Checks the option `retry`. Throws `InvalidParametersError`. */
export function checkRetry(value: unknown, name: string): void {
  // The check of options refuses everything but an object.
  checkOptions(value as RetryConfig, CHECKS, name)
  const { initialDelay, maxDelay } = resolveRetry(value as RetryConfig)
  if (initialDelay > maxDelay) {
    throw new InvalidParametersError(
      `expected ${name}.initialDelay to be at most ${name}.maxDelay, received ${initialDelay} and ${maxDelay}`
    )
  }
}

/** Applies the defaults. */
export function resolveRetry(config: RetryConfig | undefined): Readonly<Required<RetryConfig>> {
  const given = Object.entries(config ?? {}).filter(([, value]) => value !== undefined)
  return Object.freeze({ ...RETRY_DEFAULTS, ...Object.fromEntries(given) })
}

/** Returns whether a later attempt may succeed where one has failed with `code`. */
export function isTransient(code: ErrorCode): boolean {
  return TRANSIENT.has(code)
}

/**
 * Returns the milliseconds between the failure of attempt `tries`, counted from 1, and the next one. `random` is in
 * [0, 1).
 */
export function retryDelay(
  { initialDelay, maxDelay, multiplier, jitter }: Readonly<Required<RetryConfig>>,
  tries: number,
  random: number
): number {
  const delay = Math.min(initialDelay * multiplier ** (tries - 1), maxDelay)
  return Math.min(delay * (1 + jitter * (2 * random - 1)), maxDelay)
}
