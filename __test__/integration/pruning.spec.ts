/** The connection pruner. */
import { inspect } from 'node:util'
import test from 'ava'
import {
  type Connection,
  ConnectionErrorCode,
  ConnectionPruner,
  type ConnectionPrunerLike,
  InvalidParametersError,
  type PruneDecision,
  type Swarm
} from '../../ts/index.ts'
import { createCrowd, type Member, open } from '../support/crowd.ts'
import { createNode, turns, until } from '../support/pair.ts'
import { peerOf } from '../support/peers.ts'

const GRACE = 20_000
const SILENCE = 10_000

/** Decisions are made when a test asks for them. */
const BY_HAND = { silencePeriod: 1_000_000 }

/** Collects the decisions of a swarm. */
function decisionsOf(swarm: Swarm): PruneDecision[] {
  const decisions: PruneDecision[] = []
  swarm.addEventListener('prune', ({ detail }) => decisions.push(detail))
  return decisions
}

// P1, go 96
test('up to the high mark nothing is closed, but a trim closes down to the low one', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { low: 4, high: 8 }).then(bound)
  const members = await joinAll(8)
  clock.advance(GRACE + 10 * SILENCE)
  await turns()
  t.is(await swarm.connectionPruner.maybePrune(), 0)
  t.is(open(members).length, 8)
  t.is(swarm.connectionPruner.info().lastTrim, undefined)
  t.is(await swarm.connectionPruner.trim(), 4)
  t.is(open(members).length, 4)
  t.is(await swarm.connectionPruner.trim(), 0)
})

// P2, P3
test('above the high mark connections are closed down to the low one, and the time is known', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { ...BY_HAND, low: 100, high: 200 }).then(
    bound
  )
  const pruner = swarm.connectionPruner
  const begun = clock.now()
  const members = await joinAll(210)
  t.deepEqual(pruner.info(), {
    low: 100,
    high: 200,
    connected: 210,
    gracePeriod: GRACE,
    lastTrim: undefined
  })
  await turns()
  clock.advance(GRACE)
  t.is(await pruner.maybePrune(), 110)
  t.is(open(members).length, 100)
  t.like(pruner.info(), { connected: 100, lastTrim: begun + GRACE })
})

// P4, go 105
test('the order is: tags, then streams, inbound before outbound, oldest first', async (t) => {
  const { swarm, clock, join } = await createCrowd(t).then(bound)
  const valued = await join()
  const oldBusy = await join({ streams: 2 })
  const outbound = await join({ direction: 'outbound' })
  clock.advance(1)
  const young = await join()
  const unknown = await join({ direction: 'unknown' })
  const worthless = await join({ streams: 3, direction: 'outbound' })
  const values = new Map([
    [valued.peer, 10],
    [worthless.peer, -1]
  ])
  const connections = [valued, oldBusy, outbound, young, unknown, worthless].map(
    ({ connection }) => connection
  )
  const { connectionPruner } = swarm
  t.true(connectionPruner instanceof ConnectionPruner)
  if (!(connectionPruner instanceof ConnectionPruner)) return
  const sorted = connectionPruner.sortConnections(connections, values)
  const expected = [worthless, young, unknown, outbound, oldBusy, valued]
  t.deepEqual(
    sorted.map(({ id }) => id),
    expected.map(({ connection }) => connection.id)
  )
  t.is(connections[0], valued.connection)
  t.deepEqual(connectionPruner.sortConnections([], new Map()), [])
  const misuse = { instanceOf: InvalidParametersError }
  t.throws(() => connectionPruner.sortConnections([{}] as never, values), misuse)
  t.throws(() => connectionPruner.sortConnections('all' as never, values), misuse)
})

test('of connections that are equal otherwise the newest can go first', async (t) => {
  const { swarm, clock, join } = await createCrowd(t, { low: 1, high: 2, tieBreak: 'newest' }).then(
    bound
  )
  const members: Member[] = []
  for (let count = 0; count < 3; count += 1) {
    members.push(await join())
    clock.advance(1)
  }
  clock.advance(GRACE)
  await swarm.connectionPruner.maybePrune()
  t.deepEqual(open(members), members.slice(0, 1))
})

// P5, go 97
test('connections in grace are not closed, and push out no others', async (t) => {
  const { swarm, clock, join, joinAll } = await createCrowd(t, {
    ...BY_HAND,
    low: 10,
    high: 20
  }).then(bound)
  const old = await join()
  clock.advance(GRACE + 1)
  const young = await joinAll(30)
  t.is(await swarm.connectionPruner.maybePrune(), 0)
  t.is(await swarm.connectionPruner.trim(), 0)
  clock.advance(GRACE)
  t.is(await swarm.connectionPruner.trim(), 21)
  t.true(old.connection.isClosed)
  t.is(open(young).length, 10)
})

// P5
test('without a grace period new connections are closed too', async (t) => {
  const { swarm, joinAll } = await createCrowd(t, { low: 1, high: 2, gracePeriod: 0 }).then(bound)
  const members = await joinAll(3)
  await until(() => swarm.getTotalConnections() === 1)
  t.is(open(members).length, 1)
})

// P6, go 103
test('protected peers stay, and so do listed addresses; both count', async (t) => {
  const { swarm, clock, join, joinAll } = await createCrowd(t, {
    low: 3,
    high: 6,
    neverPrune: ['192.0.2.0/24', `/ip4/198.51.100.7/p2p/${peerOf(999)}`, '2001:db8::1']
  }).then(bound)
  const listed = await join({ address: '/ip4/192.0.2.9/tcp/4001' })
  const listed6 = await join({ address: '/ip6/2001:db8::1/tcp/4001' })
  const named = await join({ address: '/ip4/198.51.100.7/tcp/1', peer: peerOf(999) })
  const unnamed = await join({ address: '/ip4/198.51.100.7/tcp/2' })
  const safe = await join()
  swarm.protect(safe.peer, 'app')
  const others = await joinAll(3)
  clock.advance(GRACE)
  await swarm.connectionPruner.maybePrune()
  for (const { connection } of [listed, listed6, named, safe]) t.false(connection.isClosed)
  t.true(unnamed.connection.isClosed)
  t.is(open(others).length, 0)
  // Fewer than low is impossible without them.
  t.is(swarm.getTotalConnections(), 4)
  t.deepEqual(swarm.connectionPruner.explain().exempt, { protected: 1, grace: 0, neverPrune: 3 })
})

// T12
test('connections are on record while they are open, and tags from before are there', async (t) => {
  const { swarm, clock, join } = await createCrowd(t).then(bound)
  const peer = peerOf(0)
  swarm.tagPeer(peer, 'early', 7)
  const heard: unknown[] = []
  for (const event of ['connected', 'disconnected'] as const) {
    swarm.addEventListener(event, () => {
      const { value, conns = {} } = swarm.getTagInfo(peer) ?? {}
      heard.push([event, value, Object.keys(conns).length])
    })
  }
  clock.advance(5)
  const { connection } = await join({ peer })
  t.deepEqual(swarm.getTagInfo(peer), {
    firstSeen: clock.now(),
    value: 7,
    tags: { early: 7 },
    conns: { [connection.id]: clock.now() }
  })
  await connection.close()
  t.like(swarm.getTagInfo(peer), { value: 7, conns: {} })
  t.deepEqual(heard, [
    ['connected', 7, 1],
    ['disconnected', 7, 0]
  ])
})

// P7
test('a pruner that is not started closes nothing', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { low: 1, high: 2 }).then(bound)
  const own = new ConnectionPruner(swarm)
  swarm.connectionPruner.stop()
  const members = await joinAll(4)
  clock.advance(10 * GRACE)
  await turns()
  t.is(await own.maybePrune(), 0)
  t.is(await swarm.connectionPruner.maybePrune(), 0)
  t.is(open(members).length, 4)
  own.start()
  own.start()
  t.is(await own.maybePrune(), 3)
  own.stop()
  t.throws(() => new ConnectionPruner({} as never), { instanceOf: InvalidParametersError })
  t.throws(() => new ConnectionPruner(swarm, { allowed: [] } as never), { message: /allow\?/ })
  t.throws(() => new ConnectionPruner(swarm, { allow: ['nowhere'] }), { message: /allow\[0\]/ })
})

// P9
test('connections that leave their grace are closed without a new one', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { low: 2, high: 4 }).then(bound)
  const members = await joinAll(6)
  await turns()
  clock.advance(SILENCE)
  await turns()
  t.is(open(members).length, 6)
  clock.advance(SILENCE)
  await until(() => swarm.getTotalConnections() === 2)
  t.is(open(members).length, 2)
})

// P10
test('whoever hears of a connection hears of it before it is pruned', async (t) => {
  const { swarm, joinAll } = await createCrowd(t, { low: 0, high: 1, gracePeriod: 0 }).then(bound)
  const heard: string[] = []
  swarm.addEventListener('connected', ({ detail }) => {
    t.false(detail.isClosed)
    heard.push(`connected ${detail.id}`)
  })
  swarm.addEventListener('disconnected', ({ detail }) => heard.push(`disconnected ${detail.id}`))
  const members = await joinAll(5)
  await until(() => heard.length === 10)
  const ids = members.map(({ connection }) => connection.id)
  t.deepEqual(
    heard.slice(0, 5),
    ids.map((id) => `connected ${id}`)
  )
})

// go 95
test('valuable peers stay, worthless ones go', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { low: 200, high: 299 }).then(bound)
  const members = await joinAll(300)
  for (const { peer } of members.slice(0, 100)) swarm.tagPeer(peer, 'good', 10)
  const bad = members[150]
  swarm.tagPeer(bad?.peer ?? '', 'bad', -5)
  clock.advance(GRACE)
  t.is(await swarm.connectionPruner.maybePrune(), 100)
  t.is(open(members.slice(0, 100)).length, 100)
  t.true(bad?.connection.isClosed)
})

// go 98
test('between two decisions there is the silence period', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, {
    low: 10,
    high: 20,
    gracePeriod: 0
  }).then(bound)
  const decisions = decisionsOf(swarm)
  const first = await joinAll(21)
  await until(() => swarm.getTotalConnections() === 10)
  const second = await joinAll(15)
  await turns(5)
  t.is(swarm.getTotalConnections(), 25)
  clock.advance(SILENCE - 1)
  await turns()
  t.is(decisions.length, 1)
  clock.advance(1)
  await until(() => swarm.getTotalConnections() === 10)
  t.is(decisions.length, 2)
  t.is(open([...first, ...second]).length, 10)
})

// go 99
test('trims that are called at once are one, and end when the connections have', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { low: 5, high: 50 }).then(bound)
  const decisions = decisionsOf(swarm)
  const members = await joinAll(200)
  clock.advance(GRACE)
  const pruner = swarm.connectionPruner
  const counts = await Promise.all([pruner.maybePrune(), pruner.trim(), pruner.trim()])
  t.deepEqual(counts, [195, 195, 195])
  t.is(decisions.length, 1)
  const ended = members.filter(({ connection }) => connection.closeReason !== undefined)
  t.is(ended.length, 195)
  t.throws(() => pruner.trim({ forced: true } as never), { instanceOf: InvalidParametersError })
})

test('a trim that is aborted at the call closes nothing, later the wait alone ends', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { ...BY_HAND, low: 5, high: 50 }).then(
    bound
  )
  const members = await joinAll(200)
  clock.advance(GRACE)
  const pruner = swarm.connectionPruner
  await t.throwsAsync(pruner.trim({ signal: AbortSignal.abort() }), { name: 'AbortError' })
  t.is(open(members).length, 200)
  const controller = new AbortController()
  const trimming = pruner.trim({ signal: controller.signal })
  controller.abort()
  await t.throwsAsync(trimming, { name: 'AbortError' })
  await until(() => open(members).length === 5)
})

test('forced trims that are called at once are one', async (t) => {
  const { swarm, joinAll } = await createCrowd(t, { low: 3, high: 50 }).then(bound)
  await joinAll(10)
  const { connectionPruner } = swarm
  const trims = [1, 2, 3].map(() => connectionPruner.trim({ force: true }))
  t.deepEqual(await Promise.all(trims), [7, 7, 7])
})

test('a forced trim closes new connections, then protected ones, but not listed ones', async (t) => {
  const { swarm, join, joinAll } = await createCrowd(t, {
    low: 3,
    high: 50,
    neverPrune: ['192.0.2.1']
  }).then(bound)
  const listed = await join({ address: '/ip4/192.0.2.1/tcp/1' })
  const safe = await joinAll(4)
  for (const { peer } of safe) swarm.protect(peer, 'app')
  const others = await joinAll(2)
  t.is(await swarm.connectionPruner.trim(), 0)
  t.is(await swarm.connectionPruner.trim({ force: true }), 4)
  t.is(open(others).length, 0)
  t.is(open(safe).length, 2)
  t.false(listed.connection.isClosed)
})

test('who was closed, by which rule and with which values is known', async (t) => {
  const { swarm, clock, join } = await createCrowd(t, { low: 1, high: 2 }).then(bound)
  const decisions = decisionsOf(swarm)
  const worthless = await join()
  const idle = await join()
  const busy = await join({ streams: 1 })
  swarm.tagPeer(worthless.peer, 'bad', -7)
  clock.advance(GRACE)
  const { verdicts } = swarm.connectionPruner.explain()
  t.deepEqual(
    verdicts.map(({ candidate, isClosed, rule }) => [candidate.connection.id, isClosed, rule]),
    [
      [worthless.connection.id, true, 'value'],
      [idle.connection.id, true, 'streams'],
      [busy.connection.id, false, 'streams']
    ]
  )
  t.is(verdicts[2]?.reason, 'stays: 1 streams, 0 streams of the last to be closed')
  t.is(swarm.getTotalConnections(), 3)
  await swarm.connectionPruner.maybePrune()
  t.like(decisions, [{ connected: 3, high: 2, low: 1 }])
  const marks = 'pruned, as 3 connections were more than connections.high 2'
  t.is(
    worthless.connection.closeReason?.rule,
    `${marks}: tags worth -7, tags worth 0 of the first that stays`
  )
  t.like(idle.connection.closeReason, {
    rule: `${marks}: 0 streams, 1 streams of the first that stays`,
    remote: false
  })
  t.deepEqual(worthless.far.calls, [])
  t.is(decisions[0]?.verdicts[0]?.candidate.value, -7)
  t.is(decisions[0]?.verdicts[0]?.against?.streams, 1)
})

test('an explanation says so if nothing would be closed, and a verdict can be logged', async (t) => {
  const { swarm, clock, join } = await createCrowd(t, { ...BY_HAND, low: 1, high: 2 }).then(bound)
  await join()
  clock.advance(GRACE)
  const [verdict] = swarm.connectionPruner.explain().verdicts
  t.like(verdict, { isClosed: false, rule: 'few enough' })
  t.is(verdict?.reason, 'stays: no more connections than connections.low, apart from new ones')
  await join()
  clock.advance(GRACE)
  const decision = swarm.connectionPruner.explain()
  t.like(JSON.parse(JSON.stringify(decision)), {
    verdicts: [{ isClosed: true, rule: 'age', value: 0, direction: 'inbound' }, { isClosed: false }]
  })
  t.regex(inspect(decision.verdicts[0]), /PruneVerdict.*rule: 'age'/s)
})

test('a connection that is not on record goes first, one whose peer was cleared does not', async (t) => {
  const { swarm, clock, join } = await createCrowd(t, { ...BY_HAND, low: 2, high: 3 }).then(bound)
  const [off, cleared, other] = [await join(), await join(), await join()]
  swarm.tagPeer(off.peer, 'good', 10)
  swarm.tagStore.removeConnection(off.peer, off.connection.id)
  swarm.tagPeer(cleared.peer, 'old', 1)
  swarm.tagStore.clearPeer(cleared.peer)
  swarm.tagPeer(cleared.peer, 'new', 5)
  clock.advance(GRACE)
  const { verdicts } = swarm.connectionPruner.explain()
  t.deepEqual(
    verdicts.map(({ candidate, rule }) => [candidate.connection.id, rule]),
    [
      [off.connection.id, 'temporary'],
      [other.connection.id, 'temporary'],
      [cleared.connection.id, 'temporary']
    ]
  )
  t.is(await swarm.connectionPruner.trim(), 1)
  t.true(off.connection.isClosed)
})

test('listeners of a decision may protect, or close others: no more are closed than are too many', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, { ...BY_HAND, low: 2, high: 3 }).then(
    bound
  )
  const members = await joinAll(5)
  clock.advance(GRACE)
  swarm.addEventListener('prune', ({ detail }) => {
    const [first] = detail.verdicts
    if (first !== undefined) swarm.protect(first.candidate.connection.remotePeer, 'app')
    void members[4]?.connection.close()
    void members[3]?.connection.close()
  })
  t.is(await swarm.connectionPruner.trim(), 1)
  t.is(swarm.getTotalConnections(), 2)
  t.false(members[0]?.connection.isClosed)
})

test('a policy of the application decides the order, and tags if it fails', async (t) => {
  const failures: string[] = []
  const logger = { error: (message: string) => failures.push(message) }
  const byAddress = (connection: Connection) => Number(connection.remoteAddress?.port)
  const cases = [
    { score: ({ connection }: { connection: Connection }) => byAddress(connection) },
    {
      compare: (one: { connection: Connection }, other: { connection: Connection }) =>
        byAddress(one.connection) - byAddress(other.connection)
    }
  ]
  for (const prunePolicy of cases) {
    const { swarm, clock, join } = await createCrowd(t, { low: 1, high: 2, prunePolicy }).then(
      bound
    )
    const ports = [3, 1, 2]
    const members: Member[] = []
    for (const port of ports) members.push(await join({ address: `/ip4/192.0.2.1/tcp/${port}` }))
    const [best] = members
    clock.advance(GRACE)
    await swarm.connectionPruner.maybePrune()
    t.deepEqual(open(members), best === undefined ? [] : [best])
    t.regex(members[1]?.connection.closeReason?.rule ?? '', /by connections\.prunePolicy/)
  }
  for (const result of [Number.NaN, 'much', undefined]) {
    const prunePolicy = { score: () => result as number }
    const crowd = await createCrowd(t, { low: 1, high: 2, prunePolicy }, { logger })
    const members = await crowd.joinAll(3)
    crowd.swarm.tagPeer(members[1]?.peer ?? '', 'good', 5)
    crowd.clock.advance(GRACE)
    t.is(await crowd.swarm.connectionPruner.maybePrune(), 2)
    t.false(members[1]?.connection.isClosed)
  }
  t.deepEqual(failures, Array(3).fill('connections.prunePolicy failed, so tags decide'))
})

// go 106
test('both ends read the code, this one the reason', async (t) => {
  const server = await createNode(t, {
    connections: { low: 1, high: 2, gracePeriod: 0, maxPerPeer: 5 }
  })
  await server.listen('/ip4/127.0.0.1/tcp/0')
  const clients = await Promise.all([1, 2, 3].map(() => createNode(t)))
  const connections = await Promise.all(
    clients.map((client) => client.dialPeer(server.peerId, { addresses: server.getListenAddrs() }))
  )
  await until(() => connections.filter(({ isClosed }) => isClosed).length === 2)
  const closed = connections.filter(({ isClosed }) => isClosed)
  for (const { closeReason } of closed) {
    t.like(closeReason, { closeCode: ConnectionErrorCode.GarbageCollected, remote: true })
  }
})

// go 107, go 109
test('pruning can be switched off, and marks beyond the limit of connections are refused', async (t) => {
  for (const high of [0, Number.POSITIVE_INFINITY]) {
    const { swarm, clock, joinAll } = await createCrowd(t, { high }).then(bound)
    const members = await joinAll(10)
    clock.advance(10 * GRACE)
    await turns()
    t.is(await swarm.connectionPruner.maybePrune(), 0)
    t.is(open(members).length, 10)
    t.is(swarm.connectionPruner.info().high, Number.POSITIVE_INFINITY)
  }
  const limits = { system: { connections: 100 } }
  await t.throwsAsync(createNode(t, { limits, connections: { high: 100 } }), {
    instanceOf: InvalidParametersError,
    message: /connections\.high to be less than connections\.max, which is 100/
  })
})

// go 108
test('tags and protection may change while connections come, go and are trimmed', async (t) => {
  const { swarm, clock, joinAll } = await createCrowd(t, {
    low: 20,
    high: 40,
    gracePeriod: 0,
    silencePeriod: 1
  }).then(bound)
  const members: Member[] = []
  const trims: Promise<number>[] = []
  for (let round = 0; round < 20; round += 1) {
    members.push(...(await joinAll(30)))
    for (const [index, { peer, connection }] of members.entries()) {
      if (index % 7 === round % 7) swarm.upsertTag(peer, 'count', (value) => value + 1)
      if (index % 41 === round) swarm.protect(peer, `round ${round}`)
      if (index % 13 === round % 13 && !swarm.isProtected(peer)) void connection.close()
    }
    trims.push(swarm.connectionPruner.trim())
    clock.advance(2)
  }
  await Promise.all(trims)
  await swarm.connectionPruner.trim()
  const safe = open(members).filter(({ peer }) => swarm.isProtected(peer))
  t.true(safe.length > 0)
  t.is(swarm.getTotalConnections(), Math.max(safe.length, 20))
})

test('a pruner of the application takes the place of that of the swarm', async (t) => {
  const calls: string[] = []
  let made: Swarm | undefined
  const pruner: ConnectionPrunerLike = {
    start: () => void calls.push('start'),
    stop: () => void calls.push('stop'),
    // Its rejection is reported too.
    connected: async ({ direction }) => {
      calls.push(`connected ${direction}`)
      throw new Error('not handled')
    },
    disconnected: ({ direction }) => {
      calls.push(`disconnected ${direction}`)
      throw new Error('not handled')
    },
    maybePrune: async () => 0,
    trim: async () => 0,
    info: () => ({ low: 1, high: 2, connected: 0, gracePeriod: 0, lastTrim: undefined }),
    explain: () => ({
      connected: 0,
      high: 2,
      low: 1,
      verdicts: [],
      exempt: { protected: 0, grace: 0, neverPrune: 0 }
    })
  }
  const failures: string[] = []
  const { swarm, join } = await createCrowd(
    t,
    {},
    {
      logger: { error: (message) => failures.push(message) },
      connectionPruner: (swarm) => {
        made = swarm
        return pruner
      }
    }
  ).then(bound)
  t.is(swarm.connectionPruner, pruner)
  t.is(made, swarm)
  const { connection } = await join()
  await connection.close()
  await swarm.close()
  t.deepEqual(calls, ['start', 'connected inbound', 'disconnected inbound', 'stop'])
  t.deepEqual(failures, Array(2).fill('a part of the connection management failed'))
  await t.throwsAsync(createNode(t, { connectionPruner: (() => ({})) as never }), {
    instanceOf: InvalidParametersError
  })
})

test('a part that closes the swarm as it starts leaves nothing behind', async (t) => {
  class Closing extends ConnectionPruner {
    readonly #owner: Swarm
    constructor(swarm: Swarm) {
      super(swarm)
      this.#owner = swarm
    }
    override start(): void {
      void this.#owner.close()
    }
  }
  const swarm = await createNode(t, { connectionPruner: (owner) => new Closing(owner) })
  swarm.tagPeer(peerOf(1), 'keep-alive', 1)
  swarm.reconnectQueue.start()
  swarm.autoConnector.start()
  t.is(swarm.reconnectQueue.pending, 0)
  t.false(swarm.isStarted())
})

/** Returns a crowd whose methods can be taken from it. */
function bound(crowd: Awaited<ReturnType<typeof createCrowd>>) {
  const { swarm, clock } = crowd
  return {
    swarm,
    clock,
    join: crowd.join.bind(crowd),
    joinAll: crowd.joinAll.bind(crowd)
  }
}
