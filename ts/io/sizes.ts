/** Sizes as callers give them. */
import { InvalidParametersError } from '../errors.ts'

/** The size of a read. Throws `InvalidParametersError` for what is none. */
export function checkSize(n: number): void {
  if (Number.isSafeInteger(n) && n >= 0) return
  throw new InvalidParametersError(`expected a size of 0 or more bytes, received ${n}`)
}
