import test from 'ava'
import { StreamState } from '../../ts/constants.ts'
import {
  AbortError,
  ConnectionClosedError,
  ERROR_CODES,
  InvalidParametersError,
  TimeoutError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import { RecordKind } from '../../ts/native/record.ts'
import { CONNECTION_HANDLE, fakeConnection, turn } from '../support/fake-connection.ts'

test('opens a raw stream, and one with a single protocol, usable at once', async (t) => {
  const { connection, notified } = fakeConnection()
  const raw = await connection.newStream()
  const named = await connection.newStream('/test/1.0.0')
  t.is(raw.protocol, undefined)
  t.is(named.protocol, '/test/1.0.0')
  t.is(named.state, StreamState.OPEN)
  t.deepEqual(connection.streams, [raw, named])
  t.is(notified.length, 2)
})

test('resolves with the protocol chosen by the remote', async (t) => {
  const { connection, fake } = fakeConnection()
  const opening = connection.newStream(['/a', '/b'])
  t.is(connection.streams.length, 0)
  fake.put(RecordKind.streamNegotiated, 1, 2)
  fake.ring()
  const stream = await opening
  t.is(stream.protocol, '/b')
  t.is(stream.state, StreamState.OPEN)
})

test('rejects if the remote supports none of the protocols, and reports no stream', async (t) => {
  const { connection, fake, notified } = fakeConnection()
  const opening = connection.newStream(['/a', '/b'])
  fake.put(RecordKind.streamNegotiated, 1, 0, ERROR_CODES.ERR_UNSUPPORTED_PROTOCOL)
  fake.put(RecordKind.streamClosed, 1)
  fake.ring()
  const err = await t.throwsAsync(opening, { instanceOf: UnsupportedProtocolError })
  t.deepEqual(err.protocols, ['/a', '/b'])
  t.deepEqual(notified, [])
})

test('abandons a negotiation on abort and on its timeout', async (t) => {
  const { connection, fake, clock } = fakeConnection()
  const controller = new AbortController()
  const aborted = connection.newStream(['/a', '/b'], { signal: controller.signal })
  controller.abort()
  await t.throwsAsync(aborted, { instanceOf: AbortError })
  const late = connection.newStream(['/a', '/b'], { negotiationTimeout: 50 })
  clock.advance(50)
  await t.throwsAsync(late, { instanceOf: TimeoutError })
  t.deepEqual(
    fake.calls.filter((call) => call.startsWith('reset')),
    ['reset 1 0', 'reset 2 0']
  )
  t.is(clock.timers, 0)
})

test('throws for an invalid protocol name', (t) => {
  const { connection } = fakeConnection()
  t.throws(() => connection.newStream('x'.repeat(141)), { instanceOf: InvalidParametersError })
})

test('dispatches inbound streams after their notification', (t) => {
  const { engine, fake, notified, inbound } = fakeConnection()
  fake.inbound(CONNECTION_HANDLE, engine.protocols.id('/in/1.0.0'))
  fake.ring()
  t.is(inbound.length, 1)
  t.is(inbound[0]?.protocol, '/in/1.0.0')
  t.is(inbound[0]?.direction, 'inbound')
  t.is(notified.length, 1)
})

test('closes once, refuses streams from then on, and resolves with its end', async (t) => {
  const { connection, fake, notified } = fakeConnection()
  let reason: unknown
  connection.addEventListener('close', ({ detail }) => (reason = detail))
  const closed = connection.close()
  void connection.close()
  t.true(connection.isClosed)
  await t.throwsAsync(connection.newStream('/a'), { instanceOf: ConnectionClosedError })
  t.deepEqual(
    fake.calls.filter((call) => call.startsWith('closeConnection')),
    [`closeConnection ${CONNECTION_HANDLE} 0 false`]
  )
  fake.put(RecordKind.connectionClosed, CONNECTION_HANDLE, 0x1006, 0, 1)
  fake.ring()
  await closed
  t.deepEqual(connection.closeReason, {
    closeCode: 0x1006,
    remote: true,
    error: undefined,
    rule: ''
  })
  t.is(reason, connection.closeReason)
  t.deepEqual(notified, ['disconnected'])
})

test('can be closed at once during an orderly close', (t) => {
  const { connection, fake } = fakeConnection()
  void connection.close()
  void connection.closeWithError(3)
  t.deepEqual(
    fake.calls.filter((call) => call.startsWith('closeConnection')),
    [`closeConnection ${CONNECTION_HANDLE} 0 false`, `closeConnection ${CONNECTION_HANDLE} 3 true`]
  )
})

test('waiting for the close can be aborted', async (t) => {
  const { connection } = fakeConnection()
  await t.throwsAsync(connection.close({ signal: AbortSignal.abort() }), { instanceOf: AbortError })
})

test('returns its facts without a native call', (t) => {
  const { connection } = fakeConnection()
  t.is(connection.remotePeer.toString(), '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8')
  t.deepEqual(connection.remoteAddress, { host: '127.0.0.1', port: 4001 })
  t.is(connection.remoteAddr.toString(), '/ip4/127.0.0.1/tcp/4001')
  t.deepEqual(connection.state, {
    transport: 'tcp',
    security: '/noise',
    muxer: '/yamux/1.0.0',
    muxerEngine: 'yamux',
    usedEarlyMuxerNegotiation: true
  })
  t.like(connection.dialReport, { connect: 1, security: 2.5, muxer: 0, attempts: [] })
  t.is(connection.direction, 'outbound')
  t.is(connection.connectionType, 'direct')
})

test('stream ids include the connection id and are never reused', async (t) => {
  const { connection, open } = fakeConnection()
  const first = await open()
  await first.stream.close()
  const second = await open()
  t.is(first.stream.id, `${connection.id}-1`)
  t.is(second.stream.id, `${connection.id}-2`)
  await turn()
})
