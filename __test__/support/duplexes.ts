/** Both ends of every kind of duplex that can be upgraded. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'
import { MessageChannel } from 'node:worker_threads'
import type { ExecutionContext } from 'ava'
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws'
import type { Connection } from '../../ts/connection.ts'
import { type AnyDuplex, fromDuplex } from '../../ts/io/index.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createNode } from './pair.ts'

/** The opener's end, and the other. */
export type Ends<T extends AnyDuplex = AnyDuplex> = readonly [near: T, far: T]

/** Connects a socket to a server at `place`, which is closed when the test ends. */
async function sockets(t: ExecutionContext, place: string | number): Promise<Ends<Socket>> {
  const server = createServer({ allowHalfOpen: true })
  t.teardown(() => server.close())
  if (typeof place === 'string') server.listen(place)
  else server.listen(place, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const near =
    typeof place === 'string'
      ? connect(place)
      : connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = (await accepted) as [Socket]
  t.teardown(() => {
    near.destroy()
    far.destroy()
  })
  return [near, far]
}

export function tcpSockets(t: ExecutionContext): Promise<Ends<Socket>> {
  return sockets(t, 0)
}

export async function unixSockets(t: ExecutionContext): Promise<Ends<Socket>> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-unix-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return sockets(t, join(folder, 'socket'))
}

/** WebSockets of the package `ws`, as node:stream sees them. */
export async function webSockets(t: ExecutionContext): Promise<Ends<Duplex>> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => server.close())
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  // Listening on TCP, it has one.
  const { port } = server.address() as AddressInfo
  const near = createWebSocketStream(new WebSocket(`ws://127.0.0.1:${port}`))
  const [socket] = (await accepted) as [WebSocket]
  return [near, createWebSocketStream(socket)]
}

type WebPair = ReadableWritablePair<Uint8Array, Uint8Array>

export function webStreams(): Ends<WebPair> {
  const out = new TransformStream<Uint8Array, Uint8Array>()
  const back = new TransformStream<Uint8Array, Uint8Array>()
  return [
    { readable: back.readable, writable: out.writable },
    { readable: out.readable, writable: back.writable }
  ]
}

/** Web streams of which one end was transferred over a MessagePort, as to another thread. */
export async function transferredStreams(t: ExecutionContext): Promise<Ends<WebPair>> {
  const { port1, port2 } = new MessageChannel()
  t.teardown(() => port1.close())
  const [near, far] = webStreams()
  const received = once(port2, 'message')
  port1.postMessage(far, [far.readable, far.writable] as unknown as ArrayBuffer[])
  const [transferred] = (await received) as [WebPair]
  return [near, transferred]
}

export const DUPLEXES: Readonly<Record<string, (t: ExecutionContext) => Ends | Promise<Ends>>> = {
  'Duplexes of node:stream': () => duplexPair() as unknown as Ends,
  'TCP sockets': tcpSockets,
  'Unix sockets': unixSockets,
  'WebSockets of ws': webSockets,
  'Web streams': webStreams,
  'Web streams over a MessagePort': transferredStreams,
  ReadWriteClosers: () => {
    const [near, far] = duplexPair()
    return [fromDuplex(near), fromDuplex(far)]
  }
}

/** Two swarms and both ends of a connection between them. */
export interface UpgradedPair {
  readonly dialer: Swarm
  readonly listener: Swarm
  readonly outbound: Connection
  readonly inbound: Connection
}

/** Upgrades both ends of a duplex. */
export async function upgradedPair(
  t: ExecutionContext,
  [near, far]: Ends,
  options: { dialer?: SwarmOptions; listener?: SwarmOptions } = {}
): Promise<UpgradedPair> {
  const [dialer, listener] = await Promise.all([
    createNode(t, options.dialer),
    createNode(t, options.listener)
  ])
  const [outbound, inbound] = await Promise.all([
    dialer.upgradeOutbound(near, listener.peerId),
    listener.upgradeInbound(far)
  ])
  return { dialer, listener, outbound, inbound }
}
