/**
 * Argument checks shared by every public call.
 *
 * A check throws `InvalidParametersError` before the call has changed anything. The message names the argument, the
 * expected and the received value; objects are described by their class alone, as they may hold keys.
 */
import { InvalidParametersError } from '../errors.ts'
import { TIMER_MS_MAX } from './clock.ts'

/** The largest number that the native side takes. */
export const UINT32_MAX = 0xffffffff

/** Characters of a string that a message quotes at most. */
const QUOTED_MAX = 64

/** Checks the value of the argument or option `name`. */
export type Check = (value: unknown, name: string) => void

/** A check for each option of a call. The compiler enforces completeness. */
export type OptionChecks<Options> = { readonly [Name in keyof Required<Options>]: Check }

/**
 * Checks the options of a call: an object or undefined, every name known, every value that is not undefined valid.
 *
 * `path` prefixes the names of nested options.
 */
export function checkOptions<Options extends object>(
  options: Options | undefined,
  checks: OptionChecks<Options>,
  path = ''
): void {
  if (options === undefined) return
  const name = path === '' ? 'options' : path
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw misuse(name, 'an object', options)
  }
  for (const key in options) {
    if (!Object.hasOwn(checks, key)) throw unknownOption(key, Object.keys(checks), path)
    const value = options[key]
    if (value !== undefined) checks[key](value, path === '' ? key : `${path}.${key}`)
  }
}

/**
 * Returns whether a value is an options object passed in place of an omitted argument: a plain object, since the
 * arguments themselves are strings, numbers, arrays and class instances.
 */
export function areOptions<T>(value: T): value is Exclude<Extract<T, object>, readonly unknown[]> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Returns the error for a value other than the expected one. */
export function misuse(name: string, expected: string, received: unknown): InvalidParametersError {
  return new InvalidParametersError(
    `expected ${name} to be ${expected}, received ${describe(received)}`
  )
}

/** Accepts any value. */
export const anything: Check = () => {}

export const aBoolean: Check = (value, name) => {
  if (typeof value !== 'boolean') throw misuse(name, 'true or false', value)
}

export const aString: Check = (value, name) => {
  if (typeof value !== 'string') throw misuse(name, 'a string', value)
}

export const aFunction: Check = (value, name) => {
  if (typeof value !== 'function') throw misuse(name, 'a function', value)
}

export const anObject: Check = (value, name) => {
  if (typeof value !== 'object' || value === null) throw misuse(name, 'an object', value)
}

/** An `Error` of any realm. */
export const anError: Check = (value, name) => {
  if (Object.prototype.toString.call(value) !== '[object Error]' && !(value instanceof Error)) {
    throw misuse(name, 'an Error', value)
  }
}

export const anArray: Check = (value, name) => {
  if (!Array.isArray(value)) throw misuse(name, 'an array', value)
}

/** A flag, or the reason that it is set. */
export const aFlag: Check = (value, name) => {
  if (typeof value !== 'boolean' && typeof value !== 'string') {
    throw misuse(name, 'true, false or a reason', value)
  }
}

/** Any implementation of `AbortSignal`. */
export const aSignal: Check = (value, name) => {
  const signal = value as Partial<AbortSignal> | null
  if (typeof signal?.aborted !== 'boolean' || typeof signal.addEventListener !== 'function') {
    throw misuse(name, 'an AbortSignal', value)
  }
}

export const bytes: Check = (value, name) => {
  if (!(value instanceof Uint8Array)) throw misuse(name, 'a Uint8Array', value)
}

/** An object of any class with these methods. */
export function objectWith(...methods: readonly string[]): Check {
  const expected = `an object with ${methods.map((method) => `${method}()`).join(', ')}`
  return (value, name) => {
    // Every value but null and undefined allows property access.
    const object = (value ?? {}) as Readonly<Record<string, unknown>>
    if (methods.some((method) => typeof object[method] !== 'function')) {
      throw misuse(name, expected, value)
    }
  }
}

/** A whole number between `min` and `max`. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Check {
  const range =
    max === Number.MAX_SAFE_INTEGER
      ? `a whole number of ${min} or more`
      : `a whole number between ${min} and ${max}`
  return (value, name) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw misuse(name, range, value)
    }
  }
}

/** A wire error code: an unsigned 32-bit integer. */
export const aCode: Check = integer(0, UINT32_MAX)

/** A whole number of bytes, 0 or more. */
export const aSize: Check = integer(0)

/** A whole number of bytes, 0 or more, or Infinity for no limit. */
export const aLimit: Check = (value, name) => {
  if (value !== Number.POSITIVE_INFINITY) aSize(value, name)
}

/**
 * A duration in milliseconds, 0 or more; Infinity for no limit.
 *
 * A finite value above the longest timer is refused: it is a point in time passed as a duration.
 */
export const aDuration: Check = (value, name) => {
  if (
    typeof value === 'number' &&
    (value === Number.POSITIVE_INFINITY || (value >= 0 && value <= TIMER_MS_MAX))
  )
    return
  throw misuse(name, `a duration of 0 to ${TIMER_MS_MAX} ms or Infinity`, value)
}

/** A duration in milliseconds between two ticks of a timer. */
export const aPeriod: Check = (value, name) => {
  if (typeof value === 'number' && value >= 1 && value <= TIMER_MS_MAX) return
  throw misuse(name, `a duration of 1 to ${TIMER_MS_MAX} ms`, value)
}

/** Numbers this far before now are durations, not dates. */
const YEAR_MS = 366 * 24 * 60 * 60 * 1_000

/**
 * Returns `at` in milliseconds since the epoch, or undefined if it is null.
 *
 * Throws `InvalidParametersError` for any other type, and for a number more than a year before `now`: a duration
 * passed as a date. 0 is in the past either way and is accepted.
 */
export function deadlineAt(at: unknown, name: string, now: number): number | undefined {
  if (at === null) return undefined
  if (at instanceof Date && !Number.isNaN(at.getTime())) return at.getTime()
  if (typeof at !== 'number' || Number.isNaN(at)) {
    throw misuse(name, 'a Date, milliseconds since the epoch or null', at)
  }
  if (at > 0 && at < now - YEAR_MS) {
    throw misuse(name, 'a point in time, such as Date.now() + 5_000, and no duration', at)
  }
  return at
}

/** One of several values. */
export function oneOf(...known: readonly (string | number)[]): Check {
  const expected = `one of ${known.join(', ')}`
  return (value, name) => {
    if (!known.some((one) => one === value)) throw misuse(name, expected, value)
  }
}

/** A list of at least one of several names, each at most once. */
export function someOf(...known: readonly string[]): Check {
  const expected = `a list of at least one of ${known.join(', ')}, each at most once`
  return (value, name) => {
    if (!Array.isArray(value) || value.length === 0) throw misuse(name, expected, value)
    for (const [index, entry] of value.entries()) {
      if (!known.includes(entry) || value.indexOf(entry) !== index)
        throw misuse(name, expected, entry)
    }
  }
}

/** Checks for a call whose only option is a signal. */
export const ABORT_OPTIONS: OptionChecks<{ signal?: AbortSignal | undefined }> = { signal: aSignal }

/** Returns the error for an unknown option, with the closest known name as a hint. */
function unknownOption(
  name: string,
  known: readonly string[],
  path: string
): InvalidParametersError {
  const where = path === '' ? '' : `${path}.`
  const nearest = nearestOf(name, known)
  const hint =
    nearest === undefined ? `known are ${known.join(', ')}` : `did you mean ${where}${nearest}?`
  return new InvalidParametersError(`unknown option ${describe(where + name)}; ${hint}`)
}

/** Formats a value for a message: short, and never the contents of an object. */
function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > QUOTED_MAX ? `${value.slice(0, QUOTED_MAX)}…` : value)
    case 'function':
      return 'a function'
    case 'object': {
      if (value === null) return 'null'
      // `constructor` may be missing or hold any value.
      const kind = String((value.constructor as { name?: unknown } | undefined)?.name ?? '')
      return kind === '' || kind === 'Object' ? 'an object' : `an object of ${kind}`
    }
    case 'bigint':
      return `${value}n`
    default:
      return String(value)
  }
}

/** Describes a value that may be a key in the wrong form: by its size alone. */
export function sizeText(value: unknown): string {
  if (typeof value === 'string') return `a string of ${value.length} characters`
  if (value === null) return 'null'
  return value instanceof Uint8Array ? `${value.length} bytes` : `a value of type ${typeof value}`
}

/** Returns the known name at the least edit distance; undefined if over a third of the characters differ. */
function nearestOf(name: string, known: readonly string[]): string | undefined {
  if (name.length > QUOTED_MAX) return undefined
  let nearest: string | undefined
  let least = Math.ceil(name.length / 3) + 1
  for (const candidate of known) {
    const changes = distance(name.toLowerCase(), candidate.toLowerCase())
    if (changes < least) {
      nearest = candidate
      least = changes
    }
  }
  return nearest
}

/** Levenshtein distance: characters to insert, delete or replace. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      // Both rows have `to.length + 1` entries.
      const above = row[j] as number
      const diagonal = row[j - 1] as number
      const left = next[j - 1] as number
      next.push(Math.min(above + 1, left + 1, diagonal + (from[i - 1] === to[j - 1] ? 0 : 1)))
    }
    row = next
  }
  // The row has `to.length + 1` entries.
  return row[to.length] as number
}
