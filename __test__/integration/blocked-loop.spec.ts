/** Remotes that send at full speed while the event loop does not run. Serial: it blocks this process. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import type { Stream } from '../../ts/stream.ts'
import { hashOf } from '../support/echo.ts'
import { createNode, pattern, until } from '../support/pair.ts'
import { programUrl } from '../support/program.ts'
import type { SenderData } from '../support/programs/sender.ts'
import { usageOf } from '../support/scopes.ts'

const MIB = 1024 * 1024
const PROTOCOL = '/ferroswarm/test/bulk/1.0.0'
const STREAMS = 8
const BYTES = 16 * MIB
/** Long enough to fill every buffer. */
const BLOCK_MS = 1_000
/** Memory of a connection: `limits.connection.memory`. */
const MEMORY_MAX = 32 * MIB

const CASES = {
  tcp: '/ip4/127.0.0.1/tcp/0',
  quic: '/ip4/127.0.0.1/udp/0/quic-v1',
  ws: '/ip4/127.0.0.1/tcp/0/ws'
}

for (const [name, listen] of Object.entries(CASES)) {
  // A183
  test.serial(
    `over ${name} nothing is lost while the event loop is blocked, and little is buffered`,
    async (t) => {
      const swarm = await createNode(t)
      const streams: Stream[] = []
      swarm.handle(PROTOCOL, (stream) => void streams.push(stream))
      await swarm.listen(listen)
      const workerData: SenderData = {
        address: `${swarm.getListenAddrs()[0]}`,
        protocol: PROTOCOL,
        streams: STREAMS,
        bytes: BYTES
      }
      const worker = new Worker(programUrl('sender'), { workerData })
      t.teardown(() => worker.terminate())
      const failed = once(worker, 'error').then(([err]) => Promise.reject(err))
      failed.catch(() => {})
      await Promise.race([until(() => streams.length === STREAMS), failed])
      for (const end = Date.now() + BLOCK_MS; Date.now() < end; );
      const { memory } = usageOf(swarm, 'system')
      t.log(`${(memory / MIB).toFixed(1)} MiB held`)
      t.true(memory > 0)
      t.true(memory <= MEMORY_MAX, `${memory}`)
      const received = await Promise.all(streams.map((stream) => stream.read({ maxBytes: BYTES })))
      const expected = Array.from({ length: STREAMS }, (_, index) => hashOf(pattern(BYTES, index)))
      t.deepEqual(received.map(hashOf).sort(), expected.sort())
      for (const stream of streams) await stream.close()
      const isReleased = (): boolean => usageOf(swarm, 'system').memory === 0
      // QUIC takes back no credit: it stays reserved until it is used up, or the connection ends.
      if (name !== 'quic') await until(isReleased)
      await worker.terminate()
      await until(isReleased)
    }
  )
}
