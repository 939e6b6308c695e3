/** Connections, and calls for new streams, after the peer's GoAway. */
import test from 'ava'
import { StreamErrorCode, StreamState } from '../../ts/constants.ts'
import { DialAllFailedError, MuxerClosedError, NoConnectionError } from '../../ts/errors.ts'
import { DATA, FIN, GO_AWAY, OPEN, RST, times, WINDOW_UPDATE } from '../support/bad-input.ts'
import { createPair, PAIR_PROTOCOL, until } from '../support/pair.ts'
import { createRawPair } from '../support/raw-pair.ts'
import { flagOn, flagsOn } from '../support/raw-stream.ts'

const GO_AWAY_FRAME = { type: GO_AWAY, length: 0 }

// go 151
test('after the GoAway of a peer no stream is opened, and existing ones go on to their end', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN)
  const stream = await raw.stream()
  raw.session.send(GO_AWAY_FRAME)
  const opened = (): Promise<boolean> =>
    raw.connection.newStream().then(
      (late) => late.reset().then(() => true),
      (err: unknown) => !(err instanceof MuxerClosedError)
    )
  while (await opened());
  await t.throwsAsync(raw.connection.newStream(), { instanceOf: MuxerClosedError })
  t.false(raw.connection.isClosed)
  await stream.write(Buffer.from('on'))
  t.is(`${await raw.data(1, 2)}`, 'on')
  await stream.closeWrite()
  raw.session.send({ type: WINDOW_UPDATE, flags: FIN, id: 1 })
  t.is((await stream.read()).length, 0)
  await raw.connection.closed
  t.like(raw.connection.closeReason, { closeCode: 0, remote: true, error: undefined })
})

test('streams that a peer opens after its own GoAway are refused and reach no handler', async (t) => {
  const raw = await createRawPair(t)
  raw.session.send(OPEN)
  await raw.stream()
  raw.session.send(GO_AWAY_FRAME, ...times(1_000, (index) => ({ ...OPEN, id: 3 + 2 * index })))
  for (const index of times(1_000, (at) => at)) {
    const { length } = await flagOn(raw.session, 3 + 2 * index, RST)
    t.is(length, StreamErrorCode.Shutdown)
  }
  t.is(raw.connection.streams.length, 1)
})

test('newStream dials again when its peer has sent GoAway on the only connection', async (t) => {
  const raw = await createRawPair(t, { dials: true })
  const kept = await raw.connection.newStream()
  // Its opening frame.
  await raw.frame()
  raw.session.send(GO_AWAY_FRAME)
  const { node } = raw
  await until(() => node.getConnection(raw.connection.remotePeer) === undefined)
  t.is(kept.state, StreamState.OPEN)
  await t.throwsAsync(node.newStream(raw.connection.remotePeer, undefined, { noDial: true }), {
    instanceOf: NoConnectionError
  })
  // The listener there has a new key each time, so the dial itself fails.
  const err = await t.throwsAsync(node.newStream(raw.connection.remotePeer), {
    instanceOf: DialAllFailedError
  })
  t.is(err.attempts[0]?.cause?.name, 'UnexpectedPeerError')
})

test('newStream with force dials although there is a connection', async (t) => {
  const pair = await createPair(t)
  const stream = await pair.dialer.newStream(pair.listener.peerId, PAIR_PROTOCOL, { force: true })
  t.not(stream.connection, pair.outbound)
  t.is(pair.dialer.getTotalConnections(), 2)
  await stream.close()
})

// A077
test('a client that resets each stream once it has read the answer to its end keeps its connection', async (t) => {
  const raw = await createRawPair(t)
  for (const round of times(25, (at) => at)) {
    const ids = times(100, (index) => 1 + 2 * (100 * round + index))
    raw.session.send(...ids.map((id) => ({ ...OPEN, type: DATA, id, body: Buffer.from('?') })))
    for (const _ of ids) await (await raw.stream()).closeWrite()
    await flagsOn(raw.session, ids, FIN)
    raw.session.send(...ids.map((id) => ({ type: WINDOW_UPDATE, flags: RST, id })))
  }
  raw.session.send({ ...OPEN, id: 9_001 })
  t.is((await raw.stream()).state, StreamState.OPEN)
  t.false(raw.connection.isClosed)
})
