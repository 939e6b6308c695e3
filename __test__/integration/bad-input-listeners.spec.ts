import test from 'ava'
import {
  DialAllFailedError,
  Libp2pError,
  TimeoutError,
  UnexpectedPeerError
} from '../../ts/errors.ts'
import { codeOf, createDialer, OPEN, SHORT } from '../support/bad-input.ts'
import { createNode, until } from '../support/pair.ts'
import { varint } from '../support/raw-noise.ts'
import { line, MULTISTREAM, RawPeer } from '../support/raw-peer.ts'
import { createStand } from '../support/stand.ts'

test('a listener other than the dialled peer is rejected (A038)', async (t) => {
  const [stand, dialer, other] = await Promise.all([createStand(t), createNode(t), createNode(t)])
  const address = await RawPeer.serve(t, (peer) => peer.accept())
  const err = await t.throwsAsync(dialer.dialAddr(`${address}/p2p/${other.peerId}`), {
    instanceOf: DialAllFailedError
  })
  t.is(err.attempts.length, 1)
  t.true(err.attempts[0]?.cause instanceof UnexpectedPeerError)
  t.is(dialer.getTotalConnections(), 0)
  await stand.echo()
})

const SERVERS: Readonly<Record<string, (peer: RawPeer) => unknown>> = {
  'closes at once (A018)': (peer) => peer.socket.end(),
  'resets at once': (peer) => peer.socket.resetAndDestroy(),
  'closes after the header (A018)': (peer) => peer.socket.end(line(MULTISTREAM)),
  'speaks http': (peer) => peer.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
  'sends a line that is too long': (peer) => peer.send(varint(70_000)),
  'chooses what was not proposed (A016)': (peer) =>
    peer.send(line(MULTISTREAM), line('/plaintext')),
  'refuses everything and goes on refusing (A017)': (peer) => {
    peer.send(line(MULTISTREAM))
    for (let count = 0; count < 1_000; count += 1) peer.send(line('na'))
  },
  'truncates the second message': (peer) =>
    peer.accept({
      frame: (frame) => {
        setImmediate(() => peer.socket.end())
        return frame.subarray(0, 50)
      }
    })
}

for (const [what, serve] of Object.entries(SERVERS)) {
  test(`a dial of a listener that ${what} fails with its reason`, async (t) => {
    const dialer = await createDialer(t)
    await dialer.failsOn(serve)
  })
}

test('with one security protocol to offer, the handshake begins before the answer', async (t) => {
  const lazy = await createNode(t, { security: ['noise'] })
  const proposal = Buffer.concat([line(MULTISTREAM), line('/noise')])
  const first = Promise.withResolvers<Buffer>()
  const address = await RawPeer.serve(t, async (peer) => {
    // An ephemeral key with its length follows the proposal although nothing was answered.
    first.resolve(await peer.take(proposal.length + 34))
    peer.send(line(MULTISTREAM), line('na'))
  })
  const err = await t.throwsAsync(lazy.dialAddr(address), { instanceOf: DialAllFailedError })
  t.deepEqual((await first.promise).subarray(0, proposal.length), proposal)
  t.is(err.attempts[0]?.stage, 'security')
  t.is(err.attempts[0]?.cause.code, 'ERR_UNSUPPORTED_PROTOCOL')
})

test('a dial of a silent listener fails at the upgrade deadline', async (t) => {
  const dialer = await createDialer(t, SHORT)
  const started = performance.now()
  t.true((await dialer.failsOn(() => {})) instanceof TimeoutError)
  // Before the address deadline, which would be next.
  t.true(performance.now() - started < 4_500)
})

test('a listener that violates yamux ends the connection with a typed error', async (t) => {
  const [stand, dialer] = await Promise.all([
    createStand(t),
    createNode(t, { security: ['noise'] })
  ])
  const address = await RawPeer.serve(t, async (peer) => {
    const session = await peer.accept()
    session.send({ ...OPEN, id: 1 })
  })
  const connection = await dialer.dialAddr(address)
  await until(() => connection.isClosed)
  t.is(codeOf(connection), 'ERR_MUXER_PROTOCOL')
  await t.throwsAsync(connection.newStream('/late'), { instanceOf: Libp2pError })
  await stand.echo()
})
