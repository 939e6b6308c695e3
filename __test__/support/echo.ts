/** A protocol that answers with what it receives, and an exchange over it. */
import { createHash } from 'node:crypto'
import type { Connection } from '../../ts/connection.ts'
import { readAll } from '../../ts/io/index.ts'
import type { Stream } from '../../ts/stream.ts'

export const ECHO = '/ferroswarm/test/echo/1.0.0'

/** The handler of {@link ECHO}. */
export async function echo(stream: Stream): Promise<void> {
  for await (const bytes of stream) await stream.write(bytes)
  await stream.close()
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
