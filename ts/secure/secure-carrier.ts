/**
 * The secured bytes of a carrier: ciphertext below, plaintext above. Rust shakes hands, seals and opens; what stands
 * here moves bytes, each chunk once in each direction.
 */
import { abortable, aborted } from '../base/abort.ts'
import { ByteQueue } from '../base/byte-queue.ts'
import { NOTHING, unshared } from '../base/bytes.ts'
import {
  ConnectionClosedError,
  DecryptionFailedError,
  IncompleteReadError,
  StreamEOFError
} from '../errors.ts'
import type { HostPort } from '../identity/address.ts'
import { closing } from '../io/closing.ts'
import type { AbortOptions, ConnState, ReadWriteCloser } from '../io/interfaces.ts'
import { Pushback } from '../io/pushback.ts'
import { SerialQueue } from '../io/serial-queue.ts'
import type { NativeSecureSession, SessionFacts } from '../native/addon.ts'
import { thrownByNative } from '../native/command-error.ts'

/** Ciphertext that is asked for at a time, and plaintext that is sealed at a time. */
const CHUNK_BYTES = 64 * 1024

/** Empty answers in a row from a carrier that does not say whether it ended. */
const EMPTY_MAX = 100

const TLS = '/tls/1.0.0'

/** One end of a secured connection. Reads must not overlap, which framers see to. */
export class SecureCarrier implements ReadWriteCloser {
  readonly conn: ReadWriteCloser
  readonly #session: NativeSecureSession
  readonly #ciphertext: Pushback
  readonly #plaintext = new ByteQueue()
  readonly #writes = new SerialQueue()
  // What was sealed, on its way in the order in which it was sealed.
  #wire: Promise<void> = Promise.resolve()
  #readFault: unknown
  #writeFault: unknown
  // Why nothing sealed reaches the other side any more.
  #carrierFault: unknown
  // Whether the protocol has a word for the end: Noise has none.
  #announcesEnds = false
  #ended = false
  #closing: Promise<void> | undefined

  constructor(conn: ReadWriteCloser, session: NativeSecureSession) {
    this.conn = conn
    this.#session = session
    this.#ciphertext = new Pushback((n, options) => conn.read(n, options))
  }

  get remoteAddress(): HostPort | undefined {
    return this.conn.remoteAddress
  }

  get readableEnded(): boolean {
    return this.#ended
  }

  connState(): ConnState | undefined {
    return this.conn.connState?.()
  }

  /** Shake hands. Rejects with what broke it; an alert for the other side has been sent by then. */
  async handshake(options: AbortOptions): Promise<SessionFacts> {
    try {
      for (;;) {
        await abortable(this.#flush(), options.signal)
        const facts = this.#session.peer()
        if (facts !== null) {
          this.#announcesEnds = facts.security === TLS
          return facts
        }
        if (!(await this.#receive(options))) throw this.#endedEarly()
      }
    } catch (err) {
      await abortable(this.#wire, options.signal).catch(() => {
        // No time is left for an alert.
      })
      throw err
    }
  }

  async read(n = Number.POSITIVE_INFINITY, options: AbortOptions = {}): Promise<Uint8Array> {
    for (;;) {
      if (this.#plaintext.bytes > 0) return this.#plaintext.take(n)
      if (this.#ended) return NOTHING
      if (this.#readFault !== undefined) throw this.#readFault
      if (!(await this.#receive(options))) this.#ended = true
    }
  }

  unshift(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#plaintext.unshift([bytes], bytes.length)
  }

  /**
   * Seal and write. What was sealed is sent whole even if the call is aborted, as the other side counts records;
   * `bytesAccepted` tells how much that was.
   */
  write(bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
    const { signal } = options
    return this.#writes.run(async () => {
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
        await abortable(this.#wire, signal, () => at)
        if (signal?.aborted === true) throw aborted(signal, at)
        const chunk = bytes.subarray(at, at + CHUNK_BYTES)
        this.#seal(chunk)
        await abortable(this.#flush(), signal, () => at + chunk.length)
      }
    }, signal)
  }

  /** Seal bytes that travel by another way. */
  encrypt(bytes: Uint8Array): Uint8Array {
    this.#seal(bytes)
    return this.#session.takeOutput()
  }

  /** Open whole records that came by another way. */
  decrypt(bytes: Uint8Array): Uint8Array {
    if (this.#readFault !== undefined) throw this.#readFault
    if (this.#session.partialBytes > 0) {
      throw new DecryptionFailedError('a record of the connection itself is not whole yet')
    }
    this.#open(bytes)
    const plaintext = this.#session.takePlaintext()
    if (this.#session.partialBytes > 0) {
      this.#break(new DecryptionFailedError('the last record is not whole'))
    }
    if (this.#readFault !== undefined) throw this.#readFault
    return plaintext
  }

  /**
   * Say goodbye where the protocol has a word for it, and close what is below. Idempotent.
   *
   * The signal, or without one a minute, ends the wait for a peer that reads nothing; what is below is closed all the
   * same, and the call rejects with `AbortError` or `TimeoutError`.
   */
  close(options?: AbortOptions): Promise<void> {
    this.#closing ??= this.#goodbye()
    const said = this.#closing
    return closing(options?.signal, (signal) => {
      const below = (): Promise<void> => abortable(this.conn.close({ signal }), signal)
      return abortable(said, signal).then(below, below)
    })
  }

  async #goodbye(): Promise<void> {
    if (this.#writeFault === undefined) {
      this.#session.close()
      await this.#flush().catch(() => {
        // The connection is gone, which is what the caller wants.
      })
    }
    this.#writeFault ??= new ConnectionClosedError('the connection was closed here', {
      transport: this.connState()?.transport ?? ''
    })
  }

  #seal(bytes: Uint8Array): void {
    if (this.#writeFault !== undefined) throw this.#writeFault
    try {
      this.#session.write(unshared(bytes))
    } catch (err) {
      this.#writeFault = thrownByNative(err)
      throw this.#writeFault
    }
  }

  /** Send what waits, behind what is under way. */
  #flush(): Promise<void> {
    const output = this.#session.takeOutput()
    if (output.length === 0) return this.#wire
    const sent = this.#wire.then(async () => {
      if (this.#carrierFault !== undefined) throw this.#carrierFault
      try {
        await this.conn.write(output)
      } catch (err) {
        this.#carrierFault = err
        this.#writeFault ??= err
        throw err
      }
    })
    this.#wire = sent.catch(() => {})
    return sent
  }

  /** Take some ciphertext; false at the end. */
  async #receive(options: AbortOptions): Promise<boolean> {
    if (this.#session.hasEnded) return false
    const bytes = await this.#readCiphertext(options)
    if (bytes === undefined) {
      this.#checkEnd()
      return false
    }
    this.#open(bytes)
    const plaintext = this.#session.takePlaintext()
    if (plaintext.length > 0) this.#plaintext.push(plaintext)
    // An answer to a key update, or an alert. If it cannot be sent, a later write tells.
    this.#flush().catch(() => {})
    if (this.#readFault !== undefined && plaintext.length === 0) throw this.#readFault
    return true
  }

  /** Undefined at the end, however the carrier shows it. */
  async #readCiphertext(options: AbortOptions): Promise<Uint8Array | undefined> {
    for (let empty = 0; empty < EMPTY_MAX; empty += 1) {
      try {
        const bytes = await this.#ciphertext.read(CHUNK_BYTES, options)
        if (bytes.length > 0) return bytes
      } catch (err) {
        if (err instanceof StreamEOFError) return undefined
        throw err
      }
      if (this.conn.readableEnded === true) return undefined
    }
    return undefined
  }

  /** An end inside a record is no end, and neither is one that TLS has not announced: anybody can cut a carrier. */
  #checkEnd(): void {
    const receivedBytes = this.#session.partialBytes
    if (receivedBytes === 0) {
      if (!this.#announcesEnds || this.#closing !== undefined) return
      const message = 'the connection ended without close_notify: more may have been cut off'
      const transport = this.connState()?.transport ?? ''
      const cause = new ConnectionClosedError(message, { transport })
      this.#readFault = new StreamEOFError(message, { cause })
      throw this.#readFault
    }
    this.#readFault = new IncompleteReadError('the connection ended inside a record', {
      expectedBytes: receivedBytes + 1,
      receivedBytes
    })
    throw this.#readFault
  }

  #endedEarly(): ConnectionClosedError {
    return new ConnectionClosedError('the connection ended during the handshake', {
      code: 'ERR_CONNECTION_ENDED',
      transport: this.connState()?.transport ?? ''
    })
  }

  #open(bytes: Uint8Array): void {
    try {
      this.#session.receive(unshared(bytes))
    } catch (err) {
      this.#break(thrownByNative(err))
    }
  }

  /** Somebody meddled, or the count of the records is lost: neither half can go on. */
  #break(fault: Error): void {
    this.#readFault ??= fault
    this.#writeFault ??= fault
  }
}
