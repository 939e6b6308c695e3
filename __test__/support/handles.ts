/** Handles made up by tests. */
import type {
  ConnectionHandle,
  ListenerId,
  PipeHandle,
  RequestId,
  StreamHandle
} from '../../ts/native/handles.ts'

export const aConnection = (number: number): ConnectionHandle => number as ConnectionHandle
export const aStream = (number: number): StreamHandle => number as StreamHandle
export const aRequest = (number: number): RequestId => number as RequestId
export const aPipe = (number: number): PipeHandle => number as PipeHandle
export const aListener = (number: number): ListenerId => number as ListenerId
