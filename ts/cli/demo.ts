/** `ferroswarm demo`: a ten-second tour with two nodes in two processes on this machine. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Connection } from '../connection.ts'
import { AbortError, StreamResetError } from '../errors.ts'
import { ping } from '../protocols/ping.ts'
import { createSwarm } from '../swarm.ts'
import type { Call, Command, ExitCode } from './command.ts'
import { stackOf } from './connect.ts'
import { ECHO_PROTOCOL } from './listen.ts'
import { milliseconds, rounded } from './output.ts'
import { transfer } from './perf.ts'
import { percentiles, stackText } from './ping.ts'

const ADDRESS = '/ip4/127.0.0.1/tcp/0'
const PINGS = 20
const BYTES = 256 * 1024 * 1024
const LINE = 'hello from one process to another'
const START_TIMEOUT_MS = 10_000

/** The verb. */
export const command: Command = {
  name: 'demo',
  usage: '[options]',
  help: `Starts a second process that listens on loopback, connects to it, pings, echoes a line, and moves
256 MiB each way. Uses no network.

With --json: {"event":"peers","listener","dialer","addr"}, {"event":"connected","security","muxer"},
{"event":"ping","rttMs":{"min","p50","max"}}, {"event":"echo","line"}, {"event":"summary",
"uploadBytes","uploadSeconds","downloadBytes","downloadSeconds","security","muxer"}.`,
  options: {},
  positionals: [0, 0],
  run: demo
}

async function demo(call: Call): Promise<ExitCode> {
  const { out, signal } = call
  const listener = startListener()
  try {
    const { peerId, addr } = await listening(listener, signal)
    await using swarm = await createSwarm()
    const dialer = swarm.peerId.toString()
    out.event(
      { event: 'peers', listener: peerId, dialer, addr },
      `listener ${out.style('bold', peerId)} (process ${listener.pid})\ndialer   ${out.style('bold', dialer)} (process ${process.pid})`
    )
    const connection = await swarm.dialAddr(addr, { signal })
    const { connect, security, muxer } = connection.dialReport
    out.event(
      { event: 'connected', ...stackOf(connection) },
      `connected over ${stackText(connection)} in ${milliseconds(connect + security + muxer)}`
    )
    await show(call, connection)
    await swarm.close()
  } finally {
    await stopListener(listener)
  }
  return 0
}

async function show({ out, signal }: Call, connection: Connection): Promise<void> {
  const times: number[] = []
  for await (const time of ping(connection, { count: PINGS, signal })) times.push(time)
  const rttMs = percentiles(times)
  out.event(
    { event: 'ping', rttMs },
    `ping     ${milliseconds(rttMs?.p50 ?? 0)} (median of ${PINGS})`
  )

  const line = await echo(connection, LINE, signal)
  out.event({ event: 'echo', line }, `echo     "${line}"`)

  const upload = await transfer(out, connection, 'upload', BYTES, signal)
  const download = await transfer(out, connection, 'download', BYTES, signal)
  if (signal.aborted) throw new AbortError()
  out.event(
    {
      event: 'summary',
      uploadBytes: upload.bytes,
      uploadSeconds: rounded(upload.seconds),
      downloadBytes: download.bytes,
      downloadSeconds: rounded(download.seconds),
      ...stackOf(connection)
    },
    out.style('green', 'done')
  )
}

async function echo(connection: Connection, text: string, signal: AbortSignal): Promise<string> {
  const stream = await connection.newStream(ECHO_PROTOCOL, { signal })
  await stream.write(Buffer.from(text), { signal })
  await stream.closeWrite()
  const line = Buffer.from(await stream.read({ signal })).toString()
  await stream.close()
  if (line !== text) throw new StreamResetError('the echo differs from what was sent')
  return line
}

function startListener(): ChildProcess {
  // The entry beside this file has the same extension, compiled or not.
  const main = fileURLToPath(import.meta.resolve(`./main${import.meta.filename.slice(-3)}`))
  return spawn(
    process.execPath,
    [...process.execArgv, main, 'listen', '--json', '--perf', ADDRESS],
    {
      // The IPC channel ends the listener if this process dies.
      stdio: ['ignore', 'pipe', 'inherit', 'ipc']
    }
  )
}

async function listening(
  listener: ChildProcess,
  signal: AbortSignal
): Promise<{ peerId: string; addr: string }> {
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)])
  // Its stdout is a pipe.
  const lines = createInterface({ input: listener.stdout as NodeJS.ReadableStream })
  try {
    // Only the line resolves; the other two reject.
    const [line] = (await Promise.race([
      once(lines, 'line', { signal: timeout }),
      once(listener, 'error', { signal: timeout }).then(([err]) => Promise.reject(err)),
      once(listener, 'exit', { signal: timeout }).then(([code]) =>
        Promise.reject(new Error(`the listening process ended with code ${code}`))
      )
    ])) as [string]
    // The `listening` event of `listen --json`, or unrelated output, rejected below.
    const event = JSON.parse(line) as { event: string; peerId: string; addrs: string[] }
    const [addr] = event.addrs ?? []
    if (event.event !== 'listening' || addr === undefined) throw new Error(line)
    return { peerId: event.peerId, addr }
  } catch (err) {
    if (signal.aborted) throw new AbortError({ cause: err })
    throw new Error('the listening process did not start', { cause: err })
  } finally {
    // Later lines are read and discarded, so that the pipe never fills.
    lines.resume()
  }
}

async function stopListener(listener: ChildProcess): Promise<void> {
  if (listener.exitCode !== null || listener.signalCode !== null || listener.pid === undefined)
    return
  const exit = once(listener, 'exit')
  listener.disconnect()
  const force = setTimeout(() => listener.kill('SIGKILL'), START_TIMEOUT_MS)
  await exit
  clearTimeout(force)
}
