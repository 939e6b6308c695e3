/** Streams over the application's own multiplexers. */
import { objectWith } from '../base/arguments.ts'
import { systemClock } from '../base/clock.ts'
import { connectionFacade } from '../connection/facade.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { Direction, StreamState } from '../constants.ts'
import { Failures } from '../diagnostics/failures.ts'
import { ConnectionClosedError } from '../errors.ts'
import { environment } from '../native/environment.ts'
import type { StreamHandle } from '../native/handles.ts'
import { nativeError } from '../native/native-error.ts'
import { AbandonedStreams } from '../stream/abandoned.ts'
import { StreamCore } from '../stream/core.ts'
import { Deadlines } from '../stream/deadlines.ts'
import type { StreamOwner } from '../stream/owner.ts'
import type { Stream } from '../stream.ts'
import type { MuxedStream } from './muxed.ts'
import { MuxedPump } from './muxed-pump.ts'

const aMuxedStream = objectWith('read', 'write', 'close', 'closeRead', 'closeWrite', 'reset')

// What carries the streams that came without a connection.
let alone: StreamOwner | undefined
let wrapped = 0

function standalone(): StreamOwner {
  const engine = environment()
  alone ??= {
    id: 'muxed',
    engine,
    clock: systemClock,
    deadlines: new Deadlines(systemClock, () => engine.drain()),
    abandoned: new AbandonedStreams(systemClock, () => {}),
    connection: undefined,
    remoteAddress: undefined,
    transport: '',
    lost: (closeCode) => new ConnectionClosedError({ closeCode }),
    streamEnded: () => engine.release(),
    forget: () => {},
    onFailure: new Failures(undefined).report,
    signal: new AbortController().signal
  }
  return alone
}

/**
 * A `Stream` over any muxed stream, one of the application's own too: the same states, deadlines, errors and
 * events as on our own muxers, at the cost of two crossings and a copy a chunk.
 *
 * With a connection it stands in `connection.streams`, its swarm tells of its opening and its end, and it ends
 * with the connection. Without one, `stream.connection` throws, and the open stream itself keeps the process
 * alive, as a connection does. It is OPEN at once and owns `muxed` from here on:
 * nobody else should call it. A failure of the muxer that is no end, reset or close puts it in ERROR.
 *
 * Throws `InvalidParametersError` for something that is no muxed stream.
 */
export function wrapMuxedStream(muxed: MuxedStream, connection?: Connection): Stream {
  aMuxedStream(muxed, 'muxed')
  if (connection !== undefined) checkConnection(connection)
  const core = connection === undefined ? undefined : connectionFacade.coreOf(connection)
  wrapped += 1
  const owner = core ?? standalone()
  const direction = muxed.direction ?? 'outbound'
  const answer = owner.engine.hot.openForeign(
    direction === 'inbound' ? Direction.Inbound : Direction.Outbound
  )
  if (answer < 0) throw nativeError(-answer)
  if (core === undefined) owner.engine.retain()
  const stream = new StreamCore({
    // An answer that is no error is the handle of the stream.
    handle: answer as StreamHandle,
    number: core?.nextStream() ?? wrapped,
    owner,
    direction,
    state: StreamState.OPEN,
    protocol: undefined,
    proposed: []
  })
  const pump = new MuxedPump(stream, muxed)
  stream.pump = pump
  core?.announce(stream)
  pump.start()
  return stream.stream
}
