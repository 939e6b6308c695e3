/** Messages that are sealed on the way. */
import type { HostPort } from '../identity/address.ts'
import type {
  AbortOptions,
  Encrypter,
  MsgReadWriteCloser,
  ReadWriteCloser
} from '../io/interfaces.ts'

/** What every secured messenger is; `secureMessages` makes one over Noise or TLS. */
export abstract class EncryptedMsgReadWriter implements MsgReadWriteCloser, Encrypter {
  /** What carries the sealed bytes, if anything does. */
  readonly conn: ReadWriteCloser | undefined

  constructor(conn?: ReadWriteCloser) {
    this.conn = conn
  }

  /** The host and port at the other end of `conn`. */
  get remoteAddress(): HostPort | undefined {
    return this.conn?.remoteAddress
  }

  abstract readMsg(options?: AbortOptions): Promise<Uint8Array>
  abstract writeMsg(message: Uint8Array, options?: AbortOptions): Promise<void>
  abstract close(options?: AbortOptions): Promise<void>
  abstract encrypt(bytes: Uint8Array): Uint8Array
  abstract decrypt(bytes: Uint8Array): Uint8Array
}
