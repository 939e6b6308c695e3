/** Messages over a secured connection. Loaded by the first `secureMessages`. */
import type { PeerId, PublicKey } from '@libp2p/interface'
import { abortable, isAborted, TimeLimit } from '../base/abort.ts'
import { ABORT_OPTIONS, checkOptions, bytes as someBytes } from '../base/arguments.ts'
import type { SecurityProtocol } from '../constants.ts'
import { TimeoutError } from '../errors.ts'
import { privateKeyBytes } from '../identity/keys.ts'
import { publicKeyOf } from '../identity/load.ts'
import { peerIdOf, peerText } from '../identity/peer-id.ts'
import type { BaseMsgReadWriter } from '../io/base-msg-read-writer.ts'
import { FixedLengthMsgReadWriter, type LengthBytes } from '../io/fixed-length.ts'
import { type Framing, prefixFormat } from '../io/framing.ts'
import type { AbortOptions, ReadWriteCloser } from '../io/interfaces.ts'
import { VarintMsgReadWriter } from '../io/varint-length.ts'
import type { SessionFacts } from '../native/addon.ts'
import { thrownByNative } from '../native/command-error.ts'
import { native } from '../native/environment.ts'
import { EncryptedMsgReadWriter } from './encrypted-msg-read-writer.ts'
import { SecureCarrier } from './secure-carrier.ts'
import type { SecureMessagesOptions } from './secure-messages.ts'

/** How long the end of a failed connection may take; nobody waits for it. */
const CLOSE_MS = 1_000

/** @internal What {@link secureMessages} checked already. */
export interface Prepared {
  readonly conn: ReadWriteCloser
  readonly options: SecureMessagesOptions
  readonly framing: Framing
  readonly maxMessageBytes: number
  readonly timeoutMs: number
}

/** The constructor of {@link SecureMessages}, which is nobody else's. */
let make: (carrier: SecureCarrier, facts: SessionFacts, prepared: Prepared) => SecureMessages

/** Messages that are sealed on the way, and who is at the other end. Made by `secureMessages`. */
export class SecureMessages extends EncryptedMsgReadWriter implements AsyncIterable<Uint8Array> {
  /** What carries the sealed bytes. */
  declare readonly conn: ReadWriteCloser
  /** Who is at the other end, proven to hold the key. */
  readonly remotePeer: PeerId
  /** The security protocol of the connection. */
  readonly security: SecurityProtocol
  /** How lengths are written. */
  readonly framing: Framing
  readonly #carrier: SecureCarrier
  readonly #messages: BaseMsgReadWriter
  readonly #remotePublicKey: Uint8Array

  static {
    make = (carrier, facts, prepared) => new SecureMessages(carrier, facts, prepared)
  }

  // `secureMessages()`.
  private constructor(carrier: SecureCarrier, facts: SessionFacts, prepared: Prepared) {
    super(carrier.conn)
    this.remotePeer = peerIdOf(facts.peerId)
    // The native session agrees on no other than these.
    this.security = facts.security as SecurityProtocol
    this.framing = prepared.framing
    this.#remotePublicKey = facts.publicKey
    this.#carrier = carrier
    this.#messages = framerOf(carrier, prepared)
  }

  /** The other end's identity key, as an object of @libp2p/crypto, which it loads. */
  get remotePublicKey(): PublicKey {
    return publicKeyOf(this.#remotePublicKey)
  }

  /** Bytes of a message at most. */
  get maxMessageBytes(): number {
    return this.#messages.maxMessageBytes
  }

  /**
   * The next message. Rejects as `BaseMsgReadWriter.readMsg`, and with `DecryptionFailedError` for bytes that the
   * other side did not seal, or not in this order; nothing can be read or written after that.
   */
  override readMsg(options?: AbortOptions): Promise<Uint8Array> {
    return this.#messages.readMsg(options)
  }

  /** Write a message; resolves when the carrier has accepted it. Rejects as `BaseMsgReadWriter.writeMsg`. */
  override writeMsg(message: Uint8Array, options?: AbortOptions): Promise<void> {
    return this.#messages.writeMsg(message, options)
  }

  /**
   * Say goodbye where the protocol has a word for it, and close the carrier. Idempotent.
   *
   * Takes a minute at most without a signal: rejects then with `TimeoutError` if the peer has not taken everything.
   */
  override close(options?: AbortOptions): Promise<void> {
    checkOptions(options, ABORT_OPTIONS)
    return this.#carrier.close(options)
  }

  /**
   * Seal bytes that reach the other side by another way than `conn`, in as many records as they need.
   *
   * Records are counted on both sides: they must be opened in the order in which they were sealed, among those of
   * `writeMsg`. Throws `ConnectionClosedError` after the close.
   */
  override encrypt(bytes: Uint8Array): Uint8Array {
    someBytes(bytes, 'bytes')
    return this.#carrier.encrypt(bytes)
  }

  /**
   * Open whole records that came by another way, in their turn among those of `conn`.
   *
   * Throws `DecryptionFailedError` for what the other side did not seal, not in this order, or not whole. Nothing can
   * be read or written after that.
   */
  override decrypt(bytes: Uint8Array): Uint8Array {
    someBytes(bytes, 'bytes')
    return this.#carrier.decrypt(bytes)
  }

  /** Messages until an end between two of them; throws as {@link SecureMessages.readMsg} otherwise. */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined> {
    return this.#messages[Symbol.asyncIterator]()
  }

  /** {@link SecureMessages.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** @internal Shake hands over a carrier. A carrier whose handshake failed is closed: nothing else can be said on it. */
export async function establish(prepared: Prepared): Promise<SecureMessages> {
  const { conn, options, timeoutMs } = prepared
  // It holds the process: a carrier in memory does not, and the caller waits.
  const limit = new TimeLimit(timeoutMs, options.signal)
  const { signal } = limit
  try {
    const carrier = new SecureCarrier(conn, sessionOf(options))
    const facts = await abortable(carrier.handshake({ signal }), signal)
    return make(carrier, facts, prepared)
  } catch (err) {
    conn.close({ signal: AbortSignal.timeout(CLOSE_MS) }).catch(() => {
      // What broke it is told already.
    })
    if (!limit.isUp || isAborted(options.signal)) throw err
    throw new TimeoutError(`the handshake took longer than ${timeoutMs} ms`, { cause: err })
  } finally {
    limit.clear()
  }
}

function sessionOf(
  options: SecureMessagesOptions
): InstanceType<typeof native.NativeSecureSession> {
  const { initiator, remotePeer, security } = options
  const peer = remotePeer === undefined ? {} : { remotePeer: peerText(remotePeer) }
  try {
    return new native.NativeSecureSession({
      privateKey: privateKeyBytes(options.privateKey),
      security: typeof security === 'string' ? [security] : [...security],
      negotiate: typeof security !== 'string',
      initiator,
      ...peer
    })
  } catch (err) {
    throw thrownByNative(err)
  }
}

function framerOf(
  carrier: SecureCarrier,
  { framing, maxMessageBytes }: Prepared
): BaseMsgReadWriter {
  if (framing === 'varint') return new VarintMsgReadWriter(carrier, { maxMessageBytes })
  // The framings but the varint have prefixes of these sizes.
  const lengthBytes = prefixFormat(framing).prefixBytes as LengthBytes
  return new FixedLengthMsgReadWriter(carrier, { lengthBytes, maxMessageBytes })
}
