/** The bytes of a muxed stream while its protocol is negotiated, before the stream's pump moves them. */
import { NOTHING } from '../base/bytes.ts'
import { MultiselectCommunicatorError } from '../errors.ts'
import type { AbortOptions, ReadWriter } from '../io/interfaces.ts'
import type { MuxedStream } from './muxed.ts'

/** The carrier of one negotiation. A muxed stream may return more than it was asked for. */
export class MuxedCarrier implements ReadWriter {
  readonly #muxed: MuxedStream
  #rest: Uint8Array = NOTHING
  #hasEnded = false

  constructor(muxed: MuxedStream) {
    this.#muxed = muxed
  }

  get readableEnded(): boolean {
    return this.#hasEnded
  }

  /** Bytes behind the negotiation that have been read with it. */
  get rest(): Uint8Array {
    return this.#rest
  }

  async read(n: number = Number.POSITIVE_INFINITY, options?: AbortOptions): Promise<Uint8Array> {
    if (this.#rest.length === 0) {
      const bytes = await this.#muxed.read(n, options)
      if (!(bytes instanceof Uint8Array)) {
        throw new MultiselectCommunicatorError(`expected bytes, read ${typeof bytes}`)
      }
      this.#hasEnded = bytes.length === 0
      this.#rest = bytes
    }
    const taken = this.#rest.subarray(0, n)
    this.#rest = this.#rest.subarray(taken.length)
    return taken
  }

  async write(bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#muxed.write(bytes, options)
  }
}
