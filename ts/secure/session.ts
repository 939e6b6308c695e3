/** The native session of an encrypted carrier. */
import { privateKeyBytes } from '../identity/keys.ts'
import { peerText } from '../identity/peer-id.ts'
import type { NativeSecureSession } from '../native/addon.ts'
import { thrownByNative } from '../native/command-error.ts'
import { native } from '../native/environment.ts'
import type { SecureMessagesOptions } from './secure-messages.ts'

/** The parameters of a session. */
export type SessionOptions = Pick<
  SecureMessagesOptions,
  'privateKey' | 'security' | 'initiator' | 'remotePeer'
>

/** Creates a session that begins with the handshake; throws for an invalid private key. */
export function sessionOf(options: SessionOptions): NativeSecureSession {
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
