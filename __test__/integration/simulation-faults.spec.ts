/** Faults of simulated networks: partitions, crashes, losses and failed dials, and misuse of the calls. */
import test from 'ava'
import {
  ConnectionClosedError,
  DialAllFailedError,
  InvalidParametersError,
  StateError
} from '../../ts/index.ts'
import { type LinkOptions, type NodeOptions, simulate } from '../../ts/testing/index.ts'
import { ECHO, echoed, QUIET, serveEcho, simulated, simulatedPair } from '../support/simulated.ts'

/** Nodes that try an address once. */
const ONCE: NodeOptions = { ...QUIET, retry: { maxRetries: 0 } }

/** Returns the code of the only failed attempt of a dial. */
async function failureOf(dial: Promise<unknown>): Promise<string | undefined> {
  try {
    await dial
    return undefined
  } catch (err) {
    if (!(err instanceof DialAllFailedError)) throw err
    return err.attempts[0]?.cause.code
  }
}

test('an address that nobody has, or listens at, refuses after a round trip', async (t) => {
  const net = simulated(t, { latency: 20 })
  const a = await net.node('a', ONCE)
  await net.node('b', QUIET)
  const dial = (addr: string): Promise<string | undefined> =>
    net.run(failureOf(a.dialAddr(addr, { force: true })))
  t.is(await dial('/ip4/10.9.9.9/tcp/4001'), 'ERR_CONNECTION_REFUSED')
  t.is(net.elapsed, 40)
  t.is(await dial('/ip4/10.0.0.2/tcp/4002'), 'ERR_CONNECTION_REFUSED')
  t.is(net.elapsed, 80)
  await net.crash('b')
  t.is(await dial(net.address('b')), 'ERR_CONNECTION_REFUSED')
})

test('a dial across a partition times out in virtual time, in no real time', async (t) => {
  const net = simulated(t)
  const a = await net.node('a', ONCE)
  await net.node('b', QUIET)
  net.partition(['a'], ['b'])
  const began = performance.now()
  t.is(await net.run(failureOf(a.dialAddr(net.address('b')))), 'ERR_TIMEOUT')
  // That of private addresses.
  t.is(net.elapsed, 5_000)
  t.true(performance.now() - began < 4_000)
})

test('the first packet of a dial across a partition is lost, also if it is healed at once', async (t) => {
  const net = simulated(t, { latency: 1_000 })
  const a = await net.node('a', ONCE)
  await net.node('b', QUIET)
  net.partition(['a'], ['b'])
  const failure = failureOf(a.dialAddr(net.address('b')))
  await net.advance(0)
  net.heal()
  t.is(await net.run(failure), 'ERR_TIMEOUT')
  t.is(await net.run(failureOf(a.dialAddr(net.address('b'), { force: true }))), undefined)
})

test('what a partition holds back arrives once it is healed', async (t) => {
  const { net, outbound, open } = await simulatedPair(t, { latency: 10 })
  const stream = await open()
  const answer = echoed(stream, 'hello')
  // The bytes are on their way.
  await net.advance(5)
  net.partition(['a'], ['b'])
  await net.advance(30_000)
  t.false(outbound.isClosed)
  net.heal()
  const healed = net.elapsed
  t.is(await net.run(answer), 'hello')
  t.is(net.elapsed - healed, 20)
  t.is(await net.run(echoed(stream, 'again')), 'again')
})

test('a partition that lasts loses the connections across it, at both ends', async (t) => {
  const { net, b, outbound, open } = await simulatedPair(t, { stallTimeout: 15_000 })
  const stream = await open()
  const c = await net.node('c', QUIET)
  const aside = await net.run(c.dialAddr(net.address('b')))
  const began = net.elapsed
  net.partition(['a'], ['b', 'c'])
  const read = stream.read(1)
  await t.throwsAsync(net.run(read), { instanceOf: Error })
  t.is(net.elapsed - began, 15_000)
  t.true(outbound.isClosed)
  t.true(outbound.closeReason?.error instanceof ConnectionClosedError)
  t.is(b.getTotalConnections(), 1)
  t.false(aside.isClosed)
})

test('a one-way partition stops one direction', async (t) => {
  const { net, a, b, open } = await simulatedPair(t, { latency: 10 })
  const received: string[] = []
  b.handle('/sink', async (stream) => {
    for await (const chunk of stream) received.push(`${Buffer.from(chunk)}`)
  })
  const [connection] = a.getConnections()
  const sink = await net.run(connection?.newStream('/sink') ?? Promise.reject(new Error('none')))
  const echo = await open()
  net.partition(['b'], ['a'], { oneWay: true })
  await sink.write(Buffer.from('there'))
  await echo.write(Buffer.from('and back'))
  await net.advance(1_000)
  t.deepEqual(received, ['there'])
  net.heal()
  t.is(`${Buffer.from(await net.run(echo.read(64)))}`, 'and back')
})

test('partitions add up, and connections that are made since end with them', async (t) => {
  const net = simulated(t, { latency: 10, stallTimeout: 20_000 })
  const [a, b] = [await net.node('a', QUIET), await net.node('b', QUIET)]
  net.partition(['b'], ['a'], { oneWay: true })
  const dial = a.dialAddr(net.address('b'), { timeout: 5_000 })
  await t.throwsAsync(net.run(dial))
  // It has accepted a connection whose answer never arrives.
  t.is(b.getTotalConnections(), 1)
  net.partition(['a'], ['b'])
  await net.advance(20_000)
  t.is(b.getTotalConnections(), 0)
})

test('a crash is seen as a reset after the latency, and a restart is the same peer', async (t) => {
  const { net, a, b, outbound, open } = await simulatedPair(t, { latency: 30 })
  await open()
  const [{ peerId }, address] = [b, net.address('b')]
  const began = net.elapsed
  await net.crash('b')
  t.is(net.elapsed, began)
  t.false(b.isStarted())
  t.throws(() => net.swarm('b'), { instanceOf: StateError })
  t.false(outbound.isClosed)
  await net.until(() => outbound.isClosed)
  t.is(net.elapsed - began, 30)
  t.true(outbound.closeReason?.error instanceof ConnectionClosedError)

  const restarted = await net.restart('b')
  t.true(restarted.peerId.equals(peerId))
  t.is(net.address('b'), address)
  t.not(restarted, b)
  serveEcho(restarted)
  const connection = await net.run(a.dialAddr(address, { force: true }))
  t.is(await net.run(connection.newStream(ECHO).then((stream) => echoed(stream, 'hello'))), 'hello')
})

test('a crash across a partition is not seen before it is healed', async (t) => {
  const { net, outbound } = await simulatedPair(t)
  net.partition(['a'], ['b'])
  await net.crash('b')
  await net.advance(30_000)
  t.false(outbound.isClosed)
  net.heal()
  await net.until(() => outbound.isClosed, { within: 10 })
})

test('nodes that crash from a timer, while time passes, are closed in between', async (t) => {
  const { net, outbound } = await simulatedPair(t)
  let crashed: Promise<void> | undefined
  net.clock.setTimer(() => {
    crashed = net.crash('b')
  }, 100)
  await net.advance(1_000)
  await crashed
  t.true(outbound.isClosed)
  t.is(net.elapsed, 1_020)
})

test('connections are lost at the rate of their link', async (t) => {
  const net = simulated(t, { lossPerHour: 1 })
  const names = Array.from({ length: 60 }, (_, index) => `${index}`)
  // What is lost stays lost.
  const options = { ...QUIET, connections: { autoConnectBelow: 0 } }
  for (const name of names) await net.node(name, options)
  const hub = net.swarm('0')
  await net.run(
    Promise.all(names.slice(1).map((name) => net.swarm(name).dialAddr(net.address('0'))))
  )
  t.is(hub.getTotalConnections(), 59)
  await net.advance(3_600_000)
  const left = hub.getTotalConnections()
  // 1/e of 59 is 22.
  t.true(left > 10 && left < 34, `${left}`)
  const lost = net.trace().filter(({ event }) => event === 'lost')
  t.is(lost.length, 59 - left)
})

test('dials fail with the probability of their link', async (t) => {
  const net = simulated(t, { dialFailure: 1 })
  const a = await net.node('a', ONCE)
  await net.node('b', QUIET)
  const dial = (): Promise<string | undefined> =>
    net.run(failureOf(a.dialAddr(net.address('b'), { force: true })))
  t.is(await dial(), 'ERR_CONNECTION_RESET')
  net.link('a', 'b', { dialFailure: 0 })
  t.is(await dial(), undefined)
})

test('a node listens at its own host only, and at each address once', async (t) => {
  const net = simulated(t)
  const a = await net.node('a', QUIET)
  const refused = async (addr: string): Promise<string | undefined> => {
    const err = await t.throwsAsync(a.listen(addr))
    return (err as { attempts?: { cause: { code: string } }[] }).attempts?.[0]?.cause.code
  }
  t.is(await refused('/ip4/10.0.0.99/tcp/4001'), 'ERR_ADDRESS_NOT_AVAILABLE')
  t.true(await a.listen('/ip4/10.0.0.1/tcp/0'))
  const bound = `${a.getListenAddrs().at(-1)}`
  t.regex(bound, /^\/ip4\/10\.0\.0\.1\/tcp\/\d{5}$/)
  const b = await net.node('b', QUIET)
  await net.run(b.dialAddr(bound))
  t.true(await a.unlisten(bound))
  t.is(await net.run(failureOf(b.dialAddr(bound, { force: true }))), 'ERR_CONNECTION_REFUSED')
})

test('misuse is refused at once, and changes nothing', async (t) => {
  const { net } = await simulatedPair(t)
  const { hash } = net
  const refused = (call: () => unknown, message: RegExp): void => {
    t.throws(call, { instanceOf: InvalidParametersError, message }, `${call}`)
  }
  // Options as a program in JavaScript may give them.
  const wrong = (options: unknown): LinkOptions => options as LinkOptions
  refused(() => simulate(wrong({ latncy: 1 })), /did you mean latency/)
  refused(() => simulate({ latency: -1 }), /latency/)
  refused(() => simulate({ latency: Number.POSITIVE_INFINITY }), /latency/)
  refused(() => simulate({ jitter: Number.NaN }), /jitter/)
  refused(() => simulate({ bandwidth: 0 }), /bandwidth/)
  refused(() => simulate({ dialFailure: 2 }), /dialFailure/)
  refused(() => simulate({ lossPerHour: -1 }), /lossPerHour/)
  refused(() => simulate({ seed: 0.5 }), /seed/)
  refused(() => simulate({ traceEvents: -1 }), /traceEvents/)

  refused(() => net.node('a'), /there is a node "a" already/)
  refused(() => net.node(''), /name/)
  refused(() => net.node(wrong(1) as string), /name/)
  refused(() => net.node('c', { limts: 'auto' } as object), /limits/)
  refused(() => net.node('c', { clock: net.clock } as object), /clock is set by/)
  refused(() => net.options('c', { muxers: ['yamux'] } as object), /muxers is set by/)
  refused(() => net.link('a', 'c', {}), /name of a node/)
  refused(() => net.link('a', 'a', {}), /another node/)
  refused(() => net.link('a', 'b', wrong(undefined)), /options/)
  refused(() => net.link('a', 'b', wrong({ loss: 1 })), /loss/)
  refused(() => net.partition(['a'], ['c']), /name of a node/)
  refused(() => net.partition(['a'], ['a']), /one of the two groups/)
  refused(() => net.partition([], ['a']), /at least one/)
  refused(() => net.partition(wrong('a') as string[], ['b']), /from/)
  refused(() => net.partition(['a'], ['b'], { oneway: true } as object), /oneWay/)
  for (const call of ['crash', 'restart', 'swarm', 'address'] as const) {
    refused(() => net[call]('c'), /name of a node/)
  }
  refused(() => net.advance(-1), /ms/)
  refused(() => net.advance(Number.POSITIVE_INFINITY), /ms/)
  refused(() => net.until(wrong(true) as () => boolean), /predicate/)
  refused(() => net.until(() => true, { within: Number.POSITIVE_INFINITY }), /within/)
  refused(() => net.run(wrong(1) as Promise<void>), /promise/)
  t.deepEqual(net.names, ['a', 'b'])
  t.is(net.hash, hash)

  await net.crash('b')
  t.throws(() => net.crash('b'), { instanceOf: StateError })
  await t.throwsAsync(net.restart('a'), { instanceOf: StateError })
  // A name whose options were refused is free.
  await net.node('c', QUIET)
})
