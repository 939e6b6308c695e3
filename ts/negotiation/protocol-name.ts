/** What can name a protocol, and what can choose among names. */
import { misuse } from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'
import { HEADER, LINE_BYTES_MAX, LIST, NOT_AVAILABLE } from './multiselect-line.ts'

/** Says whether a protocol is served. Synchronous, and true or false: a promise is neither. */
export type ProtocolPredicate = (protocol: string) => boolean

/**
 * Whether one line of a negotiation can carry it as a name: 1 to 1,023 bytes of UTF-8, no newline, no word of
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

/** `name`, if it is one. Throws `InvalidParametersError` otherwise. */
export function protocolName(name: unknown): string {
  if (isProtocolName(name)) return name
  throw misuse('the protocol', 'a protocol name', name)
}

/** `protocols`, if they are a name or a list of names. Throws `InvalidParametersError` otherwise, for an empty list too. */
export function protocolNames(protocols: unknown): string | readonly string[] {
  if (typeof protocols === 'string') return protocolName(protocols)
  if (!Array.isArray(protocols) || protocols.length === 0) {
    throw misuse('the protocols', 'a protocol name or a list of at least one', protocols)
  }
  return protocols.map(protocolName)
}

/**
 * What `predicate` says of `protocol`. Throws what it throws, and `InvalidParametersError` for an answer that is
 * neither true nor false: a promise would count as true.
 */
export function holds(predicate: ProtocolPredicate, protocol: string): boolean {
  const answer: unknown = predicate(protocol)
  if (typeof answer === 'boolean') return answer
  throw new InvalidParametersError(`expected a predicate to answer true or false, not ${answer}`)
}
