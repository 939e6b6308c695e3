import test from 'ava'
import fc from 'fast-check'
import { Engine, type StreamSink } from '../../ts/native/engine.ts'
import { HANDLE_INDEX_MASK, RecordKind } from '../../ts/native/record.ts'
import { fakeConnection } from '../support/fake-connection.ts'
import { fakeNative } from '../support/fake-native.ts'
import { aConnection, aListener, aPipe, aStream } from '../support/handles.ts'

const STREAMS = 5
const CONNECTION = aConnection(7)
const NODE = 3
const LISTENER = aListener(9)
const PIPE = aPipe(11)

const word = fc.integer({ min: 0, max: 0xffffffff })
// Handles of the sinks below and unknown ones; the generation is above the index.
const handle = fc
  .tuple(fc.integer({ min: 0, max: STREAMS + 2 }), fc.integer({ min: 0, max: 1_023 }))
  .map(([index, generation]) => ((generation << 20) | index) >>> 0)

const record = fc.record({
  kind: fc.oneof(fc.constantFrom(...Object.values(RecordKind)), fc.integer({ min: 0, max: 255 })),
  flags: fc.integer({ min: 0, max: 0xffffff }),
  handle: fc.oneof(handle, fc.constantFrom(CONNECTION, LISTENER, PIPE)),
  a: fc.oneof(word, fc.constantFrom(NODE, CONNECTION)),
  b: word
})
type Fields = typeof record extends fc.Arbitrary<infer T> ? T : never

function sink(index: number, calls: unknown[]): StreamSink {
  const note =
    (call: string) =>
    (...words: number[]): void => {
      calls.push([index, call, ...words])
    }
  return {
    handle: aStream(index),
    onNegotiated: note('negotiated'),
    onReadable: note('readable'),
    onWritable: note('writable'),
    onReset: note('reset'),
    onClosed: note('closed'),
    onOutgoing: note('outgoing'),
    onTurn: note('turn')
  } as unknown as StreamSink
}

/** Returns the calls that the sinks should get, according to docs/boundary.md. */
function expected(records: readonly Fields[]): unknown[] {
  const calls: unknown[] = []
  const gone = new Set<number | string>()
  for (const { kind, flags, handle, a, b } of records) {
    const index = handle & HANDLE_INDEX_MASK
    const toStream = (...words: unknown[]): void => {
      if (index < STREAMS && !gone.has(index)) calls.push([index, ...words])
    }
    switch (kind) {
      case RecordKind.streamNegotiated:
        toStream('negotiated', a, b)
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
          calls.push(['connection', 'opened', handle, b])
        }
        break
      case RecordKind.protocolQuery:
        if ((a & HANDLE_INDEX_MASK) === CONNECTION && !gone.has('connection')) {
          calls.push(['connection', 'queried', `/queried/${handle}`])
        }
        break
      case RecordKind.connectionGoingAway:
        if (index === CONNECTION && !gone.has('connection'))
          calls.push(['connection', 'going away'])
        break
      case RecordKind.connectionCarried:
        if (index === CONNECTION && !gone.has('connection'))
          calls.push(['connection', 'carried', flags, a + b * 2 ** 32])
        break
      case RecordKind.connectionClosed:
        if (index !== CONNECTION || gone.has('connection')) break
        calls.push(['connection', 'closed', a, b, flags])
        gone.add('connection')
        break
      case RecordKind.connectionOpened:
        if (a === NODE) calls.push(['node', handle, b])
        break
      case RecordKind.attemptsFailed:
        if (a === NODE) calls.push(['node', 'attempts', handle])
        break
      case RecordKind.pipeReady:
        if (handle === PIPE) calls.push(['pipe', flags])
        break
      case RecordKind.listenerClosed:
        if (handle === LISTENER && !gone.has('listener')) calls.push(['listener', a])
        if (handle === LISTENER) gone.add('listener')
        break
    }
  }
  return calls
}

test('a record reaches its sink with its own words, in order and never after the end of the sink', (t) => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 60 }), (records) => {
      const fake = fakeNative()
      const engine = new Engine(fake.native)
      const calls: unknown[] = []
      for (let index = 0; index < STREAMS; index += 1) engine.adoptStream(sink(index, calls))
      engine.adoptConnection(CONNECTION, {
        onStreamOpened: (...words) => calls.push(['connection', 'opened', ...words]),
        onProtocolQuery: (protocol) => {
          calls.push(['connection', 'queried', protocol])
          return undefined
        },
        onGoingAway: () => calls.push(['connection', 'going away']),
        onCarried: (...words) => calls.push(['connection', 'carried', ...words]),
        onClosed: (...words) => calls.push(['connection', 'closed', ...words])
      })
      engine.adoptNode(NODE, {
        onConnectionOpened: (...words) => calls.push(['node', ...words]),
        onAttemptsFailed: (request) => calls.push(['node', 'attempts', request]),
        onGateQuestions: () => calls.push(['node', 'questions']),
        loggedLevels: 0,
        onDiagnostic: () => {},
        onDropped: () => {}
      })
      engine.adoptPipe(PIPE, { onPipeReady: (flags) => calls.push(['pipe', flags]) })
      engine.adoptListener(LISTENER, (code) => calls.push(['listener', code]))
      for (const { kind, handle, a, b, flags } of records) fake.put(kind, handle, a, b, flags)
      fake.ring()
      t.deepEqual(calls, expected(records))
    })
  )
})

test('records of any words never throw, and later records still reach their streams', async (t) => {
  const warnings: unknown[] = []
  const onWarning = (warning: unknown): void => {
    warnings.push(warning)
  }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  await fc.assert(
    fc.asyncProperty(fc.array(record, { maxLength: 40 }), async (records) => {
      const { fake, engine, open } = fakeConnection()
      // Keeps the stream below out of reach of the generated handles.
      for (let count = 0; count <= STREAMS + 3; count += 1) await open()
      const { stream, handle } = await open()
      for (const { kind, handle, a, b, flags } of records) {
        // No generated record may close the connection, as that would end its streams.
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
