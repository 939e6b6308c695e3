/**
 * Checks of what callers pass in, shared by every public call.
 *
 * A check throws `InvalidParametersError` before the call has changed anything. Its message names the argument, what
 * was expected and what was received; objects are described by their class alone, as they may hold keys.
 */
import { InvalidParametersError } from '../errors.ts'
import { TIMER_MS_MAX } from './clock.ts'

/** The largest number that crosses to the native side. */
const UINT32_MAX = 0xffffffff

/** Letters of a string that a message quotes. */
const QUOTED_MAX = 64

/** Checks a value that the caller knows as `name`. */
export type Check = (value: unknown, name: string) => void

/** A check for each option of a call. The compiler sees that none is left out. */
export type OptionChecks<Options> = { readonly [Name in keyof Required<Options>]: Check }

/**
 * Check the options of a call: an object or undefined, every name known, every value that is not undefined valid.
 *
 * `path` stands in front of the names of nested options.
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
 * Whether a value is options in the place of an argument that was left out in front of them: a plain object, as the
 * arguments themselves are text, numbers, lists and objects of classes.
 */
export function areOptions<T>(value: T): value is Exclude<Extract<T, object>, readonly unknown[]> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** The error for a value that is not what was expected. */
export function misuse(name: string, expected: string, received: unknown): InvalidParametersError {
  return new InvalidParametersError(
    `expected ${name} to be ${expected}, received ${describe(received)}`
  )
}

/** Any value will do. */
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

/** An error of any realm. */
export const anError: Check = (value, name) => {
  if (Object.prototype.toString.call(value) !== '[object Error]' && !(value instanceof Error)) {
    throw misuse(name, 'an Error', value)
  }
}

export const anArray: Check = (value, name) => {
  if (!Array.isArray(value)) throw misuse(name, 'an array', value)
}

/** A flag, or the reason why it is set. */
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

/** An object, of any class, that has these methods. */
export function objectWith(...methods: readonly string[]): Check {
  const expected = `an object with ${methods.map((method) => `${method}()`).join(', ')}`
  return (value, name) => {
    // Anything but null and undefined can be asked for a member.
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

/** An error code as it is on the wire. */
export const aCode: Check = integer(0, UINT32_MAX)

/** A whole number of bytes, 0 or more. */
export const aSize: Check = integer(0)

/** A whole number of bytes, 0 or more, or Infinity for no limit. */
export const aLimit: Check = (value, name) => {
  if (value !== Number.POSITIVE_INFINITY) aSize(value, name)
}

/**
 * A duration in milliseconds, 0 or more; Infinity for as long as it takes.
 *
 * A finite one beyond what a timer can run is refused: it is a point in time that was taken for a duration.
 */
export const aDuration: Check = (value, name) => {
  if (
    typeof value === 'number' &&
    (value === Number.POSITIVE_INFINITY || (value >= 0 && value <= TIMER_MS_MAX))
  )
    return
  throw misuse(name, `a duration of 0 to ${TIMER_MS_MAX} ms or Infinity`, value)
}

/** Years in which nobody means a date. */
const YEAR_MS = 366 * 24 * 60 * 60 * 1_000

/**
 * A point in time in milliseconds since the epoch, or null for none; undefined is none as well.
 *
 * Throws `InvalidParametersError` for what is neither, and for a number that is over a year before `now`: a duration
 * that was taken for a date. 0 stands for the past either way.
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

/** The options of a call that takes a signal and nothing else. */
export const ABORT_OPTIONS: OptionChecks<{ signal?: AbortSignal | undefined }> = { signal: aSignal }

/** The error for an option that does not exist, with the known one that it was most likely meant to be. */
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

/** A value as a message shows it: short, and never the contents of an object. */
function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > QUOTED_MAX ? `${value.slice(0, QUOTED_MAX)}…` : value)
    case 'function':
      return 'a function'
    case 'object': {
      if (value === null) return 'null'
      // An object may have anything as its constructor, or nothing.
      const kind = String((value.constructor as { name?: unknown } | undefined)?.name ?? '')
      return kind === '' || kind === 'Object' ? 'an object' : `an object of ${kind}`
    }
    case 'bigint':
      return `${value}n`
    default:
      return String(value)
  }
}

/** The known name that the fewest changes of a letter make; undefined where over a third would change. */
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

/** Levenshtein distance: letters to insert, delete or replace. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      // Both rows have a number for each letter of `to` and one more.
      const above = row[j] as number
      const diagonal = row[j - 1] as number
      const left = next[j - 1] as number
      next.push(Math.min(above + 1, left + 1, diagonal + (from[i - 1] === to[j - 1] ? 0 : 1)))
    }
    row = next
  }
  // It has one number more than `to` has letters.
  return row[to.length] as number
}
