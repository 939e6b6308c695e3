/** Messages over an encrypted carrier. Loaded by the first `secureMessages`. */
import type { PeerId, PublicKey } from '@libp2p/interface'
import { abortable, isAborted, TimeLimit } from '../base/abort.ts'
import { ABORT_OPTIONS, checkOptions, bytes as someBytes } from '../base/arguments.ts'
import { RESERVATION_PRIORITY_ALWAYS, type SecurityProtocol } from '../constants.ts'
import { TimeoutError } from '../errors.ts'
import { publicKeyOf } from '../identity/load.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { BaseMsgReadWriter } from '../io/base-msg-read-writer.ts'
import { FixedLengthMsgReadWriter, type LengthBytes } from '../io/fixed-length.ts'
import { type Framing, prefixFormat } from '../io/framing.ts'
import type { AbortOptions, ReadWriteCloser } from '../io/interfaces.ts'
import { VarintMsgReadWriter } from '../io/varint-length.ts'
import type { SessionFacts } from '../native/addon.ts'
import type { ResourceScopeSpan } from '../resource-manager/interfaces.ts'
import { EncryptedMsgReadWriter } from './encrypted-msg-read-writer.ts'
import { CHUNK_BYTES, SecureCarrier } from './secure-carrier.ts'
import type { SecureMessagesOptions } from './secure-messages.ts'
import { sessionOf } from './session.ts'

/** Timeout of closing a carrier after a failed handshake, in milliseconds; not awaited. */
const CLOSE_MS = 1_000

/** Memory that a session is charged for: a chunk of ciphertext each way. */
const SESSION_BYTES = 2 * CHUNK_BYTES

/** @internal Checked arguments of {@link secureMessages}. */
export interface Prepared {
  readonly conn: ReadWriteCloser
  readonly options: SecureMessagesOptions
  readonly framing: Framing
  readonly maxMessageBytes: number
  readonly timeoutMs: number
}

/** The private constructor of {@link SecureMessages}. */
let make: (
  carrier: SecureCarrier,
  facts: SessionFacts,
  prepared: Prepared,
  charge: ResourceScopeSpan | undefined
) => SecureMessages

/** Reads and writes messages encrypted between authenticated peers. Created by `secureMessages`. */
export class SecureMessages extends EncryptedMsgReadWriter implements AsyncIterable<Uint8Array> {
  /** The carrier of the ciphertext. */
  declare readonly conn: ReadWriteCloser
  /** The authenticated remote peer. */
  readonly remotePeer: PeerId
  /** Protocol id of the security protocol. */
  readonly security: SecurityProtocol
  /** Encoding of the length prefixes. */
  readonly framing: Framing
  readonly #carrier: SecureCarrier
  readonly #messages: BaseMsgReadWriter
  readonly #remotePublicKey: Uint8Array
  readonly #charge: ResourceScopeSpan | undefined

  static {
    make = (...session) => new SecureMessages(...session)
  }

  // Called by `secureMessages()`.
  private constructor(
    carrier: SecureCarrier,
    facts: SessionFacts,
    prepared: Prepared,
    charge: ResourceScopeSpan | undefined
  ) {
    super(carrier.conn)
    this.#charge = charge
    this.remotePeer = peerIdOf(facts.peerId)
    // The native session negotiates no other protocols.
    this.security = facts.security as SecurityProtocol
    this.framing = prepared.framing
    this.#remotePublicKey = facts.publicKey
    this.#carrier = carrier
    this.#messages = framerOf(carrier, prepared)
  }

  /** The identity key of the remote peer. Loads @libp2p/crypto. */
  get remotePublicKey(): PublicKey {
    return publicKeyOf(this.#remotePublicKey)
  }

  /** Maximum bytes of a message. */
  get maxMessageBytes(): number {
    return this.#messages.maxMessageBytes
  }

  /**
   * Reads the next message. Also rejects as `BaseMsgReadWriter.readMsg` does.
   *
   * @throws {@link DecryptionFailedError} for bytes that the remote did not encrypt, or not in this order. Both halves
   * are unusable after that.
   */
  override readMsg(options?: AbortOptions): Promise<Uint8Array> {
    return this.#messages.readMsg(options)
  }

  /** Writes a message; resolves when the carrier has accepted it. Rejects as `BaseMsgReadWriter.writeMsg` does. */
  override writeMsg(message: Uint8Array, options?: AbortOptions): Promise<void> {
    return this.#messages.writeMsg(message, options)
  }

  /**
   * Sends close_notify over TLS (Noise has no equivalent), and closes the carrier. Idempotent.
   *
   * @throws {@link TimeoutError} after a minute without `signal`, if the peer has not accepted everything.
   * @throws {@link AbortError} by `signal`.
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  override close(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    const closed = this.#carrier.close(options)
    return this.#charge === undefined ? closed : closed.finally(() => this.#charge?.done())
  }

  /**
   * Encrypts bytes that are not sent over `conn`, in as many records as they need.
   *
   * Both sides count records: the remote must decrypt them in the order of their encryption, including those of
   * `writeMsg`.
   *
   * @throws {@link ConnectionClosedError} after the close.
   * @throws {@link InvalidParametersError} if `bytes` is not a `Uint8Array`.
   */
  override encrypt(bytes: Uint8Array): Uint8Array {
    someBytes(bytes, 'bytes')
    return this.#carrier.encrypt(bytes)
  }

  /**
   * Decrypts whole records that were not received over `conn`, in the order of their encryption, including those of
   * `conn`.
   *
   * @throws {@link DecryptionFailedError} for bytes that the remote did not encrypt, not in this order, or incomplete.
   * Both halves are unusable after that.
   * @throws {@link InvalidParametersError} if `bytes` is not a `Uint8Array`.
   */
  override decrypt(bytes: Uint8Array): Uint8Array {
    someBytes(bytes, 'bytes')
    return this.#carrier.decrypt(bytes)
  }

  /** Iterates over messages until an end between two of them. Otherwise throws the errors of `readMsg`. */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined> {
    return this.#messages[Symbol.asyncIterator]()
  }

  /** Alias of {@link SecureMessages.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** @internal Performs the handshake over a carrier. Closes the carrier on failure, as its state is undefined. */
export async function establish(prepared: Prepared): Promise<SecureMessages> {
  const { conn, options, timeoutMs } = prepared
  // The timer keeps the process alive for the waiting caller, as an in-memory carrier does not.
  const limit = new TimeLimit(timeoutMs, options.signal)
  const { signal } = limit
  let charge: ResourceScopeSpan | undefined
  try {
    charge = options.scope?.beginSpan()
    charge?.reserveMemory(SESSION_BYTES, RESERVATION_PRIORITY_ALWAYS)
    const carrier = new SecureCarrier(conn, sessionOf(options))
    const facts = await abortable(carrier.handshake({ signal }), signal)
    return make(carrier, facts, prepared, charge)
  } catch (err) {
    charge?.done()
    conn.close({ signal: AbortSignal.timeout(CLOSE_MS) }).catch(() => {
      // The call rejects with the original error.
    })
    if (!limit.isUp || isAborted(options.signal)) throw err
    throw new TimeoutError(`the handshake took longer than ${timeoutMs} ms`, { cause: err })
  } finally {
    limit.clear()
  }
}

function framerOf(
  carrier: SecureCarrier,
  { framing, maxMessageBytes }: Prepared
): BaseMsgReadWriter {
  if (framing === 'varint') return new VarintMsgReadWriter(carrier, { maxMessageBytes })
  // All framings except `varint` have prefixes of these sizes.
  const lengthBytes = prefixFormat(framing).prefixBytes as LengthBytes
  return new FixedLengthMsgReadWriter(carrier, { lengthBytes, maxMessageBytes })
}
