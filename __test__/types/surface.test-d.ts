/** Types of the public API, checked by tsc: code that must compile, and code that must not. */
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type {
  LimitMessage,
  RefusedMessage,
  UpgradeOperation
} from '../../ts/diagnostics/channels.ts'
import {
  type AddressAttempt,
  type AddrLike,
  type Connectedness,
  type Connection,
  type createSwarm,
  DialAllFailedError,
  type ErrorCode,
  type ErrorKind,
  type IOError,
  type Libp2pError,
  type LimitDetail,
  Multiselect,
  MultiselectClient,
  type MultiselectClientLike,
  MultiselectCommunicator,
  type MultiselectCommunicatorLike,
  type MultiselectMuxerLike,
  NoopNotifiee,
  type Notifiee,
  NotifyBundle,
  type PeerLike,
  type PeerScope,
  type ResourceManager,
  type ResourceScopeLimiter,
  type ResourceScopeSpan,
  type Stream,
  StreamEOFError,
  type StreamError,
  type StreamHandler,
  StreamState,
  type Swarm,
  type SwarmOptions,
  type SwarmResourceManager,
  type TransportName,
  type UpgradeError
} from '../../ts/index.ts'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type IsAny<T> = 0 extends 1 & T ? true : false
declare function expect<_T extends true>(): void

declare const swarm: Swarm
declare const connection: Connection
declare const stream: Stream
declare const peer: PeerId
declare const addr: Multiaddr

// Interfaces of the reference implementations.
interface Reader {
  read(n?: number): Promise<Uint8Array>
}
interface Writer {
  write(bytes: Uint8Array): Promise<void>
}
interface Closer {
  close(): Promise<void>
}
const readWriteCloser: Reader & Writer & Closer = stream
const iterable: AsyncIterable<Uint8Array> = stream
const webStreams: ReadableWritablePair<Uint8Array, Uint8Array> = stream
const disposables: AsyncDisposable[] = [swarm, connection, stream]

// Results.
expect<Equal<ReturnType<typeof createSwarm>, Promise<Swarm>>>()
expect<Equal<ReturnType<Swarm['dialPeer']>, Promise<Connection>>>()
expect<Equal<ReturnType<Swarm['newStream']>, Promise<Stream>>>()
expect<Equal<ReturnType<Swarm['getListenAddrs']>, Multiaddr[]>>()
expect<Equal<ReturnType<Swarm['connectedness']>, Connectedness>>()
expect<Equal<ReturnType<Swarm['notify']>, boolean>>()
expect<Equal<ReturnType<Stream['send']>, boolean>>()
expect<Equal<ReturnType<Stream['tryRead']>, Uint8Array | undefined>>()
expect<Equal<Stream['state'], StreamState>>()
expect<Equal<Stream['protocol'], string | undefined>>()
expect<Equal<Swarm['peerId'], PeerId>>()
expect<Equal<Connection['remotePeer'], PeerId>>()
expect<Equal<Connection['direction'], 'inbound' | 'outbound' | 'unknown'>>()
expect<Equal<IsAny<Connection['remotePublicKey']>, false>>()

// Strings with a known set of values; those of added connections are the application's.
expect<Equal<Connection['state']['security'], '/noise' | '/tls/1.0.0' | (string & {}) | ''>>()
expect<Equal<Connection['state']['muxer'], '/yamux/1.0.0' | (string & {}) | ''>>()
expect<Equal<Connection['state']['transport'], TransportName | ''>>()
expect<Equal<Connection['state']['muxerEngine'], 'yamux' | 'yamux-crate' | ''>>()
expect<
  Equal<
    AddressAttempt['stage'],
    'filter' | 'gate' | 'resolve' | 'connect' | 'psk' | 'security' | 'muxer' | 'listen'
  >
>()
expect<Equal<AddressAttempt['transport'], TransportName | ''>>()
expect<Equal<UpgradeError['stage'], 'psk' | 'security' | 'muxer' | ''>>()
expect<Equal<UpgradeOperation['stage'], 'connect' | 'psk' | 'security' | 'muxer' | undefined>>()
expect<Equal<RefusedMessage['option'], string>>()
expect<Equal<RefusedMessage['scope'], string>>()
expect<Equal<IsAny<Stream['stat']>, false>>()

// Arguments.
const peers: PeerLike[] = [peer, '12D3KooW']
const addrs: AddrLike[] = [addr, '/ip4/127.0.0.1/tcp/0']
const options: SwarmOptions = { security: ['noise'], limits: { acceptBacklog: 8 }, ioThreads: 1 }
const handler: StreamHandler = (opened, on) => {
  expect<Equal<typeof opened, Stream>>()
  expect<Equal<typeof on, Connection>>()
}
const asyncHandler: StreamHandler = async () => {}
swarm.handle(['/a', '/b'], handler)
swarm.addEventListener('connected', ({ detail }) => expect<Equal<typeof detail, Connection>>())
swarm.addEventListener('listen', ({ detail }) => expect<Equal<typeof detail, Multiaddr>>())
stream.addEventListener('close', ({ detail }) => detail.error?.code)
// @ts-expect-error unknown events are refused
swarm.addEventListener('nothing', () => {})
// @ts-expect-error unknown security protocols are refused
const wrongSecurity: SwarmOptions = { security: ['plaintext'] }
// @ts-expect-error a string is not bytes
void stream.write('text')
// @ts-expect-error a state is one of seven numbers
stream.setState(8)
// @ts-expect-error streams come from connections
const forged: Stream = { id: '1' }

// Resource manager.
expect<Equal<Swarm['resourceManager'], SwarmResourceManager>>()
const isManager: ResourceManager = swarm.resourceManager
const viewed: number = swarm.resourceManager.viewPeer(peer, (scope) => {
  expect<Equal<typeof scope, PeerScope & ResourceScopeLimiter>>()
  return scope.limit.streams
})
const span: ResourceScopeSpan & Disposable = connection.scope.beginSpan()
stream.scope.setService('service')
swarm.addEventListener('limit', ({ detail }) => expect<Equal<typeof detail, LimitDetail>>())
expect<Equal<LimitMessage['swarm'], Swarm>>()
// @ts-expect-error a view takes one scope
swarm.resourceManager.viewSystem((_scope: PeerScope) => {})

// Errors.
expect<Equal<Libp2pError['code'], ErrorCode>>()
expect<Equal<Libp2pError['kind'], ErrorKind>>()
const eof: StreamError & IOError & Libp2pError = new StreamEOFError()
const attempts: number = new DialAllFailedError().numAddrsTried

// A mock of each interface compiles.
const notifiees: Notifiee[] = [
  {},
  { connected: (on, made) => [on.peerId, made.id] },
  new NotifyBundle({ closedStream: (_on, closed) => closed.id }),
  new NoopNotifiee()
]

// Negotiation: the classes implement the interfaces, and a mock of each compiles.
const communicators: MultiselectCommunicatorLike[] = [
  new MultiselectCommunicator(stream),
  {
    read: async () => 'na',
    write: async () => {},
    readListing: async () => [],
    writeListing: async () => {}
  }
]
const clients: MultiselectClientLike[] = [
  new MultiselectClient(),
  {
    handshake: async () => {},
    selectOneOf: async ([first = '']) => first,
    trySelect: async (_, protocol) => protocol
  }
]
const muxers: MultiselectMuxerLike[] = [
  new Multiselect(),
  {
    handlers: new Map(),
    addHandler() {},
    removeHandler: () => true,
    getProtocols: () => [],
    negotiate: async () => ['/a', (taken: Stream) => void taken]
  }
]
const numbered: Multiselect<number> = new Multiselect([['/a', 1]])
// @ts-expect-error a handler of another kind
numbered.addHandler('/a', 'handler')

export const used: unknown[] = [
  readWriteCloser,
  iterable,
  webStreams,
  disposables,
  peers,
  addrs,
  options,
  asyncHandler,
  wrongSecurity,
  forged,
  eof,
  attempts,
  notifiees,
  communicators,
  clients,
  muxers,
  isManager,
  viewed,
  span,
  StreamState.OPEN
]
