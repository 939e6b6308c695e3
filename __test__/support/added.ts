/** Two swarms of this process, connected by a muxer of the application. */
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { type MemoryConn, memoryConns } from './memory-muxer.ts'
import { createNode } from './pair.ts'

export interface Added {
  readonly dialer: Swarm
  readonly listener: Swarm
  /** The ends of the muxed connection: the dialer's, and the listener's. */
  readonly near: MemoryConn
  readonly far: MemoryConn
  readonly outbound: Connection
  readonly inbound: Connection
}

/** Creates two swarms and adds the ends of a muxed connection to them. */
export async function addedPair(
  t: ExecutionContext,
  options: { dialer?: SwarmOptions; listener?: SwarmOptions } = {}
): Promise<Added> {
  const dialer = await createNode(t, options.dialer)
  const listener = await createNode(t, options.listener)
  const { near, far } = memoryConns(listener.peerId, dialer.peerId)
  const inbound = listener.addConnection(far, 'inbound')
  const outbound = dialer.addConnection(near, 'outbound')
  return { dialer, listener, near, far, outbound, inbound }
}

/** Creates a swarm with one end of a muxed connection; the test has the other. */
export async function addedEnd(
  t: ExecutionContext,
  options: SwarmOptions = {}
): Promise<{ swarm: Swarm; near: MemoryConn; far: MemoryConn; connection: Connection }> {
  const swarm = await createNode(t, options)
  const { near, far } = memoryConns(PEER)
  return { swarm, near, far, connection: swarm.addConnection(near) }
}

/** The peer of {@link addedEnd}. */
export const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

/** Responds with the request in upper case. */
export async function upper(stream: Stream): Promise<void> {
  const text = Buffer.from(await stream.read()).toString()
  await stream.write(Buffer.from(text.toUpperCase()))
  await stream.close()
}

/** Sends a request, and resolves to the response. */
export async function ask(stream: Stream, text: string): Promise<string> {
  await stream.write(Buffer.from(text))
  await stream.closeWrite()
  return Buffer.from(await stream.read()).toString()
}
