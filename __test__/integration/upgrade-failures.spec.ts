/** Upgrades that fail, and the ends of upgraded connections: who is told, and that nothing is left behind. */
import { once } from 'node:events'
import { Duplex, duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import test, { type ExecutionContext } from 'ava'
import {
  AbortError,
  type Connection,
  ConnectionClosedError,
  EncryptionFailedError,
  InvalidParametersError,
  type RawConnection,
  RawConnectionError,
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  StateError,
  type Stream,
  StreamResetError,
  type Swarm,
  TimeoutError,
  UnexpectedPeerError,
  UpgradeError
} from '../../ts/index.ts'
import { type AnyDuplex, fromDuplex, type ReadWriteCloser, readAll } from '../../ts/io/index.ts'
import { program, ROOT } from '../support/cli.ts'
import { type Ends, tcpSockets, upgradedPair, webStreams } from '../support/duplexes.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { createNode, pattern, until } from '../support/pair.ts'

const PROTOCOL = '/ferroswarm/test/upgrade/1.0.0'

/** What `swarm` is charged for in all: connections inbound and outbound, streams, descriptors. */
function charged(swarm: Swarm): readonly number[] {
  const { system } = swarm.resourceManager.stat()
  const { numConnsInbound, numConnsOutbound, numStreamsInbound, numStreamsOutbound, numFD } = system
  return [numConnsInbound, numConnsOutbound, numStreamsInbound + numStreamsOutbound, numFD]
}

const NOTHING = [0, 0, 0, 0]

async function rejected<E extends Error>(
  t: ExecutionContext,
  call: Promise<unknown>,
  // A class of this package: their constructors differ.
  type: { readonly prototype: E }
): Promise<E> {
  const err = await t.throwsAsync(call)
  t.is(err?.constructor, type.prototype.constructor)
  return err as E
}

test('the wrong peer fails the upgrade at its security, and both duplexes are destroyed', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const [near, far] = await tcpSockets(t)
  const inbound = rejected(t, listener.upgradeInbound(far), UpgradeError)
  const outbound = await rejected(t, dialer.upgradeOutbound(near, OTHER_PEER), UpgradeError)
  t.is(outbound.stage, 'security')
  t.true(outbound.cause instanceof UnexpectedPeerError)
  // It was told by an alert.
  t.true((await inbound).cause instanceof EncryptionFailedError)
  await Promise.all([near, far].map((end) => end.destroyed || once(end, 'close')))
  t.deepEqual([charged(dialer), charged(listener)], [NOTHING, NOTHING])
})

const OTHER_PEER = '12D3KooWPqwQcwZJyFVNPWUB9VxhY1zUFjbZB9p1h37yjEkqEhtn'

test('the peer of an inbound upgrade is that of its address', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const [near, far] = duplexPair()
  const outbound = dialer.upgradeOutbound(near, listener.peerId).catch((err: Error) => err)
  const addr = `/memory/1/p2p/${OTHER_PEER}`
  const { cause } = await rejected(t, listener.upgradeInbound(far, addr), UpgradeError)
  t.true(cause instanceof UnexpectedPeerError)
  // A dialer may have finished its handshake by then.
  await outbound
})

test('without a common security protocol both upgrades fail at their security', async (t) => {
  const [dialer, listener] = await Promise.all([
    createNode(t, { security: ['tls'] }),
    createNode(t, { security: ['noise'] })
  ])
  const [near, far] = duplexPair()
  const inbound = rejected(t, listener.upgradeInbound(far), UpgradeError)
  const outbound = await rejected(t, dialer.upgradeOutbound(near, listener.peerId), UpgradeError)
  t.deepEqual([outbound.stage, (await inbound).stage], ['security', 'security'])
})

test('a remote that never answers is a timeout, of the call or of the limits', async (t) => {
  const clock = new FakeClock()
  const swarm = await createNode(t, { clock })
  for (const [options, ms] of [
    [{ timeout: 3_000 }, 3_000],
    [{}, 10_000]
  ] as const) {
    const [near] = duplexPair()
    const upgrade = rejected(t, swarm.upgradeOutbound(near, OTHER_PEER, options), UpgradeError)
    clock.advance(ms - 1)
    await until(() => charged(swarm)[1] === 1)
    clock.advance(1)
    const { stage, cause } = await upgrade
    t.is(stage, 'security')
    t.true(cause instanceof TimeoutError)
    t.true(near.destroyed)
    await until(() => charged(swarm).every((count) => count === 0))
  }
})

test('an abort destroys the duplex and gives everything back', async (t) => {
  const swarm = await createNode(t)
  const control = new AbortController()
  const [near] = await tcpSockets(t)
  const upgrade = swarm.upgradeOutbound(near, OTHER_PEER, { signal: control.signal })
  await turn()
  control.abort(new Error('not needed'))
  const { cause } = await rejected(t, upgrade, AbortError)
  t.is((cause as Error).message, 'not needed')
  t.true(near.destroyed)
  await until(() => charged(swarm).every((count) => count === 0))

  const [late] = duplexPair()
  await rejected(t, swarm.upgradeInbound(late, undefined, { signal: control.signal }), AbortError)
  t.true(late.destroyed)
})

test('an abort by the duplex itself, at its first read, is heard', async (t) => {
  const swarm = await createNode(t)
  const control = new AbortController()
  const duplex = fromDuplex(duplexPair()[0])
  const { signal } = control
  const aborting: ReadWriteCloser = {
    remoteAddress: undefined,
    read(...call) {
      control.abort()
      return duplex.read(...call)
    },
    write: (...call) => duplex.write(...call),
    close: (...call) => duplex.close(...call)
  }
  await rejected(t, swarm.upgradeOutbound(aborting, OTHER_PEER, { signal }), AbortError)
  await until(() => charged(swarm).every((count) => count === 0))
})

test('a duplex that has ended is no raw connection', async (t) => {
  const swarm = await createNode(t)
  const [destroyed, peer] = duplexPair()
  destroyed.destroy()
  await rejected(t, swarm.upgradeOutbound(destroyed), RawConnectionError)
  peer.resume()
  peer.end()
  await rejected(t, swarm.upgradeInbound(peer), RawConnectionError)
  t.deepEqual(charged(swarm), NOTHING)
})

test('a duplex that fails, or ends, during the handshake fails the upgrade', async (t) => {
  const swarm = await createNode(t)
  const [near] = duplexPair()
  const failing = rejected(t, swarm.upgradeOutbound(near), UpgradeError)
  await turn()
  near.destroy(new Error('the cable was cut'))
  const { cause } = await failing
  t.true(cause instanceof RawConnectionError)
  t.is((cause as Error).message, 'the duplex failed: the cable was cut')

  const [ending, remote] = duplexPair()
  const upgrade = rejected(t, swarm.upgradeOutbound(ending), UpgradeError)
  remote.resume()
  remote.end()
  t.true((await upgrade).cause instanceof ConnectionClosedError)
  await until(() => charged(swarm).every((count) => count === 0))
})

test('a duplex may fail with anything, also with what has no text', async (t) => {
  const swarm = await createNode(t)
  for (const thrown of [Object.create(null), undefined, 'cut']) {
    const duplex: ReadWriteCloser = {
      remoteAddress: undefined,
      read: () => Promise.reject(thrown),
      write: async () => {},
      close: async () => {}
    }
    const { cause } = await rejected(t, swarm.upgradeOutbound(duplex), UpgradeError)
    t.true(cause instanceof RawConnectionError)
    t.is((cause as RawConnectionError).cause, thrown)
  }
  t.deepEqual(charged(swarm), NOTHING)
})

test('the addresses of a RawConnection are read once, as it may lose them with its remote', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const [failing, gone] = duplexPair()
  const upgrade = rejected(t, listener.upgradeInbound(forgetful(failing)), UpgradeError)
  gone.destroy()
  await upgrade

  const [near, far] = duplexPair()
  const [, connection] = await Promise.all([
    dialer.upgradeOutbound(near),
    listener.upgradeInbound(forgetful(far))
  ])
  t.deepEqual([`${connection.remoteAddr}`, `${connection.localAddr}`], [PLACE, PLACE])
})

const PLACE = '/ip4/192.0.2.1/tcp/4001'

/** A `RawConnection` whose addresses can be read once. */
function forgetful(duplex: Duplex): RawConnection {
  const readOnce = () => {
    const addrs = [multiaddr(PLACE)]
    const get = (): Multiaddr => {
      const addr = addrs.pop()
      if (addr === undefined) throw new TypeError('the address is gone')
      return addr
    }
    return { get }
  }
  const addresses = { remoteAddr: readOnce(), localAddr: readOnce() }
  // The properties are those that it lacks.
  return Object.defineProperties(fromDuplex(duplex), addresses) as unknown as RawConnection
}

test('misuse is refused at the call, before anything has changed', async (t) => {
  const swarm = await createNode(t)
  const [near] = duplexPair()
  const refused = (call: () => unknown, message: RegExp): void => {
    t.throws(call, { instanceOf: InvalidParametersError, message })
  }
  const any = (value: unknown): never => value as never
  refused(() => swarm.upgradeInbound(any({})), /expected duplex to be a ReadWriteCloser/)
  refused(() => swarm.upgradeInbound(near, any(5)), /expected the address to be a multiaddr/)
  refused(() => swarm.upgradeInbound(near, undefined, any({ timeot: 1 })), /did you mean timeout/)
  refused(() => swarm.upgradeOutbound(near, any('nobody')), /peer id/)
  refused(() => swarm.upgradeOutbound(near, undefined, { timeout: -1 }), /expected timeout to be/)
  refused(() => swarm.upgradeOutbound(near, undefined, any({ scope: {} })), /expected scope to be/)
  refused(() => swarm.upgradeOutbound(near, undefined, { addr: 'here' }), /multiaddr/)
  refused(
    () => swarm.upgradeOutbound(near, swarm.peerId, { addr: `/memory/1/p2p/${OTHER_PEER}` }),
    /expected the peer to be/
  )
  t.is(near.listenerCount('error'), 0)
  const first = swarm.upgradeOutbound(near).catch((err: Error) => err)
  refused(() => swarm.upgradeOutbound(near), /expected a duplex that nothing else uses/)
  near.destroy()
  await first
  const [locked] = webStreams()
  locked.readable.getReader()
  refused(() => swarm.upgradeOutbound(locked), /expected a duplex that nothing else uses/)
  t.deepEqual(charged(swarm), NOTHING)
})

test('a limit refuses the upgrade, and is reported', async (t) => {
  const [dialer, listener] = await Promise.all([
    createNode(t, { limits: { system: { connectionsOutbound: 1 } } }),
    createNode(t, { limits: { system: { connectionsInbound: 1 } } })
  ])
  const first = duplexPair()
  await Promise.all([dialer.upgradeOutbound(first[0]), listener.upgradeInbound(first[1])])
  const reported: (string | undefined)[] = []
  for (const swarm of [dialer, listener]) {
    swarm.addEventListener('limit', ({ detail }) => void reported.push(detail.direction))
  }
  const [near, far] = duplexPair()
  const refusal = await rejected(t, dialer.upgradeOutbound(near), ResourceLimitExceededError)
  t.like(refusal, { scope: 'system', limit: 1 })
  await rejected(t, listener.upgradeInbound(far), ResourceLimitExceededError)
  t.deepEqual(reported, ['outbound', 'inbound'])
  t.deepEqual(charged(dialer), [0, 1, 0, 0])
  t.deepEqual(charged(listener), [1, 0, 0, 0])
  await until(() => near.destroyed && far.destroyed)
})

// R13
test('a scope that was opened before is handed over, counted once, and ends with the connection', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const scope = dialer.resourceManager.openConnection('outbound', true, '/ip4/192.0.2.1/tcp/1')
  t.deepEqual(charged(dialer), [0, 1, 0, 1])
  const [near, far] = duplexPair()
  const [connection] = await Promise.all([
    dialer.upgradeOutbound(near, listener.peerId, { scope }),
    listener.upgradeInbound(far)
  ])
  t.deepEqual(charged(dialer), [0, 1, 0, 1])
  const ofPeer = dialer.resourceManager.viewPeer(listener.peerId, ({ stat }) => stat)
  t.like(ofPeer, { numConnsOutbound: 1, numFD: 1 })
  // No longer the application's.
  scope.done()
  t.deepEqual(charged(dialer), [0, 1, 0, 1])
  t.throws(() => dialer.upgradeOutbound(duplexPair()[0], undefined, { scope }), {
    instanceOf: ResourceScopeClosedError
  })
  await connection.close()
  await until(() => charged(dialer).every((count) => count === 0))
})

// R13
test('a scope that was handed over ends with a failed upgrade, whatever its failure', async (t) => {
  const swarm = await createNode(t)
  const open = () => swarm.resourceManager.openConnection('outbound', true)
  const control = new AbortController()
  const [destroyed, silent, ending] = [duplexPair(), duplexPair(), duplexPair()]
  destroyed[0].destroy()
  const upgrades = [
    swarm.upgradeOutbound(destroyed[0], OTHER_PEER, { scope: open() }),
    swarm.upgradeOutbound(silent[0], OTHER_PEER, { scope: open(), signal: control.signal }),
    swarm.upgradeOutbound(ending[0], OTHER_PEER, { scope: open() })
  ]
  ending[1].destroy()
  control.abort()
  for (const { status } of await Promise.allSettled(upgrades)) t.is(status, 'rejected')
  await until(() => charged(swarm).every((count) => count === 0))
})

test('a scope that is charged to a peer admits that peer alone, and one of another side none', async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const scope = dialer.resourceManager.openConnection('outbound', false)
  scope.setPeer(listener.peerId)
  const [near, far] = duplexPair()
  t.throws(() => dialer.upgradeOutbound(near, OTHER_PEER, { scope }), { message: /the peer/ })
  t.throws(() => dialer.upgradeInbound(near, undefined, { scope }), { message: /inbound/ })
  t.throws(() => listener.upgradeOutbound(near, undefined, { scope }), { message: /scope/ })
  const [connection] = await Promise.all([
    dialer.upgradeOutbound(near, undefined, { scope }),
    listener.upgradeInbound(far)
  ])
  t.true(connection.remotePeer.equals(listener.peerId))
  t.deepEqual(charged(dialer), [0, 1, 0, 0])
})

test("the application's resource manager refuses an upgraded connection as it does others", async (t) => {
  const [dialer, listener] = await Promise.all([createNode(t), createNode(t)])
  const [near, far] = duplexPair()
  const seen: unknown[] = []
  const { nullResourceManager } = await import('../../ts/index.ts')
  listener.setResourceManager({
    ...nullResourceManager,
    openConnection(...call) {
      seen.push(call.map(String))
      throw new Error('the quota is used up')
    }
  })
  const outbound = dialer.upgradeOutbound(near, listener.peerId)
  await rejected(t, listener.upgradeInbound(far, '/memory/7'), ResourceLimitExceededError)
  t.deepEqual(seen, [['inbound', 'false', '/memory/7']])
  await (await outbound).closed
  await until(() => far.destroyed)
})

test('a duplex that fails ends its connection and streams with the cause', async (t) => {
  const [near, far] = duplexPair()
  const { outbound, inbound } = await upgradedPair(t, [near, far] as unknown as Ends)
  const stream = await outbound.newStream()
  const reading = rejected(t, stream.read(), StreamResetError)
  far.on('error', () => {})
  near.destroy(new Error('the cable was cut'))
  const lost = await reading
  await outbound.closed
  const { error } = outbound.closeReason ?? {}
  t.true(error instanceof ConnectionClosedError)
  t.true(error?.cause instanceof RawConnectionError)
  t.is((lost.cause as Error).cause, error)
  await inbound.closed
})

test('a connection that is closed delivers what its streams accepted, then ends the duplex', async (t) => {
  const [near, far] = slowPair()
  const { dialer, listener, outbound } = await upgradedPair(t, [near, far] as unknown as Ends)
  const received = Promise.withResolvers<Uint8Array>()
  listener.handle(PROTOCOL, (stream: Stream) => {
    readAll(stream).then(received.resolve, received.reject)
  })
  const stream = await outbound.newStream(PROTOCOL)
  await stream.write(pattern(200_000))
  await stream.closeWrite()
  await outbound.close()
  // All of it has left this end.
  t.is(near.writableLength, 0)
  t.deepEqual(await received.promise, pattern(200_000))
  await until(() => near.destroyed && far.destroyed)
  await dialer.close()
})

test('a duplex whose pending read rejects at its close delivers what it has accepted', async (t) => {
  const [near, far] = slowPair()
  const carrier = fromDuplex(near)
  const { listener, outbound } = await upgradedPair(t, [refusing(carrier), far] as unknown as Ends)
  const received = Promise.withResolvers<Uint8Array>()
  listener.handle(PROTOCOL, (stream: Stream) => {
    readAll(stream).then(received.resolve, received.reject)
  })
  const stream = await outbound.newStream(PROTOCOL)
  await stream.write(pattern(200_000))
  await stream.closeWrite()
  await outbound.close()
  t.is(outbound.closeReason?.error, undefined)
  t.deepEqual(await received.promise, pattern(200_000))
})

/** Accepts all writes at once, passes them on meanwhile, and reads nothing once it closes. */
function refusing(carrier: ReadWriteCloser): ReadWriteCloser {
  const { promise: closing, reject } = Promise.withResolvers<never>()
  closing.catch(() => {})
  let written = Promise.resolve()
  return {
    remoteAddress: undefined,
    read: (n, options) => Promise.race([carrier.read(n, options), closing]),
    async write(bytes) {
      written = written.then(() => carrier.write(bytes))
    },
    async close(options) {
      reject(new Error('the duplex is closing'))
      if (options?.signal?.aborted !== true) await written
      await carrier.close(options)
    }
  }
}

/** Two ends of which each passes on 4 KiB per turn of the event loop. */
function slowPair(): readonly [Duplex, Duplex] {
  const ends: Duplex[] = []
  for (const other of [1, 0]) {
    const end = new Duplex({
      read() {},
      write(bytes: Buffer, _encoding, done) {
        void (async () => {
          for (let at = 0; at < bytes.length; at += 4_096) {
            await turn()
            ends[other]?.push(bytes.subarray(at, at + 4_096))
          }
          done()
        })()
      },
      final(done) {
        ends[other]?.push(null)
        done()
      }
    })
    ends.push(end)
  }
  return ends as [Duplex, Duplex]
}

test('a swarm that closes rejects upgrades under way, and closes the connections of others', async (t) => {
  const [near, far] = duplexPair()
  const { dialer, outbound, inbound } = await upgradedPair(t, [near, far] as unknown as Ends)
  const [silent] = duplexPair()
  const pending = rejected(t, dialer.upgradeOutbound(silent, OTHER_PEER), StateError)
  await turn()
  await dialer.close()
  await pending
  t.true(silent.destroyed)
  await Promise.all([outbound.closed, inbound.closed])
  t.is(outbound.closeReason?.error, undefined)
  t.true(near.writableFinished)
  t.deepEqual(charged(dialer), NOTHING)
  t.throws(() => dialer.upgradeInbound(duplexPair()[0]), { instanceOf: StateError })
})

test('a swarm that is closed at once destroys duplexes that take nothing', async (t) => {
  const [near, far] = duplexPair()
  const { dialer, outbound } = await upgradedPair(t, [near, far] as unknown as Ends)
  const stream = await outbound.newStream()
  far.pause()
  far.removeAllListeners('readable')
  await stream.write(pattern(200_000))
  await dialer.close({ drainTimeout: 0 })
  t.true(near.destroyed)
})

test('the close of a swarm settles though a duplex never closes, and nothing else is left', async (t) => {
  const source = `
    import { duplexPair } from 'node:stream'
    import { createSwarm } from '${ROOT}/ts/index.ts'
    import { fromDuplex } from '${ROOT}/ts/io/index.ts'
    const [near, far] = duplexPair()
    const stuck = fromDuplex(near)
    stuck.close = () => new Promise(() => {})
    const dialer = await createSwarm({ limits: { writeStallTimeoutMs: 300 } })
    const listener = await createSwarm()
    const [connection] = await Promise.all([
      dialer.upgradeOutbound(stuck),
      listener.upgradeInbound(far)
    ])
    await connection.close()
    await listener.close({ drainTimeout: 0 })
    await dialer.close({ drainTimeout: 50 })
    console.log('closed')
  `
  const args = ['--input-type=module', '--eval', source]
  const { code, out, err } = await program(process.execPath, args)
  t.is(code, 0, err)
  t.is(out, 'closed\n')
})

test('bytes that the duplex does not take before the end of a close are reported as lost', async (t) => {
  const [near, far] = duplexPair()
  const carrier = fromDuplex(near)
  const { outbound } = await upgradedPair(t, [carrier, far as unknown as AnyDuplex], {
    dialer: { limits: { writeStallTimeoutMs: 300 } }
  })
  const stream = await outbound.newStream()
  carrier.write = () => new Promise(() => {})
  await stream.write(pattern(1_000))
  await stream.closeWrite()
  await outbound.close()
  t.like(outbound.closeReason?.error, { name: 'TimeoutError', clock: 'writeStall' })
})

test('a duplex that fails during a close is the cause of what is lost', async (t) => {
  const [near, far] = duplexPair()
  const carrier = fromDuplex(near)
  const { outbound } = await upgradedPair(t, [carrier, far as unknown as AnyDuplex])
  const stream = await outbound.newStream()
  const cut = Promise.withResolvers<void>()
  carrier.write = () => cut.promise
  await stream.write(pattern(1_000))
  await stream.closeWrite()
  const closed = outbound.close()
  await turn()
  cut.reject(new Error('the cable was cut'))
  await closed
  const { error } = outbound.closeReason ?? {}
  t.true(error instanceof ConnectionClosedError)
  t.like(error?.cause, { message: 'the duplex failed: the cable was cut' })
})

/** Upgraded ends, of which the dialer's duplex never closes, and whose connection has ended. */
async function stuckPair(t: ExecutionContext) {
  const clock = new FakeClock()
  const [near, far] = duplexPair()
  const stuck = fromDuplex(near)
  const { promise: destroyed, resolve } = Promise.withResolvers<void>()
  stuck.close = async ({ signal } = {}) => {
    if (signal?.aborted) resolve()
    await destroyed
  }
  const pair = await upgradedPair(t, [stuck, far as unknown as AnyDuplex], {
    dialer: { clock, limits: { writeStallTimeoutMs: 300 } }
  })
  await pair.outbound.close()
  return { ...pair, clock, destroyed }
}

/** Resolves when `swarm`, which closes, waits for its duplexes alone. */
async function nodeClosed(swarm: Swarm): Promise<void> {
  await until(() => {
    try {
      swarm.resourceManager.openConnection('outbound', false).done()
      return false
    } catch (err) {
      return err instanceof ResourceScopeClosedError
    }
  })
}

test('a second close of a swarm does not wait for duplexes', async (t) => {
  const { dialer, destroyed } = await stuckPair(t)
  const closed = dialer.close()
  await nodeClosed(dialer)
  await dialer.close()
  await Promise.all([closed, destroyed])
  t.pass()
})

test('the close of a swarm gives a duplex no more time than it has', async (t) => {
  const { dialer, clock } = await stuckPair(t)
  const closed = dialer.close({ drainTimeout: 3_600_000 })
  await nodeClosed(dialer)
  clock.advance(60_000)
  await closed
  t.pass()
})

test('an upgraded connection ends with the end of its duplex', async (t) => {
  const [near, far] = await tcpSockets(t)
  const { outbound, inbound } = await upgradedPair(t, [near, far])
  const ends: Connection[] = [outbound, inbound]
  near.end()
  await Promise.all(ends.map(({ closed }) => closed))
  t.true(inbound.closeReason?.remote)
  t.is(inbound.closeReason?.error, undefined)
  await until(() => near.destroyed && far.destroyed)
})
