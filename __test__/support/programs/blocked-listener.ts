/**
 * A listener whose event loop blocks on request, until a byte arrives on its standard input. Its one argument is its
 * limits as JSON. Sends over IPC its address; for any message, a {@link BlockedReport} just before it blocks, and
 * another one once it is unblocked and has drained its events.
 */
import { readSync } from 'node:fs'
import { createSwarm } from '../../../ts/swarm.ts'

export interface BlockedReport {
  /** `connected` events. */
  readonly connected: number
  /** Connections refused by a limit before their upgrade. */
  readonly refused: number
}

const swarm = await createSwarm({
  limits: JSON.parse(process.argv[2] ?? '{}'),
  // Its peers stay at the first step of their upgrade.
  connections: { inboundUpgradeTimeout: 600_000 },
  services: { ping: false, identify: false },
  ioThreads: 1
})
let connected = 0
swarm.addEventListener('connected', () => {
  connected += 1
})
await swarm.listen('/ip4/127.0.0.1/tcp/0')
process.on('message', () => {
  process.send?.(report(), () => {
    readSync(0, new Uint8Array(1))
    // Events of the time before are drained in the next iteration.
    setImmediate(() => setImmediate(() => process.send?.(report())))
  })
})
process.once('disconnect', () => process.exit())
process.send?.({ port: Number(`${swarm.getListenAddrs()[0]}`.split('/').at(-1)) })

function report(): BlockedReport {
  return { connected, refused: swarm.counters().admissionsRefused }
}
