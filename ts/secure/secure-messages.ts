/** Encrypted messages over any byte carrier: options and entry point. */
import type { PrivateKey } from '@libp2p/interface'
import {
  aBoolean,
  anObject,
  anything,
  aSignal,
  type Check,
  checkOptions,
  integer,
  type OptionChecks,
  objectWith,
  someOf
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { SecurityName } from '../constants.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import { type AnyDuplex, carrierOf } from '../io/carriers.ts'
import { type Framing, MESSAGE_BYTES_MAX, prefixFormat } from '../io/framing.ts'
import type { AbortOptions } from '../io/interfaces.ts'
import type { ResourceScope } from '../resource-manager/interfaces.ts'
import type { SecureMessages } from './secured.ts'

export type { SecureMessages } from './secured.ts'

/** Default timeout of a handshake in milliseconds: limits the resources that a silent peer can hold. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** Options of {@link secureMessages}. */
export interface SecureMessagesOptions extends AbortOptions {
  /** The local private key, as an object of @libp2p/crypto or a libp2p protobuf. */
  privateKey: PrivateKey | Uint8Array
  /**
   * A single protocol is used without negotiation. A list is negotiated with multistream-select, as libp2p does on a
   * raw connection, in the order of the initiator. Both ends must use the same form.
   */
  security: SecurityName | readonly SecurityName[]
  /** Whether this side initiates the handshake: true at one end, false at the other. */
  initiator: boolean
  /** The expected remote peer. Defaults to any peer but the local one. */
  remotePeer?: PeerLike
  /** Encoding of the length prefixes inside the encrypted bytes. Defaults to `varint`. */
  framing?: Framing
  /** Maximum bytes of a message, in both directions. Defaults to 8 MiB. */
  maxMessageBytes?: number
  /** Timeout of the handshake in milliseconds. Defaults to 10,000. */
  timeout?: number
  /**
   * A resource scope, such as `connection.scope`, that is charged 128 KiB from the handshake to the close: a chunk of
   * ciphertext each way. Defaults to none. See docs/resource-manager.md.
   */
  scope?: Pick<ResourceScope, 'beginSpan'>
}

const aSecurity: Check = (value, name) => {
  someOf('noise', 'tls')(typeof value === 'string' ? [value] : value, name)
}

const SECURE_CHECKS: OptionChecks<SecureMessagesOptions> = {
  signal: aSignal,
  // The native side checks the key, with the handshake.
  privateKey: anything,
  security: aSecurity,
  initiator: aBoolean,
  // `peerText` and `prefixFormat` accept any value, and throw.
  remotePeer: (value) => peerText(value as PeerLike),
  framing: (value) => prefixFormat(value as Framing),
  maxMessageBytes: integer(1),
  timeout: integer(1, TIMER_MS_MAX),
  scope: objectWith('beginSpan')
}

/**
 * Secures any duplex with Noise or TLS, and resolves to a reader and writer of messages.
 *
 * Handshake, encryption and decryption are native. Messages are length-prefixed inside the encrypted bytes, so they may
 * be larger than a record of either protocol. Both ends prove possession of their identity keys. If the call rejects,
 * the duplex is closed.
 *
 * @throws {@link UnexpectedPeerError} if the remote is not `remotePeer`.
 * @throws {@link SelfDialError} if the remote has the local key.
 * @throws {@link EncryptionFailedError} if the handshake fails.
 * @throws {@link UnsupportedProtocolError} if there is no common security protocol.
 * @throws {@link ConnectionClosedError} if the duplex ends during the handshake.
 * @throws `ResourceLimitExceededError` if `scope` has no room.
 * @throws `ResourceScopeClosedError` if `scope` is closed.
 * @throws {@link TimeoutError} after `timeout`.
 * @throws {@link AbortError} by `signal`.
 * @throws {@link InvalidParametersError} for an invalid duplex or option; thrown at the call, except for an invalid
 * `privateKey`.
 * @example
 * ```ts
 * import { createConnection } from 'node:net'
 * import { secureMessages } from 'ferroswarm/io'
 *
 * const socket = createConnection(4_001, '192.0.2.1')
 * const messages = await secureMessages(socket, { privateKey, security: 'noise', initiator: true })
 * await messages.writeMsg(Buffer.from('hello'))
 * console.log(`${messages.remotePeer}`, (await messages.readMsg()).length)
 * await messages.close()
 * ```
 */
export function secureMessages(
  duplex: AnyDuplex,
  options: SecureMessagesOptions
): Promise<SecureMessages> {
  anObject(options, 'options')
  checkOptions(options, SECURE_CHECKS)
  const { framing = 'varint', maxMessageBytes = MESSAGE_BYTES_MAX } = options
  const { security, initiator, timeout = HANDSHAKE_TIMEOUT_MS } = options
  if (security === undefined) aSecurity(security, 'security')
  aBoolean(initiator, 'initiator')
  const conn = carrierOf(duplex)
  const prepared = { conn, options, framing, maxMessageBytes, timeoutMs: timeout }
  // Loads the native addon.
  return import('./secured.ts').then(({ establish }) => establish(prepared))
}
