/** Base class of encrypted messages. */
import type { HostPort } from '../identity/address.ts'
import type {
  AbortOptions,
  Encrypter,
  MsgReadWriteCloser,
  ReadWriteCloser
} from '../io/interfaces.ts'

/** Reads and writes encrypted messages; `secureMessages` implements it over Noise and TLS. */
export abstract class EncryptedMsgReadWriter implements MsgReadWriteCloser, Encrypter {
  /** The carrier of the ciphertext, if any. */
  readonly conn: ReadWriteCloser | undefined

  constructor(conn?: ReadWriteCloser) {
    this.conn = conn
  }

  /** The remote host and port of `conn`. */
  get remoteAddress(): HostPort | undefined {
    return this.conn?.remoteAddress
  }

  /** Reads and decrypts the next message. */
  abstract readMsg(options?: AbortOptions): Promise<Uint8Array>
  /** Encrypts and writes a message; resolves when it is accepted. */
  abstract writeMsg(message: Uint8Array, options?: AbortOptions): Promise<void>
  /** Closes the carrier. Idempotent. */
  abstract close(options?: AbortOptions): Promise<void>
  /** Encrypts bytes that are not sent over `conn`. */
  abstract encrypt(bytes: Uint8Array): Uint8Array
  /** Decrypts bytes that were not received over `conn`. */
  abstract decrypt(bytes: Uint8Array): Uint8Array
}
