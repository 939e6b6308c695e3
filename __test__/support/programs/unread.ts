/**
 * One end of many streams that one side writes and the other never reads, in its own process. Prints its figures as
 * JSON lines.
 *
 *     node unread.ts read            prints its address, then its figures at the end of its standard input
 *     node unread.ts write <address> prints its figures when every stream is stalled
 */
import { createSwarm } from '../../../ts/swarm.ts'
import { type ProcessFigures, processFigures } from '../process-figures.ts'

/** The last line of either end. */
export interface UnreadReport {
  readonly before: ProcessFigures
  readonly after: ProcessFigures
  /** Round trips of the writer on another stream while these were stalled. */
  readonly echoes: number
  readonly memoryResets: number
  readonly bytesWritten: number
}

const UNREAD = '/ferroswarm/test/unread/1.0.0'
const ECHO = '/ferroswarm/test/echo/1.0.0'
const STREAMS = 200
const ECHOES = 200
// Far more than all windows together.
const OFFERED_BYTES = 8 * 1024 * 1024

const [role, address = ''] = process.argv.slice(2)
const swarm = await createSwarm({ ioThreads: 1, services: { ping: false, identify: false } })
if (role === 'read') await read()
else await write()

async function read(): Promise<void> {
  swarm.handle(UNREAD, () => {})
  swarm.handle(ECHO, async (stream) => {
    for await (const bytes of stream) await stream.write(bytes)
  })
  await swarm.listen('/ip4/127.0.0.1/tcp/0')
  const before = processFigures()
  console.log(`${swarm.getListenAddrs()[0]}`)
  process.stdin.resume().once('end', () => print(before, 0))
}

async function write(): Promise<void> {
  const connection = await swarm.dialAddr(address)
  const chunk = new Uint8Array(OFFERED_BYTES)
  const before = processFigures()
  for (let count = 0; count < STREAMS; count += 1) {
    const stream = await connection.newStream(UNREAD)
    // Stalls for good, or is reset by the reader's bound on memory.
    stream.write(chunk).catch(() => {})
  }
  await stalled()
  const neighbour = await connection.newStream(ECHO)
  for (let echoes = 0; echoes < ECHOES; echoes += 1) {
    await neighbour.write(Uint8Array.of(echoes))
    await neighbour.read(1)
  }
  print(before, ECHOES)
}

/** Resolves once nothing has been sent for 100 ms. */
async function stalled(): Promise<void> {
  for (let last = -1; last !== swarm.counters().socketBytesOut; ) {
    last = swarm.counters().socketBytesOut
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function print(before: ProcessFigures, echoes: number): void {
  const { memoryResets, bytesWritten } = swarm.counters()
  const report: UnreadReport = {
    before,
    after: processFigures(),
    echoes,
    memoryResets,
    bytesWritten
  }
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit())
}
