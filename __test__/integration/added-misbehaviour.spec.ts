/** Muxers of applications that fail, hang, throw odd values or answer late: they harm nobody but their connection. */
import test, { type ExecutionContext } from 'ava'
import { StreamErrorCode } from '../../ts/constants.ts'
import {
  AbortError,
  ConnectionClosedError,
  IOError,
  MuxerClosedError,
  StreamResetError,
  TimeoutError
} from '../../ts/errors.ts'
import type { MuxedStream } from '../../ts/index.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { addedEnd, addedPair, ask, PEER, upper } from '../support/added.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Hearing } from '../support/hearing.ts'
import { MemoryConn, memoryConns, memoryStreams } from '../support/memory-muxer.ts'
import { createNode, createPair, outcomeOf, pattern, turns, until } from '../support/pair.ts'

const never = (): Promise<never> => new Promise(() => {})

/** Odd values to throw. */
const ODD: readonly unknown[] = [
  undefined,
  null,
  0,
  'text',
  Symbol('odd'),
  Object.create(null),
  new Proxy({}, { getPrototypeOf: () => null })
]

/** Counts the notifications of a swarm by their names. */
function count(swarm: Swarm): Record<string, number> {
  const counts: Record<string, number> = {}
  const counting = (name: string) => () => {
    counts[name] = (counts[name] ?? 0) + 1
  }
  swarm.notify({
    connected: counting('connected'),
    disconnected: counting('disconnected'),
    openedStream: counting('opened'),
    closedStream: counting('closed')
  })
  return counts
}

/** Asserts that another connection of the swarm works. */
async function works(t: ExecutionContext, swarm: Swarm): Promise<void> {
  const other = await createNode(t)
  const { near, far } = memoryConns(other.peerId, swarm.peerId)
  other.handle('/upper/1', upper)
  other.addConnection(far)
  const connection = swarm.addConnection(near)
  t.is(await ask(await connection.newStream('/upper/1'), 'fine'), 'FINE')
  await connection.close()
}

test('a connection ends when acceptStream rejects, whatever with', async (t) => {
  const swarm = await createNode(t)
  const counts = count(swarm)
  for (const odd of [...ODD, new Error('cut')]) {
    const { near } = memoryConns(PEER)
    const connection = swarm.addConnection(near)
    near.fail(odd)
    await connection.closed
    t.true(connection.closeReason?.remote)
    t.is(connection.closeReason?.error instanceof IOError, odd !== undefined)
    await connection.close()
    t.is(swarm.getTotalConnections(), 0)
  }
  const ended = ODD.length + 1
  t.deepEqual(counts, { connected: ended, disconnected: ended })
  await works(t, swarm)
})

test('errors that say that the muxer is closed are an orderly end, with the code that they have', async (t) => {
  const swarm = await createNode(t)
  const reasonFor = async (err: Error) => {
    const { near } = memoryConns(PEER)
    const connection = swarm.addConnection(near)
    near.fail(err)
    await connection.closed
    return connection.closeReason
  }
  const clean = { closeCode: 0, remote: true, error: undefined, rule: '' }
  t.deepEqual(await reasonFor(new MuxerClosedError()), clean)
  t.deepEqual(await reasonFor(Object.assign(new Error(), { name: 'MuxerClosedError' })), clean)
  const coded = new ConnectionClosedError({ closeCode: 7 })
  t.deepEqual(await reasonFor(coded), { closeCode: 7, remote: true, error: coded, rule: '' })
  const cause = new ConnectionClosedError({ cause: new Error('cable') })
  t.is((await reasonFor(cause))?.error, cause)
})

test('a lost connection ends its streams, and the calls that open some', async (t) => {
  const { dialer, listener, near, outbound } = await addedPair(t)
  const counts = count(dialer)
  listener.handle('/open', () => {})
  const stream = await outbound.newStream('/open')
  near.openStream = never
  const opening = outbound.newStream('/open')
  const reading = stream.read(1)
  near.fail(new ConnectionClosedError({ closeCode: 9 }))
  await t.throwsAsync(opening, { instanceOf: ConnectionClosedError })
  const err = await t.throwsAsync(reading, { instanceOf: StreamResetError })
  t.true(err.cause instanceof ConnectionClosedError)
  await outbound.closed
  t.deepEqual(counts, { opened: 1, closed: 1, disconnected: 1 })
})

test('a muxer that is closed without a word is noticed by the next call', async (t) => {
  const { near, connection } = await addedEnd(t)
  near.isClosed = true
  await t.throwsAsync(connection.newStream(), { instanceOf: ConnectionClosedError })
  await connection.closed
  t.true(connection.closeReason?.remote)
  t.is(connection.closeReason?.error, undefined)
})

test('openStream may throw, reject with anything, or return nonsense', async (t) => {
  const { swarm, near, connection } = await addedEnd(t)
  const counts = count(swarm)
  const failures: (() => unknown)[] = [
    () => {
      throw new Error('synchronously')
    },
    ...ODD.map((odd) => () => Promise.reject(odd)),
    () => undefined,
    () => Promise.resolve({}),
    () => 'a stream'
  ]
  for (const failure of failures) {
    near.openStream = failure as typeof near.openStream
    await t.throwsAsync(connection.newStream('/a'), { instanceOf: Error })
  }
  await turns()
  t.deepEqual(counts, {})
  t.false(connection.isClosed)
  await works(t, swarm)
})

test('acceptStream may throw, or resolve to nonsense: the connection ends', async (t) => {
  const swarm = await createNode(t)
  for (const failure of [
    () => {
      throw new Error('synchronously')
    },
    () => undefined,
    () => Promise.resolve({ read() {} })
  ]) {
    const { near } = memoryConns(PEER)
    near.acceptStream = failure as typeof near.acceptStream
    const connection = swarm.addConnection(near)
    await connection.closed
    t.true(connection.closeReason?.error instanceof Error)
    t.deepEqual(near.calls, ['close 0'])
  }
  await works(t, swarm)
})

test('a muxer that always has another stream leaves the event loop its turns', async (t) => {
  const { swarm, near, connection } = await addedEnd(t, { limits: { acceptBacklog: 4 } })
  await connection.close()
  const flooding = new MemoryConn(PEER)
  let accepted = 0
  flooding.acceptStream = async () => {
    accepted += 1
    return memoryStreams().far
  }
  const connected = swarm.addConnection(flooding)
  await turns(20)
  t.true(accepted > 64)
  await connected.closeWithError(0)
  t.true(near.isClosed)
})

test('a remote that negotiates nothing is given up after 10 s', async (t) => {
  const clock = new FakeClock()
  const { far } = await addedEnd(t, { clock })
  const stream = await far.openStream()
  const reading = stream.read(1_000).catch((err) => err)
  await turns()
  clock.advance(9_999)
  // The header of the negotiation.
  t.is((await reading).length, 20)
  const next = stream.read(1)
  t.is(await outcomeOf(next), 'waits')
  clock.advance(1)
  const err = await t.throwsAsync(next, { instanceOf: StreamResetError })
  t.is(err.errorCode, StreamErrorCode.ProtocolNegotiationFailed)
})

test('a muxer that opens no stream, and a remote that does not answer, are given up after 10 s', async (t) => {
  const clock = new FakeClock()
  const { swarm, near, far, connection } = await addedEnd(t, { clock })
  const counts = count(swarm)
  const silent = connection.newStream('/a')
  await turns()
  const hanging = Promise.withResolvers<MuxedStream>()
  near.openStream = () => hanging.promise
  const pending = [silent, connection.newStream('/a'), connection.newStream()]
  for (const call of pending) t.is(await outcomeOf(call), 'waits')
  clock.advance(10_000)
  for (const call of pending) await t.throwsAsync(call, { instanceOf: TimeoutError })
  // What the muxer opens too late is reset.
  const late = memoryStreams()
  hanging.resolve(late.near)
  await until(() => late.near.calls.length > 0)
  t.deepEqual([...new Set(late.near.calls)], ['reset 0'])
  const accepted = await far.acceptStream()
  for (;;) {
    const err = await accepted.read(100).catch((failure) => failure)
    if (!(err instanceof Uint8Array)) {
      t.true(err instanceof StreamResetError)
      break
    }
  }
  t.deepEqual(counts, {})
  t.deepEqual(connection.streams, [])
  t.is(clock.timers, 0)
})

test('an open can be aborted, and has the timeout of its negotiation', async (t) => {
  const clock = new FakeClock()
  const { near, connection } = await addedEnd(t, { clock })
  near.openStream = never
  const controller = new AbortController()
  const aborted = connection.newStream('/a', { signal: controller.signal })
  const timed = connection.newStream(['/a', '/b'], { negotiationTimeout: 50 })
  t.is(await outcomeOf(aborted), 'waits')
  controller.abort()
  await t.throwsAsync(aborted, { instanceOf: AbortError })
  clock.advance(50)
  await t.throwsAsync(timed, { instanceOf: TimeoutError })
  await turns()
  t.deepEqual(connection.streams, [])
  t.is(clock.timers, 0)
})

test('a remote that answers with nonsense fails the negotiation', async (t) => {
  const { far, connection } = await addedEnd(t)
  for (const answer of ['GET / HTTP/1.1\r\n'.repeat(10), '\u0000', '\u00ff'.repeat(10)]) {
    const opening = connection.newStream('/a')
    const remote = await far.acceptStream()
    await remote.write(Buffer.from(answer, 'latin1'))
    const err = await t.throwsAsync(opening)
    t.regex(err.name, /Multiselect/)
  }
  t.false(connection.isClosed)
})

test('a muxed stream may return more than it was asked for', async (t) => {
  const { dialer, listener, near, far, outbound } = await addedPair(t)
  t.true(dialer.isStarted())
  listener.handle('/upper/1', upper)
  for (const end of [near, far]) {
    const receive = end.receive.bind(end)
    end.receive = (stream) => {
      const read = stream.read.bind(stream)
      stream.read = () => read()
      receive(stream)
    }
  }
  t.is(await ask(await outbound.newStream('/upper/1'), 'generous'), 'GENEROUS')
})

test('a muxer that hangs in close is given up, and what it holds is abandoned', async (t) => {
  const clock = new FakeClock()
  const swarm = await createNode(t, { clock })
  const gracefully = memoryConns(PEER)
  gracefully.near.close = never
  const connection = swarm.addConnection(gracefully.near)
  const closing = connection.close()
  await turns()
  t.is(await outcomeOf(closing), 'waits')
  clock.advance(30_000)
  await closing
  t.true(connection.closeReason?.error instanceof TimeoutError)
  t.deepEqual(gracefully.near.calls, ['close 0'])

  const atOnce = memoryConns(PEER)
  atOnce.near.close = never
  atOnce.near.closeWithError = never
  const other = swarm.addConnection(atOnce.near)
  void other.close()
  await turns()
  const closed = other.closeWithError(5)
  t.is(await outcomeOf(closed), 'waits')
  clock.advance(1_000)
  await closed
  t.is(other.closeReason?.closeCode, 5)
})

test('a muxer whose ends throw, or reject with anything, is closed for the swarm', async (t) => {
  const hearing = new Hearing()
  const swarm = await createNode(t, { logger: hearing.logger })
  const counts = count(swarm)
  let made = 0
  for (const fail of [
    () => {
      throw new Error('synchronously')
    },
    ...ODD.map((odd) => () => Promise.reject(odd)),
    () => undefined
  ]) {
    for (const isGraceful of [true, false]) {
      const { near } = memoryConns(PEER)
      near.close = fail as typeof near.close
      near.closeWithError = fail as typeof near.closeWithError
      const connection = swarm.addConnection(near)
      made += 1
      await (isGraceful ? connection.close() : connection.closeWithError(0))
      t.not(connection.closeReason, undefined)
    }
  }
  t.deepEqual(counts, { connected: made, disconnected: made })
})

test('a swarm closes although its muxers hang', async (t) => {
  const swarm = await createNode(t)
  const { near } = memoryConns(PEER)
  near.close = never
  near.closeWithError = never
  const connection = swarm.addConnection(near)
  await swarm.close({ drainTimeout: 20 })
  t.not(connection.closeReason, undefined)
})

test('streams that hang, or fail in every call, end with their connection', async (t) => {
  const hearing = new Hearing()
  const { swarm, near, connection } = await addedEnd(t, { logger: hearing.logger })
  swarm.setStreamHandler(() => {})
  const fails = (): never => {
    throw new Error('no')
  }
  const hanging = { read: never, write: never, close: never, closeRead: never, closeWrite: never }
  const failing = { read: fails, write: fails, close: fails, closeRead: fails, closeWrite: fails }
  const muxed = [
    { ...hanging, reset: never },
    { ...failing, reset: fails }
  ]
  for (const stream of muxed) near.receive(Object.assign(memoryStreams().far, stream))
  await until(() => connection.streams.length > 0)
  for (const stream of connection.streams) stream.send(pattern(100_000))
  await connection.closeWithError(0)
  t.deepEqual(connection.streams, [])
})

test('streams that arrive after the close are reset', async (t) => {
  const swarm = await createNode(t)
  const { near } = memoryConns(PEER)
  const accepting = Promise.withResolvers<MuxedStream>()
  near.acceptStream = () => accepting.promise
  const connection = swarm.addConnection(near)
  swarm.setStreamHandler(() => t.fail('a stream of a closed connection was handed out'))
  await connection.close()
  const late = memoryStreams().far
  accepting.resolve(late)
  await until(() => late.calls.length > 0)
  t.deepEqual(late.calls, [`reset ${StreamErrorCode.Shutdown}`])
})

test('a native connection of the same swarm is not affected by a muxer that fails', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  listener.handle('/upper/1', upper)
  const { near } = memoryConns(PEER)
  near.openStream = never
  const added = dialer.addConnection(near)
  void added.newStream('/a').catch(() => {})
  near.fail(Symbol('odd'))
  t.is(await ask(await outbound.newStream('/upper/1'), 'fine'), 'FINE')
  await added.closed
})
