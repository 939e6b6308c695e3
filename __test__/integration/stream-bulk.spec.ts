/** Large transfers whose ends do not alternate between reading and writing. */
import { createHash } from 'node:crypto'
import type { Stream } from '../../ts/stream.ts'
import { pattern, until } from '../support/pair.ts'
import { overPairs } from '../support/stacks.ts'

const CHUNK = 1024 * 1024
const CHUNKS = 100
const FULL_WINDOW = 256 * 1024

/** SHA-256 of 100 MiB of patterns from `seed` on. */
function digest(seed: number): string {
  const hash = createHash('sha256')
  for (let index = 0; index < CHUNKS; index += 1) hash.update(pattern(CHUNK, seed + index))
  return hash.digest('hex')
}

async function writeAll(stream: Stream, seed: number): Promise<void> {
  for (let index = 0; index < CHUNKS; index += 1) await stream.write(pattern(CHUNK, seed + index))
  await stream.closeWrite()
}

async function readAll(stream: Stream): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  return hash.digest('hex')
}

// A097
overPairs(
  'both ends write 100 MiB before either reads, and both arrive whole',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const { bytesWritten } = pair.dialer.counters()
    const writes = Promise.all([writeAll(near, 1), writeAll(far, 2)])
    // Both windows are full, and the bytes queued behind them grow no more.
    await until(() => pair.dialer.counters().bytesWritten - bytesWritten >= 2 * FULL_WINDOW)
    const [atNear, atFar] = await Promise.all([readAll(near), readAll(far)])
    await writes
    t.is(atFar, digest(1))
    t.is(atNear, digest(2))
  },
  { serial: true }
)

// A101
overPairs(
  'a stream closed for writing receives an answer of 100 MiB whole',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    await near.write(pattern(32))
    await near.closeWrite()
    t.deepEqual(await far.read(), pattern(32))
    const answer = writeAll(far, 3)
    t.is(await readAll(near), digest(3))
    await answer
  },
  { serial: true }
)
