/** A raw socket secured by `secureMessages` with listeners of go- and js-libp2p, up to their muxer. */
import { connect } from 'node:net'
import test from 'ava'
import { UnexpectedPeerError } from '../../ts/errors.ts'
import { generatePrivateKey, makeIdentity } from '../../ts/identity/keys.ts'
import { secureMessages } from '../../ts/io/index.ts'
import { declareMissing, findPeer, STACKS, startServer } from '../support/peer-program.ts'
import { bytesOf, textOf } from '../support/readers.ts'

const PEERS = { go: await findPeer('go'), js: await findPeer('js') }

for (const [name, found] of Object.entries(PEERS)) {
  if ('missing' in found) {
    declareMissing(name, found.missing)
    continue
  }
  for (const security of ['noise', 'tls'] as const) {
    test.serial(
      `shakes hands with ${name} over ${security} and negotiates its muxer`,
      async (t) => {
        const server = await startServer(found.command, STACKS[security])
        t.teardown(() => server.stop())
        const [, port, remotePeer = ''] = /\/tcp\/(\d+)\/p2p\/(.+)$/.exec(server.addr) ?? []
        const options = { privateKey: generatePrivateKey(), security: [security], initiator: true }
        const dial = () => connect(Number(port), '127.0.0.1')
        const messages = await secureMessages(dial(), { ...options, remotePeer })
        t.is(String(messages.remotePeer), remotePeer)
        t.is(messages.remotePublicKey.toString(), remotePeer)
        // Lines of multistream-select are varint-prefixed: they are messages.
        for (const line of ['/multistream/1.0.0', '/yamux/1.0.0']) {
          await messages.writeMsg(bytesOf(`${line}\n`))
          t.is(textOf(await messages.readMsg()), `${line}\n`)
        }
        await messages.close()
        const other = makeIdentity(undefined).peer
        await t.throwsAsync(secureMessages(dial(), { ...options, remotePeer: other }), {
          instanceOf: UnexpectedPeerError
        })
      }
    )
  }
}
