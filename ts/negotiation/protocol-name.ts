/** Protocol names, and predicates over them. */
import { misuse } from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'
import { HEADER, LINE_BYTES_MAX, LIST, NOT_AVAILABLE } from './multiselect-line.ts'

/** Returns whether a protocol is served. Synchronous and boolean: a promise is refused. */
export type ProtocolPredicate = (protocol: string) => boolean

/**
 * Returns whether `name` fits one line of a negotiation: 1 to 1,023 bytes of UTF-8, no newline, no keyword of
 * multistream-select.
 */
export function isProtocolName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.length > 0 &&
    name.isWellFormed() &&
    !name.includes('\n') &&
    Buffer.byteLength(name) < LINE_BYTES_MAX &&
    ![HEADER, NOT_AVAILABLE, LIST].includes(name)
  )
}

/** Returns `name` if it is a protocol name. Throws `InvalidParametersError` otherwise. */
export function protocolName(name: unknown): string {
  if (isProtocolName(name)) return name
  throw misuse('the protocol', 'a protocol name', name)
}

/** Returns `protocols` if a name or a non-empty list of names. Throws `InvalidParametersError` otherwise. */
export function protocolNames(protocols: unknown): string | readonly string[] {
  if (typeof protocols === 'string') return protocolName(protocols)
  if (!Array.isArray(protocols) || protocols.length === 0) {
    throw misuse('the protocols', 'a protocol name or a list of at least one', protocols)
  }
  return protocols.map(protocolName)
}

/**
 * Returns the result of `predicate` for `protocol`. Throws what it throws, and `InvalidParametersError` for a result
 * that is not a boolean: a promise would be truthy.
 */
export function holds(predicate: ProtocolPredicate, protocol: string): boolean {
  const result: unknown = predicate(protocol)
  if (typeof result === 'boolean') return result
  throw new InvalidParametersError(`expected a predicate to return true or false, not ${result}`)
}
