/** A listener with ten idle connections: prints the cost of an idle window, as JSON. */
import { createSwarm } from '../../../ts/swarm.ts'
import { until } from '../pair.ts'
import { processorMs } from '../process-figures.ts'

/** The printed report. */
export interface IdleReport {
  readonly connections: number
  readonly windowMs: number
  readonly processorMs: number
  readonly rings: number
  readonly crossings: number
  readonly socketReads: number
}

const CONNECTIONS = 10
const WINDOW_MS = 2_000
const OPTIONS = {
  ioThreads: 1,
  limits: 'unlimited',
  connections: { maxPerPeer: Infinity }
} as const

const [listener, dialer] = await Promise.all([createSwarm(OPTIONS), createSwarm(OPTIONS)])
await listener.listen('/ip4/127.0.0.1/tcp/0')
const addresses = listener.getListenAddrs()
for (let count = 0; count < CONNECTIONS; count += 1) {
  await dialer.dialPeer(listener.peerId, { addresses, force: true })
}
await until(() => listener.getTotalConnections() === CONNECTIONS)
// Identify finishes first.
const streams = () => [...listener.getConnections(), ...dialer.getConnections()]
await until(() => streams().every((connection) => connection.streams.length === 0))
await pause(WINDOW_MS / 4)

const before = { counters: listener.counters(), processorMs: processorMs() }
await pause(WINDOW_MS)
const after = { processorMs: processorMs(), counters: listener.counters() }

const report: IdleReport = {
  connections: listener.getTotalConnections(),
  windowMs: WINDOW_MS,
  processorMs: after.processorMs - before.processorMs,
  rings: after.counters.rings - before.counters.rings,
  crossings:
    after.counters.drains + after.counters.calls - before.counters.drains - before.counters.calls,
  socketReads: after.counters.socketReads - before.counters.socketReads
}
console.log(JSON.stringify(report))
process.exit()

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
