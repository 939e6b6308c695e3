import { once } from 'node:events'
import { connect } from 'node:net'
import test from 'ava'
import {
  AbortError,
  ConnectionClosedError,
  type EncryptionFailedError,
  InvalidParametersError,
  SelfDialError,
  TimeoutError,
  UnexpectedPeerError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import { makeIdentity } from '../../ts/identity/keys.ts'
import { type ReadWriteCloser, secureMessages } from '../../ts/io/index.ts'
import { program } from '../support/cli.ts'
import { createNode } from '../support/pair.ts'
import { bytesOf, ScriptedCarrier, textOf } from '../support/readers.ts'
import { type Given, KEYS, PEERS, secured } from '../support/secured.ts'
import { socketPair } from '../support/sockets.ts'

for (const security of ['noise', 'tls'] as const) {
  test(`an unexpected peer is refused over ${security}, at both ends`, async (t) => {
    const outcome = async (near: Given, far: Given) => {
      const sockets = await socketPair(t)
      return Promise.allSettled([
        secureMessages(sockets.near, {
          privateKey: KEYS[0],
          security,
          initiator: true,
          ...near
        }),
        secureMessages(sockets.far, { privateKey: KEYS[1], security, initiator: false, ...far })
      ])
    }
    const remotePeer = String(makeIdentity(undefined).peer)
    const [dialled] = await outcome({ remotePeer }, {})
    t.true(dialled.status === 'rejected' && dialled.reason instanceof UnexpectedPeerError)
    const [, accepted] = await outcome({}, { remotePeer })
    t.true(accepted.status === 'rejected' && accepted.reason instanceof UnexpectedPeerError)
    const [self] = await outcome({ privateKey: KEYS[1] }, {})
    t.true(self.status === 'rejected' && self.reason instanceof SelfDialError)
    const both = await outcome(
      { remotePeer: PEERS[1] as string },
      { remotePeer: PEERS[0] as string }
    )
    t.deepEqual(
      both.map(({ status }) => status),
      ['fulfilled', 'fulfilled']
    )
  })
}
test('a list is negotiated by multistream-select, in the order of the initiator', async (t) => {
  const [near] = await secured(t, { security: ['tls', 'noise'] }, { security: ['noise', 'tls'] })
  t.is(near.security, '/tls/1.0.0')
  const none = secured(t, { security: ['tls'] }, { security: ['noise'] })
  await t.throwsAsync(none, { instanceOf: UnsupportedProtocolError })
})

test('a handshake with a peer of another protocol fails, and the duplex is closed', async (t) => {
  for (const security of ['noise', 'tls', ['noise']] as const) {
    const { near, far } = await socketPair(t)
    far.end('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(100))
    far.resume()
    const failed = secureMessages(near, { privateKey: KEYS[0], security, initiator: true })
    const err = await t.throwsAsync(failed)
    t.true(['remote', 'environment', 'closed'].includes((err as EncryptionFailedError).kind))
    if (!near.destroyed) await once(near, 'close')
  }
  const { near, far } = await socketPair(t)
  far.end()
  const failed = secureMessages(near, { privateKey: KEYS[0], security: 'tls', initiator: true })
  await t.throwsAsync(failed, { instanceOf: ConnectionClosedError, code: 'ERR_CONNECTION_ENDED' })
})

test('a silent peer holds nothing beyond the timeout or the signal', async (t) => {
  const silent = () => new ScriptedCarrier([], 'none')
  const options = { privateKey: KEYS[0], security: 'noise', initiator: true } as const
  const late = silent()
  await t.throwsAsync(secureMessages(late, { ...options, timeout: 20 }), {
    instanceOf: TimeoutError,
    message: 'the handshake took longer than 20 ms'
  })
  t.is(late.closed, 1)
  const abort = new AbortController()
  const waiting = secureMessages(silent(), { ...options, signal: abort.signal })
  abort.abort()
  await t.throwsAsync(waiting, { instanceOf: AbortError })
  // A peer that does not even accept our first message.
  const stuck = { ...silent(), remoteAddress: undefined, read: silent().read }
  const deaf = Object.assign(stuck, {
    write: () => new Promise<void>(() => {}),
    close: async () => {}
  })
  await t.throwsAsync(secureMessages(deaf, { ...options, timeout: 20 }), {
    instanceOf: TimeoutError
  })
})

test('a silent peer over memory causes a timeout, and the process stays alive until then', async (t) => {
  const source = `
    import { duplexPair } from 'node:stream'
    import { secureMessages } from ${JSON.stringify(new URL('../../ts/io/index.ts', import.meta.url).href)}
    const [duplex] = duplexPair()
    const privateKey = Buffer.from('${Buffer.from(KEYS[0]).toString('hex')}', 'hex')
    const options = { privateKey, security: 'noise', initiator: true, timeout: 100 }
    await secureMessages(duplex, options).catch((err) => console.log(err.name))`
  const args = ['--no-warnings', '--input-type=module', '--eval', source]
  const { code, out, err } = await program(process.execPath, args)
  t.is(out.trim(), 'TimeoutError', err)
  t.is(code, 0)
})

test('a raw socket is secured with a listener of ours like a dialler of libp2p', async (t) => {
  for (const security of ['noise', 'tls'] as const) {
    const swarm = await createNode(t, { security: [security] })
    await swarm.listen('/ip4/127.0.0.1/tcp/0')
    const [address] = swarm.getListenAddrs()
    const socket = connect(Number(String(address).split('/').at(-1)), '127.0.0.1')
    const messages = await secureMessages(socket, {
      privateKey: KEYS[0],
      security: [security],
      initiator: true,
      remotePeer: swarm.peerId
    })
    // The muxer, next on a libp2p connection, is negotiated in varint-prefixed lines: messages.
    for (const line of ['/multistream/1.0.0', '/yamux/1.0.0']) {
      await messages.writeMsg(bytesOf(`${line}\n`))
      t.is(textOf(await messages.readMsg()), `${line}\n`)
    }
    await messages.close()
  }
})

test('refuses invalid options, at the call or right after it', async (t) => {
  const good = { privateKey: KEYS[0], security: 'noise', initiator: true } as const
  const wrong: object[] = [
    { security: 'plaintext' },
    { security: [] },
    { security: undefined },
    { initiator: undefined },
    { remotePeer: 'nobody' },
    { framing: 'lines' },
    { maxMessageBytes: 0 },
    { timeout: 0 },
    { timeout: Number.NaN }
  ]
  for (const given of wrong) {
    const call = () => void secureMessages(new ScriptedCarrier([]), { ...good, ...given })
    t.throws(call, { instanceOf: InvalidParametersError }, JSON.stringify(given))
  }
  const nothing = () => void secureMessages({} as ReadWriteCloser, good)
  t.throws(nothing, { instanceOf: InvalidParametersError })
  const badKey = secureMessages(new ScriptedCarrier([]), {
    ...good,
    privateKey: new Uint8Array(3)
  })
  await t.throwsAsync(badKey, { instanceOf: InvalidParametersError })
})
