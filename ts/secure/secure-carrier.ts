/**
 * Encryption of a byte carrier. Rust performs the handshake, encrypts and decrypts; this module only moves bytes, each
 * chunk once in each direction.
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

/** Bytes of ciphertext read, and of plaintext encrypted, at a time. */
export const CHUNK_BYTES = 64 * 1024

/** Consecutive empty reads, without `readableEnded`, that count as the end. */
const EMPTY_MAX = 100

const TLS = '/tls/1.0.0'

/** One end of an encrypted connection. Reads must not overlap, which the framings ensure. */
export class SecureCarrier implements ReadWriteCloser {
  readonly conn: ReadWriteCloser
  readonly #session: NativeSecureSession
  readonly #ciphertext: Pushback
  readonly #plaintext = new ByteQueue()
  readonly #writes = new SerialQueue()
  // Settles when all records so far are written, in the order of their encryption.
  #wire: Promise<void> = Promise.resolve()
  #readFault: unknown
  #writeFault: unknown
  // Error of the carrier, after which no record can be sent.
  #carrierFault: unknown
  // Whether the protocol has a close_notify: TLS does, Noise does not.
  #hasCloseNotify = false
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

  /** Performs the handshake. After a failure, rejects once an alert has been sent to the remote. */
  async handshake(options: AbortOptions): Promise<SessionFacts> {
    try {
      for (;;) {
        await abortable(this.#flush(), options.signal)
        const facts = this.#session.peer()
        if (facts !== null) {
          this.#hasCloseNotify = facts.security === TLS
          return facts
        }
        if (!(await this.#receive(options))) throw this.#endedEarly()
      }
    } catch (err) {
      await abortable(this.#wire, options.signal).catch(() => {
        // The timeout left no time for the alert.
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
   * Encrypts and writes. Encrypted records are sent even if the call is aborted, as the remote counts records;
   * `bytesAccepted` is the number of bytes in them.
   */
  write(bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
    const { signal } = options
    return this.#writes.run(async () => {
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
        await abortable(this.#wire, signal, () => at)
        if (signal?.aborted === true) throw aborted(signal, at)
        const chunk = bytes.subarray(at, at + CHUNK_BYTES)
        this.#encrypt(chunk)
        await abortable(this.#flush(), signal, () => at + chunk.length)
      }
    }, signal)
  }

  /** Encrypts bytes that are not sent over the carrier. */
  encrypt(bytes: Uint8Array): Uint8Array {
    this.#encrypt(bytes)
    return this.#session.takeOutput()
  }

  /** Decrypts whole records that were not received over the carrier. */
  decrypt(bytes: Uint8Array): Uint8Array {
    if (this.#readFault !== undefined) throw this.#readFault
    if (this.#session.partialBytes > 0) {
      throw new DecryptionFailedError('a record of the connection itself is still incomplete')
    }
    this.#decrypt(bytes)
    const plaintext = this.#session.takePlaintext()
    if (this.#session.partialBytes > 0) {
      this.#failBoth(new DecryptionFailedError('the last record is incomplete'))
    }
    if (this.#readFault !== undefined) throw this.#readFault
    return plaintext
  }

  /**
   * Sends close_notify over TLS, and closes the carrier. Idempotent.
   *
   * If the peer reads nothing, the signal or, without one, a minute ends the wait. The carrier is closed nevertheless,
   * and the call rejects with `AbortError` or `TimeoutError`.
   */
  close(options?: AbortOptions): Promise<void> {
    this.#closing ??= this.#endSession()
    const ended = this.#closing
    return closing(options?.signal, (signal) => {
      const closeCarrier = (): Promise<void> => abortable(this.conn.close({ signal }), signal)
      return abortable(ended, signal).then(closeCarrier, closeCarrier)
    })
  }

  async #endSession(): Promise<void> {
    if (this.#writeFault !== undefined) return
    this.#session.close()
    // At once, for writes that wait for their turn.
    this.#writeFault = new ConnectionClosedError('the connection was closed here', {
      transport: this.connState()?.transport ?? ''
    })
    await this.#flush().catch(() => {
      // The connection is lost, so there is nothing left to close.
    })
  }

  #encrypt(bytes: Uint8Array): void {
    if (this.#writeFault !== undefined) throw this.#writeFault
    try {
      this.#session.write(unshared(bytes))
    } catch (err) {
      this.#writeFault = thrownByNative(err)
      throw this.#writeFault
    }
  }

  /** Writes pending records after those being written. */
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

  /** Reads and decrypts some ciphertext; resolves to false at the end. */
  async #receive(options: AbortOptions): Promise<boolean> {
    if (this.#session.hasEnded) return false
    const bytes = await this.#readCiphertext(options)
    if (bytes === undefined) {
      this.#checkEnd()
      return false
    }
    this.#decrypt(bytes)
    const plaintext = this.#session.takePlaintext()
    if (plaintext.length > 0) this.#plaintext.push(plaintext)
    // A response to a key update, or an alert. If it cannot be sent, a later write rejects.
    this.#flush().catch(() => {})
    if (this.#readFault !== undefined && plaintext.length === 0) throw this.#readFault
    return true
  }

  /** Reads some ciphertext; resolves to undefined at the end, however the carrier reports it. */
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

  /** Throws at an end inside a record, or without close_notify over TLS: an attacker can truncate a carrier. */
  #checkEnd(): void {
    const receivedBytes = this.#session.partialBytes
    if (receivedBytes === 0) {
      if (!this.#hasCloseNotify || this.#closing !== undefined) return
      const message = 'the connection ended without close_notify: data may have been truncated'
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

  #decrypt(bytes: Uint8Array): void {
    try {
      this.#session.receive(unshared(bytes))
    } catch (err) {
      this.#failBoth(thrownByNative(err))
    }
  }

  /** Fails both halves, after tampering or with record counters out of step. */
  #failBoth(fault: Error): void {
    this.#readFault ??= fault
    this.#writeFault ??= fault
  }
}
