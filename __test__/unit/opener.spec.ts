/** The core of a connection over an opener that is not native: everything except stream data. */
import test from 'ava'
import { ConnectionCore } from '../../ts/connection/core.ts'
import type { ConnectionFacts } from '../../ts/connection/facts.ts'
import type { ConnectionOwner, Opener } from '../../ts/connection/opener.ts'
import '../../ts/connection.ts'
import { Direction, StreamState } from '../../ts/constants.ts'
import {
  ConnectionClosedError,
  IOError,
  type Libp2pError,
  MuxerClosedError
} from '../../ts/errors.ts'
import type { Engine } from '../../ts/native/engine.ts'
import { StreamCore } from '../../ts/stream/core.ts'
import { fakeHost, turn } from '../support/fake-connection.ts'
import { aStream } from '../support/handles.ts'

const FACTS: ConnectionFacts = {
  remotePeer: '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8',
  remotePublicKey: new Uint8Array(36),
  remoteAddress: '/memory/1',
  localAddress: '/memory/2',
  direction: 'inbound',
  security: {
    transport: 'memory',
    security: '',
    muxer: '/yamux/1.0.0',
    muxerEngine: 'yamux',
    usedEarlyMuxerNegotiation: false
  },
  limited: false,
  dialReport: { connect: 1, security: 2, muxer: 3 }
}

const COUNTERS = {
  bytesReceived: 1,
  bytesSent: 2,
  framesReceived: 3,
  framesSent: 4,
  roundTripMs: undefined
}

/** Opens streams as a test decides, and records the calls. */
class FakeOpener implements Opener {
  readonly muxed = undefined
  readonly calls: string[] = []
  /** Returned by the next `open`. */
  refusal: Libp2pError | undefined
  /** Whether the next stream is a pending negotiation. */
  isPending = false
  readonly opened: StreamCore[] = []
  readonly #engine: Engine
  #owner: ConnectionOwner | undefined

  constructor(engine: Engine) {
    this.#engine = engine
  }

  get owner(): ConnectionOwner {
    if (this.#owner === undefined) throw new Error('the opener is not attached')
    return this.#owner
  }

  attach(owner: ConnectionOwner): void {
    this.#owner = owner
  }

  scope(): undefined {
    return undefined
  }

  open(protocols: readonly string[]): StreamCore | Libp2pError {
    this.calls.push(`open ${protocols.join()}`)
    return this.refusal ?? this.stream('outbound', protocols)
  }

  stream(direction: 'inbound' | 'outbound', protocols: readonly string[]): StreamCore {
    const stream = new StreamCore({
      handle: aStream(this.#engine.hot.openForeign(Direction.Outbound)),
      number: this.owner.nextStream(),
      owner: this.owner,
      direction,
      state: this.isPending ? StreamState.INIT : StreamState.OPEN,
      protocol: this.isPending ? undefined : protocols[0],
      proposed: protocols
    })
    this.opened.push(stream)
    return stream
  }

  close(): void {
    this.calls.push('close')
  }

  closeAtOnce(code: number): void {
    this.calls.push(`closeAtOnce ${code}`)
  }

  counters(): typeof COUNTERS {
    return COUNTERS
  }

  forget(): void {}

  allowEarlyFin(): void {
    this.calls.push('allowEarlyFin')
  }
}

function setUp() {
  const { host, ...rest } = fakeHost()
  const opener = new FakeOpener(rest.engine)
  const core = new ConnectionCore(opener, FACTS, host)
  return { ...rest, opener, core, connection: core.connection }
}

test('has the facts and the counters of its opener', (t) => {
  const { connection } = setUp()
  t.is(connection.remotePeer.toString(), FACTS.remotePeer)
  t.is(connection.direction, 'inbound')
  t.is(connection.remoteAddr.toString(), '/memory/1')
  t.is(connection.localAddr.toString(), '/memory/2')
  t.deepEqual(connection.state, FACTS.security)
  t.deepEqual(connection.dialReport, {
    ...FACTS.dialReport,
    resolvedFrom: undefined,
    attempts: []
  })
  t.deepEqual(connection.counters(), COUNTERS)
})

test('lists streams of its opener, and notifies of them', async (t) => {
  const { connection, opener, notified } = setUp()
  const named = await connection.newStream('/a')
  const raw = await connection.newStream()
  t.deepEqual(opener.calls, ['open /a', 'open '])
  t.is(named.protocol, '/a')
  t.is(named.connection, connection)
  t.deepEqual(connection.streams, [named, raw])
  t.deepEqual(
    notified.map((line) => line.replace(/ \d+-/, ' ')),
    ['openedStream 1', 'openedStream 2']
  )
})

test('awaits a pending negotiation, and rejects if its opener fails', async (t) => {
  const { connection, engine, opener } = setUp()
  opener.isPending = true
  const pending = connection.newStream(['/a', '/b'])
  t.deepEqual(connection.streams, [])
  opener.opened[0]?.onNegotiated(engine.protocols.id('/b'), 0)
  t.is((await pending).protocol, '/b')
  opener.refusal = new IOError('no more')
  await t.throwsAsync(connection.newStream('/a'), { is: opener.refusal })
})

test("dispatches inbound streams, and opens none after the remote's GoAway", async (t) => {
  const { connection, inbound, opener } = setUp()
  opener.owner.streamOpened(opener.stream('inbound', ['/in']), 1)
  t.deepEqual(inbound, connection.streams)
  t.is(inbound[0]?.protocol, '/in')
  opener.owner.remoteGoesAway()
  await t.throwsAsync(connection.newStream('/a'), { instanceOf: MuxerClosedError })
  t.deepEqual(opener.calls, [])
})

test('closes through its opener once, and ends with the reason of the opener', async (t) => {
  const { connection, opener, notified } = setUp()
  let detail: unknown
  connection.addEventListener('close', (event) => {
    detail = event.detail
  })
  void connection.close()
  const closed = connection.close()
  t.true(connection.isClosed)
  void connection.closeWithError(3)
  t.deepEqual(opener.calls, ['close', 'closeAtOnce 3'])
  const error = new IOError('the cable is cut')
  const end = { closeCode: 7, remote: true, error }
  opener.owner.ended(end)
  await closed
  await turn()
  t.deepEqual(connection.closeReason, { ...end, rule: '' })
  t.is(detail, connection.closeReason)
  t.deepEqual(notified, ['disconnected'])
  const err = await t.throwsAsync(connection.newStream('/a'), { instanceOf: ConnectionClosedError })
  t.is(err.cause, error)
  t.is(err.closeCode, 7)
  t.is(err.transport, 'memory')
})
