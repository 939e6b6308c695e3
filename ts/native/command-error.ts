/** Failures of commands: what the addon answered or threw, with the stack of whoever gave the command. */
import { ERROR_CODES, type ErrorCode, InternalError } from '../errors.ts'
import type { CommandResult } from './addon.ts'
import { nativeError } from './native-error.ts'

/** A command that ended with a code other than 0. The layer that began it makes the public error from it. */
export class CommandError extends Error {
  readonly result: CommandResult
  readonly #site: { stack?: string }

  constructor(result: CommandResult, site: { stack?: string }) {
    super(result.detail ?? 'the command failed')
    this.result = result
    this.#site = site
  }

  /** `err`, with the stack of where the command was given. */
  as<E extends Error>(err: E): E {
    return withFrames(err, this.#site)
  }

  /** The error of the result's code, with the stack of where the command was given. */
  plain(): Error {
    return this.as(nativeError(this.result.code, this.result.detail))
  }
}

/** `err`, with the stack of where `site` was captured; with its own if there is none. */
export function withFrames<E extends Error>(err: E, site: { stack?: string }): E {
  if (site.stack === undefined) return err
  const frames = site.stack.split('\n').slice(1).join('\n')
  err.stack = `${err.name}: ${err.message}\n${frames}`
  return err
}

/** What the addon threw, as one of our errors: `code` holds the stable text, or the number as text. */
export function thrownByNative(err: unknown): Error {
  if (!(err instanceof Error)) return new InternalError(String(err))
  const { code } = err as { code?: unknown }
  // It may be any text: then there is no number of that name.
  const number = ERROR_CODES[code as ErrorCode] ?? Number(code)
  return Number.isNaN(number)
    ? new InternalError(err.message, { cause: err })
    : nativeError(number, err.message)
}
