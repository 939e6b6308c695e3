/**
 * The remote's part of a multistream-select negotiation whose outcome is known already.
 *
 * The upgrader of libp2p negotiates a security protocol by messages over the raw connection. That of a native connection
 * has been negotiated by Rust: these messages let the upgrader select the same one.
 */
import { Uint8ArrayList } from 'uint8arraylist'

const HEADER = '/multistream/1.0.0'
const REFUSAL = 'na'

/** Longest line of a negotiation, as in @libp2p/multistream-select. */
const LINE_BYTES_MAX = 1_024

/** The remote's part of one negotiation. */
export class VirtualNegotiation {
  readonly #protocol: string
  readonly #reply: (bytes: Uint8Array) => void
  readonly #received = new Uint8ArrayList()

  /** `reply` gets what the remote sends. */
  constructor(protocol: string, reply: (bytes: Uint8Array) => void) {
    this.#protocol = protocol
    this.#reply = reply
  }

  /** Proposes the protocol to an upgrader that waits for proposals. */
  propose(): void {
    this.#reply(new Uint8ArrayList(line(HEADER), line(this.#protocol)).subarray())
  }

  /** Answers the proposals of an upgrader that makes them. */
  answer(bytes: Uint8Array | Uint8ArrayList): void {
    this.#received.append(bytes)
    for (let text = this.#line(); text !== undefined; text = this.#line()) {
      const isKnown = text === HEADER || text === this.#protocol
      this.#reply(line(isKnown ? text : REFUSAL))
    }
  }

  /** Takes the next whole line. */
  #line(): string | undefined {
    const received = this.#received
    if (received.byteLength === 0) return undefined
    const first = received.get(0)
    const isLong = first >= 0x80
    if (isLong && received.byteLength < 2) return undefined
    const length = isLong ? (first & 0x7f) | (received.get(1) << 7) : first
    const start = isLong ? 2 : 1
    if (length > LINE_BYTES_MAX) throw new RangeError('the line of a negotiation is too long')
    if (received.byteLength < start + length) return undefined
    const text = Buffer.from(received.subarray(start, start + length)).toString()
    received.consume(start + length)
    return text.endsWith('\n') ? text.slice(0, -1) : text
  }
}

/** Returns a line with its length in front. */
function line(text: string): Uint8Array {
  const bytes = Buffer.from(`${text}\n`)
  const { length } = bytes
  const prefix = length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7]
  return Uint8Array.from([...prefix, ...bytes])
}
