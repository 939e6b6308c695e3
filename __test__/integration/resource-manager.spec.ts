/** The native resource manager behind `swarm.resourceManager`, and the refusals of each kind of scope. */
import { channel } from 'node:diagnostics_channel'
import test, { type ExecutionContext } from 'ava'
import type { LimitMessage } from '../../ts/diagnostics/channels.ts'
import {
  type Connection,
  DialAllFailedError,
  InvalidParametersError,
  type LimitConfig,
  type LimitDetail,
  RateLimitError,
  RESERVATION_PRIORITY_ALWAYS,
  RESERVATION_PRIORITY_LOW,
  ResourceLimitExceededError,
  ResourceScopeClosedError,
  StateError,
  StreamErrorCode,
  StreamResetError,
  Swarm
} from '../../ts/index.ts'
import { Hearing } from '../support/hearing.ts'
import { fieldsOf, full, refusalsOf } from '../support/limits.ts'
import { memoryConns } from '../support/memory-muxer.ts'
import { createNode, createPair, PAIR_PROTOCOL, until } from '../support/pair.ts'
import { seeded } from '../support/random.ts'

const OTHER = '/ferroswarm/test/resources/1.0.0'
const SERVICE = 'ferroswarm.test'

/** A listening node with limits, and the refusals that it reports. */
async function limited(t: ExecutionContext, limits: LimitConfig) {
  const listener = await createNode(t, { limits })
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  return { listener, refusals: refusalsOf(listener) }
}

async function dial(t: ExecutionContext, listener: Swarm): Promise<Connection> {
  const dialer = await createNode(t)
  return dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
}

/** Waits for the first refusal and returns it. */
async function first(refusals: LimitDetail[]): Promise<LimitDetail> {
  await until(() => refusals.length > 0)
  return refusals[0] as LimitDetail
}

/** Returns the refusal of a call that a limit of this side refuses. */
async function refusalOf(t: ExecutionContext, call: Promise<unknown>) {
  return t.throwsAsync(call, {
    instanceOf: ResourceLimitExceededError
  }) as Promise<ResourceLimitExceededError>
}

const REFUSED_CONNECTIONS: readonly [string, LimitConfig, ReturnType<typeof full>][] = [
  [
    'system',
    { system: { connectionsInbound: 0 } },
    full('system', 'connectionsInbound', 0, 'limits.system.connectionsInbound')
  ],
  [
    'system by its descriptors',
    { system: { fds: 0 } },
    full('system', 'fds', 0, 'limits.system.fds')
  ],
  [
    'transient',
    { transient: { connections: 0 } },
    full('transient', 'connections', 0, 'limits.transient.connections')
  ]
]

// go 117, go 127, go 130
for (const [name, limits, expected] of REFUSED_CONNECTIONS) {
  test(`an inbound connection is refused by ${name}, and the event has every figure`, async (t) => {
    const { listener, refusals } = await limited(t, limits)
    await t.throwsAsync(dial(t, listener), { instanceOf: DialAllFailedError })
    const { error, ...rest } = await first(refusals)
    t.true(error instanceof ResourceLimitExceededError)
    t.deepEqual(fieldsOf(error), expected)
    t.is(rest.direction, 'inbound')
    t.false(rest.dryRun)
    t.is(rest.connection, undefined)
    t.regex(rest.address ?? '', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
    t.is(listener.getTotalConnections(), 0)
    t.is(listener.resourceManager.stat().system.numConnsInbound, 0)
  })
}

// go 117
test('a connection is refused by its peer after the handshake, on either side, and leaves nothing', async (t) => {
  const option = 'limits.peerDefault.connections'
  const { listener } = await limited(t, { peerDefault: { connections: 0 } })
  const connection = await dial(t, listener).catch(() => undefined)
  await connection?.closed
  await until(() => listener.resourceManager.stat().system.numConnsInbound === 0)
  t.is(listener.getTotalConnections(), 0)

  const open = await createNode(t)
  await open.listen('/ip4/127.0.0.1/tcp/0')
  const dialer = await createNode(t, { limits: { peerDefault: { connections: 0 } } })
  const refusals = refusalsOf(dialer)
  const addresses = open.getListenAddrs()
  const err = await refusalOf(t, dialer.dialPeer(open.peerId, { addresses }))
  t.deepEqual(fieldsOf(err), full(`peer:${open.peerId}`, 'connections', 0, option))
  t.is(refusals[0]?.error, err)
  await until(() => dialer.resourceManager.stat().system.numConnsOutbound === 0)
})

// go 123
test('connections of one subnet are limited, and the place comes back', async (t) => {
  const { listener, refusals } = await limited(t, {
    loopbackExempt: false,
    subnets: [{ family: 4, prefix: 32, connections: 1 }]
  })
  const connection = await dial(t, listener)
  await t.throwsAsync(dial(t, listener))
  const { error } = await first(refusals)
  t.deepEqual(fieldsOf(error), full('subnet:127.0.0.1/32', 'connections', 1, 'limits.subnets'))
  await connection.close()
  await until(() => listener.getTotalConnections() === 0)
  await t.notThrowsAsync(dial(t, listener))
})

// go 123, S27
test('a connection of the application counts in its subnet, however it is opened', async (t) => {
  const { listener: swarm } = await limited(t, {
    loopbackExempt: false,
    subnets: [{ family: 4, prefix: 32, connections: 1 }]
  })
  const peer = `${(await createNode(t)).peerId}`
  const addr = '/ip4/192.0.2.1/tcp/4001'
  const expected = full('subnet:192.0.2.1/32', 'connections', 1, 'limits.subnets')
  const refused = (open: () => unknown): void => {
    const error = t.throws(open, { instanceOf: ResourceLimitExceededError })
    t.deepEqual(fieldsOf(error), expected)
  }
  const { resourceManager } = swarm
  const openInbound = () => resourceManager.openConnection('inbound', false, addr)
  const add = (direction: 'inbound' | 'outbound') =>
    swarm.addConnection(memoryConns(peer).near, direction, { remoteAddr: addr })
  const scope = openInbound()
  refused(openInbound)
  refused(() => add('inbound'))
  t.notThrows(() => add('outbound'))
  scope.done()
  scope.done()
  const added = add('inbound')
  refused(openInbound)
  await added.close()
  openInbound().done()
  // The address of a relay is not that of the peer.
  const relayed = `${addr}/p2p/${swarm.peerId}/p2p-circuit`
  const both = [0, 1].map(() => resourceManager.openConnection('inbound', false, relayed))
  for (const each of both) each.done()
})

// go 122
test('a peer that is refused leaves the scope of its connection as it was', async (t) => {
  const [allowed, other] = await Promise.all([createNode(t), createNode(t)])
  const { listener: swarm } = await limited(t, {
    subnets: [{ family: 4, prefix: 32, connections: 1 }],
    allowlist: [`/ip4/203.0.113.1/p2p/${allowed.peerId}`]
  })
  const open = () => swarm.resourceManager.openConnection('inbound', false, '203.0.113.1')
  const [first, second] = [open(), open()]
  first.setPeer(allowed.peerId)
  t.throws(() => first.setPeer(other.peerId), { instanceOf: InvalidParametersError })
  t.notThrows(() => second.setPeer(other.peerId))
  const third = open()
  t.throws(() => third.setPeer(other.peerId), { instanceOf: ResourceLimitExceededError })
  // Misuse, not a lack of room.
  t.throws(() => first.setPeer(other.peerId), { instanceOf: InvalidParametersError })
  for (const scope of [first, second, third]) scope.done()
})

// go 123
test('a network has a limit of its own, in place of that of its subnets', async (t) => {
  const { listener, refusals } = await limited(t, {
    loopbackExempt: false,
    networks: { '127.0.0.0/8': 0 }
  })
  await t.throwsAsync(dial(t, listener))
  const { error } = await first(refusals)
  const option = 'limits.networks["127.0.0.0/8"]'
  t.deepEqual(fieldsOf(error), full('subnet:127.0.0.0/8', 'connections', 0, option))
})

// go 124
test('connections that come too fast are refused with RateLimitError', async (t) => {
  const { listener, refusals } = await limited(t, {
    loopbackExempt: false,
    rates: [{ family: 4, prefix: 32, perSecond: 0.0001, burst: 1 }]
  })
  await dial(t, listener)
  await t.throwsAsync(dial(t, listener))
  const { error } = await first(refusals)
  t.true(error instanceof RateLimitError)
  const { scope, resource, option, consumedPoints, remainingPoints, code } = error as RateLimitError
  t.deepEqual(
    { scope, resource, option, consumedPoints, remainingPoints, code },
    {
      scope: 'rate:127.0.0.1/32',
      resource: 'connectionsPerSecond',
      option: 'limits.rates',
      consumedPoints: 1,
      remainingPoints: 0,
      code: 'ERR_RATE_LIMIT'
    }
  )
})

// go 127
test('an outbound connection is refused by system, and the dial names the limit', async (t) => {
  const listener = await createNode(t)
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const dialer = await createNode(t, { limits: { system: { connectionsOutbound: 0 } } })
  const refusals = refusalsOf(dialer)
  const addresses = listener.getListenAddrs()
  const err = await t.throwsAsync(dialer.dialPeer(listener.peerId, { addresses }))
  const { error, direction, address } = await first(refusals)
  const option = 'limits.system.connectionsOutbound'
  t.deepEqual(fieldsOf(error), full('system', 'connectionsOutbound', 0, option))
  t.is(direction, 'outbound')
  t.is(address, String(addresses[0]))
  t.is(err, error)
  t.true(dialer.resourceManager.explain(err as Error).includes(option))
})

type Streams = readonly [name: string, limits: LimitConfig, scope: string, option: string]

/** `PEER` stands for the id of the remote. */
const REFUSED_OUTBOUND: readonly Streams[] = [
  ['system', { system: { streamsOutbound: 1 } }, 'system', 'limits.system.streamsOutbound'],
  [
    'protocol',
    { protocols: { [PAIR_PROTOCOL]: { streamsOutbound: 1 } } },
    `protocol:${PAIR_PROTOCOL}`,
    `limits.protocols["${PAIR_PROTOCOL}"].streamsOutbound`
  ],
  [
    'protocol×peer',
    { protocolPeerDefault: { streamsOutbound: 1 } },
    `protocol:${PAIR_PROTOCOL}.peer:PEER`,
    'limits.protocolPeerDefault.streamsOutbound'
  ],
  [
    'peer',
    { peerDefault: { streamsOutbound: 1 } },
    'peer:PEER',
    'limits.peerDefault.streamsOutbound'
  ],
  [
    'connection',
    { connection: { streamsOutbound: 1 } },
    'connection',
    'limits.connection.streamsOutbound'
  ]
]

// go 119, go 127, R9
for (const [name, limits, scope, option] of REFUSED_OUTBOUND) {
  test(`an outbound stream is refused by ${name}, and error and event are the same`, async (t) => {
    const pair = await createPair(t, { dialer: { limits } })
    const { dialer, outbound } = pair
    const refusals = refusalsOf(dialer)
    const { near } = await pair.openStreams()
    const err = await refusalOf(t, outbound.newStream(PAIR_PROTOCOL))
    const fields = fieldsOf(err)
    t.deepEqual(
      { ...fields, scope: fields?.scope.replace(/^(connection)-\d+$/, '$1') },
      full(scope.replace('PEER', String(outbound.remotePeer)), 'streamsOutbound', 1, option)
    )
    t.is(err?.code, 'ERR_STREAM_LIMIT')
    t.deepEqual(refusals, [
      {
        error: err as ResourceLimitExceededError,
        dryRun: false,
        direction: 'outbound',
        address: String(outbound.remoteAddr),
        connection: outbound
      }
    ])
    // The place comes back.
    await near.reset()
    const { near: next } = await pair.openStreams()
    t.is(next.scope.stat.numStreamsOutbound, 1)
  })
}

// go 119
// The refusal of a negotiation is kept in one place of the environment, which other tests would take.
test.serial(
  'an outbound stream of several proposals is refused by transient, and by the protocol chosen',
  async (t) => {
    const chosen = { protocols: { [PAIR_PROTOCOL]: { streamsOutbound: 0 } } }
    const { dialer, outbound } = await createPair(t, { dialer: { limits: chosen } })
    const refusals = refusalsOf(dialer)
    const err = await refusalOf(t, outbound.newStream([OTHER, PAIR_PROTOCOL]))
    const option = `limits.protocols["${PAIR_PROTOCOL}"].streamsOutbound`
    const expected = full(`protocol:${PAIR_PROTOCOL}`, 'streamsOutbound', 0, option)
    t.deepEqual(fieldsOf(err), expected)
    t.deepEqual(
      refusals.map(({ error }) => error),
      [err as ResourceLimitExceededError]
    )
    await until(() => dialer.resourceManager.stat().system.numStreamsOutbound === 0)

    const transient = { transient: { streamsOutbound: 0 } }
    const other = await createPair(t, { dialer: { limits: transient } })
    t.deepEqual(
      fieldsOf(await refusalOf(t, other.outbound.newStream([OTHER, PAIR_PROTOCOL]))),
      full('transient', 'streamsOutbound', 0, 'limits.transient.streamsOutbound')
    )
  }
)

const REFUSED_INBOUND: readonly Streams[] = [
  ['system', { system: { streamsInbound: 0 } }, 'system', 'limits.system.streamsInbound'],
  [
    'transient',
    { transient: { streamsInbound: 0 } },
    'transient',
    'limits.transient.streamsInbound'
  ],
  [
    'protocol',
    { protocols: { [OTHER]: { streamsInbound: 0 } } },
    `protocol:${OTHER}`,
    `limits.protocols["${OTHER}"].streamsInbound`
  ],
  [
    'protocol×peer',
    { protocolPeers: { [OTHER]: { streamsInbound: 0 } } },
    `protocol:${OTHER}.peer:PEER`,
    `limits.protocolPeers["${OTHER}"].streamsInbound`
  ],
  [
    'service',
    { services: { [SERVICE]: { streamsInbound: 0 } } },
    `service:${SERVICE}`,
    `limits.services["${SERVICE}"].streamsInbound`
  ],
  [
    'service×peer',
    { servicePeerDefault: { streamsInbound: 0 } },
    `service:${SERVICE}.peer:PEER`,
    'limits.servicePeerDefault.streamsInbound'
  ],
  [
    'peer',
    { peerDefault: { streamsInbound: 0 } },
    'peer:PEER',
    'limits.peerDefault.streamsInbound'
  ],
  [
    'connection',
    { connection: { streamsInbound: 0 } },
    'connection',
    'limits.connection.streamsInbound'
  ]
]

// go 119, go 127
for (const [name, limits, scope, option] of REFUSED_INBOUND) {
  test(`an inbound stream is refused by ${name}: reset, and the event has every figure`, async (t) => {
    const { listener, outbound, inbound } = await createPair(t, { listener: { limits } })
    const refusals = refusalsOf(listener)
    listener.handle(OTHER, () => t.fail('the handler ran'), { service: SERVICE })
    const stream = await outbound.newStream(OTHER)
    await stream.write(Buffer.from('x'))
    const reset = await t.throwsAsync(stream.read(), { instanceOf: StreamResetError })
    t.is(reset?.errorCode, StreamErrorCode.ResourceLimitExceeded)
    const { error, direction, connection, address } = await first(refusals)
    const fields = fieldsOf(error)
    t.deepEqual(
      { ...fields, scope: fields?.scope.replace(/^(connection)-\d+$/, '$1') },
      full(scope.replace('PEER', String(inbound.remotePeer)), 'streamsInbound', 0, option)
    )
    t.is(direction, 'inbound')
    t.is(connection, inbound)
    t.is(address, String(inbound.remoteAddr))
    await until(() => listener.resourceManager.stat().system.numStreamsInbound === 0)
    t.false(outbound.isClosed)
  })
}

test('a bound of a handler is reported with its name', async (t) => {
  const { listener, outbound } = await createPair(t)
  const refusals = refusalsOf(listener)
  listener.handle(OTHER, (stream) => stream.read().then(() => {}), { maxInbound: 1 })
  const kept = await outbound.newStream(OTHER)
  await kept.write(Buffer.from('x'))
  const stream = await outbound.newStream(OTHER)
  await stream.write(Buffer.from('x'))
  await t.throwsAsync(stream.read())
  const { error } = await first(refusals)
  t.like(error, { scope: 'connection', limit: 1, current: 1, option: 'maxInbound' })
})

test('a subscriber of ferroswarm:limit receives what listeners do, with the swarm', async (t) => {
  const messages: LimitMessage[] = []
  const pair = await createPair(t, { dialer: { limits: { connection: { streamsOutbound: 0 } } } })
  const onMessage = (message: unknown): void => void messages.push(message as LimitMessage)
  channel('ferroswarm:limit').subscribe(onMessage)
  t.teardown(() => channel('ferroswarm:limit').unsubscribe(onMessage))
  const err = await refusalOf(t, pair.outbound.newStream(PAIR_PROTOCOL))
  const own = messages.filter(({ swarm }) => swarm === pair.dialer)
  t.is(own.length, 1)
  t.is(own[0]?.error, err as ResourceLimitExceededError)
  t.is(own[0]?.direction, 'outbound')
})

test('a refusal is not reported once the last listener is removed', async (t) => {
  const pair = await createPair(t, { dialer: { limits: { connection: { streamsOutbound: 0 } } } })
  const heard: unknown[] = []
  const onLimit = (event: unknown): void => void heard.push(event)
  pair.dialer.addEventListener('limit', onLimit)
  await refusalOf(t, pair.outbound.newStream(PAIR_PROTOCOL))
  pair.dialer.removeEventListener('limit', onLimit)
  await refusalOf(t, pair.outbound.newStream(PAIR_PROTOCOL))
  t.is(heard.length, 1)
})

test('a dry run lets streams pass beyond the limit of their connection too', async (t) => {
  const limits = { dryRun: true, connection: { streamsInbound: 2 } }
  const pair = await createPair(t, { listener: { limits } })
  const refusals = refusalsOf(pair.listener)
  pair.listener.handle(OTHER, (stream) => stream.close())
  for (let count = 0; count < 5; count += 1) {
    const stream = await pair.outbound.newStream(OTHER)
    t.is((await stream.read()).length, 0)
  }
  t.deepEqual(
    refusals.map(({ dryRun, error }) => [dryRun, error.option]),
    Array.from({ length: 3 }, () => [true, 'limits.connection.streamsInbound'])
  )
})

test('a dry run lets everything pass, and reports what it would have refused', async (t) => {
  const warnings: string[] = []
  const limits = { dryRun: true, protocols: { [PAIR_PROTOCOL]: { streamsOutbound: 1 } } }
  const logger = { warn: (message: string) => void warnings.push(message) }
  const pair = await createPair(t, { dialer: { limits, logger } })
  const refusals = refusalsOf(pair.dialer)
  await pair.openStreams()
  await pair.openStreams()
  await pair.openStreams()
  t.is(refusals.length, 2)
  for (const { error, dryRun, direction } of refusals) {
    t.true(dryRun)
    t.is(direction, 'outbound')
    t.is(error.scope, `protocol:${PAIR_PROTOCOL}`)
  }
  t.deepEqual(
    refusals.map(({ error }) => error.current),
    [1, 2]
  )
  // One line per option and second.
  t.is(warnings.length, 1)
  t.regex(warnings[0] ?? '', /^would refuse: protocol:.+ 1 of 1 streamsOutbound are in use/)
})

// go 121, R6
test('views return the result of their callback, let its error pass, and hold nothing', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  const { resourceManager } = dialer
  t.is(
    resourceManager.viewSystem((scope) => scope.stat.numConnsOutbound),
    1
  )
  t.is(
    resourceManager.viewTransient((scope) => scope.stat.numConnsOutbound),
    0
  )
  t.true(resourceManager.viewPeer(listener.peerId, ({ peer }) => peer.equals(listener.peerId)))
  t.is(
    resourceManager.viewPeer(String(listener.peerId), ({ stat }) => stat.numFD),
    1
  )
  t.is(
    resourceManager.viewProtocol(OTHER, ({ protocol }) => protocol),
    OTHER
  )
  t.is(
    resourceManager.viewService(SERVICE, ({ name }) => name),
    SERVICE
  )
  const failure = new Error('of the callback')
  for (const view of [
    () =>
      resourceManager.viewSystem(() => {
        throw failure
      }),
    () =>
      resourceManager.viewPeer(listener.peerId, () => {
        throw failure
      })
  ]) {
    t.is(t.throws(view), failure)
  }
  const promise = resourceManager.viewSystem(async (scope) => scope.stat.numConnsOutbound)
  t.is(await promise, 1)
  t.false(outbound.isClosed)
})

// go 111
test('invalid arguments are refused before anything changes', async (t) => {
  const { dialer, outbound } = await createPair(t)
  const manager = dialer.resourceManager
  const { scope } = outbound
  const wrong = [-1, Number.NaN, 1.5, Number.POSITIVE_INFINITY, 2 ** 53, '1', null, undefined, 1n]
  for (const value of wrong as never[]) {
    t.throws(() => scope.reserveMemory(value, 255), { instanceOf: InvalidParametersError })
    t.throws(() => scope.releaseMemory(value), { instanceOf: InvalidParametersError })
  }
  for (const value of [-1, 256, 0.5, Number.NaN, undefined, '1'] as never[]) {
    t.throws(() => scope.reserveMemory(1, value), { instanceOf: InvalidParametersError })
  }
  const calls: (() => unknown)[] = [
    () => manager.openConnection('in' as never, true),
    () => manager.openConnection('inbound', 1 as never),
    () => manager.openConnection('inbound', true, 'nonsense'),
    () => manager.openConnection('inbound', true, '/ip4/300.1.1.1/tcp/1'),
    () => manager.openConnection('inbound', true, 5 as never),
    () => manager.openStream('nobody', 'inbound'),
    () => manager.openStream(dialer.peerId, 'both' as never),
    () => manager.viewPeer('nobody', () => {}),
    () => manager.viewPeer(dialer.peerId, undefined as never),
    () => manager.viewProtocol('', () => {}),
    () => manager.viewProtocol(5 as never, () => {}),
    () => manager.viewService('x\n', () => {}),
    () => manager.viewSystem('nothing' as never),
    () => manager.verifySourceAddress('localhost'),
    () => manager.verifySourceAddress(undefined as never),
    () => manager.explain(new Error('another')),
    () => manager.explain('text' as never),
    () => manager.viewSystem((of) => of.setLimit({ stream: 1 } as never)),
    () => manager.viewSystem((of) => of.setLimit({ streams: -1 })),
    () => manager.viewSystem((of) => of.setLimit(null as never))
  ]
  for (const call of calls) {
    t.throws(call, { instanceOf: InvalidParametersError }, String(call))
  }
  t.deepEqual(manager.stat().system, { ...scope.stat })
})

// go 112, go 114, R2
test('memory is reserved up to the limit, in every scope above or in none', async (t) => {
  const limits = { peerDefault: { memory: 1_000 }, connection: { memory: 10_000 } }
  const { dialer, listener, outbound } = await createPair(t, { dialer: { limits } })
  const { scope } = outbound
  const memory = (): number[] => [
    scope.stat.memory,
    dialer.resourceManager.viewPeer(listener.peerId, ({ stat }) => stat.memory),
    dialer.resourceManager.stat().system.memory
  ]
  scope.reserveMemory(400, RESERVATION_PRIORITY_ALWAYS)
  const low = t.throws(() => scope.reserveMemory(1, RESERVATION_PRIORITY_LOW), {
    instanceOf: ResourceLimitExceededError
  })
  t.is(low?.priority, RESERVATION_PRIORITY_LOW)
  t.deepEqual(memory(), [400, 400, 400])
  const err = t.throws(() => scope.reserveMemory(601, RESERVATION_PRIORITY_ALWAYS), {
    instanceOf: ResourceLimitExceededError
  }) as ResourceLimitExceededError | undefined
  t.deepEqual(fieldsOf(err), {
    ...full(`peer:${listener.peerId}`, 'memory', 1_000, 'limits.peerDefault.memory'),
    current: 400,
    requested: 601,
    priority: RESERVATION_PRIORITY_ALWAYS
  })
  scope.reserveMemory(600, RESERVATION_PRIORITY_ALWAYS)
  t.deepEqual(memory(), [1_000, 1_000, 1_000])
  scope.releaseMemory(1_000)
  t.deepEqual(memory(), [0, 0, 0])
})

// go 120
test('limits set by hand take effect, keep the others, and stay while the peer is away', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  const manager = dialer.resourceManager
  const before = manager.viewPeer(listener.peerId, ({ limit }) => limit)
  manager.viewPeer(listener.peerId, (scope) =>
    scope.setLimit({ streamsOutbound: 0, fds: 'unlimited' })
  )
  t.deepEqual(
    manager.viewPeer(listener.peerId, ({ limit }) => limit),
    { ...before, streamsOutbound: 0, fds: Number.POSITIVE_INFINITY }
  )
  const err = await refusalOf(t, outbound.newStream(PAIR_PROTOCOL))
  t.is(err?.scope, `peer:${listener.peerId}`)
  await outbound.close()
  t.deepEqual(manager.listPeers().map(String), [String(listener.peerId)])
  const addresses = listener.getListenAddrs()
  const again = await dialer.dialPeer(listener.peerId, { addresses })
  await refusalOf(t, again.newStream(PAIR_PROTOCOL))
  manager.viewPeer(listener.peerId, (scope) => scope.setLimit({ streamsOutbound: 1 }))
  const stream = await again.newStream(PAIR_PROTOCOL)
  await stream.reset()
  manager.viewProtocol(OTHER, (scope) => scope.setLimit({ streams: 0 }))
  t.is((await refusalOf(t, again.newStream(OTHER)))?.scope, `protocol:${OTHER}`)
  manager.viewService(SERVICE, (scope) => scope.setLimit({ streams: 0 }))
  t.true(manager.listServices().includes(SERVICE))
  manager.viewSystem((scope) => scope.setLimit({ streamsOutbound: 0 }))
  t.is((await refusalOf(t, again.newStream(PAIR_PROTOCOL)))?.scope, 'system')
})

// go 122
test('an allowlisted connection passes the limits of system, into scopes of its own', async (t) => {
  const { listener } = await limited(t, {
    system: { connectionsInbound: 0 },
    allowlist: ['127.0.0.0/8']
  })
  const connection = await dial(t, listener)
  t.false(connection.isClosed)
  await until(() => listener.getTotalConnections() === 1)
  const used = [...listener.resourceManager.report()].filter(({ usage }) => usage.connections === 1)
  t.true(used.some(({ scope }) => scope === 'allowlistedSystem'))
  t.false(used.some(({ scope }) => scope === 'system'))
})

// go 122
test('a connection of the application is allowlisted by its endpoint and its peer', async (t) => {
  const [friend, stranger] = [await createNode(t), await createNode(t)]
  const { listener } = await limited(t, {
    system: { connectionsInbound: 0 },
    transient: { connectionsInbound: 0 },
    allowlist: [`/ip4/192.0.2.1/p2p/${friend.peerId}`]
  })
  const { resourceManager } = listener
  t.throws(() => resourceManager.openConnection('inbound', true, '192.0.2.2'), {
    instanceOf: ResourceLimitExceededError
  })
  const right = resourceManager.openConnection('inbound', true, '/ip4/192.0.2.1/tcp/1')
  right.setPeer(friend.peerId)
  t.true(right.peerScope?.peer.equals(friend.peerId))
  right.done()
  const wrong = resourceManager.openConnection('inbound', true, '192.0.2.1')
  t.throws(() => wrong.setPeer(stranger.peerId), { instanceOf: ResourceLimitExceededError })
  t.is(wrong.peerScope, undefined)
  wrong.done()
})

// go 125
test('a source address is verified once its subnet has used its share', async (t) => {
  const { listener } = await limited(t, {})
  const { resourceManager } = listener
  const answers = Array.from({ length: 20 }, () => resourceManager.verifySourceAddress('192.0.2.1'))
  t.false(answers[0])
  t.true(answers.at(-1))
  t.false(resourceManager.verifySourceAddress('198.51.100.1'))
  t.false(resourceManager.verifySourceAddress('127.0.0.1'))
  t.notThrows(() => resourceManager.verifySourceAddress('fe80::1%lo'))
})

// R4, R11
test('the manager exists from start on, closes once, and can be read after the close', async (t) => {
  const idle = new Swarm()
  t.throws(() => idle.resourceManager, { instanceOf: StateError })
  await idle.close()
  t.throws(() => idle.resourceManager, { instanceOf: StateError })

  const { dialer, listener, outbound } = await createPair(t)
  const { resourceManager } = dialer
  t.is(resourceManager, dialer.resourceManager)
  await dialer.close()
  t.is(outbound.scope.stat.numConnsOutbound, 0)
  t.is(resourceManager.stat().system.numConnsOutbound, 0)
  t.true(String(resourceManager.report()).startsWith('scope'))
  for (const call of [
    () => resourceManager.openConnection('inbound', false),
    () => resourceManager.openStream(listener.peerId, 'outbound')
  ]) {
    t.throws(call, { instanceOf: ResourceScopeClosedError })
  }
  t.notThrows(() => resourceManager.close())
})

test('a manager that is closed by hand refuses connections, and leaves open ones alone', async (t) => {
  const pair = await createPair(t)
  const { dialer, listener } = pair
  dialer.resourceManager.close()
  dialer.resourceManager.close()
  const addresses = listener.getListenAddrs()
  const refusals = refusalsOf(dialer)
  await t.throwsAsync(dialer.dialPeer(listener.peerId, { addresses, force: true }), {
    instanceOf: ResourceScopeClosedError,
    message: 'the resource manager or the scope is closed'
  })
  t.deepEqual(refusals, [])
  await t.notThrowsAsync(pair.openStreams())
})

test('a listener whose manager is closed refuses connections without an event', async (t) => {
  const hearing = new Hearing()
  const listener = await createNode(t, { logger: hearing.logger })
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const refusals = refusalsOf(listener)
  listener.resourceManager.close()
  await t.throwsAsync(dial(t, listener), { instanceOf: DialAllFailedError })
  const { message } = await hearing.fact('connectionRefused')
  t.regex(message, /was refused: the resource manager is closed$/)
  t.deepEqual(refusals, [])
})

// go 127, R5
test('10,000 random ends over real sockets leave every counter at 0', async (t) => {
  t.timeout(100_000, 'a busy machine')
  const random = seeded(7)
  const { dialer, listener } = await createPair(t)
  const addresses = listener.getListenAddrs()
  listener.handle(OTHER, async (stream) => {
    const text = String(Buffer.from(await stream.read(1).catch(() => Buffer.from('r'))))
    if (text === 'r') return void stream.reset()
    if (text === 't') throw new Error('of the handler')
    await stream.close()
  })
  const end = async (connection: Connection, several: boolean): Promise<void> => {
    const stream = await connection.newStream(several ? ['/missing', OTHER] : OTHER)
    if (random(3) === 0) stream.scope.reserveMemory(1_000, 255)
    if (random(4) === 0) stream.scope.setService(SERVICE)
    // Spans are left open.
    if (random(4) === 0) stream.scope.beginSpan().reserveMemory(100, 255)
    await stream.write(Buffer.from('crt'.charAt(random(3))))
    const ways = [
      () => stream.close(),
      () => stream.reset(),
      () => stream.abort(new Error('of the test')),
      () => stream.remove(),
      () => stream.closeWrite().then(() => stream.read())
    ]
    await ways[random(ways.length)]?.()
  }
  for (let round = 0; round < 200; round += 1) {
    const connection = await dialer.dialPeer(listener.peerId, { addresses })
    connection.scope.reserveMemory(random(10_000), 255)
    connection.scope.beginSpan().reserveMemory(random(10_000), 255)
    const isWaiting = random(2) === 0
    const isGraceful = random(2) === 0
    const ends = Array.from({ length: 50 }, () => end(connection, isWaiting).catch(() => {}))
    if (isWaiting) await Promise.all(ends)
    if (isGraceful) await connection.close()
    else await connection.closeWithError(1)
  }
  await Promise.all([dialer.close(), listener.close()])
  for (const { resourceManager } of [dialer, listener]) {
    for (const { scope, usage } of resourceManager.report()) {
      t.deepEqual(
        Object.values(usage).filter((used) => used !== 0),
        [],
        `${scope}: ${JSON.stringify(usage)}`
      )
    }
  }
})
