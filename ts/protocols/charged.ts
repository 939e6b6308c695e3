/** Outbound streams of the built-in protocols, each charged to the service of its protocol. */
import { connectionFacade } from '../connection/facade.ts'
import type { Connection, NewStreamOptions } from '../connection.ts'
import { StreamErrorCode } from '../constants.ts'
import type { Stream } from '../stream.ts'

/** Opens a stream that is charged to a service; rejects if its limits refuse the stream. */
export function openCharged(
  connection: Connection,
  protocol: string,
  service: string,
  options?: NewStreamOptions
): Promise<Stream> {
  return connection.newStream(protocol, options).then((stream) => {
    try {
      connectionFacade.coreOf(connection).chargeService(stream, service)
    } catch (err) {
      void stream.reset(StreamErrorCode.ResourceLimitExceeded)
      throw err
    }
    return stream
  })
}
