/** The duplex below a secured connection: whatever it rejects with is the failure of a raw connection. */
import { AbortError, StreamEOFError } from '../errors.ts'
import type { AbortOptions, ConnState, ReadWriteCloser } from '../io/interfaces.ts'
import { duplexFailure } from '../upgrade/pump.ts'

/** A carrier whose failures can be told from those of the protocols above it. */
export class RawCarrier implements ReadWriteCloser {
  readonly #conn: ReadWriteCloser

  constructor(conn: ReadWriteCloser) {
    this.#conn = conn
  }

  get remoteAddress(): ReadWriteCloser['remoteAddress'] {
    return this.#conn.remoteAddress
  }

  get readableEnded(): boolean {
    return this.#conn.readableEnded === true
  }

  connState(): ConnState | undefined {
    return this.#conn.connState?.()
  }

  read(n?: number, options?: AbortOptions): Promise<Uint8Array> {
    return guarded(async () => {
      const bytes: unknown = await this.#conn.read(n, options)
      if (bytes instanceof Uint8Array) return bytes
      throw new TypeError('its read resolved to no bytes')
    })
  }

  write(bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    return guarded(() => this.#conn.write(bytes, options))
  }

  close(options?: AbortOptions): Promise<void> {
    return guarded(() => this.#conn.close(options))
  }
}

async function guarded<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (err) {
    // An abort is the caller's, and the end of a stream is not a failure.
    if (err instanceof AbortError || err instanceof StreamEOFError) throw err
    throw duplexFailure(err)
  }
}
