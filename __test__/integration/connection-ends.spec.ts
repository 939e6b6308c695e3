import test from 'ava'
import { Connectedness } from '../../ts/constants.ts'
import {
  ConnectionClosedError,
  ResourceLimitExceededError,
  StreamResetError
} from '../../ts/errors.ts'
import { createPair, until } from '../support/pair.ts'
import { createRawPair } from '../support/raw-pair.ts'

/** A frame that ends the connection. */
const UNKNOWN = { type: 0x77 }

test('a closing connection leaves every view at once', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  const peer = listener.peerId
  let notified = false
  dialer.addEventListener('disconnected', () => (notified = true))
  const closed = outbound.close()
  t.true(outbound.isClosed)
  t.deepEqual(dialer.getConnections(), [])
  t.deepEqual(dialer.getConnections(peer), [])
  t.is(dialer.getConnection(peer), undefined)
  t.deepEqual(dialer.getPeers(), [])
  t.is(dialer.getTotalConnections(), 0)
  t.is(dialer.connectedness(peer), Connectedness.CanConnect)
  t.false(notified)
  await closed
  t.true(notified)
  t.is(dialer.connectedness(peer), Connectedness.CanConnect)
})

test('closing one of two connections leaves the other in every view', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  const peer = listener.peerId
  const addresses = listener.getListenAddrs()
  const other = await dialer.dialPeer(peer, { addresses, force: true })
  const closed = outbound.close()
  t.deepEqual(dialer.getConnections(), [other])
  t.is(dialer.getConnection(peer), other)
  t.is(dialer.connectedness(peer), Connectedness.Connected)
  await closed
  t.deepEqual(dialer.getConnections(peer), [other])
})

test('closePeer waits for connections that are already closing', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  void outbound.close()
  await dialer.closePeer(listener.peerId)
  t.not(outbound.closeReason, undefined)
})

test('closing a swarm waits for connections that are already closing', async (t) => {
  const { dialer, outbound } = await createPair(t)
  let notified = 0
  dialer.addEventListener('disconnected', () => (notified += 1))
  void outbound.close()
  await dialer.close()
  t.is(notified, 1)
})

test('the cause of a broken connection names the transport, also for later calls', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(UNKNOWN)
  await until(() => raw.connection.closeReason !== undefined)
  const error = raw.connection.closeReason?.error
  t.true(error instanceof ConnectionClosedError)
  t.like(error, { code: 'ERR_MUXER_PROTOCOL', transport: 'tcp' })
  const later = await t.throwsAsync(raw.connection.newStream('/a'), {
    instanceOf: ConnectionClosedError
  })
  t.is(later.transport, 'tcp')
  t.is(later.cause, error)
})

test('a stream lost with its connection reports what broke the connection', async (t) => {
  const raw = await createRawPair(t)
  const stream = await raw.connection.newStream()
  const read = stream.read()
  raw.session.send(UNKNOWN)
  const err = await t.throwsAsync(read, { instanceOf: StreamResetError })
  const loss = err.cause
  t.true(loss instanceof ConnectionClosedError)
  t.like(loss, { transport: 'tcp', closeCode: raw.connection.closeReason?.closeCode ?? -1 })
  t.is((loss as Error).cause, raw.connection.closeReason?.error)
  t.like((loss as Error).cause, { code: 'ERR_MUXER_PROTOCOL' })
  t.deepEqual(Object.keys(loss as Error).includes('cause'), false)
})

test('a stream limit is reported with its value and the current count', async (t) => {
  const limits = { connection: { streamsOutbound: 3 } }
  const { outbound } = await createPair(t, { dialer: { limits } })
  const streams = await Promise.all([1, 2, 3].map(() => outbound.newStream()))
  const err = await t.throwsAsync(outbound.newStream(), { instanceOf: ResourceLimitExceededError })
  t.regex(err.scope, /^connection-\d+$/)
  const option = 'limits.connection.streamsOutbound'
  t.like(err, { resource: 'streamsOutbound', limit: 3, current: 3, requested: 1, option })
  t.deepEqual(err.holders, [])
  t.is(err.code, 'ERR_STREAM_LIMIT')
  t.is(err.message, `${err.scope}: 3 of 3 streamsOutbound are in use; ${option} sets the limit`)
  await streams[0]?.reset()
})
