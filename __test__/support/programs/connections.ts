/** Connections that are idle after identify: prints the JavaScript memory held for them, as JSON. */
import { createSwarm } from '../../../ts/swarm.ts'
import { until } from '../pair.ts'

/** The printed report. */
export interface ConnectionsReport {
  /** Bytes of heap and buffers per connection, at both ends together. */
  readonly bytesEach: number
}

// As many as make V8 compile and optimise the code of dials: that is not held for connections.
const WARM_UP = 400
const CONNECTIONS = 500
const OPTIONS = { limits: 'unlimited', connections: { maxPerPeer: Infinity } } as const

const [listener, dialer] = await Promise.all([createSwarm(OPTIONS), createSwarm(OPTIONS)])
await listener.listen('/ip4/127.0.0.1/tcp/0')
const addresses = listener.getListenAddrs()
let opened = 0
const count = {
  openedStream: () => {
    opened += 1
  }
}
listener.notify(count)
dialer.notify(count)

await connect(WARM_UP)
const before = held()
await connect(CONNECTIONS)
const report: ConnectionsReport = { bytesEach: (held() - before) / CONNECTIONS }
console.log(JSON.stringify(report))
process.exit()

async function connect(count: number): Promise<void> {
  const streams = opened + 4 * count
  for (let made = 0; made < count; made += 1) {
    await dialer.dialPeer(listener.peerId, { addresses, force: true })
  }
  // Each end identifies the other: two streams, both of which each end reports.
  await until(() => opened === streams)
  const connections = () => [...listener.getConnections(), ...dialer.getConnections()]
  await until(() => connections().every((connection) => connection.streams.length === 0))
}

function held(): number {
  // Twice: objects that the first collection finalises are freed by the second.
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
