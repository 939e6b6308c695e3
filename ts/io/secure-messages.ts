/** The way to a secured connection over anything that carries bytes. */
import type { PrivateKey } from '@libp2p/interface'
import { InvalidParametersError } from '../errors.ts'
import { type PeerLike, peerText } from '../identity/peer-id.ts'
import type { SecurityName } from '../options.ts'
import { type AnyDuplex, carrierOf } from './carriers.ts'
import { checkLimit, type Framing, MESSAGE_BYTES_MAX, prefixFormat } from './framing.ts'
import type { AbortOptions } from './interfaces.ts'
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
  const { framing = 'varint', maxMessageBytes = MESSAGE_BYTES_MAX } = options
  const { security, initiator, remotePeer, timeout = HANDSHAKE_TIMEOUT_MS } = options
  prefixFormat(framing)
  checkLimit(maxMessageBytes)
  if (remotePeer !== undefined) peerText(remotePeer)
  const names: readonly unknown[] = typeof security === 'string' ? [security] : (security ?? [])
  if (names.length === 0 || names.some((name) => name !== 'noise' && name !== 'tls')) {
    throw new InvalidParametersError(`expected security of noise and tls, received ${security}`)
  }
  if (typeof initiator !== 'boolean') {
    throw new InvalidParametersError(`expected initiator of true or false, received ${initiator}`)
  }
  if (!Number.isFinite(timeout) || timeout <= 0 || timeout > 0x7fffffff) {
    throw new InvalidParametersError(`expected timeout of 1 to 2147483647 ms, received ${timeout}`)
  }
  const conn = carrierOf(duplex)
  const prepared = { conn, options, framing, maxMessageBytes, timeoutMs: Math.ceil(timeout) }
  // The native side, and what stands on it.
  return import('./secured.ts').then(({ establish }) => establish(prepared))
}
