/** Every public call rejects invalid arguments: synchronously, by name, before anything changes. */
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { Connection, InvalidParametersError, ping, Stream, Swarm } from '../../ts/index.ts'
import {
  type Argument,
  connectionCalls,
  functionCalls,
  streamCalls,
  swarmCalls
} from '../support/misuse.ts'
import { createPair, type Pair } from '../support/pair.ts'

const NONSENSE: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  5,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  10n,
  '',
  'soon',
  '/nonsense',
  '5000',
  Symbol('nonsense'),
  [],
  [5],
  [undefined],
  {},
  { signl: undefined },
  { signal: 'now' },
  { timeout: -1 },
  new Uint16Array(4),
  new ArrayBuffer(4),
  new Date(Number.NaN),
  Promise.resolve(),
  () => {}
]

const nonsense = fc.oneof(fc.constantFrom(...NONSENSE), fc.anything())

/** Passes nonsense to each call; names one that throws another error, rejects or accepts it. */
function refuseNonsense(t: ExecutionContext, calls: readonly Argument[]): void {
  for (const { name, call, takes } of calls) {
    fc.assert(
      fc.property(nonsense, (value) => {
        fc.pre(!takes(value))
        t.throws(() => call(value as never), { instanceOf: InvalidParametersError }, name)
      }),
      { numRuns: 60 }
    )
  }
}

test('nonsense of every type given to a swarm is refused, and the swarm goes on', async (t) => {
  const pair = await createPair(t)
  refuseNonsense(t, swarmCalls(pair))
  t.true(pair.dialer.isStarted())
  const { near, far } = await pair.openStreams()
  await near.write(Uint8Array.of(1))
  t.deepEqual(await far.read(1), Uint8Array.of(1))
})

test('nonsense of every type given to a connection is refused, and the connection goes on', async (t) => {
  const pair = await createPair(t)
  refuseNonsense(t, connectionCalls(pair.outbound))
  t.false(pair.outbound.isClosed)
  const { near } = await pair.openStreams()
  t.throws(() => pair.inbound.removeStream(near), { instanceOf: InvalidParametersError })
  await pair.outbound.closeWithError(3)
  t.is(pair.outbound.closeReason?.closeCode, 3)
})

test('nonsense of every type given to a stream is refused, and the stream goes on', async (t) => {
  const { openStreams } = await createPair(t)
  const { near, far } = await openStreams()
  refuseNonsense(t, streamCalls(near))
  await near.write(Uint8Array.of(7))
  await near.closeWrite()
  t.deepEqual(await far.read(), Uint8Array.of(7))
  await far.write(Uint8Array.of(8))
  t.deepEqual(await near.read(4), Uint8Array.of(8))
})

test('nonsense of every type given to a function of the package is refused', async (t) => {
  const pair = await createPair(t)
  const { near } = await pair.openStreams()
  refuseNonsense(t, functionCalls({ ...pair, near }))
  t.true(near.isOperational())
})

test('a duration passed as a date is refused', async (t) => {
  const { openStreams } = await createPair(t)
  const { near } = await openStreams()
  for (const set of ['setDeadline', 'setReadDeadline', 'setWriteDeadline'] as const) {
    t.throws(() => near[set](5_000), { message: /Date\.now\(\) \+ 5_000/ })
    t.notThrows(() => near[set](Date.now() + 60_000))
    t.notThrows(() => near[set](new Date(0)))
    t.notThrows(() => near[set](0))
  }
})

test('a date passed as a duration is refused', async (t) => {
  const { dialer, listener: remote, outbound } = await createPair(t)
  const timeout = Date.now() + 5_000
  const err = { instanceOf: InvalidParametersError, message: /a duration of 0 to 2147483647 ms/ }
  t.throws(() => dialer.dialPeer(remote.peerId, { timeout }), err)
  t.throws(() => outbound.newStream(['/a', '/b'], { negotiationTimeout: timeout }), err)
  t.throws(() => ping(outbound, { timeout }), err)
  t.throws(() => dialer.close({ drainTimeout: timeout }), err)
})

test('no method that takes arguments is left out', (t) => {
  const covered = (calls: readonly Argument[]): Set<string> =>
    new Set(calls.map(({ name }) => /^(\w+)\(/.exec(name)?.[1] ?? ''))
  // They accept anything, or nothing.
  const free = new Set(['constructor', 'removeEventListener', 'stopNotify'])
  const fake = { addEventListener: () => {}, getListenAddrs: () => [], peerId: '' } as never
  const pair = { dialer: fake, listener: fake } as unknown as Pair
  const classes: [object, Set<string>][] = [
    [Swarm.prototype, covered(swarmCalls(pair))],
    [Connection.prototype, covered(connectionCalls(fake))],
    [Stream.prototype, covered(streamCalls(fake))]
  ]
  for (const [prototype, names] of classes) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      const takesArguments =
        typeof value === 'function' && /^(?:async )?\w+\([^)]/.test(String(value))
      if (takesArguments && !free.has(name) && !name.startsWith('on')) {
        t.true(names.has(name), `${prototype.constructor.name}.${name} is not called with nonsense`)
      }
    }
  }
})
