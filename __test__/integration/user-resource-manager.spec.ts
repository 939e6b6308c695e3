/** A resource manager of the application: a veto and an observer beside the native limits. */
import { channel } from 'node:diagnostics_channel'
import test, { type ExecutionContext } from 'ava'
import type { RefusedMessage } from '../../ts/diagnostics/channels.ts'
import {
  type Connection,
  ConnectionErrorCode,
  InvalidParametersError,
  nullResourceManager,
  nullScope,
  ResourceLimitExceededError,
  type ResourceManager,
  type Stream,
  StreamErrorCode,
  type Swarm,
  type SwarmOptions,
  wrapMuxedStream
} from '../../ts/index.ts'
import { ACK, times, WINDOW_UPDATE } from '../support/bad-input.ts'
import { CountingManager } from '../support/counting-manager.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Hearing } from '../support/hearing.ts'
import { memoryStreams } from '../support/memory-muxer.ts'
import { createNode, createPair, outcomeOf, PAIR_PROTOCOL, turns, until } from '../support/pair.ts'
import { createRawPair } from '../support/raw-pair.ts'

const OTHER = '/ferroswarm/test/user-manager/1.0.0'

/** A manager that implements some of the calls. */
function managing(calls: Partial<ResourceManager>): ResourceManager {
  return { ...nullResourceManager, ...calls }
}

function throwing(err: unknown): () => never {
  return () => {
    throw err
  }
}

/** Two nodes, the second one listening. */
async function nodes(
  t: ExecutionContext,
  options: { dialer?: SwarmOptions; listener?: SwarmOptions } = {}
) {
  const dialer = await createNode(t, options.dialer)
  const listener = await createNode(t, options.listener)
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const addresses = listener.getListenAddrs()
  const dial = (): Promise<Connection> => dialer.dialPeer(listener.peerId, { addresses })
  return { dialer, listener, dial }
}

/** Records the connections that a swarm reports. */
function reported(swarm: Swarm): Connection[] {
  const connections: Connection[] = []
  swarm.addEventListener('connected', ({ detail }) => void connections.push(detail))
  return connections
}

const LIMIT = new ResourceLimitExceededError('the quota is used up', {
  scope: 'peer:x',
  resource: 'connections',
  limit: 7,
  current: 7
})

test('connections are charged at both ends, and done once', async (t) => {
  const [outbound, inbound] = [new CountingManager(), new CountingManager()]
  const { dialer, listener, dial } = await nodes(t, {
    dialer: { resourceManager: outbound },
    listener: { resourceManager: inbound }
  })
  const connected = reported(listener)
  const connection = await dial()
  await until(() => connected.length === 1)
  t.deepEqual(outbound.calls, [
    `openConnection outbound true ${connection.remoteAddr}`,
    `setPeer ${listener.peerId}`
  ])
  t.deepEqual(inbound.calls, [
    `openConnection inbound true ${connected[0]?.remoteAddr}`,
    `setPeer ${dialer.peerId}`
  ])
  await connection.closeWithError(0)
  await connected[0]?.closed
  await connection.close()
  t.deepEqual([outbound.connections, inbound.connections], [0, 0])
  t.deepEqual([outbound.count('done'), inbound.count('done')], [1, 1])
})

// R11
test('a manager is an option of a swarm, and native limits apply with and without one', async (t) => {
  const manager = new CountingManager()
  for (const resourceManager of [manager, undefined]) {
    const { dialer, dial } = await nodes(t, {
      dialer: {
        limits: { connection: { streamsOutbound: 1 } },
        ...(resourceManager === undefined ? {} : { resourceManager })
      }
    })
    t.is(dialer.options.resourceManager, resourceManager)
    const connection = await dial()
    await connection.newStream()
    if (resourceManager !== undefined) {
      dialer.setResourceManager(resourceManager, { streamSemaphore: false })
    }
    await t.throwsAsync(connection.newStream(), { code: 'ERR_STREAM_LIMIT' })
  }
  t.is(manager.connections, 1)
})

test('a dial rejects with the error of the manager, for all of its callers, and tries no other address', async (t) => {
  const { dialer, listener } = await nodes(t)
  await listener.listen('/ip4/0.0.0.0/tcp/0')
  let asked = 0
  dialer.setResourceManager(
    managing({
      openConnection() {
        asked += 1
        throw LIMIT
      }
    })
  )
  const connected = [reported(dialer), reported(listener)]
  const addresses = listener
    .getListenAddrs()
    .map((addr) => `${addr}`.replace('0.0.0.0', '127.0.0.1'))
  t.is(addresses.length, 2)
  const dials = [1, 2].map(() => dialer.dialPeer(listener.peerId, { addresses }))
  for (const dial of dials) t.is(await t.throwsAsync(dial), LIMIT)
  t.is(asked, 1)
  await t.throwsAsync(dialer.newStream(listener.peerId, PAIR_PROTOCOL, { addresses }), {
    is: LIMIT
  })
  const refused = (): number =>
    (connected[1] ?? []).filter(
      ({ closeReason }) => closeReason?.closeCode === ConnectionErrorCode.ResourceLimitExceeded
    ).length
  // The dial of both callers, and that of the stream.
  await until(() => refused() === 2)
  t.deepEqual(connected[0], [])
  t.is(dialer.getTotalConnections(), 0)
  dialer.setResourceManager(null)
  await t.notThrowsAsync(dialer.dialPeer(listener.peerId, { addresses }))
})

test('a dial that the manager aborts while it is asked leaves no connection behind', async (t) => {
  const manager = new CountingManager()
  const { dialer, listener } = await nodes(t)
  const connected = [reported(dialer), reported(listener)]
  const aborting = new AbortController()
  dialer.setResourceManager(
    managing({
      openConnection(...args) {
        aborting.abort()
        return manager.openConnection(...args)
      }
    })
  )
  const addresses = listener.getListenAddrs()
  const dial = dialer.dialPeer(listener.peerId, { addresses, signal: aborting.signal })
  await t.throwsAsync(dial, { name: 'AbortError' })
  t.is(manager.connections, 0)
  await until(() => connected[1]?.length === 1)
  await connected[1]?.[0]?.closed
  t.deepEqual(connected[0], [])
})

test('what else the manager throws is the cause of a limit error that names it', async (t) => {
  class Quota extends CountingManager {}
  const { dialer, listener, dial } = await nodes(t)
  for (const thrown of [new TypeError('broken'), 'a text', undefined, Object.create(null)]) {
    for (const call of ['openConnection', 'setPeer'] as const) {
      const manager = new Quota()
      if (call === 'openConnection') manager.openConnection = throwing(thrown)
      else {
        const scope = manager.openConnection('outbound', true)
        manager.openConnection = () => ({ ...scope, setPeer: throwing(thrown) })
      }
      dialer.setResourceManager(manager)
      const err = await t.throwsAsync(dial(), { instanceOf: ResourceLimitExceededError })
      t.is(err.scope, 'user')
      t.is(err.cause, thrown)
      t.regex(
        err.message,
        new RegExp(
          `^the application's resource manager Quota refused an outbound connection of ${listener.peerId}`
        )
      )
      t.is(manager.connections, 0)
    }
  }
})

test('a refused inbound connection is closed with its code, unreported, and is in the log', async (t) => {
  const hearing = new Hearing()
  const { dialer, listener, dial } = await nodes(t, { listener: { logger: hearing.logger } })
  const refused = channel('ferroswarm:connection:refused')
  const messages: RefusedMessage[] = []
  const record = (message: unknown): void => {
    const refusal = message as RefusedMessage
    if (refusal.swarm === listener) messages.push(refusal)
  }
  refused.subscribe(record)
  t.teardown(() => refused.unsubscribe(record))
  const connected = reported(listener)
  listener.setResourceManager(managing({ openConnection: throwing(LIMIT) }))
  const connection = await dial()
  await connection.closed
  t.is(connection.closeReason?.closeCode, ConnectionErrorCode.ResourceLimitExceeded)
  t.true(connection.closeReason?.remote)
  const { fact, message } = await hearing.fact('connectionRefused')
  t.is(fact.cause, 'resourceManager')
  t.deepEqual(fact.details, { limit: 7, current: 7, reason: LIMIT.message })
  t.is(message, `a connection from ${connection.localAddr} was refused: ${LIMIT.message}`)
  const address = `${connection.localAddr}`
  const option = 'resourceManager'
  t.deepEqual(messages, [
    {
      swarm: listener,
      address,
      option,
      scope: 'peer:x',
      resource: 'connections',
      limit: 7,
      current: 7
    }
  ])
  t.deepEqual(connected, [])
  t.is(listener.getTotalConnections(), 0)
  // The next one is not affected.
  listener.setResourceManager(null)
  await (await dial()).newStream()
  await until(() => connected.length === 1)
  t.is(`${connected[0]?.remotePeer}`, `${dialer.peerId}`)
})

test('a refused outbound stream rejects with the error of the manager', async (t) => {
  const { dialer, outbound } = await createPair(t)
  dialer.setResourceManager(managing({ openStream: throwing(LIMIT) }))
  t.is(await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL)), LIMIT)
  // Only a lack of places is waited for.
  const broken = new Error('broken')
  dialer.setResourceManager(managing({ openStream: throwing(broken) }))
  const err = await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), {
    instanceOf: ResourceLimitExceededError
  })
  t.like(err, { scope: 'user', cause: broken })
  t.regex(
    err.message,
    /^the application's resource manager refused an outbound stream of .*: broken$/
  )
  t.deepEqual(outbound.streams, [])
})

test('a refused protocol rejects the stream, also after a negotiation, and ends its scope', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  listener.handle(OTHER, () => {})
  const done: string[] = []
  dialer.setResourceManager(
    managing({
      openStream: () => ({
        ...nullScope,
        setProtocol(protocol) {
          if (protocol === OTHER) throw LIMIT
        },
        done: () => void done.push('done')
      })
    })
  )
  t.is(await t.throwsAsync(outbound.newStream(OTHER)), LIMIT)
  t.deepEqual(done, ['done'])
  t.is(await t.throwsAsync(outbound.newStream([OTHER, PAIR_PROTOCOL])), LIMIT)
  await until(() => done.length === 2)
  const raw = await outbound.newStream()
  const refusals: Error[] = []
  dialer.addEventListener('limit', ({ detail }) => void refusals.push(detail.error))
  const chargedTo = (protocol: string): number =>
    dialer.resourceManager.viewProtocol(protocol, ({ stat }) => stat.numStreamsOutbound)
  t.is(
    t.throws(() => raw.setProtocol(OTHER)),
    LIMIT
  )
  t.deepEqual(refusals, [LIMIT])
  t.is(raw.protocol, undefined)
  t.is(chargedTo(OTHER), 0)
  raw.setProtocol(PAIR_PROTOCOL)
  t.is(raw.protocol, PAIR_PROTOCOL)
  t.is(chargedTo(PAIR_PROTOCOL), 1)
  await raw.reset()
  await until(() => done.length === 3)
})

test('a refused inbound stream is reset before its handler runs, and is in the log', async (t) => {
  const hearing = new Hearing()
  const { listener, outbound, inbound } = await createPair(t, {
    listener: { logger: hearing.logger, clock: new FakeClock() }
  })
  const handled: Stream[] = []
  listener.handle(OTHER, (stream) => void handled.push(stream))
  const opened: Stream[] = []
  listener.addEventListener('openedStream', ({ detail }) => void opened.push(detail))
  const done: string[] = []
  const refusing: Record<string, Partial<ResourceManager>> = {
    openStream: { openStream: throwing(new Error('no room')) },
    setProtocol: {
      openStream: () => ({
        ...nullScope,
        setProtocol: throwing(new Error('no room')),
        done: () => void done.push('done')
      })
    }
  }
  for (const call of ['openStream', 'setProtocol', 'openStream']) {
    listener.setResourceManager(managing(refusing[call] ?? {}))
    const stream = await outbound.newStream(OTHER)
    await t.throwsAsync(stream.read(1), undefined, call)
    t.like(stream.error, { errorCode: StreamErrorCode.ResourceLimitExceeded, remote: true }, call)
  }
  t.deepEqual(done, ['done'])
  const { fact, message } = await hearing.fact('streamRefused')
  t.is(fact.cause, 'resourceManager')
  t.is(fact.connection, inbound.id)
  t.regex(
    message,
    /was refused: the application's resource manager refused an inbound stream of .*: no room$/
  )
  t.deepEqual([handled, opened], [[], []])
  // Further refusals are counted, and reported with the end of the connection.
  await outbound.closeWithError(0)
  await inbound.closed
  const facts = hearing.facts('streamRefused')
  t.deepEqual(
    facts.map(({ fact }) => fact.suppressed),
    [0, 1]
  )
  t.regex(facts[1]?.message ?? '', /no room \(and 1 more\)$/)
})

test('the manager is not asked about streams that cannot be opened anyway', async (t) => {
  const manager = new CountingManager()
  const { dialer, outbound } = await createPair(t)
  dialer.handle(OTHER, () => {}, { maxOutbound: 1 })
  dialer.setResourceManager(manager, { streamSemaphore: false })
  await outbound.newStream(OTHER)
  await t.throwsAsync(outbound.newStream(OTHER), { instanceOf: ResourceLimitExceededError })
  await outbound.close()
  await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), { name: 'ConnectionClosedError' })
  t.throws(() => outbound.newStream(''), { instanceOf: InvalidParametersError })
  t.is(manager.count('openStream'), 1)
})

test('the only protocol of a stream is set once, also if it waits for acknowledgements', async (t) => {
  const manager = new CountingManager()
  const raw = await createRawPair(t, { dials: true })
  await Promise.all(times(256, () => raw.connection.newStream()))
  raw.node.setResourceManager(manager)
  const waiting = raw.connection.newStream(OTHER)
  t.is(await outcomeOf(waiting), 'waits')
  raw.session.send({ type: WINDOW_UPDATE, flags: ACK, id: 1 })
  t.is((await waiting).protocol, OTHER)
  t.is(manager.count('setProtocol'), 1)
})

test('what is open when a manager is set is not charged, and what is charged remains so', async (t) => {
  const { dialer, outbound, openStreams } = await createPair(t)
  const before = await openStreams()
  const manager = new CountingManager()
  dialer.setResourceManager(manager)
  const { near } = await openStreams()
  await before.near.reset()
  await until(() => outbound.streams.length === 1)
  t.is(manager.streams, 1)
  dialer.setResourceManager(null)
  await openStreams()
  t.is(manager.count('openStream'), 1)
  await near.reset()
  await until(() => manager.streams === 0)
  await outbound.close()
  t.is(manager.count('done'), 1)
})

test('a stream of a muxer of the application is charged to the manager', async (t) => {
  const manager = new CountingManager({ streamsMax: 1 })
  const { dialer, outbound } = await createPair(t)
  dialer.setResourceManager(manager)
  const stream = wrapMuxedStream(memoryStreams().near, outbound)
  t.is(manager.streams, 1)
  const refusals: Error[] = []
  dialer.addEventListener('limit', ({ detail }) => void refusals.push(detail.error))
  const refusal = t.throws(() => wrapMuxedStream(memoryStreams().near, outbound), {
    instanceOf: ResourceLimitExceededError
  })
  t.deepEqual(refusals, [refusal])
  stream.setProtocol(OTHER)
  t.is(manager.count(`setProtocol ${OTHER}`), 1)
  await stream.reset()
  await until(() => manager.streams === 0)
  t.is(manager.count('done'), 1)
})

test('an end that throws or rejects is reported, and affects nothing else', async (t) => {
  const hearing = new Hearing()
  const { dialer, listener, dial } = await nodes(t, { dialer: { logger: hearing.logger } })
  listener.handle(PAIR_PROTOCOL, () => {})
  const rejecting = (async () => {
    throw new Error('late')
  }) as () => void
  dialer.setResourceManager(
    managing({
      openConnection: () => ({
        ...nullScope,
        setPeer: rejecting,
        done: throwing(new Error('end of a connection'))
      }),
      openStream: (_, direction) => ({
        ...nullScope,
        setProtocol: rejecting,
        done: direction === 'outbound' ? throwing(new Error('end of a stream')) : rejecting
      })
    })
  )
  const connection = await dial()
  const stream = await connection.newStream(PAIR_PROTOCOL)
  const closed = new Promise((resolve) => {
    dialer.addEventListener('closedStream', resolve, { once: true })
  })
  await stream.reset()
  await closed
  await t.notThrowsAsync(connection.newStream(PAIR_PROTOCOL))
  await connection.close()
  t.is(dialer.getTotalConnections(), 0)
  await turns()
  const errors = hearing.lines.filter(({ level }) => level === 'error')
  // `setPeer`, twice `setProtocol`, the ends of two streams and of the connection.
  t.is(errors.length, 6)
  for (const { message } of errors) t.is(message, 'a scope of the resource manager failed')
})

test('without a logger, the ends of a manager become one warning of the process', async (t) => {
  const warnings: Error[] = []
  const record = (warning: Error): void => void warnings.push(warning)
  process.on('warning', record)
  t.teardown(() => process.off('warning', record))
  const { dialer, outbound, openStreams } = await createPair(t)
  const failure = new Error('the end failed')
  dialer.setResourceManager(
    managing({ openStream: () => ({ ...nullScope, done: throwing(failure) }) })
  )
  for (let count = 0; count < 3; count += 1) await (await openStreams()).near.reset()
  await until(() => outbound.streams.length === 0)
  await turns()
  t.is(warnings.filter(({ cause }) => cause === failure).length, 1)
})

test('what is not a scope refuses, a promise included', async (t) => {
  const hearing = new Hearing()
  const { dialer, outbound } = await createPair(t, { dialer: { logger: hearing.logger } })
  const scopes: unknown[] = [undefined, null, {}, 1, Promise.reject(new Error('late'))]
  for (const scope of scopes) {
    dialer.setResourceManager(managing({ openStream: () => scope as never }))
    const err = await t.throwsAsync(outbound.newStream(PAIR_PROTOCOL), {
      instanceOf: ResourceLimitExceededError
    })
    t.true(err.cause instanceof InvalidParametersError)
  }
  t.like(await hearing.line(/promise of the resource manager/), { level: 'error' })
})

test('a manager may replace itself, close the swarm, and end streams while it is asked', async (t) => {
  const { dialer, listener, outbound, openStreams } = await createPair(t)
  const { near } = await openStreams()
  const manager = new CountingManager()
  manager.onAdmitted = () => {
    dialer.setResourceManager(null)
    near.remove()
  }
  dialer.setResourceManager(manager)
  const stream = await outbound.newStream(PAIR_PROTOCOL)
  t.deepEqual(outbound.streams, [stream])
  await stream.reset()
  await until(() => manager.streams === 0)
  manager.onAdmitted = () => void dialer.close({ drainTimeout: 0 })
  dialer.setResourceManager(manager)
  const last = await outbound.newStream(PAIR_PROTOCOL).catch((err: unknown) => err)
  t.truthy(last)
  await dialer.close()
  t.is(manager.streams, 0)
  await until(() => listener.getTotalConnections() === 0)
})

test('every scope is done when the swarm has closed', async (t) => {
  const manager = new CountingManager()
  const { dialer, listener, dial } = await nodes(t, { dialer: { resourceManager: manager } })
  listener.handle(PAIR_PROTOCOL, () => new Promise(() => {}))
  const connection = await dial()
  for (let count = 0; count < 20; count += 1) await connection.newStream(PAIR_PROTOCOL)
  t.deepEqual([manager.connections, manager.streams], [1, 20])
  await dialer.close({ drainTimeout: 0 })
  t.deepEqual([manager.connections, manager.streams], [0, 0])
  t.is(manager.count('done'), 21)
})

test('an incomplete manager and an unknown option are refused at the call', async (t) => {
  const swarm = await createNode(t)
  const { close: _, ...incomplete } = nullResourceManager
  const misuse = { instanceOf: InvalidParametersError }
  t.throws(() => swarm.setResourceManager(incomplete as never), misuse)
  t.throws(() => swarm.setResourceManager(undefined as never), misuse)
  t.throws(() => swarm.setResourceManager(null, { semaphore: true } as never), misuse)
  t.throws(() => swarm.setResourceManager(null, { streamSemaphore: 1 as never }), misuse)
  await t.throwsAsync(createNode(t, { resourceManager: incomplete as never }), misuse)
})
