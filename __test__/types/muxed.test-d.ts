/** Interfaces of multiplexers: our classes implement them, and a mock of each compiles. */
import {
  type AddConnectionOptions,
  type Connection,
  type ConnectionDirection,
  type Multiplexer,
  type MuxedConn,
  type MuxedStream,
  type MuxerInit,
  type NamedMultiplexer,
  nullScope,
  type Stream,
  type Swarm,
  type SwarmOptions,
  type TransportInfo,
  wrapMuxedStream,
  type YamuxConn,
  yamux
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
const native: Multiplexer = yamux({ windowMaxBytes: 1 << 20 })
declare const yamuxConn: YamuxConn
const nativeConn: MuxedConn = yamuxConn
const nativeStream: Promise<Stream> = yamuxConn.openStream()
const own: Multiplexer = { newConnection: () => new MemoryConn() }

const init: MuxerInit = { isServer: true, scope: nullScope }
const named: NamedMultiplexer = { ...own, protocol: '/mplex/6.7.0' }
const listed: SwarmOptions['muxers'] = [named, 'yamux', { ...yamux(), protocol: '/yamux/1.1.0' }]
// @ts-expect-error a muxer in the option has a protocol
const anonymous: SwarmOptions['muxers'] = [own]
// @ts-expect-error a name is one of the native engines
const unknown: SwarmOptions['muxers'] = ['mplex']

declare const swarm: Swarm
const direction: ConnectionDirection = 'unknown'
const options: AddConnectionOptions = { remotePeer: stream.connection.remotePeer, scope: nullScope }
const added: Connection[] = [
  swarm.addConnection(conn, direction, options),
  swarm.addConnection({ ...conn, remotePeer: 'peer' }),
  swarm.addConnection(conn, options)
]
const inside: MuxedConn | undefined = added[0]?.muxedConn
const info: TransportInfo = { type: 'relayed', addresses: ['/ip4/192.0.2.1/tcp/1'] }
// @ts-expect-error a direction is one of three
swarm.addConnection(conn, 'both')
// @ts-expect-error unknown options are refused
swarm.addConnection(conn, { peer: 'peer' })
// @ts-expect-error a partial connection is refused
swarm.addConnection({ isClosed: false, openStream: conn.openStream })

const wrapped: Stream = wrapMuxedStream(mock)
const inner: MuxedStream = wrapMuxedStream(memoryStreams().near, stream.connection).muxedStream
// @ts-expect-error a partial stream is refused
wrapMuxedStream({ read: mock.read })

export const used: unknown[] = [ours, multiplexer, own, wrapped, inner, added, inside, info]
export const usedOfYamux: unknown[] = [native, nativeConn, nativeStream]
export const usedOfOption: unknown[] = [init, listed, anonymous, unknown]
