/**
 * A listener with no descriptor left for a connection: prints the first line logged at `error`, as JSON. Takes every
 * descriptor that it may have, so it needs a small `ulimit -n`.
 */
import { closeSync, openSync } from 'node:fs'
import { connect } from 'node:net'
import { createSwarm } from '../../../ts/swarm.ts'

const error = (message: string, fact?: unknown): never => {
  console.log(JSON.stringify({ level: 'error', message, fact, address: `${address}` }))
  process.exit()
}
const swarm = await createSwarm({ ioThreads: 1, logger: { error } })
await swarm.listen('/ip4/127.0.0.1/tcp/0')
const [address] = swarm.getListenAddrs()

const held: number[] = []
try {
  for (;;) held.push(openSync('/dev/null', 'r'))
} catch {
  dial()
}

/** Frees a descriptor for the client's end, none for the listener's; retries, as others here may take it first. */
function dial(): void {
  closeSync(held.pop() ?? 0)
  const socket = connect(Number(`${address}`.split('/').at(-1)), '127.0.0.1')
  socket.on('error', dial)
}
