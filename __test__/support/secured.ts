/** Two ends of `secureMessages` over a TCP connection. */
import type { ExecutionContext } from 'ava'
import { generatePrivateKey, makeIdentity } from '../../ts/identity/keys.ts'
import {
  type SecureMessages,
  type SecureMessagesOptions,
  secureMessages
} from '../../ts/io/index.ts'
import { socketPair } from './sockets.ts'

/** Overrides of the default, which is Noise between {@link KEYS}. */
export type Given = Partial<SecureMessagesOptions>

/** Private keys of the initiator and the responder. */
export const KEYS = [generatePrivateKey(), generatePrivateKey()] as const
/** Peer ids of {@link KEYS}. */
export const PEERS = KEYS.map((key) => makeIdentity(key).peer)

/** Creates both ends over a TCP connection. */
export async function secured(
  t: ExecutionContext,
  given: Given = {},
  far: Given = given
): Promise<[SecureMessages, SecureMessages]> {
  const sockets = await socketPair(t)
  return Promise.all([
    secureMessages(sockets.near, {
      privateKey: KEYS[0],
      security: 'noise',
      initiator: true,
      ...given
    }),
    secureMessages(sockets.far, {
      privateKey: KEYS[1],
      security: 'noise',
      initiator: false,
      ...far
    })
  ])
}
