/** Upgrades by muxers of the application that fail: at which stage, who is told, and that nothing is left behind. */
import { duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import {
  AbortError,
  type Connection,
  EncryptionFailedError,
  InvalidParametersError,
  MultiselectError,
  type MuxedConn,
  type NamedMultiplexer,
  nullResourceManager,
  nullScope,
  RawConnectionError,
  ResourceLimitExceededError,
  StateError,
  type Swarm,
  TimeoutError,
  UnexpectedPeerError,
  UnsupportedProtocolError,
  UpgradeError
} from '../../ts/index.ts'
import { type Ends, tcpSockets, upgradedPair } from '../support/duplexes.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { frameMuxer } from '../support/frame-muxer.ts'
import { memoryConns } from '../support/memory-muxer.ts'
import { createNode, until } from '../support/pair.ts'

const OTHER_PEER = '12D3KooWPqwQcwZJyFVNPWUB9VxhY1zUFjbZB9p1h37yjEkqEhtn'

function charged(swarm: Swarm): readonly number[] {
  const { system } = swarm.resourceManager.stat()
  return [system.numConnsInbound, system.numConnsOutbound, system.memory]
}

function isFree(...swarms: readonly Swarm[]): boolean {
  return swarms.every((swarm) => charged(swarm).every((count) => count === 0))
}

async function failed(t: ExecutionContext, call: Promise<unknown>): Promise<UpgradeError> {
  const err = await t.throwsAsync(call, { instanceOf: UpgradeError })
  return err as UpgradeError
}

async function twoNodes(t: ExecutionContext, dialer: NamedMultiplexer, listener = dialer) {
  return Promise.all([createNode(t, { muxers: [dialer] }), createNode(t, { muxers: [listener] })])
}

test('the wrong peer fails the upgrade at its security, and both duplexes are destroyed', async (t) => {
  const [dialer, listener] = await twoNodes(t, frameMuxer())
  const [near, far] = await tcpSockets(t)
  const inbound = failed(t, listener.upgradeInbound(far))
  const outbound = await failed(t, dialer.upgradeOutbound(near, OTHER_PEER))
  t.is(outbound.stage, 'security')
  t.true(outbound.cause instanceof UnexpectedPeerError)
  // It was told by an alert.
  t.true((await inbound).cause instanceof EncryptionFailedError)
  await until(() => near.destroyed && far.destroyed && isFree(dialer, listener))
})

test('a remote without the muxer fails the upgrade at its muxer', async (t) => {
  const [dialer, listener] = await twoNodes(t, frameMuxer('/one'), frameMuxer('/two'))
  const [near, far] = duplexPair()
  const inbound = failed(t, listener.upgradeInbound(far))
  const outbound = await failed(t, dialer.upgradeOutbound(near, listener.peerId))
  t.is(outbound.stage, 'muxer')
  t.true(outbound.cause instanceof UnsupportedProtocolError)
  t.is((await inbound).stage, 'muxer')
  t.true((await inbound).cause instanceof MultiselectError)
  await until(() => near.destroyed && far.destroyed && isFree(dialer, listener))
})

test('a native remote without the muxer fails the upgrade at its muxer, in either direction', async (t) => {
  const own = await createNode(t, { muxers: [frameMuxer()] })
  const native = await createNode(t)
  const [first, second] = [duplexPair(), duplexPair()]
  const errors = await Promise.all([
    failed(t, own.upgradeOutbound(first[0], native.peerId)),
    failed(t, native.upgradeInbound(first[1])),
    failed(t, own.upgradeInbound(second[0])),
    failed(t, native.upgradeOutbound(second[1], own.peerId))
  ])
  t.deepEqual(
    errors.map(({ stage }) => stage),
    ['muxer', 'muxer', 'muxer', 'muxer']
  )
  await until(() => isFree(own, native))
})

const UNUSABLE: Readonly<Record<string, readonly [() => unknown, RegExp]>> = {
  throws: [
    () => {
      throw new Error('no windows left')
    },
    /no windows left/
  ],
  rejects: [() => Promise.reject(new Error('no windows left')), /no windows left/],
  'rejects with no error': [() => Promise.reject('nothing'), /nothing/],
  'returns no connection': [() => ({ close() {} }), /the connection of the muxer to be/],
  'returns a closed connection': [
    () => Object.assign(memoryConns().near, { isClosed: true }),
    /is closed/
  ]
}

for (const [what, [newConnection, message]] of Object.entries(UNUSABLE)) {
  test(`a muxer that ${what} fails the upgrade at its muxer, and ends that of the remote`, async (t) => {
    const protocol = '/frames/1.0.0'
    const broken = { protocol, newConnection } as unknown as NamedMultiplexer
    const [dialer, listener] = await twoNodes(t, broken, frameMuxer(protocol))
    const [near, far] = duplexPair()
    const inbound = listener.upgradeInbound(far)
    const error = await failed(t, dialer.upgradeOutbound(near, listener.peerId))
    t.is(error.stage, 'muxer')
    t.regex(error.message, message)
    await (await inbound).closed
    await until(() => near.destroyed && far.destroyed && isFree(dialer, listener))
  })
}

test('a muxer that returns the connection of another duplex fails the upgrade', async (t) => {
  const { near: conn } = memoryConns(OTHER_PEER)
  const [dialer, listener] = await twoNodes(
    t,
    { protocol: '/frames/1.0.0', newConnection: () => conn },
    frameMuxer()
  )
  const upgrade = async (): Promise<Connection> => {
    const [near, far] = duplexPair()
    listener.upgradeInbound(far).catch(() => {})
    return dialer.upgradeOutbound(near, listener.peerId)
  }
  const connection = await upgrade()
  // The one that was authenticated, whatever the muxer says.
  t.true(connection.remotePeer.equals(listener.peerId))
  const { stage, cause } = await failed(t, upgrade())
  t.is(stage, 'muxer')
  t.true(cause instanceof InvalidParametersError)
})

test('a muxer that hangs is a timeout at its stage, and what it answers late is closed', async (t) => {
  const clock = new FakeClock()
  const late = Promise.withResolvers<MuxedConn>()
  let started = false
  const hanging: NamedMultiplexer = {
    protocol: '/frames/1.0.0',
    newConnection() {
      started = true
      return late.promise
    }
  }
  const dialer = await createNode(t, { muxers: [hanging], clock })
  const listener = await createNode(t, { muxers: [frameMuxer()] })
  const [near, far] = duplexPair()
  listener.upgradeInbound(far).catch(() => {})
  const upgrade = failed(t, dialer.upgradeOutbound(near, listener.peerId))
  await until(() => started)
  clock.advance(10_000)
  const { stage, cause } = await upgrade
  t.is(stage, 'muxer')
  t.true(cause instanceof TimeoutError)
  t.true(near.destroyed)
  const { near: conn } = memoryConns()
  late.resolve(conn)
  await until(() => conn.isClosed)
  await until(() => isFree(dialer, listener))
})

test('a remote that never answers is a timeout, and an abort destroys the duplex', async (t) => {
  const clock = new FakeClock()
  const swarm = await createNode(t, { muxers: [frameMuxer()], clock })
  const [silent] = duplexPair()
  const upgrade = failed(t, swarm.upgradeOutbound(silent, OTHER_PEER, { timeout: 3_000 }))
  clock.advance(2_999)
  t.is(charged(swarm)[1], 1)
  clock.advance(1)
  const { stage, cause } = await upgrade
  t.is(stage, 'security')
  t.true(cause instanceof TimeoutError)
  t.true(silent.destroyed)

  const control = new AbortController()
  const [near] = duplexPair()
  const aborted = t.throwsAsync(
    swarm.upgradeOutbound(near, OTHER_PEER, { signal: control.signal }),
    { instanceOf: AbortError }
  )
  await turn()
  control.abort()
  await aborted
  t.true(near.destroyed)
  await until(() => isFree(swarm))
})

test('a duplex that fails during the handshake fails the upgrade as a raw connection', async (t) => {
  const swarm = await createNode(t, { muxers: [frameMuxer()] })
  const [near] = duplexPair()
  const upgrade = failed(t, swarm.upgradeOutbound(near))
  await turn()
  near.destroy(new Error('the cable was cut'))
  const { stage, cause } = await upgrade
  t.is(stage, 'security')
  t.true(cause instanceof RawConnectionError)
  t.is((cause as Error).message, 'the duplex failed: the cable was cut')
  const [ended] = duplexPair()
  ended.destroy()
  await t.throwsAsync(swarm.upgradeOutbound(ended), { instanceOf: RawConnectionError })
  t.true(isFree(swarm))
})

test('a duplex that fails later ends its connection with the cause', async (t) => {
  const muxers = [frameMuxer()]
  const [near, far] = duplexPair()
  far.on('error', () => {})
  const { outbound, inbound } = await upgradedPair(t, [near, far] as unknown as Ends, {
    dialer: { muxers },
    listener: { muxers }
  })
  near.destroy(new Error('the cable was cut'))
  await Promise.all([outbound.closed, inbound.closed])
  const { error } = outbound.closeReason ?? {}
  t.true(error instanceof RawConnectionError)
})

test('a limit refuses the upgrade, is reported, and charges nothing', async (t) => {
  const limits = { system: { connectionsOutbound: 1 } }
  const muxers = [frameMuxer()]
  const [dialer, listener] = await Promise.all([
    createNode(t, { muxers, limits }),
    createNode(t, { muxers })
  ])
  const first = duplexPair()
  await Promise.all([dialer.upgradeOutbound(first[0]), listener.upgradeInbound(first[1])])
  const reported: (string | undefined)[] = []
  dialer.addEventListener('limit', ({ detail }) => void reported.push(detail.direction))
  const [near] = duplexPair()
  const refusal = await t.throwsAsync(dialer.upgradeOutbound(near), {
    instanceOf: ResourceLimitExceededError
  })
  t.like(refusal, { scope: 'system', limit: 1 })
  t.deepEqual(reported, ['outbound'])
  t.is(charged(dialer)[1], 1)
  await until(() => near.destroyed)
})

test("the application's resource manager refuses the connection, whose remote is told", async (t) => {
  const [dialer, listener] = await twoNodes(t, frameMuxer())
  const [near, far] = duplexPair()
  listener.setResourceManager({
    ...nullResourceManager,
    openConnection() {
      throw new Error('the quota is used up')
    }
  })
  const outbound = dialer.upgradeOutbound(near, listener.peerId)
  await t.throwsAsync(listener.upgradeInbound(far), { instanceOf: ResourceLimitExceededError })
  await (await outbound).closed
  await until(() => far.destroyed && isFree(dialer, listener))
})

test('a call that the resource manager aborts while it is asked makes no connection', async (t) => {
  const [dialer, listener] = await twoNodes(t, frameMuxer())
  const [near, far] = duplexPair()
  const control = new AbortController()
  const heard: string[] = []
  dialer.addEventListener('connected', () => void heard.push('connected'))
  dialer.setResourceManager({
    ...nullResourceManager,
    openConnection() {
      control.abort()
      return { ...nullScope, done: () => void heard.push('done') }
    }
  })
  listener.upgradeInbound(far).catch(() => {})
  const { signal } = control
  await t.throwsAsync(dialer.upgradeOutbound(near, listener.peerId, { signal }), {
    instanceOf: AbortError
  })
  await until(() => near.destroyed && isFree(dialer, listener))
  t.deepEqual(heard, ['done'])
})

test('a scope that was opened before is handed over, counted once, and ends with the connection', async (t) => {
  const [dialer, listener] = await twoNodes(t, frameMuxer())
  const scope = dialer.resourceManager.openConnection('outbound', true, '/ip4/192.0.2.1/tcp/1')
  const [near, far] = duplexPair()
  const [connection] = await Promise.all([
    dialer.upgradeOutbound(near, listener.peerId, { scope }),
    listener.upgradeInbound(far)
  ])
  const ofPeer = dialer.resourceManager.viewPeer(listener.peerId, ({ stat }) => stat)
  t.like(ofPeer, { numConnsOutbound: 1, numFD: 1 })
  // No longer the application's.
  scope.done()
  t.is(charged(dialer)[1], 1)
  await connection.close()
  await until(() => isFree(dialer, listener))
})

test('a swarm that closes rejects upgrades under way, and closes the connections of others', async (t) => {
  const muxers = [frameMuxer()]
  const [near, far] = duplexPair()
  const { dialer, outbound, inbound } = await upgradedPair(t, [near, far] as unknown as Ends, {
    dialer: { muxers },
    listener: { muxers }
  })
  const [silent] = duplexPair()
  const pending = t.throwsAsync(dialer.upgradeOutbound(silent, OTHER_PEER), {
    instanceOf: StateError
  })
  await turn()
  await dialer.close()
  await pending
  t.true(silent.destroyed)
  await Promise.all([outbound.closed, inbound.closed])
  t.is(outbound.closeReason?.error, undefined)
  t.true(near.writableFinished)
  t.true(isFree(dialer))
  await t.throwsAsync(outbound.newStream('/late'), { name: 'ConnectionClosedError' })
})

test('a muxer that does not close its duplex does not keep it open', async (t) => {
  const frames = frameMuxer()
  const careless: NamedMultiplexer = {
    protocol: frames.protocol,
    newConnection: (duplex, init) =>
      frames.newConnection(
        {
          remoteAddress: undefined,
          read: (...call) => duplex.read(...call),
          write: (...call) => duplex.write(...call),
          close: async () => {}
        },
        init
      )
  }
  const [dialer, listener] = await twoNodes(t, careless, frames)
  const [near, far] = duplexPair()
  const [outbound, inbound] = await Promise.all([
    dialer.upgradeOutbound(near, listener.peerId),
    listener.upgradeInbound(far)
  ])
  await outbound.close()
  await inbound.closed
  await until(() => near.destroyed && far.destroyed)
  t.is(inbound.closeReason?.error, undefined)
})
