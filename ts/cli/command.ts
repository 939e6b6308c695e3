/** What a verb of the command line is, and what it is given. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { InvalidParametersError } from '../errors.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import type { Output } from './output.ts'

/** One verb: `ferroswarm <name>`. */
export interface Command {
  readonly name: string
  /** What follows the name on the usage line. */
  readonly usage: string
  /** A line an option, then what `--json` prints. */
  readonly help: string
  readonly options: ParseArgsOptionsConfig
  /** How many words may stand beside the options, least and most. */
  readonly positionals: readonly [least: number, most: number]
  /** Where its reports go; standard output unless given. */
  readonly reportsTo?: 'stderr'
  /** Does it; answers with the exit code. Throws what the report of errors is made from. */
  run(call: Call): Promise<ExitCode>
}

/** 0 done, 1 failed, 2 misused. */
export type ExitCode = 0 | 1 | 2

/** One call of a verb. */
export interface Call {
  readonly positionals: readonly string[]
  readonly values: Values
  readonly out: Output
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal
}

/** Options as they were given. */
export class Values {
  readonly #given: Readonly<Record<string, unknown>>

  constructor(given: Readonly<Record<string, unknown>>) {
    this.#given = given
  }

  text(name: string): string | undefined {
    const value = this.#given[name]
    return typeof value === 'string' ? value : undefined
  }

  flag(name: string): boolean {
    return this.#given[name] === true
  }

  /** A whole number of 0 or more. */
  count(name: string, otherwise: number): number {
    const text = this.text(name)
    if (text === undefined) return otherwise
    if (!/^\d{1,15}$/.test(text)) {
      throw new MisuseError(`--${name} takes a whole number, not ${JSON.stringify(text)}`)
    }
    return Number(text)
  }

  /** A number of bytes, with or without a unit. */
  bytes(name: string, otherwise: number): number {
    const text = this.text(name)
    if (text === undefined) return otherwise
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

/** The command line is wrong. */
export class MisuseError extends Error {}

/** `text`, if it is a multiaddr that names a place. Throws {@link MisuseError} otherwise. */
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

/** Options that every verb takes. */
export const COMMON_OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' }
} as const satisfies ParseArgsOptionsConfig

/** Read the words behind the verb. Throws {@link MisuseError}. */
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
    throw new MisuseError(err instanceof Error ? err.message : String(err))
  }
}
