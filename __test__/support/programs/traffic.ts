/**
 * Two nodes with every kind of traffic between them, over TCP, QUIC and WebSocket, until their environment ends: a worker that is terminated, or a
 * process that exits at the moment given on its command line.
 *
 *     node traffic.ts timer <ms>      process.exit(7) <ms> after the start, in any state
 *     node traffic.ts read <count>    process.exit(7) inside the callback of that read
 */
import { isMainThread, parentPort } from 'node:worker_threads'
import type { Connection } from '../../../ts/connection.ts'
import { createSwarm } from '../../../ts/swarm.ts'

/** Exit code of an intended exit. */
export const EXIT_CODE = 7

const BULK = '/ferroswarm/test/bulk/1.0.0'
const ECHO = '/ferroswarm/test/echo/1.0.0'
const OPTIONS = {
  ioThreads: 1,
  services: { identify: true, ping: true },
  connections: { maxPerPeer: Infinity },
  limits: 'unlimited'
} as const

const [how, figure] = isMainThread ? process.argv.slice(2) : []
let readsLeft = how === 'read' ? Number(figure) : Number.POSITIVE_INFINITY
if (how === 'timer') setTimeout(() => process.exit(EXIT_CODE), Number(figure))

function hasRead(): void {
  readsLeft -= 1
  if (readsLeft === 0) process.exit(EXIT_CODE)
}

const [dialer, listener] = await Promise.all([createSwarm(OPTIONS), createSwarm(OPTIONS)])
listener.handle(ECHO, async (stream) => {
  for await (const bytes of stream) await stream.write(bytes)
  await stream.close()
})
listener.handle(BULK, async (stream) => {
  const into = new Uint8Array(100_000)
  for (;;) {
    await stream.readInto(into)
    hasRead()
    stream.send(into.subarray(0, 5_000))
  }
})
await listener.listen(
  '/ip4/127.0.0.1/tcp/0',
  '/ip4/127.0.0.1/udp/0/quic-v1',
  '/ip4/127.0.0.1/tcp/0/ws'
)
const addresses = listener.getListenAddrs()
// One after the other: concurrent dials share a connection.
for (const address of addresses) {
  const connection = await dialer.dialAddr(address, listener.peerId, { force: true })
  void bulk(connection)
  void echo(connection)
}
void requests(await dialer.dialPeer(listener.peerId, { addresses, force: true }))
void churn()

/** Sends in both directions at full speed. */
async function bulk(over: Connection): Promise<void> {
  const stream = await over.newStream(BULK)
  const chunk = new Uint8Array(65_536)
  void (async () => {
    for await (const _ of stream) hasRead()
  })()
  for (let count = 0; ; count += 1) {
    await stream.write(chunk)
    if (count === 8) parentPort?.postMessage('flowing')
  }
}

/** Opens short streams in sequence. */
async function echo(over: Connection): Promise<void> {
  for (;;) {
    const stream = await over.newStream(ECHO)
    await stream.write(new Uint8Array(100))
    await stream.closeWrite()
    await stream.read()
    hasRead()
  }
}

/** Sends requests on a connection without other traffic: both its ends move to this thread's event loop. */
async function requests(over: Connection): Promise<void> {
  const stream = await over.newStream(ECHO)
  for (;;) {
    await stream.write(new Uint8Array(32))
    await stream.read(32)
    hasRead()
  }
}

/** Opens and closes connections, every other one with its own node and that node's thread. */
async function churn(): Promise<void> {
  for (let count = 0; ; count += 1) {
    const address = addresses[count % addresses.length] as (typeof addresses)[0]
    const another = await dialer.dialAddr(address, listener.peerId, { force: true })
    await another.close()
    const passing = await createSwarm(OPTIONS)
    await passing.dialPeer(listener.peerId, { addresses })
    await passing.close({ drainTimeout: 0 })
  }
}
