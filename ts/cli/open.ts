/** `ferroswarm open`: pipes standard input into a stream, and the stream to standard output. */
import { once } from 'node:events'
import type { Connection } from '../connection.ts'
import { AbortError } from '../errors.ts'
import type { Stream } from '../stream.ts'
import type { Call, Command, ExitCode } from './command.ts'
import { DIAL_HELP, DIAL_OPTIONS, withConnection } from './connect.ts'

/** The verb. */
export const command: Command = {
  name: 'open',
  usage: '<multiaddr> <protocol> [options]',
  help: `The end of the input ends our half of the stream; the end of the stream ends the program.
${DIAL_HELP}

With --json, on standard error: {"event":"summary","sentBytes","receivedBytes"}.`,
  options: DIAL_OPTIONS,
  positionals: [2, 2],
  reportsTo: 'stderr',
  run: (call) => withConnection(call, (connection) => pipe(call, connection))
}

async function pipe(
  { positionals: [, protocol], out, signal }: Call,
  connection: Connection
): Promise<ExitCode> {
  const stream = await connection.newStream(protocol, { signal })
  const interrupt = (): void => stream.abort(new AbortError())
  signal.addEventListener('abort', interrupt, { once: true })
  const counts = { sentBytes: 0, receivedBytes: 0 }
  const received = receive(stream, counts).finally(() => {
    // The stream has ended: stop waiting for more input.
    process.stdin.destroy()
  })
  await Promise.all([received, send(stream, counts)])
  await stream.close()
  if (signal.aborted) throw new AbortError()
  if (out.json) out.event({ event: 'summary', ...counts }, '')
  return 0
}

async function send(stream: Stream, counts: { sentBytes: number }): Promise<void> {
  // Without an encoding, chunks are buffers.
  const chunks: AsyncIterable<Buffer> = process.stdin.iterator({ destroyOnReturn: false })
  for await (const chunk of chunks) {
    await stream.write(chunk)
    counts.sentBytes += chunk.length
  }
  await stream.closeWrite()
}

async function receive(stream: Stream, counts: { receivedBytes: number }): Promise<void> {
  for await (const chunk of stream) {
    counts.receivedBytes += chunk.length
    if (!process.stdout.write(chunk)) await once(process.stdout, 'drain')
  }
}
