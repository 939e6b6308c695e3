/** `ferroswarm ping`: round trips on one stream. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '../connection.ts'
import { AbortError } from '../errors.ts'
import { ping } from '../protocols/ping.ts'
import type { Call, Command, ExitCode } from './command.ts'
import { DIAL_HELP, DIAL_OPTIONS, present, stackOf, withConnection } from './connect.ts'
import { milliseconds, rounded } from './output.ts'

const COUNT = 5
const INTERVAL_MS = 200

/** The verb. */
export const command: Command = {
  name: 'ping',
  usage: '<multiaddr> [options]',
  help: `  -c, --count N         Number of pings; defaults to ${COUNT}.
  --interval MS         Milliseconds between them; defaults to ${INTERVAL_MS}.
${DIAL_HELP}

With --json: {"event":"ping","seq","rttMs"} each, then {"event":"summary","sent","received",
"rttMs":{"min","p50","max"},"security","muxer"}. rttMs is null if no answer came.`,
  options: {
    ...DIAL_OPTIONS,
    count: { type: 'string', short: 'c' },
    interval: { type: 'string' }
  },
  positionals: [1, 1],
  run: (call) => {
    const count = call.values.count('count', COUNT)
    const interval = call.values.count('interval', INTERVAL_MS)
    return withConnection(call, (connection) => pingAll(call, connection, count, interval))
  }
}

async function pingAll(
  { out, signal }: Call,
  connection: Connection,
  count: number,
  interval: number
): Promise<ExitCode> {
  const times: number[] = []
  let sent = 0
  out.text(`ping ${connection.remotePeer} over ${stackText(connection)}`)
  try {
    const pings = ping(connection, { count, signal })
    while (sent < count) {
      sent += 1
      const { done, value } = await pings.next()
      if (done === true) break
      times.push(value)
      out.event(
        { event: 'ping', seq: sent, rttMs: rounded(value) },
        `  ${sent}: ${milliseconds(value)}`
      )
      if (sent < count) await sleep(interval, undefined, { signal })
    }
    await pings.return()
  } catch (err) {
    // Ctrl-C ends the measurement early; completed pings count.
    if (!signal.aborted && !(err instanceof AbortError)) throw err
    sent = times.length
  } finally {
    summarise(out, connection, sent, times)
  }
  return times.length > 0 || count === 0 ? 0 : 1
}

function summarise(out: Call['out'], connection: Connection, sent: number, times: number[]): void {
  const rtt = percentiles(times)
  const text =
    rtt === null
      ? ''
      : `: min ${milliseconds(rtt.min)}, p50 ${milliseconds(rtt.p50)}, max ${milliseconds(rtt.max)}`
  out.event(
    { event: 'summary', sent, received: times.length, rttMs: rtt, ...stackOf(connection) },
    `${times.length} of ${sent} answered${text}`
  )
}

/** Returns the minimum, median and maximum; null without samples. */
export function percentiles(
  times: readonly number[]
): { min: number; p50: number; max: number } | null {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number =>
    rounded(sorted[Math.floor(share * (sorted.length - 1))] ?? 0)
  return sorted.length === 0 ? null : { min: at(0), p50: at(0.5), max: at(1) }
}

/** Formats the transport, security and muxer of a connection for display. */
export function stackText(connection: Connection): string {
  const { transport, security, muxer } = connection.state
  return present({ transport, security, muxer }).join(', ')
}
