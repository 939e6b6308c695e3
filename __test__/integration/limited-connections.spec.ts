/** Connections that are limited in time or bytes, as those through a relay: which streams use them. */
import { duplexPair } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  type Connectedness,
  DialAllFailedError,
  LimitedConnectionError,
  NoConnectionError,
  ping,
  Connectedness as States,
  type Swarm
} from '../../ts/index.ts'
import { createNode, listening, until } from '../support/pair.ts'

const ECHO = '/echo/1.0.0'
const ANYWHERE = '/anywhere/1.0.0'

/** Two nodes with a limited connection between them; the second one listens too. */
async function limitedPair(t: ExecutionContext) {
  const near = await createNode(t)
  const far = await createNode(t, { services: { ping: true } })
  await far.listen('/ip4/127.0.0.1/tcp/0')
  far.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
  far.handle(ANYWHERE, (stream) => stream.readable.pipeTo(stream.writable), { runOnLimited: true })
  const [here, there] = duplexPair()
  const [connection] = await Promise.all([
    near.upgradeOutbound(here, far.peerId, { limited: true }),
    far.upgradeInbound(there, undefined, { limited: true })
  ])
  return { near, far, connection }
}

async function echoed(swarm: Swarm, peer: Swarm, protocol: string, allowLimited = false) {
  const stream = await swarm.newStream(peer.peerId, protocol, { allowLimited })
  await stream.write(Buffer.from('hello'))
  await stream.closeWrite()
  return String(Buffer.from(await stream.read()))
}

test('a limited connection says so, and carries what allows it', async (t) => {
  const { near, far, connection } = await limitedPair(t)
  t.like(connection.stat, { limited: true, transient: true })
  t.is(near.connectedness(far.peerId), States.Limited)
  await t.throwsAsync(connection.newStream(ANYWHERE), { instanceOf: LimitedConnectionError })
  t.is(await echoed(near, far, ANYWHERE, true), 'hello')
  const stream = await connection.newStream(ANYWHERE, { allowLimited: 'a test' })
  t.like(stream.stat, { limited: true, transient: true })
  await stream.reset()
  for await (const ms of ping(connection, { count: 1 })) t.true(ms >= 0)
})

test('a peer that is connected by it stays Limited though no direct address can be dialled', async (t) => {
  const { near, far } = await limitedPair(t)
  const addresses = far.getListenAddrs()
  await Promise.all(addresses.map((addr) => far.unlisten(addr)))
  const dial = near.dialPeer(far.peerId, { addresses, force: 'a direct connection' })
  await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(near.connectedness(far.peerId), States.Limited)
})

test('a handler is not run on it unless it asks for that', async (t) => {
  const { near, far } = await limitedPair(t)
  await t.throwsAsync(echoed(near, far, ECHO, true), { name: 'StreamResetError' })
})

test('a stream waits for a connection without limits, and uses it', async (t) => {
  const { near, far, connection } = await limitedPair(t)
  const stream = near.newStream(far.peerId, ECHO)
  const direct = await near.dialPeer(far.peerId, {
    addresses: far.getListenAddrs(),
    force: 'a direct connection'
  })
  t.is((await stream).connection, direct)
  t.not(direct, connection)
  t.is(near.getConnection(far.peerId), direct)
})

test('without one it fails after its timeout, or by its signal', async (t) => {
  const { near, far } = await limitedPair(t)
  const late = near.newStream(far.peerId, ECHO, { timeout: 20 })
  const err = await t.throwsAsync(late, { instanceOf: LimitedConnectionError })
  t.is(err.code, 'ERR_LIMITED_CONNECTION')
  const controller = new AbortController()
  const aborted = near.newStream(far.peerId, ECHO, { signal: controller.signal })
  controller.abort()
  await t.throwsAsync(aborted, { name: 'AbortError' })
  const stranger = await createNode(t)
  await t.throwsAsync(near.newStream(stranger.peerId, ECHO, { noDial: true }), {
    instanceOf: NoConnectionError
  })
})

// go 82
test('connectedness goes from limited to connected and back, each change once', async (t) => {
  const [near, far] = await Promise.all([createNode(t), listening(t)])
  const states: Connectedness[] = []
  near.addEventListener('connectedness', ({ detail }) => states.push(detail.connectedness))
  const [here, there] = duplexPair()
  await Promise.all([
    near.upgradeOutbound(here, far.peerId, { limited: true }),
    far.upgradeInbound(there)
  ])
  const dial = () =>
    near.dialPeer(far.peerId, { addresses: far.getListenAddrs(), force: 'another one' })
  const first = await dial()
  const second = await dial()
  await first.close()
  await second.close()
  await until(() => near.getTotalConnections() === 1)
  t.deepEqual(states, [States.Limited, States.Connected, States.Limited])
  await near.closePeer(far.peerId)
  t.deepEqual(states.at(-1), States.CanConnect)
})
