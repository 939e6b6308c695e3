/** Interfaces of multiplexers: our classes implement them, and a mock of each compiles. */
import {
  type Multiplexer,
  type MuxedConn,
  type MuxedStream,
  type Stream,
  wrapMuxedStream
} from '../../ts/index.ts'
import { MemoryConn, memoryStreams } from '../support/memory-muxer.ts'

declare const stream: Stream
const ours: MuxedStream = stream

const mock: MuxedStream = {
  read: async () => new Uint8Array(0),
  write: async () => {},
  close: async () => {},
  closeRead: async () => {},
  closeWrite: async () => {},
  reset: async () => {},
  setDeadline() {},
  setReadDeadline() {},
  setWriteDeadline() {}
}

const conn: MuxedConn = {
  isClosed: false,
  close: async () => {},
  closeWithError: async () => {},
  openStream: async () => mock,
  acceptStream: async () => mock
}

const multiplexer: Multiplexer = {
  newConnection: (duplex, { isServer }) => {
    const bytes: Promise<Uint8Array> = duplex.read(isServer ? 1 : 2)
    return bytes.then(() => conn)
  }
}
const own: Multiplexer = { newConnection: () => new MemoryConn() }

const wrapped: Stream = wrapMuxedStream(mock)
const inner: MuxedStream = wrapMuxedStream(memoryStreams().near, stream.connection).muxedStream
// @ts-expect-error a partial stream is refused
wrapMuxedStream({ read: mock.read })

export const used: unknown[] = [ours, multiplexer, own, wrapped, inner]
