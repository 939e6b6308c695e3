/** `ferroswarm id`: make a key, or look at one. */
import { generatePrivateKey, type KeyTypeName, makeIdentity } from '../identity/keys.ts'
import { type Command, MisuseError } from './command.ts'
import { readKey, writeKey } from './key-file.ts'

const TYPES: readonly KeyTypeName[] = ['ed25519', 'secp256k1', 'rsa', 'ecdsa']

/** The verb. */
export const command: Command = {
  name: 'id',
  usage: '[options]',
  help: `  --type TYPE           ${TYPES.join(', ')}; ed25519 unless given.
  --out FILE            Write the private key there, readable by you alone. Never overwrites.
  --key FILE            Tell the peer id of this key instead of making one.

With --json: {"event":"summary","peerId","publicKey"}: the key is libp2p's protobuf in base64.`,
  options: { type: { type: 'string' }, out: { type: 'string' }, key: { type: 'string' } },
  positionals: [0, 0],
  run: async ({ values, out }) => {
    const given = readKey(values.text('key'))
    const type = values.oneOf('type', TYPES)
    if (given !== undefined && type !== undefined) {
      throw new MisuseError('--type is for a key to be made, --key for one that is there')
    }
    const key = given ?? generatePrivateKey(type)
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
