/** Stream lifetimes within those of connections, swarms and handlers. */
import { ADDRESS_TTL_TEMPORARY, StreamState } from '../../ts/constants.ts'
import {
  AbortError,
  ConnectionClosedError,
  InvalidParametersError,
  NoConnectionError,
  NoRemoteAddrsError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  TimeoutError,
  UnexpectedPeerError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { ECHO, echo } from '../support/echo.ts'
import {
  createNode,
  createPair,
  outcomeOf,
  PAIR_PROTOCOL,
  pattern,
  until
} from '../support/pair.ts'
import { overPairs, overStacks } from '../support/stacks.ts'

// go 47
overStacks('five peers echo, each on a stream of its own', async (t, stack) => {
  const caller = await createNode(t, stack.options)
  const answers = Array.from({ length: 5 }, async (_, index) => {
    const node = await createNode(t, stack.options)
    node.handle(ECHO, echo)
    await node.listen(stack.listen)
    const connection = await caller.dialPeer(node.peerId, { addresses: node.getListenAddrs() })
    const stream = await connection.newStream(ECHO)
    await stream.write(pattern(10_000, index))
    await stream.closeWrite()
    return Buffer.compare(await stream.read(), pattern(10_000, index))
  })
  t.deepEqual(await Promise.all(answers), Array(5).fill(0))
  t.is(caller.getTotalConnections(), 5)
})

// go 49, go 50
overStacks(
  'a stream to a peer that is not connected dials it, unless noDial is set',
  async (t, stack) => {
    const [caller, node] = await Promise.all([
      createNode(t, stack.options),
      createNode(t, stack.options)
    ])
    node.handle(ECHO, echo)
    await node.listen(stack.listen)
    await t.throwsAsync(caller.newStream(node.peerId, ECHO), { instanceOf: NoRemoteAddrsError })
    await caller.peerstore.addAddrs(node.peerId, node.getListenAddrs(), ADDRESS_TTL_TEMPORARY)
    await t.throwsAsync(caller.newStream(node.peerId, ECHO, { noDial: true }), {
      instanceOf: NoConnectionError
    })
    const stream = await caller.newStream(node.peerId, ECHO)
    await stream.write(pattern(5))
    t.deepEqual(await stream.read(5), pattern(5))
    t.is(caller.getTotalConnections(), 1)
  }
)

// go 51, go 55
overPairs(
  'the list and the count of streams follow opens and ends on both sides',
  async (t, pair) => {
    const ends = await Promise.all(Array.from({ length: 4 }, () => pair.openStreams()))
    for (const connection of [pair.outbound, pair.inbound]) {
      t.is(connection.streams.length, 4)
      t.is(connection.stat.numStreams, 4)
      t.is(connection.getStreams().length, 4)
    }
    t.deepEqual(new Set(pair.outbound.streams), new Set(ends.map(({ near }) => near)))
    await ends[0]?.near.reset()
    await ends[1]?.near.close()
    await ends[1]?.far.close()
    // Two half-closes free a stream, even if its handler has not returned.
    await ends[2]?.near.closeWrite()
    await ends[2]?.far.closeWrite()
    await t.throwsAsync(ends[2]?.near.read(1) as Promise<unknown>, { instanceOf: StreamEOFError })
    await t.throwsAsync(ends[2]?.far.read(1) as Promise<unknown>, { instanceOf: StreamEOFError })
    for (const connection of [pair.outbound, pair.inbound]) {
      await until(() => connection.stat.numStreams === 1)
    }
    t.deepEqual(pair.outbound.streams, [ends[3]?.near])
  }
)

// go 55
overPairs(
  'a handler that never returns holds nothing once its stream has ended',
  async (t, pair) => {
    const taken: Stream[] = []
    pair.listener.handle('/hangs', (stream) => {
      taken.push(stream)
      return new Promise(() => {})
    })
    const stream = await pair.outbound.newStream('/hangs')
    await until(() => taken.length === 1)
    await stream.close()
    await taken[0]?.close()
    await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
    t.is(taken[0]?.state, StreamState.CLOSE_BOTH)
  }
)

// go 52
overPairs('opening a stream is enough for its handler to see it, once', async (t, pair) => {
  const seen: Stream[] = []
  pair.listener.handle('/seen', (stream) => {
    seen.push(stream)
  })
  const stream = await pair.outbound.newStream('/seen')
  await until(() => seen.length === 1)
  await stream.write(pattern(3))
  t.deepEqual(await seen[0]?.read(3), pattern(3))
  t.is(seen.length, 1)
})

// go 53, N29
overPairs('a swarm that closes ends the reads of both sides', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const reads = [near, far].map((stream) => stream.read(1))
  await pair.dialer.close({ drainTimeout: 0 })
  for (const read of reads) await t.throwsAsync(read, { instanceOf: StreamResetError })
  await until(() => pair.listener.getTotalConnections() === 0)
  t.is(pair.inbound.streams.length, 0)
})

// go 54
overPairs('a handler may close its connection', async (t, pair) => {
  pair.listener.handle('/closes', async (stream, connection) => {
    await stream.read(1)
    await connection.close()
  })
  const stream = await pair.outbound.newStream('/closes')
  await stream.write(pattern(1))
  await t.throwsAsync(stream.read(1), { instanceOf: StreamResetError })
  await pair.outbound.closed
  t.is(pair.listener.getTotalConnections(), 0)
})

// go 56
overPairs(
  'a stream without a handler is refused, and its connection goes on as before',
  async (t, pair) => {
    const stream = await pair.outbound.newStream('/of/nobody')
    const err = await t.throwsAsync(stream.read(1), { instanceOf: StreamError })
    t.true(err.cause instanceof UnsupportedProtocolError)
    await t.throwsAsync(pair.outbound.newStream(['/of/nobody', '/of/none']), {
      instanceOf: UnsupportedProtocolError
    })
    const { near, far } = await pair.openStreams()
    await near.write(pattern(1))
    t.is((await far.read(1)).length, 1)
    await until(() => pair.inbound.streams.length === 1)
  }
)

// go 59
overPairs('a protocol is set once', async (t, { outbound, listener }) => {
  listener.setStreamHandler(echo)
  const raw = await outbound.newStream()
  raw.setProtocol('/mine')
  t.is(raw.protocol, '/mine')
  t.throws(() => raw.setProtocol('/other'), { instanceOf: InvalidParametersError })
  listener.setStreamHandler(null)
  const named = await outbound.newStream(PAIR_PROTOCOL)
  t.throws(() => named.setProtocol('/other'), { instanceOf: InvalidParametersError })
  await raw.reset()
})

// go 60
overStacks(
  'negotiation with a silent peer ends by limit, by option and by signal',
  async (t, stack) => {
    const pair = await createPair(t, {
      both: stack.options,
      listen: stack.listen,
      dialer: { connections: { streamNegotiationTimeout: 300 } }
    })
    // It treats the negotiation as the stream's own bytes and sends nothing.
    pair.listener.setStreamHandler(() => {})
    const choice = ['/one', '/other']
    await t.throwsAsync(pair.outbound.newStream(choice), { instanceOf: TimeoutError })
    await t.throwsAsync(pair.outbound.newStream(choice, { negotiationTimeout: 20 }), {
      instanceOf: TimeoutError
    })
    const controller = new AbortController()
    const opening = pair.outbound.newStream(choice, { signal: controller.signal })
    t.is(await outcomeOf(opening), 'waits')
    controller.abort()
    await t.throwsAsync(opening, { instanceOf: AbortError })
    await until(() => pair.outbound.stat.numStreams === 0)
  }
)

// go 66, go 149, go 163
overPairs('a connection closed by one side opens no more streams at either', async (t, pair) => {
  const [here, there] = [pair.inbound, pair.outbound]
  await here.close()
  await there.closed
  for (const connection of [here, there]) {
    t.true(connection.isClosed)
    await t.throwsAsync(connection.newStream(PAIR_PROTOCOL), { instanceOf: ConnectionClosedError })
    await t.notThrowsAsync(connection.close())
  }
  t.is(pair.dialer.getTotalConnections() + pair.listener.getTotalConnections(), 0)
})

// go 149
overPairs('a stream that is being opened when its connection ends is refused', async (t, pair) => {
  pair.listener.setStreamHandler(() => {})
  const opening = pair.outbound.newStream(['/one', '/other'])
  t.is(await outcomeOf(opening), 'waits')
  await pair.inbound.close()
  await t.throwsAsync(opening, { instanceOf: StreamResetError })
})

// go 163, S15
overStacks('a dial of the wrong peer fails with UnexpectedPeerError', async (t, stack) => {
  const pair = await createPair(t, { both: stack.options, listen: stack.listen })
  const other = await createNode(t, stack.options)
  const addresses = pair.listener.getListenAddrs()
  const err = await t.throwsAsync(pair.dialer.dialPeer(other.peerId, { addresses }))
  const [attempt] = (err as unknown as { attempts: { cause: unknown }[] }).attempts
  t.true(attempt?.cause instanceof UnexpectedPeerError)
})

overPairs('properties of a stream remain after its end', async (t, pair, stack) => {
  const { near, far } = await pair.openStreams()
  t.not(near.id, far.id)
  t.true(near.id.startsWith(`${pair.outbound.id}-`))
  t.deepEqual([near.direction, far.direction], ['outbound', 'inbound'])
  t.deepEqual([near.stat.direction, far.stat.direction], ['outbound', 'inbound'])
  t.is(near.muxedStream, near)
  t.is(near.connection, pair.outbound)
  const { remoteAddress } = near
  t.is(remoteAddress?.host, stack.listen.startsWith('/ip4/') ? '127.0.0.1' : undefined)
  near.stat.extra.set('mine', 1)
  await near.reset()
  await pair.outbound.close()
  t.deepEqual(near.remoteAddress, remoteAddress)
  t.is(near.protocol, PAIR_PROTOCOL)
  t.is(near.stat.extra.get('mine'), 1)
})

// go 163
overPairs('both sides may reset, close and time out on streams side by side', async (t, pair) => {
  const [one, two, three, four] = await Promise.all([
    pair.openStreams(),
    pair.openStreams(),
    pair.openStreams(),
    pair.openStreams()
  ])
  const reads = [one, two, three, four].map(({ near }) => near.read(1))
  await one.near.reset(1)
  await two.far.reset(2)
  three.near.setReadDeadline(Date.now() - 1)
  await four.far.write(pattern(1))
  t.deepEqual(
    (await Promise.allSettled(reads)).map((read) =>
      read.status === 'rejected' ? (read.reason as Error).name : 'data'
    ),
    ['StreamResetError', 'StreamResetError', 'TimeoutError', 'data']
  )
})

// go 48
overPairs('both ends report peers, addresses, direction and time of opening', async (t, pair) => {
  const { outbound, inbound, dialer, listener } = pair
  t.is(String(outbound.localPeer), String(dialer.peerId))
  t.is(String(outbound.remotePeer), String(listener.peerId))
  t.is(String(inbound.localPeer), String(listener.peerId))
  t.is(String(inbound.remotePeer), String(dialer.peerId))
  t.is(String(outbound.remoteAddr), String(inbound.localAddr))
  t.is(String(outbound.localAddr), String(inbound.remoteAddr))
  t.deepEqual([outbound.direction, inbound.direction], ['outbound', 'inbound'])
  const { near, far } = await pair.openStreams()
  const now = Date.now()
  for (const { stat } of [outbound, inbound, near, far]) {
    t.true(stat.opened <= now && stat.opened > now - 60_000)
  }
})
