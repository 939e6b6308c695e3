/** Simulated networks: virtual time, latency, and the same run for the same seed. */
import test from 'ava'
import {
  InvalidParametersError,
  ping,
  StateError,
  StreamResetError,
  Swarm,
  TimeoutError
} from '../../ts/index.ts'
import { type SimulatedNetwork, simulate, type TraceEvent } from '../../ts/testing/index.ts'
import { ECHO, echoed, QUIET, serveEcho, simulated, simulatedPair } from '../support/simulated.ts'

/** A run with all that a seed determines: dials, echoes, losses, crashes and partitions. */
async function randomRun(seed: number): Promise<string> {
  await using net = simulate({ seed, latency: 20, jitter: 30, dialFailure: 0.1, lossPerHour: 60 })
  const names = ['a', 'b', 'c', 'd', 'e']
  for (const name of names) serveEcho(await net.node(name))
  const random = net.swarm('a').options.random
  const pick = (): string => names[Math.floor(random() * names.length)] ?? ''
  const use = async (from: string, to: string): Promise<void> => {
    const connection = await net.swarm(from).dialAddr(net.address(to))
    const stream = await connection.newStream(ECHO)
    await echoed(stream, 'hello')
    await stream.close()
  }
  for (let step = 0; step < 60; step += 1) {
    const [from, to] = [pick(), pick()]
    const which = random()
    const isUp = net.swarm(from).isStarted()
    if (from === to) continue
    if (which < 0.6 && isUp) use(from, to).catch(() => {})
    else if (which < 0.7) {
      await net.crash(from)
      serveEcho(await net.restart(from))
    } else if (which < 0.8) net.partition([from], [to])
    else if (which < 0.9) net.heal()
    await net.advance(random() * 400)
  }
  await net.advance(60_000)
  await net.close()
  return net.hash
}

test('the same seed has the same run, and another seed another one', async (t) => {
  const hashes = new Set<string>()
  for (let run = 0; run < 20; run += 1) hashes.add(await randomRun(7))
  t.is(hashes.size, 1)
  t.false(hashes.has(await randomRun(8)))
})

test('the identity and the address of a node follow from the seed, its name and its place', async (t) => {
  const [one, same, other] = [simulated(t, { seed: 1 }), simulated(t, { seed: 1 }), simulated(t)]
  for (const net of [one, same, other]) await net.node('a', QUIET)
  t.regex(one.address('a'), /^\/ip4\/10\.0\.0\.1\/tcp\/4001\/p2p\/12D3KooW/)
  t.is(one.address('a'), same.address('a'))
  t.not(one.address('a'), other.address('a'))
  await one.node('b', QUIET)
  t.regex(one.address('b'), /^\/ip4\/10\.0\.0\.2\//)
  t.deepEqual(one.names, ['a', 'b'])
  t.deepEqual(one.swarm('a').getListenAddrs().map(String), ['/ip4/10.0.0.1/tcp/4001'])
})

test('a dial takes a round trip, and so does a ping, to the millisecond', async (t) => {
  const { net, outbound } = await simulatedPair(t, { latency: 25 }, {})
  t.is(net.elapsed, 50)
  const pings = ping(outbound, { count: 3 })
  // The first one opens the stream.
  for (let round = 0; round < 3; round += 1) t.is((await net.run(pings.next())).value, 50)
  await net.run(pings.next())
  net.link('b', 'a', { latency: 100 })
  t.is((await net.run(ping(outbound, { count: 1 }).next())).value, 200)
})

test('jitter is drawn for each packet, and no packet overtakes another', async (t) => {
  const { net, open } = await simulatedPair(t, { latency: 10, jitter: 50 })
  const stream = await open()
  const delays = new Set<number>()
  for (let round = 0; round < 10; round += 1) {
    const began = net.elapsed
    t.is(await net.run(echoed(stream, `round ${round}`)), `round ${round}`)
    const delay = net.elapsed - began
    t.true(delay >= 20 && delay <= 120, `${delay}`)
    delays.add(delay)
  }
  t.true(delays.size > 5)
  // Each write is a packet of its own time.
  const sent = 'abcdefghijklmnopqrstuvwxyz'
  for (const letter of sent) {
    await stream.write(Buffer.from(letter))
    await net.advance(1)
  }
  let received = ''
  while (received.length < sent.length) received += `${Buffer.from(await net.run(stream.read(64)))}`
  t.is(received, sent)
})

test('bandwidth is shared by the connections of a link, in each direction', async (t) => {
  const { net, a, b } = await simulatedPair(t, { latency: 10, bandwidth: 100_000 })
  let received = 0
  b.handle('/sink', async (stream) => {
    for await (const chunk of stream) received += chunk.length
  })
  const began = net.elapsed
  const bytes = new Uint8Array(100_000)
  const upload = async (): Promise<void> => {
    const connection = await a.dialAddr(net.address('b'), { force: true })
    const stream = await connection.newStream('/sink')
    await stream.write(bytes)
    await stream.closeWrite()
  }
  await net.run(Promise.all([upload(), upload()]))
  await net.until(() => received === 200_000)
  const elapsed = net.elapsed - began
  t.true(elapsed > 2_000 && elapsed < 2_200, `${elapsed}`)
})

test('a stream that is not read holds its remote back', async (t) => {
  const { net, b, outbound } = await simulatedPair(t)
  let held: (() => void) | undefined
  let received = 0
  b.handle('/slow', async (stream) => {
    await new Promise<void>((resolve) => {
      held = resolve
    })
    for await (const chunk of stream) received += chunk.length
  })
  const stream = await net.run(outbound.newStream('/slow'))
  const bytes = new Uint8Array(4 * 1024 * 1024)
  let isWritten = false
  const written = stream.write(bytes).then(() => {
    isWritten = true
    return stream.closeWrite()
  })
  await net.advance(60_000)
  t.is(received, 0)
  t.false(isWritten)
  held?.()
  await net.run(written)
  await net.until(() => received === bytes.length)
})

test('a reset does not overtake the bytes before it', async (t) => {
  const { net, b, outbound } = await simulatedPair(t)
  b.handle('/reset', (stream) => stream.reset(7))
  // The answer of the negotiation and the reset arrive together.
  const stream = await net.run(outbound.newStream('/reset'))
  const err = await t.throwsAsync(net.run(stream.read(1)), { instanceOf: StreamResetError })
  t.is(err?.errorCode, 7)
  t.true(err?.remote)
})

test('timers run in the order of their times, and of their calls', async (t) => {
  const net = simulated(t)
  const ran: string[] = []
  const at = (ms: number, name: string): unknown => {
    return net.clock.setTimer(() => ran.push(`${name} ${net.elapsed}`), ms)
  }
  at(20, 'd')
  at(10, 'b')
  at(10, 'c')
  at(5, 'a')
  net.clock.clearTimer(at(15, 'cleared'))
  net.clock.setTimer(() => at(0, 'nested'), 10)
  const began = performance.now()
  await net.advance(15)
  t.deepEqual(ran, ['a 5', 'b 10', 'c 10', 'nested 10'])
  t.is(net.elapsed, 15)
  await net.advance(3_600_000)
  t.deepEqual(ran.at(-1), 'd 20')
  t.true(performance.now() - began < 10_000)
})

test('thousands of timers run in order, whatever was cleared in between', async (t) => {
  const net = simulated(t)
  const ran: number[] = []
  const timers: unknown[] = []
  for (let index = 0; index < 10_000; index += 1) {
    const ms = (index * 7_919) % 10_007
    timers.push(net.clock.setTimer(() => ran.push(ms), ms))
  }
  for (const [index, timer] of timers.entries()) if (index % 4 !== 0) net.clock.clearTimer(timer)
  await net.advance(10_007)
  t.is(ran.length, 2_500)
  t.deepEqual(
    ran,
    ran.toSorted((one, other) => one - other)
  )
})

test('calls that let time pass wait side by side', async (t) => {
  const net = simulated(t)
  const ended: string[] = []
  const note = (name: string) => () => ended.push(`${name} ${net.elapsed}`)
  net.clock.setTimer(note('timer'), 30)
  await Promise.all([
    net.advance(50).then(note('50')),
    net.advance(20).then(note('20')),
    net.until(() => net.elapsed >= 30).then(note('until')),
    net.run(net.advance(10)).then(note('run'))
  ])
  t.deepEqual(ended, ['run 10', '20 20', 'timer 30', 'until 30', '50 50'])
})

test('networks of one process take turns', async (t) => {
  const [one, other] = [simulated(t), simulated(t)]
  const tick = (): void => void one.clock.setTimer(tick, 1)
  tick()
  // Alone, the first one would be past its time before the other begins.
  await Promise.all([one.until(() => other.elapsed >= 100, { within: 1_000 }), other.advance(100)])
  t.true(one.elapsed < 1_000)
})

test('a wait ends with its time, and with what its predicate throws', async (t) => {
  const net = simulated(t)
  await t.throwsAsync(
    net.until(() => false, { within: 1_000 }),
    { instanceOf: TimeoutError }
  )
  t.is(net.elapsed, 1_000)
  await t.throwsAsync(net.run(new Promise(() => {}), { within: 10 }), { instanceOf: TimeoutError })
  await t.throwsAsync(
    net.until(() => {
      throw new RangeError('mine')
    }),
    { instanceOf: RangeError, message: 'mine' }
  )
  await t.throwsAsync(net.run(Promise.reject(new RangeError('mine'))), { message: 'mine' })
  // A promise would be taken for true.
  await t.throwsAsync(net.until((async () => false) as unknown as () => boolean), {
    instanceOf: InvalidParametersError
  })
  t.is(net.elapsed, 1_010)
})

// Its immediates keep the networks of other tests from settling too.
test.serial('a program that never settles is told so, and the next call works', async (t) => {
  const net = simulated(t)
  let isLooping = true
  const loop = (): void => {
    if (isLooping) setImmediate(loop)
  }
  loop()
  await t.throwsAsync(net.advance(1), { instanceOf: StateError, message: /setImmediate/ })
  isLooping = false
  const tick = (): void => void net.clock.setTimer(tick, 0)
  tick()
  await t.throwsAsync(net.advance(1), { instanceOf: StateError, message: /0 ms/ })
})

test('immediates run before time passes, however deep they are nested', async (t) => {
  const net = simulated(t)
  const seen: string[] = []
  net.clock.setTimer(() => {
    const nest = (depth: number): void => {
      if (depth === 0) seen.push(`immediates ${net.elapsed}`)
      else setImmediate(() => queueMicrotask(() => nest(depth - 1)))
    }
    nest(50)
  }, 10)
  net.clock.setTimer(() => seen.push(`timer ${net.elapsed}`), 10.5)
  await net.advance(20)
  t.deepEqual(seen, ['immediates 10', 'timer 10.5'])
})

test('a node is one of an application that makes its swarm itself', async (t) => {
  const net = simulated(t)
  const swarm = new Swarm(net.options('mine', QUIET))
  t.true(net.address('mine').endsWith(`/p2p/${swarm.peerId}`))
  t.throws(() => net.swarm('mine'), { instanceOf: StateError })
  await swarm.start()
  t.is(net.swarm('mine'), swarm)
  await swarm.listen(net.address('mine'))
  const other = await net.node('other', QUIET)
  await net.run(other.dialAddr(net.address('mine')))
  t.is(swarm.getTotalConnections(), 1)
  await net.close()
  t.false(swarm.isStarted())
})

test('swarms close gracefully in virtual time', async (t) => {
  const { net, a, b, outbound, open } = await simulatedPair(t, { latency: 50 })
  const stream = await open()
  await net.run(echoed(stream, 'hello'))
  await net.run(a.close())
  t.true(outbound.isClosed)
  t.is(b.getTotalConnections(), 1)
  await net.advance(50)
  t.is(b.getTotalConnections(), 0)
  // A handler that does not return is waited for, by the clock of the network.
  const lasting = await net.restart('a')
  lasting.handle('/lasting', () => new Promise(() => {}))
  const connection = await net.run(b.dialAddr(net.address('a')))
  await net.run(connection.newStream('/lasting'))
  const began = net.elapsed
  await net.run(lasting.close({ drainTimeout: 5_000 }))
  t.is(net.elapsed - began, 5_000)
})

test('the trace has the latest events, and the hash has them all', async (t) => {
  const kinds = (net: SimulatedNetwork): string[] =>
    net.trace().map(({ event, node, remote }: TraceEvent) => `${event} ${node} ${remote}`.trim())
  const { net } = await simulatedPair(t)
  t.deepEqual(kinds(net), [
    'started a',
    'started b',
    'dialled a b',
    'accepted b a',
    'connected b a',
    'received a b',
    'connected a b'
  ])
  const short = await simulatedPair(t, { traceEvents: 2 })
  t.deepEqual(kinds(short.net), ['received a b', 'connected a b'])
  t.is(short.net.hash, net.hash)
  t.is((await simulatedPair(t, { traceEvents: 0 })).net.trace().length, 0)
})

test('a closed network has closed its swarms, and takes no more calls', async (t) => {
  const { net, a, b } = await simulatedPair(t)
  const [first, second] = [net.close(), net.close()]
  t.is(first, second)
  await first
  t.false(a.isStarted() || b.isStarted())
  for (const call of [
    () => net.node('c'),
    () => net.options('c'),
    () => net.advance(1),
    () => net.until(() => true),
    () => net.run(Promise.resolve()),
    () => net.crash('a'),
    () => net.restart('a')
  ]) {
    t.throws(call, { instanceOf: StateError, message: 'the simulated network is closed' })
  }
  t.is(net.names.length, 2)
  t.regex(net.hash, /^[\da-f]{64}$/)
})

test('a swarm that is being started when the network is closed is closed too', async (t) => {
  const net = simulated(t)
  const starting = net.node('a')
  const closed = net.close()
  await t.throwsAsync(starting, { instanceOf: StateError })
  await closed
})

test('200 nodes connect, identify each other and exchange bytes', async (t) => {
  t.timeout(120_000, 'on a busy machine')
  const net = simulated(t, { latency: 30, jitter: 20, traceEvents: 0 })
  const names = Array.from({ length: 200 }, (_, index) => `node ${index}`)
  for (const name of names) serveEcho(await net.node(name))
  const answers = names.map(async (name, index) => {
    const peer = names[(index + 1) % names.length] ?? ''
    const connection = await net.swarm(name).dialAddr(net.address(peer))
    return echoed(await connection.newStream(ECHO), name)
  })
  t.deepEqual(await net.run(Promise.all(answers)), names)
  await net.advance(1_000)
  for (const name of names) {
    t.is(net.swarm(name).getTotalConnections(), 2)
    t.is(net.swarm(name).getPeers().length, 2)
  }
})
