/** `ferroswarm perf`: bulk transfer, one direction after the other. */
import type { Connection } from '../connection.ts'
import { AbortError } from '../errors.ts'
import { perf } from '../protocols/perf.ts'
import type { Call, Command, ExitCode } from './command.ts'
import { DIAL_HELP, DIAL_OPTIONS, stackOf, withConnection } from './connect.ts'
import { byteSize, megabytesPerSecond, type Output, rounded } from './output.ts'
import { stackText } from './ping.ts'

const BYTES = 256 * 1024 * 1024

/** The verb. */
export const command: Command = {
  name: 'perf',
  usage: '<multiaddr> [options]',
  help: `  --upload BYTES        Bytes to send, such as 64KiB or 1GiB; defaults to 256MiB.
  --download BYTES      Bytes to receive; defaults to 256MiB.
${DIAL_HELP}

With --json: {"event":"summary","uploadBytes","uploadSeconds","downloadBytes","downloadSeconds",
"security","muxer"}.`,
  options: { ...DIAL_OPTIONS, upload: { type: 'string' }, download: { type: 'string' } },
  positionals: [1, 1],
  run: (call) => {
    const upload = call.values.bytes('upload', BYTES)
    const download = call.values.bytes('download', BYTES)
    return withConnection(call, (connection) => measure(call, connection, upload, download))
  }
}

/** One direction of a transfer. */
export interface Transfer {
  readonly bytes: number
  readonly seconds: number
}

async function measure(
  { out, signal }: Call,
  connection: Connection,
  upload: number,
  download: number
): Promise<ExitCode> {
  out.text(`perf ${connection.remotePeer} over ${stackText(connection)}`)
  const nothing: Transfer = { bytes: 0, seconds: 0 }
  const transfers = { upload: nothing, download: nothing }
  let interrupted = false
  for (const direction of ['upload', 'download'] as const) {
    const bytes = direction === 'upload' ? upload : download
    if (bytes === 0 || interrupted) continue
    transfers[direction] = await transfer(out, connection, direction, bytes, signal)
    interrupted = signal.aborted
  }
  const { upload: up, download: down } = transfers
  out.event(
    {
      event: 'summary',
      uploadBytes: up.bytes,
      uploadSeconds: rounded(up.seconds),
      downloadBytes: down.bytes,
      downloadSeconds: rounded(down.seconds),
      ...stackOf(connection)
    },
    interrupted ? 'interrupted: the figures cover the completed part' : 'done'
  )
  return interrupted ? 1 : 0
}

/** Transfers bytes in one direction, with a progress bar, and reports the rate, also if interrupted. */
export async function transfer(
  out: Output,
  connection: Connection,
  direction: 'upload' | 'download',
  bytes: number,
  signal: AbortSignal
): Promise<Transfer> {
  const start = performance.now()
  let moved = 0
  let seconds = 0
  try {
    const result = await perf(connection, {
      [`${direction}Bytes`]: bytes,
      signal,
      onProgress: (progress) => {
        moved = progress.bytes
        out.progress(direction.padEnd(8), moved, bytes, start)
      }
    })
    moved = bytes
    seconds = direction === 'upload' ? result.uploadSeconds : result.downloadSeconds
  } catch (err) {
    if (!(err instanceof AbortError)) throw err
    seconds = (performance.now() - start) / 1_000
  }
  const speed = out.style('bold', `${megabytesPerSecond(moved, seconds)} MB/s`)
  out.text(`  ${direction.padEnd(8)} ${byteSize(moved)} in ${seconds.toFixed(2)} s: ${speed}`)
  return { bytes: moved, seconds }
}
