/** The option `psk` of a swarm: the key of its private network. */
import { sizeText } from '../base/arguments.ts'
import { INSPECT, type InspectArguments, shown } from '../base/inspection.ts'
import { InvalidParametersError } from '../errors.ts'
import { reasonOf } from '../text/printable.ts'

/**
 * The key of a private network: 64 hexadecimal digits, or the contents of a `swarm.key` file as text or bytes, or the 32
 * bytes of the key.
 */
export type PreSharedKey = string | Uint8Array

/** First line of a `swarm.key` file. */
const HEADER = '/key/swarm/psk/1.0.0/'

const KEY_BYTES = 32
const DIGITS = /^[\da-f]{64}$/i

/** A file has some 110 bytes; white space may follow. */
const FILE_BYTES_MAX = 1_024

/** @internal The key of a swarm, which inspection does not show. */
export class SwarmKey {
  readonly #contents: Uint8Array

  /** Takes a checked option; its bytes are copied, as the caller may wipe its own. */
  constructor(psk: PreSharedKey) {
    const isRaw = typeof psk !== 'string' && psk.length === KEY_BYTES
    this.#contents = Uint8Array.from(isRaw ? Buffer.from(hex(psk)) : bytesOf(psk))
  }

  /** Hexadecimal digits, or the contents of a `swarm.key` file, in UTF-8. */
  contents(): Uint8Array {
    return this.#contents
  }

  [INSPECT](...args: InspectArguments): string {
    return shown('SwarmKey', '', () => ({}), args)
  }
}

/**
 * @internal Checks the option, and its contents by `parse`, which throws. Throws `InvalidParametersError`, which shows none
 * of it.
 */
export function checkPsk(
  value: unknown,
  name: string,
  parse: (contents: Uint8Array) => void
): void {
  if (!isPlausible(value)) {
    throw new InvalidParametersError(
      `expected ${name} to be 64 hexadecimal digits, the contents of a swarm.key file, or 32 bytes, ` +
        `received ${sizeText(value)}`
    )
  }
  try {
    parse(new SwarmKey(value).contents())
  } catch (err) {
    throw new InvalidParametersError(
      `expected ${name} to be the contents of a swarm.key file: ${reasonOf(err)}`
    )
  }
}

function isPlausible(value: unknown): value is PreSharedKey {
  if (value instanceof Uint8Array) {
    return value.length === KEY_BYTES || isFile(Buffer.from(bytesOf(value)).toString('latin1'))
  }
  return typeof value === 'string' && (DIGITS.test(value.trim()) || isFile(value))
}

function isFile(text: string): boolean {
  return text.startsWith(HEADER) && text.length <= FILE_BYTES_MAX
}

function bytesOf(psk: PreSharedKey): Uint8Array {
  return typeof psk === 'string' ? Buffer.from(psk) : psk
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
