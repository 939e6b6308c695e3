/** Connections that were identified and do nothing: prints what JavaScript holds for them, as JSON. */
import { createSwarm } from '../../../ts/swarm.ts'
import { until } from '../pair.ts'

/** What is printed. */
export interface ConnectionsReport {
  /** Bytes of the heap and of buffers for a connection, at both ends together. */
  readonly bytesEach: number
}

const WARM_UP = 100
const CONNECTIONS = 500

const [listener, dialer] = await Promise.all([createSwarm(), createSwarm()])
await listener.listen('/ip4/127.0.0.1/tcp/0')
const addresses = listener.getListenAddrs()
let asked = 0
const count = {
  openedStream: () => {
    asked += 1
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
  const streams = asked + 4 * count
  for (let made = 0; made < count; made += 1) {
    await dialer.dialPeer(listener.peerId, { addresses, force: true })
  }
  // Each end asks the other one: two streams, of which either end sees both.
  await until(() => asked === streams)
  const connections = () => [...listener.getConnections(), ...dialer.getConnections()]
  await until(() => connections().every((connection) => connection.streams.length === 0))
}

function held(): number {
  // Twice: what the first collection finalises goes with the second.
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
