/** Definition of a command-line verb, and the arguments of a call. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { InvalidParametersError } from '../errors.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import { reasonOf } from '../text/printable.ts'
import type { Output } from './output.ts'

/** One verb: `ferroswarm <name>`. */
export interface Command {
  readonly name: string
  /** The usage line behind the name. */
  readonly usage: string
  /** One line per option, then the output of `--json`. */
  readonly help: string
  readonly options: ParseArgsOptionsConfig
  /** Number of positional arguments. */
  readonly positionals: readonly [least: number, most: number]
  /** Destination of its reports. Defaults to standard output. */
  readonly reportsTo?: 'stderr'
  /** Runs the verb; resolves to the exit code. Rejects with the error to report. */
  run(call: Call): Promise<ExitCode>
}

/** 0: done, 1: failed, 2: usage error. */
export type ExitCode = 0 | 1 | 2

/** One call of a verb. */
export interface Call {
  readonly positionals: readonly string[]
  readonly values: Values
  readonly out: Output
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal
}

/** Option values of one call. */
export class Values {
  readonly #values: Readonly<Record<string, unknown>>

  constructor(given: Readonly<Record<string, unknown>>) {
    this.#values = given
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    return typeof value === 'string' ? value : undefined
  }

  flag(name: string): boolean {
    return this.#values[name] === true
  }

  /** A whole number of 0 or more. */
  count(name: string, fallback: number): number {
    const text = this.text(name)
    if (text === undefined) return fallback
    if (!/^\d{1,15}$/.test(text)) {
      throw new MisuseError(`--${name} takes a whole number, not ${JSON.stringify(text)}`)
    }
    return Number(text)
  }

  /** A number of bytes, with or without a unit. */
  bytes(name: string, fallback: number): number {
    const text = this.text(name)
    if (text === undefined) return fallback
    const match = /^(\d{1,15})\s*(?:([kmg])(i?)b?)?$/i.exec(text)
    if (match === null) {
      throw new MisuseError(
        `--${name} takes bytes such as 1000000, 64KiB or 256MiB, not ${JSON.stringify(text)}`
      )
    }
    const base = match[3] === '' ? 1_000 : 1_024
    const power = match[2] === undefined ? 0 : 'kmg'.indexOf(match[2].toLowerCase()) + 1
    return Number(match[1]) * base ** power
  }

  /** One of several words. */
  oneOf<T extends string>(name: string, known: readonly T[]): T | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const found = known.find((word) => word === text)
    if (found !== undefined) return found
    throw new MisuseError(`--${name} takes ${known.join(' or ')}, not ${JSON.stringify(text)}`)
  }
}

/** A usage error. */
export class MisuseError extends Error {}

/** Returns `text` if it is a multiaddr with more than a `/p2p` part. Throws {@link MisuseError} otherwise. */
export function multiaddr(text: string): string {
  try {
    if (parseAddress(text).text !== '') return text
  } catch (err) {
    if (!(err instanceof InvalidParametersError)) throw err
  }
  throw new MisuseError(
    `${JSON.stringify(text)} is not a multiaddr such as /ip4/127.0.0.1/tcp/4001/p2p/<peer id>`
  )
}

/** Options of every verb. */
export const COMMON_OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' }
} as const satisfies ParseArgsOptionsConfig

/** Parses the arguments behind the verb. Throws {@link MisuseError}. */
export function parseCall(
  command: Command,
  words: readonly string[]
): { positionals: string[]; values: Values } {
  const { positionals, values } = parse(command, words)
  const [least, most] = command.positionals
  if (values.help !== true && positionals.length < least) {
    throw new MisuseError(`${command.usage.split(' ')[positionals.length]} is missing`)
  }
  if (positionals.length > most) {
    throw new MisuseError(`${JSON.stringify(positionals[most])} is one word too many`)
  }
  return { positionals, values: new Values(values) }
}

function parse(
  command: Command,
  words: readonly string[]
): { positionals: string[]; values: Readonly<Record<string, unknown>> } {
  try {
    const options = { ...COMMON_OPTIONS, ...command.options }
    return parseArgs({ args: [...words], options, allowPositionals: true })
  } catch (err) {
    throw new MisuseError(reasonOf(err))
  }
}
