/**
 * A node under attack, in its own process so that its memory can be measured. Its arguments are `limits` and
 * `connections` as JSON, the host of its listener, and what it speaks over TCP, such as `/ws`. Sends its port over IPC; answers a message with its figures, a number by blocking the
 * event loop for as many milliseconds first; exits with its parent.
 *
 *     node --expose-gc victim.ts '{}' 127.0.0.1
 */
import { Libp2pError } from '../../../ts/errors.ts'
import { createSwarm } from '../../../ts/swarm.ts'
import { type ProcessFigures, processFigures, processorMs } from '../process-figures.ts'
import { usageOf } from '../scopes.ts'
import { ECHO_PROTOCOL, UNREAD_PROTOCOL } from '../stand.ts'

/** Figures of the victim, after a garbage collection. */
export interface VictimFigures extends ProcessFigures {
  readonly processorMs: number
  readonly connections: number
  readonly streams: number
  /** Streams of {@link UNREAD_PROTOCOL} handed out so far. */
  readonly taken: number
  /** Error codes of the connections closed so far; empty for a close without an error. */
  readonly ends: readonly string[]
  /** Memory of the system's scope. */
  readonly reservedBytes: number
  /** Connections refused by a limit before their upgrade. */
  readonly refused: number
  /** Streams reset for lack of memory. */
  readonly memoryResets: number
}

const swarm = await createSwarm({
  ...JSON.parse(process.argv[2] ?? '{}'),
  services: { ping: false, identify: false },
  ioThreads: 1
})
const ends: string[] = []
let taken = 0

swarm.handle(UNREAD_PROTOCOL, () => {
  taken += 1
})
swarm.handle(ECHO_PROTOCOL, async (stream) => {
  for await (const bytes of stream) await stream.write(bytes)
  await stream.close()
})
swarm.addEventListener('connected', ({ detail }) => {
  void detail.closed.then(() => {
    const error = detail.closeReason?.error
    ends.push(error instanceof Libp2pError ? error.code : '')
  })
})
const [host = '127.0.0.1', over = ''] = process.argv.slice(3)
await swarm.listen(`${host === '::' ? '/ip6/::' : `/ip4/${host}`}/tcp/0${over}`)
process.on('message', (message) => {
  if (typeof message === 'number') {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, message)
  }
  process.send?.(figures())
})
process.once('disconnect', () => process.exit())
process.send?.({ port: Number(`${swarm.getListenAddrs()[0]}`.split('/')[4]) })

function figures(): VictimFigures {
  for (let times = 0; times < 3; times += 1) globalThis.gc?.()
  const connections = swarm.getConnections()
  const { admissionsRefused, memoryResets } = swarm.counters()
  return {
    ...processFigures(),
    processorMs: processorMs(),
    connections: connections.length,
    streams: connections.reduce((sum, { streams }) => sum + streams.length, 0),
    taken,
    ends,
    reservedBytes: usageOf(swarm, 'system').memory,
    refused: admissionsRefused,
    memoryResets
  }
}
