/** A protocol that answers with what it receives, and an exchange over it. */
import { createHash } from 'node:crypto'
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { readAll } from '../../ts/io/index.ts'
import type { Stream } from '../../ts/stream.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createNode, pattern } from './pair.ts'

export const ECHO = '/ferroswarm/test/echo/1.0.0'

/** The handler of {@link ECHO}. */
export async function echo(stream: Stream): Promise<void> {
  for await (const bytes of stream) await stream.write(bytes)
  await stream.close()
}

/** Creates a node that serves {@link ECHO} and listens. */
export async function echoing(
  t: ExecutionContext,
  listen: string,
  options: SwarmOptions = {}
): Promise<Swarm> {
  const node = await createNode(t, options)
  node.handle(ECHO, echo)
  await node.listen(listen)
  return node
}

/** Returns the first address that a node listens on. */
export function addressOf(node: Swarm): string {
  return `${node.getListenAddrs()[0]}`
}

/** Returns the port of that address. */
export function portOf(node: Swarm): number {
  return Number(addressOf(node).split('/')[4])
}

/** Asserts that bytes come back whole: by default more than any frame or buffer on the way. */
export async function assertEcho(
  t: ExecutionContext,
  connection: Connection,
  bytes = 3_000_000
): Promise<void> {
  const sent = pattern(bytes)
  t.is(hashOf(await exchanged(connection, sent)), hashOf(sent))
}

/** Sends `bytes` in pieces and reads the echo meanwhile. */
export async function exchanged(connection: Connection, bytes: Uint8Array): Promise<Uint8Array> {
  const stream = await connection.newStream(ECHO)
  const send = async (): Promise<void> => {
    for (let at = 0; at < bytes.length; at += 100_000) {
      await stream.write(bytes.subarray(at, at + 100_000))
    }
    await stream.closeWrite()
  }
  const [received] = await Promise.all([readAll(stream, { maxBytes: bytes.length }), send()])
  return received
}

/** Of megabytes, whose difference would be too long to print. */
export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
