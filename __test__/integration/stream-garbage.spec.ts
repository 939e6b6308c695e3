// Serial, and with garbage collection on demand: the heap of this process is measured.
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { readAll } from '../../ts/io/index.ts'
import { ECHO, echo } from '../support/echo.ts'
import { createPair } from '../support/pair.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as (options?: { type: 'minor' }) => void

function oldBytes(): number {
  const space = getHeapSpaceStatistics().find((each) => each.space_name === 'old_space')
  return space?.space_used_size ?? 0
}

test.serial('streams that have ended are collected while they are young', async (t) => {
  const { outbound, listener } = await createPair(t)
  listener.handle(ECHO, echo)
  const bytes = new Uint8Array(64)
  const request = async (): Promise<void> => {
    const stream = await outbound.newStream(ECHO)
    await stream.write(bytes)
    await stream.closeWrite()
    await readAll(stream, { maxBytes: bytes.length })
  }
  /** Opens `count` streams, 48 at a time. */
  const requests = async (count: number): Promise<void> => {
    let left = count
    const worker = async (): Promise<void> => {
      for (; left > 0; left -= 1) await request()
    }
    await Promise.all(Array.from({ length: 48 }, worker))
  }
  await requests(3_000)
  // What lives on is old from here, so that what it refers to survives.
  gc()
  gc()
  const before = oldBytes()
  for (let round = 0; round < 30; round += 1) {
    await requests(100)
    gc({ type: 'minor' })
  }
  const perStream = (oldBytes() - before) / 3_000
  t.log(`${perStream.toFixed(0)} bytes a stream have become old`)
  // 2,300 if the connection keeps them in a `Set`.
  t.true(perStream < 500)
})
