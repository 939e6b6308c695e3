// A swarm from the call of `close` on: streams still served, waits of the close, and resources left behind.
import test from 'ava'
import { StreamErrorCode } from '../../ts/constants.ts'
import {
  InvalidParametersError,
  NoConnectionError,
  StateError,
  StreamResetError
} from '../../ts/errors.ts'
import { ping } from '../../ts/protocols/ping.ts'
import type { Stream } from '../../ts/stream.ts'
import { createSwarm, Swarm } from '../../ts/swarm.ts'
import { createNode, createPair, PAIR_PROTOCOL, pattern, until } from '../support/pair.ts'
import { processFigures } from '../support/process-figures.ts'
import { overPairs } from '../support/stacks.ts'

const LOCAL = '/ip4/127.0.0.1/tcp/0'

/** Far more than any close here takes: a wait for this long is a hang. */
const LONG = { drainTimeout: 600_000 }

overPairs(
  'from the call of close on new streams are reset with Shutdown and no connection is accepted',
  async (t, { dialer, listener, outbound }) => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    let served = 0
    listener.handle('/work', async (stream) => {
      served += 1
      await stream.write(await stream.read(1))
      await held
      await stream.write(pattern(3))
      await stream.close()
    })
    const before = await outbound.newStream('/work')
    await before.write(pattern(1))
    await before.read(1)
    const addresses = listener.getListenAddrs()
    const closing = listener.close(LONG)
    t.false(listener.isStarted())
    for (const protocols of ['/work', ['/work', '/other'], undefined] as const) {
      const late = await outbound.newStream(protocols).catch((err: Error) => err)
      const err =
        late instanceof Error
          ? late
          : await t.throwsAsync(late.write(pattern(9)).then(() => late.read(1)))
      const reset = (err instanceof StreamResetError ? err : err?.cause) as StreamResetError
      t.true(reset instanceof StreamResetError, `${protocols} ${err}`)
      t.is(reset.errorCode, codeOfShutdown(outbound.state.muxerEngine))
    }
    const third = await createNode(t)
    await t.throwsAsync(third.dialPeer(listener.peerId, { addresses }))
    // The running handler completes, and then the close.
    release()
    t.deepEqual(new Uint8Array(await before.read()), pattern(3))
    await closing
    t.is(served, 1)
    t.is(dialer.getTotalConnections(), 0)
  }
)

/** Reset code at the remote: the yamux crate reports none. */
function codeOfShutdown(engine: string): number {
  return engine === 'yamux-crate' ? 0 : StreamErrorCode.Shutdown
}

overPairs(
  'a swarm whose streams have ended closes without waiting for its timeout',
  async (t, { dialer, listener, outbound }) => {
    // Less than the time after which the connection's timer would poll by itself.
    t.timeout(8_000)
    listener.handle('/echo', async (stream) => {
      for await (const chunk of stream) await stream.write(chunk)
      await stream.close()
    })
    for (const protocols of ['/echo', ['/other', '/echo']]) {
      const stream = await outbound.newStream(protocols)
      await stream.write(pattern(2))
      await stream.closeWrite()
      t.deepEqual(new Uint8Array(await stream.read()), pattern(2))
    }
    await dialer.close(LONG)
    await listener.close(LONG)
    t.pass()
  }
)

test('a long-lived stream whose handler has returned does not delay close', async (t) => {
  const pair = await createPair(t)
  const { near, far } = await pair.openStreams()
  const read = t.throwsAsync<StreamResetError>(near.read(1))
  await pair.listener.close(LONG)
  t.is((await read).errorCode, StreamErrorCode.Shutdown)
  t.true(far.error instanceof StreamResetError)
  const other = await createPair(t)
  await other.openStreams()
  await other.dialer.close(LONG)
})

test('streams of a removed connection are waited for and reset like others', async (t) => {
  const { dialer, outbound, openStreams } = await createPair(t)
  const { near, far } = await openStreams()
  const bytes = 3_000_000
  void near.write(pattern(bytes))
  void near.closeWrite()
  const open = await openStreams()
  const cut = t.throwsAsync<StreamResetError>(open.far.read(1))
  dialer.removeConnection(outbound)
  const closing = dialer.close(LONG)
  t.is((await far.read({ maxBytes: bytes })).length, bytes)
  await closing
  t.is((await cut).errorCode, StreamErrorCode.Shutdown)
})

test("a peer's idle ping does not delay close", async (t) => {
  const { listener, outbound } = await createPair(t, { both: { services: {} } })
  const pings = ping(outbound)
  await pings.next()
  await listener.close(LONG)
  await t.throwsAsync(pings.next())
})

test('handlers are notified by their signal, and the swarm reports that it is closing', async (t) => {
  const { listener, outbound } = await createPair(t)
  const reported: string[] = []
  listener.handle('/idle', async (stream, _connection, { signal }) => {
    t.is(stream.signal, signal)
    t.is(listener.signal, signal)
    await stream.write(pattern(1))
    const err = await stream.read(1, { signal }).catch((thrown: Error) => thrown)
    reported.push((err as Error).name)
    await stream.write(pattern(2))
    await stream.close()
  })
  listener.addEventListener('closing', ({ detail }) => {
    reported.push(`closing ${detail.drainTimeout}`)
    t.true(listener.signal.aborted)
    // A close by a listener joins the one that is reported.
    void listener.close()
  })
  const stream = await outbound.newStream('/idle')
  await stream.read(1)
  t.false(listener.signal.aborted)
  await listener.close(LONG)
  t.deepEqual(reported, [`closing ${LONG.drainTimeout}`, 'AbortError'])
  t.deepEqual(new Uint8Array(await stream.read()), pattern(2))
})

overPairs('close delivers written bytes to a slow reader', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  near.send(pattern(2_000_000))
  const ended = near.close()
  const closing = pair.dialer.close(LONG)
  const got = await far.read(undefined, { maxBytes: Number.POSITIVE_INFINITY })
  t.is(got.length, 2_000_000)
  t.true(Buffer.from(pattern(2_000_000)).equals(got))
  await Promise.all([ended, closing])
})

test('streams that are left at the timeout are reset with Shutdown', async (t) => {
  const { listener, outbound } = await createPair(t)
  const { promise: never } = Promise.withResolvers<void>()
  const taken: Stream[] = []
  listener.handle('/stuck', (stream) => {
    taken.push(stream)
    return never
  })
  const stream = await outbound.newStream('/stuck')
  await stream.write(pattern(1))
  await until(() => taken.length === 1)
  await listener.close({ drainTimeout: 50 })
  const err = await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  t.is(err.errorCode, StreamErrorCode.Shutdown)
})

test('a second close forces the end, whatever the first one waits for', async (t) => {
  const { promise: never } = Promise.withResolvers<void>()
  const hangs = { start: () => {}, stop: () => never }
  const { dialer, listener, outbound } = await createPair(t, {
    listener: { services: { ping: false, identify: false, custom: [hangs] } }
  })
  listener.handle('/stuck', () => never)
  const stream = await outbound.newStream('/stuck')
  await stream.write(pattern(1))
  await until(() => listener.getConnections()[0]?.streams.length === 1)
  const closing = listener.close(LONG)
  await Promise.all([listener.close(), closing])
  await until(() => dialer.getTotalConnections() === 0)
  t.is(listener.getTotalConnections(), 0)
})

overPairs(
  'a close with a timeout of 0 delivers nothing, and nothing truncated looks complete',
  async (t, { dialer, listener, outbound }) => {
    const ended = new Promise<Error | undefined>((resolve) => {
      listener.handle('/unread', (stream) => {
        stream.addEventListener('close', ({ detail }) => resolve(detail.error))
      })
    })
    const stream = await outbound.newStream('/unread')
    // More than the peer's window, which is not read.
    stream.send(pattern(8_000_000))
    const closingWrite = t.throwsAsync(() => stream.closeWrite(), { instanceOf: StreamResetError })
    await dialer.close({ drainTimeout: 0 })
    await closingWrite
    t.true(stream.error instanceof StreamResetError)
    t.true((await ended) instanceof StreamResetError)
  }
)

overPairs(
  'a second close ends a connection that still delivers',
  async (t, { dialer, listener, outbound }) => {
    listener.handle('/unread', () => {})
    const stream = await outbound.newStream('/unread')
    stream.send(pattern(8_000_000))
    await stream.close()
    const delivering = outbound.close()
    const closing = dialer.close(LONG)
    await Promise.all([dialer.close(), closing, delivering])
    t.true(stream.error instanceof StreamResetError)
  }
)

test('a service whose stop hangs blocks neither close nor the other services', async (t) => {
  const stopped: string[] = []
  const { promise: never } = Promise.withResolvers<void>()
  const custom = ['first', 'hangs', 'last'].map((name) => ({
    start: () => {},
    stop: () => {
      stopped.push(name)
      return name === 'hangs' ? never : undefined
    }
  }))
  const swarm = await createNode(t, { services: { ping: false, identify: false, custom } })
  await swarm.close({ drainTimeout: 20 })
  t.deepEqual(stopped, ['last', 'hangs', 'first'])
})

test('a dial that succeeds while the swarm closes is reported, and closed', async (t) => {
  const listener = await createNode(t)
  await listener.listen(LOCAL)
  for (let round = 0; round < 20; round += 1) {
    const dialer = await createNode(t)
    const reported: string[] = []
    for (const event of ['connected', 'disconnected'] as const) {
      dialer.addEventListener(event, () => reported.push(event))
    }
    const dialled = dialer
      .dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
      .then((connection) => connection.closed)
      .catch((err: Error) => err.name)
    for (let turns = 0; turns < round; turns += 1) await new Promise(setImmediate)
    await dialer.close()
    // It settles, one way or the other.
    await dialled
    t.is(dialer.getTotalConnections(), 0)
    t.true(reported.length === 0 || reported.join() === 'connected,disconnected', reported.join())
  }
  await until(() => listener.getTotalConnections() === 0)
})

test('a stream to a peer does not dial while the swarm closes', async (t) => {
  const { dialer, listener } = await createPair(t)
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const errors: unknown[] = []
  listener.handle('/work', async (_stream, connection, { signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    try {
      await listener.newStream(connection.remotePeer, '/back', { force: true })
    } catch (err) {
      errors.push(err)
    }
    await held
  })
  const stream = await dialer.newStream(listener.peerId, '/work')
  await stream.write(pattern(1))
  await until(() => listener.getConnections()[0]?.streams.length === 1)
  const closing = listener.close(LONG)
  await until(() => errors.length === 1)
  t.true(errors[0] instanceof StateError || errors[0] instanceof NoConnectionError)
  release()
  await closing
})

test('a number passed to close is misuse, and so is an unknown option', async (t) => {
  const swarm = await createNode(t)
  for (const wrong of [
    5_000,
    { drainTimeOut: 5 },
    { drainTimeout: Number.NaN },
    { drainTimeout: -1 }
  ]) {
    t.throws(() => swarm.close(wrong as never), { instanceOf: InvalidParametersError })
  }
  t.true(swarm.isStarted())
})

/** Threads and descriptors of this process. */
function held(): { threads: number; descriptors: number } {
  const { threads, descriptors } = processFigures()
  return { threads, descriptors }
}

test.serial('a swarm that does not start leaves neither threads nor descriptors', async (t) => {
  const stopped: string[] = []
  const custom = [
    { start: () => {}, stop: () => void stopped.push('first') },
    {
      start: () => Promise.reject(new Error('no such service')),
      stop: () => void stopped.push('second')
    }
  ]
  const services = { ping: false, identify: false, custom }
  await (await createSwarm({ services: { ping: false, identify: false } })).close()
  const before = held()
  for (let round = 0; round < 5; round += 1) {
    await t.throwsAsync(createSwarm({ services }), { message: 'no such service' })
  }
  const swarm = new Swarm({ services })
  await t.throwsAsync(swarm.start(), { message: 'no such service' })
  await t.throwsAsync(swarm.start(), { instanceOf: StateError })
  t.deepEqual(stopped.slice(0, 2), ['second', 'first'])
  t.deepEqual(held(), before)
})

test.serial('a closed swarm keeps no descriptors, collected or not', async (t) => {
  const use = async (): Promise<Swarm[]> => {
    const [dialer, listener] = await Promise.all([createSwarm({ ioThreads: 2 }), createSwarm()])
    await listener.listen(LOCAL)
    const connection = await dialer.dialPeer(listener.peerId, {
      addresses: listener.getListenAddrs()
    })
    await connection.newStream(PAIR_PROTOCOL)
    await Promise.all([dialer.close(), listener.close()])
    return [dialer, listener]
  }
  const closed = await use()
  const before = held()
  for (let round = 0; round < 5; round += 1) closed.push(...(await use()))
  t.deepEqual(held(), before)
  t.is(closed.length, 12)
})
