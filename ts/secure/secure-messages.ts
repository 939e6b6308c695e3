/** The way to a secured connection over anything that carries bytes. */
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
  someOf
} from '../base/arguments.ts'
import { TIMER_MS_MAX } from '../base/clock.ts'
import type { SecurityName } from '../constants.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import { type AnyDuplex, carrierOf } from '../io/carriers.ts'
import { type Framing, MESSAGE_BYTES_MAX, prefixFormat } from '../io/framing.ts'
import type { AbortOptions } from '../io/interfaces.ts'
import type { SecureMessages } from './secured.ts'

export type { SecureMessages } from './secured.ts'

/** Milliseconds that a handshake may take unless said otherwise; a peer that stays silent holds nothing for longer. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** Options of {@link secureMessages}. */
export interface SecureMessagesOptions extends AbortOptions {
  /** Our identity: an object of @libp2p/crypto, or libp2p's protobuf of a private key. */
  privateKey: PrivateKey | Uint8Array
  /**
   * A name: that handshake, at once. A list: multistream-select first, as libp2p does on a raw connection; the
   * initiator's order decides. Both ends must do the same.
   */
  security: SecurityName | readonly SecurityName[]
  /** Whether we begin: true at one end, false at the other. */
  initiator: boolean
  /** Who must be there; anybody but ourselves unless given. */
  remotePeer?: PeerLike
  /** How lengths are written inside the secured bytes; `varint` unless given. */
  framing?: Framing
  /** Bytes of a message at most, in both directions; 8 MiB unless given. */
  maxMessageBytes?: number
  /** Milliseconds the handshake may take; 10,000 unless given. */
  timeout?: number
}

const aSecurity: Check = (value, name) => {
  someOf('noise', 'tls')(typeof value === 'string' ? [value] : value, name)
}

const SECURE_CHECKS: OptionChecks<SecureMessagesOptions> = {
  signal: aSignal,
  // A key is judged by the native side, with the handshake.
  privateKey: anything,
  security: aSecurity,
  initiator: aBoolean,
  // Both take any value, and throw.
  remotePeer: (value) => peerText(value as PeerLike),
  framing: (value) => prefixFormat(value as Framing),
  maxMessageBytes: integer(1),
  timeout: integer(1, TIMER_MS_MAX)
}

/**
 * Secure any duplex with Noise or TLS and exchange messages over it.
 *
 * The handshake, sealing and opening are native. A message is length-prefixed inside the secured bytes, so it may be
 * larger than a record of either protocol. Both ends prove their identity keys.
 *
 * Rejects with `UnexpectedPeerError` for another peer than `remotePeer`, `SelfDialError`, `EncryptionFailedError`,
 * `UnsupportedProtocolError` if no protocol is common, `ConnectionClosedError`, `TimeoutError`, `AbortError`; the
 * duplex is closed then, also for a `privateKey` that is none. Throws `InvalidParametersError` for other options.
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
  // The native side, and what stands on it.
  return import('./secured.ts').then(({ establish }) => establish(prepared))
}
