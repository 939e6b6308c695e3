/** Streams over muxers of applications. */
import { systemClock } from '../base/clock.ts'
import { connectionFacade } from '../connection/facade.ts'
import { type Connection, checkConnection } from '../connection.ts'
import { Direction, StreamState } from '../constants.ts'
import { Failures } from '../diagnostics/failures.ts'
import { ConnectionClosedError, ResourceLimitExceededError } from '../errors.ts'
import { environment } from '../native/environment.ts'
import type { StreamHandle } from '../native/handles.ts'
import { nativeError } from '../native/native-error.ts'
import { nullScope } from '../resource-manager/null.ts'
import { AbandonedStreams } from '../stream/abandoned.ts'
import { StreamCore } from '../stream/core.ts'
import { Deadlines } from '../stream/deadlines.ts'
import type { StreamOwner } from '../stream/owner.ts'
import type { Stream } from '../stream.ts'
import { aMuxedStream, type MuxedStream } from './muxed.ts'
import { MuxedPump } from './muxed-pump.ts'

// Owner of streams wrapped without a connection.
let standaloneOwner: StreamOwner | undefined
let wrappedCount = 0

function standalone(): StreamOwner {
  const engine = environment()
  standaloneOwner ??= {
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
    setProtocol: () => {},
    streamScope: () => nullScope,
    onFailure: new Failures(undefined).report,
    signal: new AbortController().signal
  }
  return standaloneOwner
}

/**
 * Wraps a stream of any muxer in a `Stream`, with the states, deadlines, errors and events of native ones, at the cost
 * of two native calls and a copy per chunk.
 *
 * With a connection, the stream is listed in `connection.streams`, the swarm emits its events, and it ends with the
 * connection. Without one, `stream.connection` throws, and the open stream keeps the process alive. The stream is OPEN
 * at once and owns `muxed`, which must not be used otherwise. An error of the muxer that is not an end, reset or close
 * puts it in state ERROR.
 *
 * @throws {@link ResourceLimitExceededError} if the application's resource manager refuses the stream.
 * @throws {@link InvalidParametersError} if `muxed` is not a muxed stream, or `connection` not a `Connection`.
 */
export function wrapMuxedStream(muxed: MuxedStream, connection?: Connection): Stream {
  aMuxedStream(muxed, 'muxed')
  if (connection !== undefined) checkConnection(connection)
  const core = connection === undefined ? undefined : connectionFacade.coreOf(connection)
  wrappedCount += 1
  const owner = core ?? standalone()
  const direction = muxed.direction ?? 'outbound'
  const charge = core?.host.admission?.charge(core, direction)
  if (charge instanceof Error) {
    if (core !== undefined && charge instanceof ResourceLimitExceededError) {
      core.host.limitRefused(charge, core, direction)
    }
    throw charge
  }
  const result = owner.engine.hot.openForeign(
    direction === 'inbound' ? Direction.Inbound : Direction.Outbound
  )
  if (result < 0) {
    charge?.done()
    throw nativeError(-result)
  }
  if (core === undefined) owner.engine.retain()
  const stream = new StreamCore({
    // A non-negative result is the handle of the stream.
    handle: result as StreamHandle,
    number: core?.nextStream() ?? wrappedCount,
    owner,
    direction,
    state: StreamState.OPEN,
    protocol: undefined,
    proposed: []
  })
  charge?.follow(stream)
  const pump = new MuxedPump(stream, muxed)
  stream.pump = pump
  core?.announce(stream)
  pump.start()
  return stream.stream
}
