/** Native handles are not assignable to each other, checked by tsc. */
import type { HotCalls, NativeNode } from '../../ts/native/addon.ts'
import type {
  ConnectionHandle,
  ListenerId,
  RequestId,
  StreamHandle
} from '../../ts/native/handles.ts'

declare const hot: HotCalls
declare const node: NativeNode
declare const connection: ConnectionHandle
declare const stream: StreamHandle
declare const request: RequestId
declare const listener: ListenerId
const figures = new Float64Array(5)

hot.closeRead(stream)
hot.closeConnection(connection, 0, false)
hot.measure(stream, figures)
hot.measure(connection, figures)
node.unlisten(request, listener)
const number: number = stream

// @ts-expect-error a connection is not a stream
hot.closeRead(connection)
// @ts-expect-error a stream is not a connection
hot.closeConnection(stream, 0, false)
// @ts-expect-error a request is neither
hot.measure(request, figures)
// @ts-expect-error a number is not a handle
hot.reset(1, 0)
// @ts-expect-error the request comes first
node.unlisten(listener, request)

export const used: unknown[] = [number]
