import test from 'ava'
import fc from 'fast-check'
import { Engine, type StreamSink } from '../../ts/native/engine.ts'
import { HANDLE_INDEX_MASK, RecordKind } from '../../ts/native/record.ts'
import { fakeConnection } from '../support/fake-connection.ts'
import { fakeNative } from '../support/fake-native.ts'
import { aConnection, aListener, aStream } from '../support/handles.ts'

const STREAMS = 5
const CONNECTION = aConnection(7)
const NODE = 3
const LISTENER = aListener(9)

const word = fc.integer({ min: 0, max: 0xffffffff })
// Handles of the sinks below and of nobody; a generation stands above the index.
const handle = fc
  .tuple(fc.integer({ min: 0, max: STREAMS + 2 }), fc.integer({ min: 0, max: 1_023 }))
  .map(([index, generation]) => ((generation << 20) | index) >>> 0)

const record = fc.record({
  kind: fc.oneof(fc.constantFrom(...Object.values(RecordKind)), fc.integer({ min: 0, max: 255 })),
  flags: fc.integer({ min: 0, max: 0xffffff }),
  handle: fc.oneof(handle, fc.constantFrom(CONNECTION, LISTENER)),
  a: fc.oneof(word, fc.constantFrom(NODE, CONNECTION)),
  b: word
})
type Fields = typeof record extends fc.Arbitrary<infer T> ? T : never

function sink(index: number, heard: unknown[]): StreamSink {
  const note =
    (call: string) =>
    (...words: number[]): void => {
      heard.push([index, call, ...words])
    }
  return {
    handle: aStream(index),
    onNegotiated: note('settled'),
    onReadable: note('readable'),
    onWritable: note('writable'),
    onReset: note('reset'),
    onClosed: note('closed'),
    onOutgoing: note('outgoing'),
    onTurn: note('turn')
  } as unknown as StreamSink
}

/** What the sinks should hear, straight from docs/boundary.md. */
function expected(records: readonly Fields[]): unknown[] {
  const heard: unknown[] = []
  const gone = new Set<number | string>()
  for (const { kind, flags, handle, a, b } of records) {
    const index = handle & HANDLE_INDEX_MASK
    const toStream = (...words: unknown[]): void => {
      if (index < STREAMS && !gone.has(index)) heard.push([index, ...words])
    }
    switch (kind) {
      case RecordKind.streamNegotiated:
        toStream('settled', a, b)
        break
      case RecordKind.streamReadable:
        toStream('readable', a)
        break
      case RecordKind.streamWritable:
        toStream('writable', a | 0)
        break
      case RecordKind.streamReset:
        toStream('reset', a, b, flags)
        break
      case RecordKind.streamClosed:
        toStream('closed', a, flags)
        gone.add(index)
        break
      case RecordKind.streamOutgoing:
        toStream('outgoing')
        break
      case RecordKind.streamOpened:
        if ((a & HANDLE_INDEX_MASK) === CONNECTION && !gone.has('connection')) {
          heard.push(['connection', 'opened', handle, b])
        }
        break
      case RecordKind.protocolQuery:
        if ((a & HANDLE_INDEX_MASK) === CONNECTION && !gone.has('connection')) {
          heard.push(['connection', 'asked', `/asked/${handle}`])
        }
        break
      case RecordKind.connectionGoingAway:
        if (index === CONNECTION && !gone.has('connection'))
          heard.push(['connection', 'going away'])
        break
      case RecordKind.connectionCarried:
        if (index === CONNECTION && !gone.has('connection'))
          heard.push(['connection', 'carried', flags, a + b * 2 ** 32])
        break
      case RecordKind.connectionClosed:
        if (index !== CONNECTION || gone.has('connection')) break
        heard.push(['connection', 'closed', a, b, flags])
        gone.add('connection')
        break
      case RecordKind.connectionOpened:
        if (a === NODE) heard.push(['node', handle, b])
        break
      case RecordKind.attemptsFailed:
        if (a === NODE) heard.push(['node', 'attempts', handle])
        break
      case RecordKind.listenerClosed:
        if (handle === LISTENER && !gone.has('listener')) heard.push(['listener', a])
        if (handle === LISTENER) gone.add('listener')
        break
    }
  }
  return heard
}

test('a record reaches the one it is about, with its own words, in order and never after its end', (t) => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 60 }), (records) => {
      const fake = fakeNative()
      const engine = new Engine(fake.native)
      const heard: unknown[] = []
      for (let index = 0; index < STREAMS; index += 1) engine.adoptStream(sink(index, heard))
      engine.adoptConnection(CONNECTION, {
        onStreamOpened: (...words) => heard.push(['connection', 'opened', ...words]),
        onProtocolQuery: (protocol) => {
          heard.push(['connection', 'asked', protocol])
          return undefined
        },
        onGoingAway: () => heard.push(['connection', 'going away']),
        onCarried: (...words) => heard.push(['connection', 'carried', ...words]),
        onClosed: (...words) => heard.push(['connection', 'closed', ...words])
      })
      engine.adoptNode(NODE, {
        onConnectionOpened: (...words) => heard.push(['node', ...words]),
        onAttemptsFailed: (request) => heard.push(['node', 'attempts', request]),
        loggedLevels: 0,
        onDiagnostic: () => {},
        onDropped: () => {}
      })
      engine.adoptListener(LISTENER, (code) => heard.push(['listener', code]))
      for (const { kind, handle, a, b, flags } of records) fake.put(kind, handle, a, b, flags)
      fake.ring()
      t.deepEqual(heard, expected(records))
    })
  )
})

test('records of any words throw at nobody, and the next stream is heard of all the same', async (t) => {
  const warnings: unknown[] = []
  const onWarning = (warning: unknown): void => {
    warnings.push(warning)
  }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  await fc.assert(
    fc.asyncProperty(fc.array(record, { maxLength: 40 }), async (records) => {
      const { fake, engine, open } = fakeConnection()
      // Out of the reach of the handles that the records make up.
      for (let count = 0; count <= STREAMS + 3; count += 1) await open()
      const { stream, handle } = await open()
      for (const { kind, handle, a, b, flags } of records) {
        // Nothing made up may close the connection, whose streams it would end.
        fake.put(kind, handle % (STREAMS + 3), a, b, flags)
      }
      t.notThrows(() => engine.drain())
      fake.deliver(handle, [5])
      t.deepEqual(await stream.read(1), Uint8Array.of(5))
    }),
    { numRuns: 50 }
  )
  t.deepEqual(warnings, [])
})
