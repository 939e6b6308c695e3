/** Memory that other threads may write at the same time. */
import test from 'ava'
import { createPair, pattern } from '../support/pair.ts'

function shared(length: number): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(new SharedArrayBuffer(length))
}

test('shared memory is written from and read into like any other', async (t) => {
  const { openStreams } = await createPair(t)
  const { near, far } = await openStreams()
  for (const length of [1, 100, 5_000, 300_000]) {
    const bytes = shared(length)
    bytes.set(pattern(length))
    const written = near.write(bytes)
    const into = shared(length)
    for (let filled = 0; filled < length; ) filled += await far.readInto(into.subarray(filled))
    await written
    t.deepEqual(new Uint8Array(into), pattern(length))
  }
})
