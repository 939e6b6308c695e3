/** Every order in which the records of streams can arrive, split into drains anywhere. */
import test from 'ava'
import fc from 'fast-check'
import { ERROR_CODES } from '../../ts/errors.ts'
import { FLAG_REMOTE, RecordKind } from '../../ts/native/record.ts'
import type { Stream } from '../../ts/stream.ts'
import {
  CONNECTION_HANDLE,
  type FakeConnection,
  fakeConnection,
  turn
} from '../support/fake-connection.ts'

interface Lifecycle {
  readonly origin: 'inbound' | 'lazy' | 'negotiated' | 'refused' | 'negotiating'
  /** Records between its beginning and its end. */
  readonly middle: readonly ('readable' | 'writable')[]
  readonly ending: 'close' | 'reset'
  /** Promises between `newStream` and its caller. */
  readonly hops: number
}

const lifecycle: fc.Arbitrary<Lifecycle> = fc.record({
  origin: fc.constantFrom('inbound', 'lazy', 'negotiated', 'refused', 'negotiating'),
  middle: fc.array(fc.constantFrom('readable' as const, 'writable' as const), { maxLength: 3 }),
  ending: fc.constantFrom('close', 'reset'),
  hops: fc.integer({ min: 0, max: 8 })
})

/** The application's view of one stream. */
interface Seen {
  stream: Stream | undefined
  failed: boolean
  closes: number
}

/** Begins a lifecycle; returns its records in order, and the application's view of it. */
function begin(host: FakeConnection, of: Lifecycle): { records: (() => void)[]; seen: Seen } {
  const { fake, connection } = host
  const seen: Seen = { stream: undefined, failed: false, closes: 0 }
  const watch = (stream: Stream): void => {
    seen.stream = stream
    stream.addEventListener('close', () => {
      seen.closes += 1
    })
  }
  const records: (() => void)[] = []
  let handle: number
  if (of.origin === 'inbound') {
    handle = fake.inbound(CONNECTION_HANDLE, 1)
    const opened = fake.takeQueued()
    records.push(() => {
      fake.requeue(opened)
      host.served.push(watch)
    })
  } else {
    const protocols = of.origin === 'lazy' ? '/a' : ['/a', '/b']
    handle = fake.nextHandle()
    const opening = async (): Promise<void> => {
      let stream = connection.newStream(protocols)
      for (let hop = 0; hop < of.hops; hop += 1) stream = stream.then((same) => same)
      watch(await stream)
    }
    opening().catch(() => {
      seen.failed = true
    })
  }
  if (of.origin === 'negotiated') {
    records.push(() => fake.put(RecordKind.streamNegotiated, handle, 1))
  }
  if (of.origin === 'refused') {
    const code = ERROR_CODES.ERR_UNSUPPORTED_PROTOCOL
    records.push(() => fake.put(RecordKind.streamNegotiated, handle, 0, code))
    records.push(() => fake.put(RecordKind.streamReset, handle, 0, code))
  } else {
    if (of.origin !== 'negotiating') {
      for (const what of of.middle) {
        const kind = what === 'readable' ? RecordKind.streamReadable : RecordKind.streamWritable
        records.push(() => fake.put(kind, handle, 0))
      }
    }
    if (of.ending === 'reset') {
      records.push(() => fake.put(RecordKind.streamReset, handle, 7, 0, FLAG_REMOTE))
    }
  }
  records.push(() => fake.put(RecordKind.streamClosed, handle))
  return { records, seen }
}

test('each stream and its end are notified once, for any order and batches of records', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(lifecycle, { minLength: 1, maxLength: 5 }),
      fc.infiniteStream(fc.nat(1_000)),
      fc.boolean(),
      async (lifecycles, random, connectionEnds) => {
        const host = fakeConnection()
        host.fake.native.internProtocol(1, '/a')
        const begun = lifecycles.map((one) => begin(host, one))
        // A drain runs in its own turn: callers that get a stream at once have it by then.
        await turn()
        const queues = begun.map(({ records }) => [...records])
        const next = (): number => random.next().value as number
        for (;;) {
          const left = queues.filter((queue) => queue.length > 0)
          if (left.length === 0) break
          left[next() % left.length]?.shift()?.()
          if (next() % 3 !== 0) continue
          host.fake.ring()
          await turn()
        }
        if (connectionEnds) host.fake.put(RecordKind.connectionClosed, CONNECTION_HANDLE)
        host.fake.ring()
        await turn()
        await turn()
        t.deepEqual(host.connection.streams, [])
        for (const [at, { seen }] of begun.entries()) {
          const of = lifecycles[at] as Lifecycle
          const isNotified = of.origin !== 'refused' && of.origin !== 'negotiating'
          t.is(seen.failed, !isNotified, `${JSON.stringify(of)} failed`)
          t.is(seen.closes, isNotified ? 1 : 0, `${JSON.stringify(of)} notified of its end`)
          if (seen.stream === undefined) continue
          const id = seen.stream.id.replace(/^.*-(\d+-\d+)$/, '$1')
          const notified = host.notified.filter((line) => line.endsWith(` ${id}`))
          t.deepEqual(notified, [`openedStream ${id}`, `closedStream ${id}`])
        }
        if (connectionEnds) t.is(host.notified.at(-1), 'disconnected')
        t.deepEqual(host.errors, [])
      }
    ),
    { numRuns: 300 }
  )
})

test('a stream negotiated and closed in one batch is closed for its opener', async (t) => {
  const { fake, connection, notified } = fakeConnection()
  fake.native.internProtocol(1, '/a')
  const opening = connection.newStream(['/a', '/b'])
  fake.put(RecordKind.streamNegotiated, 1, 1)
  fake.put(RecordKind.streamReset, 1, 7, 0, FLAG_REMOTE)
  fake.put(RecordKind.streamClosed, 1)
  fake.ring()
  const stream = await opening
  let closes = 0
  stream.addEventListener('close', () => {
    closes += 1
  })
  await turn()
  t.is(closes, 1)
  t.deepEqual(connection.streams, [])
  t.deepEqual(
    notified.map((line) => line.split(' ')[0]),
    ['openedStream', 'closedStream']
  )
})

test('a newStream that was negotiated before its timeout does not time out', async (t) => {
  const { fake, connection, clock } = fakeConnection()
  fake.native.internProtocol(1, '/a')
  const opening = connection.newStream(['/a', '/b'], { negotiationTimeout: 100 })
  fake.put(RecordKind.streamNegotiated, 1, 1)
  clock.advance(200)
  t.is((await opening).protocol, '/a')

  const controller = new AbortController()
  const other = connection.newStream(['/a', '/b'], { signal: controller.signal })
  fake.put(RecordKind.streamNegotiated, 2, 1)
  controller.abort(new DOMException('late', 'TimeoutError'))
  t.is((await other).protocol, '/a')
})

test('an abort other than a timeout ends a newStream at once, regardless of pending records', async (t) => {
  const { fake, connection } = fakeConnection()
  const controller = new AbortController()
  const opening = connection.newStream(['/a', '/b'], { signal: controller.signal })
  fake.put(RecordKind.streamNegotiated, 1, 1)
  controller.abort()
  await t.throwsAsync(opening, { name: 'AbortError' })
})

test('a read that is aborted by a timeout gets the bytes that arrived before', async (t) => {
  const { fake, open } = fakeConnection()
  const { stream, handle } = await open()
  const controller = new AbortController()
  const reading = stream.read(1, { signal: controller.signal })
  const { inbox } = fake.stream(handle)
  inbox.push(9)
  fake.put(RecordKind.streamReadable, handle, 1)
  controller.abort(new DOMException('late', 'TimeoutError'))
  t.deepEqual(await reading, Uint8Array.of(9))
})
