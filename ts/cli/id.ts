/** `ferroswarm id`: generates a key, or shows an existing one. */
import { generatePrivateKey, type KeyTypeName, makeIdentity } from '../identity/keys.ts'
import { type Command, MisuseError } from './command.ts'
import { readKey, writeKey } from './key-file.ts'

const TYPES: readonly KeyTypeName[] = ['ed25519', 'secp256k1', 'rsa', 'ecdsa']

/** The verb. */
export const command: Command = {
  name: 'id',
  usage: '[options]',
  help: `  --type TYPE           ${TYPES.join(', ')}; defaults to ed25519.
  --out FILE            Write the private key there, readable by you alone. Never overwrites.
  --key FILE            Show the peer id of this key instead of generating one.

With --json: {"event":"summary","peerId","publicKey"}: the key is libp2p's protobuf in base64.`,
  options: { type: { type: 'string' }, out: { type: 'string' }, key: { type: 'string' } },
  positionals: [0, 0],
  run: async ({ values, out }) => {
    const existing = readKey(values.text('key'))
    const type = values.oneOf('type', TYPES)
    if (existing !== undefined && type !== undefined) {
      throw new MisuseError('--type applies to a generated key and cannot be combined with --key')
    }
    const key = existing ?? generatePrivateKey(type)
    const identity = makeIdentity(key)
    const path = values.text('out')
    if (path !== undefined) writeKey(path, key)
    const publicKey = Buffer.from(identity.publicKeyBytes).toString('base64')
    out.event(
      { event: 'summary', peerId: identity.peer, publicKey },
      [
        `${out.style('bold', identity.peer)}`,
        `  public key  ${publicKey}`,
        ...(path === undefined ? [] : [`  private key written to ${path}`])
      ].join('\n')
    )
    return 0
  }
}
