/** Calls of the public API, argument by argument, with the values that each argument accepts. */
import { type Duplex, duplexPair } from 'node:stream'
import {
  type Connection,
  generatePrivateKey,
  identify,
  Multiselect,
  MultiselectClient,
  MultiselectCommunicator,
  NotifyBundle,
  perf,
  ping,
  type Stream,
  Swarm,
  wrapMuxedStream
} from '../../ts/index.ts'
import * as io from '../../ts/io/index.ts'
import { PEER } from './added.ts'
import { memoryConns, memoryStreams } from './memory-muxer.ts'
import { peerstoreCalls } from './misuse-peerstore.ts'
import { tagCalls } from './misuse-tags.ts'
import type { Pair } from './pair.ts'

type Takes = (value: unknown) => boolean

/** One argument of a call that is otherwise valid. */
export interface Argument {
  readonly name: string
  readonly call: (value: never) => unknown
  /** Returns whether a value is valid for this argument. */
  readonly takes: Takes
}

const is =
  (...kinds: string[]): Takes =>
  (value) =>
    kinds.includes(typeof value)
const nothing: Takes = (value) => value === undefined
const emptyObject: Takes = (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  for (const _ in value) return false
  return true
}
const either =
  (...takes: Takes[]): Takes =>
  (value) =>
    takes.some((take) => take(value))
const options = either(nothing, emptyObject)
const never: Takes = () => false
const emptyList: Takes = (value) => Array.isArray(value) && value.length === 0
/** Options in place of an omitted argument: a plain object. */
const optionsAlone: Takes = (value) =>
  emptyObject(value) && [Object.prototype, null].includes(Object.getPrototypeOf(value))
const bytes: Takes = (value) => value instanceof Uint8Array
const size: Takes = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const code: Takes = (value) => size(value) && (value as number) <= 0xffffffff
const deadline: Takes = (value) =>
  value === null ||
  (value instanceof Date && !Number.isNaN(value.getTime())) ||
  (typeof value === 'number' && !Number.isNaN(value) && !(value > 0 && value < Date.now() - 4e10))
const names: Takes = (value) => {
  const isName = (name: unknown): boolean => typeof name === 'string' && name.length > 0
  return isName(value) || (Array.isArray(value) && value.length > 0 && value.every(isName))
}
const listener: Takes = (value) =>
  typeof value === 'function' ||
  typeof (value as { handleEvent?: unknown } | null | undefined)?.handleEvent === 'function'

const duplex = (): Duplex => duplexPair()[0]

export function swarmCalls({ dialer: swarm, listener: remote }: Pair): Argument[] {
  const peer = remote.peerId
  const [addr] = remote.getListenAddrs()
  const at = String(addr)
  return [
    ...tagCalls(swarm, `${peer}`),
    { name: 'new Swarm(options)', call: (value) => new Swarm(value), takes: options },
    { name: 'close(options)', call: (value) => swarm.close(value), takes: options },
    { name: 'stop(options)', call: (value) => swarm.stop(value), takes: options },
    { name: 'listen(addr)', call: (value) => swarm.listen(value), takes: optionsAlone },
    { name: 'unlisten(addr)', call: (value) => swarm.unlisten(value), takes: never },
    { name: 'dialPeer(peer)', call: (value) => swarm.dialPeer(value), takes: never },
    { name: 'dialPeer(options)', call: (value) => swarm.dialPeer(peer, value), takes: options },
    { name: 'dialAddr(addr)', call: (value) => swarm.dialAddr(value), takes: never },
    {
      name: 'dialAddr(peer)',
      call: (value) => swarm.dialAddr(at, value),
      takes: either(nothing, optionsAlone)
    },
    {
      name: 'dialAddr(options)',
      call: (value) => swarm.dialAddr(at, undefined, value),
      takes: options
    },
    { name: 'newStream(peer)', call: (value) => swarm.newStream(value, '/a'), takes: never },
    {
      name: 'newStream(protocols)',
      call: (value) => swarm.newStream(peer, value),
      takes: either(nothing, names, optionsAlone)
    },
    {
      name: 'newStream(options)',
      call: (value) => swarm.newStream(peer, '/a', value),
      takes: options
    },
    {
      name: 'handle(protocols)',
      call: (value) => swarm.handle(value, () => {}),
      takes: either(names, is('function'))
    },
    { name: 'handle(handler)', call: (value) => swarm.handle('/a', value), takes: is('function') },
    {
      name: 'handle(options)',
      call: (value) => swarm.handle('/a', () => {}, value),
      takes: options
    },
    {
      name: 'unhandle(protocols)',
      call: (value) => swarm.unhandle(value),
      takes: either(names, is('function'))
    },
    {
      name: 'setStreamHandler(handler)',
      call: (value) => swarm.setStreamHandler(value),
      takes: (value) => value === null || typeof value === 'function'
    },
    { name: 'getConnections(peer)', call: (value) => swarm.getConnections(value), takes: nothing },
    { name: 'getConnection(peer)', call: (value) => swarm.getConnection(value), takes: never },
    { name: 'connectedness(peer)', call: (value) => swarm.connectedness(value), takes: never },
    { name: 'upgradeInbound(duplex)', call: (value) => swarm.upgradeInbound(value), takes: never },
    {
      name: 'upgradeInbound(addr)',
      call: (value) => swarm.upgradeInbound(duplex(), value),
      takes: nothing
    },
    {
      name: 'upgradeInbound(options)',
      call: (value) => swarm.upgradeInbound(duplex(), undefined, value),
      takes: options
    },
    {
      name: 'upgradeOutbound(duplex)',
      call: (value) => swarm.upgradeOutbound(value),
      takes: never
    },
    {
      name: 'upgradeOutbound(peer)',
      call: (value) => swarm.upgradeOutbound(duplex(), value),
      takes: nothing
    },
    {
      name: 'upgradeOutbound(options)',
      call: (value) => swarm.upgradeOutbound(duplex(), undefined, value),
      takes: options
    },
    { name: 'canDial(peer)', call: (value) => swarm.canDial(value, at), takes: never },
    { name: 'canDial(addr)', call: (value) => swarm.canDial(peer, value), takes: never },
    { name: 'explainDial(peer)', call: (value) => swarm.explainDial(value, at), takes: never },
    { name: 'explainDial(addr)', call: (value) => swarm.explainDial(peer, value), takes: never },
    { name: 'closePeer(peer)', call: (value) => swarm.closePeer(value), takes: never },
    {
      name: 'setCertificates(certificate)',
      call: (value) => swarm.setCertificates(value),
      takes: emptyList
    },
    { name: 'closePeer(options)', call: (value) => swarm.closePeer(peer, value), takes: options },
    {
      name: 'setResourceManager(manager)',
      call: (value) => swarm.setResourceManager(value),
      takes: (value) => value === null
    },
    {
      name: 'setResourceManager(options)',
      call: (value) => swarm.setResourceManager(null, value),
      takes: options
    },
    {
      name: 'addConnection(muxed)',
      call: (value) => swarm.addConnection(value, 'inbound', { remotePeer: PEER }),
      takes: never
    },
    {
      name: 'addConnection(direction)',
      call: (value) => swarm.addConnection(memoryConns(PEER).near, value),
      takes: either(nothing, optionsAlone)
    },
    {
      name: 'addConnection(options)',
      call: (value) => swarm.addConnection(memoryConns(PEER).near, 'inbound', value),
      takes: options
    },
    {
      name: 'removeConnection(connection)',
      call: (value) => swarm.removeConnection(value),
      takes: never
    },
    {
      name: 'notifyOpenedStream(stream)',
      call: (value) => swarm.notifyOpenedStream(value),
      takes: never
    },
    {
      name: 'notifyClosedStream(stream)',
      call: (value) => swarm.notifyClosedStream(value),
      takes: never
    },
    { name: 'notify(notifiee)', call: (value) => swarm.notify(value), takes: is('object') },
    ...eventCalls(swarm)
  ]
}

function eventCalls(target: Swarm | Connection | Stream): Argument[] {
  const add = target.addEventListener.bind(target) as (...args: unknown[]) => void
  return [
    {
      name: 'addEventListener(type)',
      call: (value: unknown) => add(value, () => {}),
      takes: is('string')
    },
    {
      name: 'addEventListener(handler)',
      call: (value: unknown) => add('close', value),
      takes: listener
    },
    {
      name: 'addEventListener(options)',
      call: (value: unknown) => add('close', () => {}, value),
      takes: options
    }
  ]
}

export function connectionCalls(connection: Connection): Argument[] {
  return [
    {
      name: 'newStream(protocols)',
      call: (value) => connection.newStream(value),
      takes: either(nothing, names, optionsAlone)
    },
    {
      name: 'newStream(options)',
      call: (value) => connection.newStream('/a', value),
      takes: options
    },
    { name: 'close(options)', call: (value) => connection.close(value), takes: options },
    {
      name: 'closeWithError(code)',
      call: (value) => connection.closeWithError(value),
      takes: code
    },
    { name: 'removeStream(stream)', call: (value) => connection.removeStream(value), takes: never },
    {
      name: 'setTransportInfo(info)',
      call: (value) => connection.setTransportInfo(value),
      takes: never
    },
    {
      name: 'setResourceScope(scope)',
      call: (value) => connection.setResourceScope(value),
      takes: never
    },
    ...eventCalls(connection)
  ]
}

export function streamCalls(stream: Stream): Argument[] {
  return [
    {
      name: 'read(max)',
      call: (value) => stream.read(value),
      takes: either(nothing, size, optionsAlone)
    },
    { name: 'read(options)', call: (value) => stream.read(1, value), takes: options },
    {
      name: 'tryRead(max)',
      call: (value) => stream.tryRead(value),
      takes: either(nothing, size, (value) => value === Number.POSITIVE_INFINITY)
    },
    { name: 'readInto(into)', call: (value) => stream.readInto(value), takes: bytes },
    {
      name: 'readInto(options)',
      call: (value) => stream.readInto(new Uint8Array(1), value),
      takes: options
    },
    { name: 'write(bytes)', call: (value) => stream.write(value), takes: bytes },
    {
      name: 'write(options)',
      call: (value) => stream.write(new Uint8Array(1), value),
      takes: options
    },
    { name: 'send(bytes)', call: (value) => stream.send(value), takes: bytes },
    { name: 'unshift(bytes)', call: (value) => stream.unshift(value), takes: bytes },
    { name: 'close(options)', call: (value) => stream.close(value), takes: options },
    { name: 'closeRead(options)', call: (value) => stream.closeRead(value), takes: options },
    { name: 'closeWrite(options)', call: (value) => stream.closeWrite(value), takes: options },
    { name: 'reset(code)', call: (value) => stream.reset(value), takes: either(nothing, code) },
    { name: 'abort(err)', call: (value) => stream.abort(value), takes: never },
    { name: 'setDeadline(at)', call: (value) => stream.setDeadline(value), takes: deadline },
    {
      name: 'setReadDeadline(at)',
      call: (value) => stream.setReadDeadline(value),
      takes: deadline
    },
    {
      name: 'setWriteDeadline(at)',
      call: (value) => stream.setWriteDeadline(value),
      takes: deadline
    },
    { name: 'setProtocol(protocol)', call: (value) => stream.setProtocol(value), takes: names },
    {
      name: 'setState(next)',
      call: (value) => stream.setState(value),
      takes: (value) => size(value) && (value as number) >= 1 && (value as number) <= 7
    },
    { name: 'messages(options)', call: (value) => stream.messages(value), takes: options },
    { name: 'toDuplex(options)', call: (value) => stream.toDuplex(value), takes: options },
    ...eventCalls(stream)
  ]
}

export function functionCalls({ outbound, near }: Pair & { near: Stream }): Argument[] {
  const client = new MultiselectClient()
  const communicator = new MultiselectCommunicator(near)
  const server = new Multiselect()
  const { near: muxed } = memoryStreams()
  const carrier = io.fromWebStreams(new TransformStream<Uint8Array, Uint8Array>())
  const messages = new io.VarintMsgReadWriter(carrier)
  const key = generatePrivateKey()
  return [
    { name: 'ping(connection)', call: (value) => ping(value), takes: never },
    { name: 'ping(options)', call: (value) => ping(outbound, value), takes: options },
    { name: 'identify(connection)', call: (value) => identify(value), takes: never },
    { name: 'identify(options)', call: (value) => identify(outbound, value), takes: options },
    { name: 'perf(connection)', call: (value) => perf(value), takes: never },
    { name: 'perf(options)', call: (value) => perf(outbound, value), takes: options },
    {
      name: 'generatePrivateKey(type)',
      call: (value) => generatePrivateKey(value),
      takes: nothing
    },
    {
      name: 'new NotifyBundle(callbacks)',
      call: (value) => new NotifyBundle(value),
      takes: options
    },
    { name: 'wrapMuxedStream(muxed)', call: (value) => wrapMuxedStream(value), takes: never },
    {
      name: 'wrapMuxedStream(connection)',
      call: (value) => wrapMuxedStream(muxed, value),
      takes: nothing
    },
    ...peerstoreCalls(),
    {
      name: 'handshake(communicator)',
      call: (value) => client.handshake(value),
      takes: never
    },
    {
      name: 'handshake(options)',
      call: (value) => client.handshake(communicator, value),
      takes: options
    },
    {
      name: 'selectOneOf(protocols)',
      call: (value) => client.selectOneOf(value, communicator),
      takes: (value) => Array.isArray(value) && (value.length === 0 || names(value))
    },
    {
      name: 'trySelect(protocol)',
      call: (value) => client.trySelect(communicator, value),
      takes: is('string')
    },
    { name: 'negotiate(communicator)', call: (value) => server.negotiate(value), takes: never },
    {
      name: 'negotiate(options)',
      call: (value) => server.negotiate(communicator, value),
      takes: options
    },
    { name: 'readExactly(reader)', call: (value) => io.readExactly(value, 1), takes: never },
    { name: 'readExactly(n)', call: (value) => io.readExactly(near, value), takes: size },
    {
      name: 'readExactly(options)',
      call: (value) => io.readExactly(near, 1, value),
      takes: options
    },
    { name: 'fromDuplex(duplex)', call: (value) => io.fromDuplex(value), takes: never },
    { name: 'fromWebStreams(pair)', call: (value) => io.fromWebStreams(value), takes: never },
    { name: 'tcpStream(socket)', call: (value) => io.tcpStream(value), takes: never },
    { name: 'carrier.read(n)', call: (value) => carrier.read(value), takes: either(nothing, size) },
    { name: 'carrier.read(options)', call: (value) => carrier.read(1, value), takes: options },
    { name: 'carrier.write(bytes)', call: (value) => carrier.write(value), takes: bytes },
    { name: 'carrier.close(options)', call: (value) => carrier.close(value), takes: options },
    {
      name: 'new VarintMsgReadWriter(carrier)',
      call: (value) => new io.VarintMsgReadWriter(value),
      takes: never
    },
    {
      name: 'new FixedLengthMsgReadWriter(options)',
      call: (value) => new io.FixedLengthMsgReadWriter(carrier, value),
      takes: options
    },
    { name: 'readMsg(options)', call: (value) => messages.readMsg(value), takes: options },
    { name: 'writeMsg(message)', call: (value) => messages.writeMsg(value), takes: bytes },
    {
      name: 'secureMessages(duplex)',
      call: (value) =>
        io.secureMessages(value, { privateKey: key, security: 'noise', initiator: true }),
      takes: never
    },
    {
      name: 'secureMessages(options)',
      call: (value) => io.secureMessages(carrier, value),
      takes: never
    }
  ]
}
