import { getEventListeners } from 'node:events'
import test from 'ava'
import type { Selection } from '../../ts/connection/strategy.ts'
import { ConnectionTable } from '../../ts/connection/table.ts'
import { StreamErrorCode } from '../../ts/constants.ts'
import { openStream } from '../../ts/dial/open-stream.ts'
import type { DialOptions } from '../../ts/dial/options.ts'
import {
  AbortError,
  ERROR_CODES,
  LimitedConnectionError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import { FLAG_CONNECTION_LOST, FLAG_REMOTE, RecordKind } from '../../ts/native/record.ts'
import { CONNECTION_HANDLE, fakeConnection, turn } from '../support/fake-connection.ts'

/** Creates three connections to one peer: two in the table, of which the second may be limited, the third from a dial. */
function setUp(selection?: Selection, isLimited = false) {
  const [first, second, third] = [fakeConnection(), fakeConnection({ isLimited }), fakeConnection()]
  const peer = first.connection.remotePeer.toString()
  const table = new ConnectionTable(first.clock, selection)
  // The newest comes first.
  table.add(peer, second.connection)
  table.add(peer, first.connection)
  const dials: DialOptions[] = []
  const dialer = {
    dialPeer: async (_: unknown, options: DialOptions) => {
      dials.push(options)
      return third.connection
    }
  }
  const open = (options: DialOptions = {}) => openStream(dialer, table, peer, ['/a', '/b'], options)
  return { first, second, third, table, peer, dials, open }
}

type Fake = ReturnType<typeof fakeConnection>

function negotiate({ fake }: Fake): void {
  fake.put(RecordKind.streamNegotiated, 1, 2)
  fake.ring()
}

function lose({ fake }: Fake, code = 0, flags = FLAG_REMOTE | FLAG_CONNECTION_LOST): void {
  fake.put(RecordKind.streamReset, 1, code, 0, flags)
  fake.put(RecordKind.streamClosed, 1)
  fake.ring()
}

test('tries the next connection if the selected one ends during the negotiation', async (t) => {
  const { first, second, open, dials } = setUp()
  const opening = open()
  lose(first)
  await turn()
  negotiate(second)
  t.is((await opening).connection, second.connection)
  t.deepEqual(dials, [])
})

test('dials if every connection ends during the negotiation, even while they are still listed', async (t) => {
  const { first, second, third, open, dials } = setUp()
  const opening = open()
  lose(first)
  await turn()
  lose(second)
  await turn()
  negotiate(third)
  t.is((await opening).connection, third.connection)
  t.deepEqual(dials, [{ force: true }])
})

test('tries the next connection if the peer refuses the stream because it is going away', async (t) => {
  const { first, second, open } = setUp()
  const opening = open()
  lose(first, StreamErrorCode.Shutdown, FLAG_REMOTE)
  await turn()
  negotiate(second)
  t.is((await opening).connection, second.connection)
})

test('skips a connection whose peer accepts no more streams', async (t) => {
  const { first, second, table, peer, open } = setUp()
  first.fake.put(RecordKind.connectionGoingAway, CONNECTION_HANDLE, 0)
  first.fake.ring()
  t.deepEqual(table.ranked(peer), [second.connection])
  const opening = open()
  negotiate(second)
  t.is((await opening).connection, second.connection)
})

test('waits beside a limited connection if the other one ends during the negotiation', async (t) => {
  const { first, third, table, peer, open, dials } = setUp(undefined, true)
  const opening = open()
  lose(first)
  await turn()
  table.leave(peer, first.connection)
  table.add(peer, third.connection)
  await turn()
  negotiate(third)
  t.is((await opening).connection, third.connection)
  t.deepEqual(dials, [])
})

test('a wait beside a limited connection ends with its timeout, and no other with it', async (t) => {
  const { first, second, third, table, peer, open } = setUp(undefined, true)
  table.leave(peer, first.connection)
  const { signal } = new AbortController()
  const late = open({ timeout: 1_000, signal })
  const other = open({ timeout: 2_000 })
  second.clock.advance(1_000)
  first.clock.advance(1_000)
  await t.throwsAsync(late, { instanceOf: LimitedConnectionError })
  t.is(getEventListeners(signal, 'abort').length, 0)
  const controller = new AbortController()
  const aborted = open({ signal: controller.signal })
  controller.abort()
  await t.throwsAsync(aborted, { instanceOf: AbortError })
  t.is(first.clock.timers, 1, 'that of the other call')
  table.add(peer, third.connection)
  await turn()
  negotiate(third)
  t.is((await other).connection, third.connection)
})

test('rejects with errors that another connection would not fix', async (t) => {
  const { first, open, dials } = setUp()
  const opening = open()
  first.fake.put(RecordKind.streamNegotiated, 1, 0, ERROR_CODES.ERR_UNSUPPORTED_PROTOCOL)
  first.fake.put(RecordKind.streamClosed, 1)
  first.fake.ring()
  await t.throwsAsync(opening, { instanceOf: UnsupportedProtocolError })
  t.deepEqual(dials, [])
})

test('dials at once with force', async (t) => {
  const { third, open, dials } = setUp()
  const opening = open({ force: true })
  await turn()
  negotiate(third)
  t.is((await opening).connection, third.connection)
  t.deepEqual(dials, [{ force: true }])
})

test('the connections are tried in the order of the strategy, and each is picked once', async (t) => {
  const picked: unknown[] = []
  const { first, second, third, open } = setUp({
    order: (connections) => [...connections],
    picked: (connection) => picked.push(connection)
  })
  const opening = open()
  lose(second)
  await turn()
  lose(first)
  await turn()
  negotiate(third)
  t.is((await opening).connection, third.connection)
  t.deepEqual(picked, [second.connection, first.connection, third.connection])
})
