/** Failures of commands: results or exceptions of the addon, with the stack of the command's caller. */
import { ERROR_CODES, type ErrorCode, InternalError } from '../errors.ts'
import { reasonOf } from '../text/printable.ts'
import type { CommandResult } from './addon.ts'
import { nativeError } from './native-error.ts'

/** A command that ended with a code other than 0. The layer that issued it converts it to the public error. */
export class CommandError extends Error {
  readonly result: CommandResult
  readonly #site: { stack?: string }

  constructor(result: CommandResult, site: { stack?: string }) {
    super(result.detail ?? 'the command failed')
    this.result = result
    this.#site = site
  }

  /** Returns `err` with the stack of the command's call site. */
  as<E extends Error>(err: E): E {
    return withFrames(err, this.#site)
  }

  /** Returns the error of the result's code with the stack of the command's call site. */
  plain(): Error {
    return this.as(nativeError(this.result.code, this.result.detail))
  }
}

/** Returns `err` with the stack captured in `site`; with its own if there is none. */
export function withFrames<E extends Error>(err: E, site: { stack?: string }): E {
  if (site.stack === undefined) return err
  const frames = site.stack.split('\n').slice(1).join('\n')
  err.stack = `${err.name}: ${err.message}\n${frames}`
  return err
}

/** Converts an exception of the addon: its `code` is the name of an error code, or the number as text. */
export function thrownByNative(err: unknown): Error {
  if (!(err instanceof Error)) return new InternalError(reasonOf(err))
  const { code } = err as { code?: unknown }
  // `code` may be any string, so the lookup may fail.
  const number = ERROR_CODES[code as ErrorCode] ?? Number(code)
  return Number.isNaN(number)
    ? new InternalError(err.message, { cause: err })
    : nativeError(number, err.message)
}
