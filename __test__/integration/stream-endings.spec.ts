import test from 'ava'
import type { Stream } from '../../ts/stream.ts'
import { createPair, pattern, until } from '../support/pair.ts'

const STREAMS = 2_000
const AT_ONCE = 64

// A generator of our own, so that a failure can be repeated.
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const ENDINGS: ((stream: Stream) => unknown)[] = [
  (stream) => stream.close(),
  (stream) => stream.reset(7),
  (stream) => stream.abort(new Error('mine')),
  (stream) => stream.closeWrite().then(() => stream.read()),
  (stream) => stream.closeRead().then(() => stream.closeWrite()),
  (stream) => stream.remove(),
  (stream) => Promise.all([stream.write(pattern(5_000)), stream.read(1), stream.close()]),
  (stream) => Promise.all([stream.read(1), stream.reset()]),
  async (stream) => {
    stream.send(pattern(300))
    for await (const _ of stream) break
    await stream.close()
  }
]

test('two thousand random endings leave nothing, and each tells of its end once', async (t) => {
  const pair = await createPair(t)
  const next = random(20_261)
  let closes = 0
  let made = 0
  const watch = (stream: Stream): void => {
    made += 1
    stream.addEventListener('close', () => {
      closes += 1
    })
  }
  pair.listener.handle('/endings', async (stream) => {
    watch(stream)
    await end(stream)
    // Whatever is left of it.
    await stream.reset()
  })
  const end = async (stream: Stream): Promise<void> => {
    const ending = ENDINGS[next(ENDINGS.length)]
    try {
      await ending?.(stream)
    } catch {
      // The other end was quicker.
    }
  }
  let left = STREAMS
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const stream = await pair.outbound.newStream('/endings')
      watch(stream)
      // A byte, so that the other side hears of it; it may have ended it already.
      await stream.write(Uint8Array.of(1)).catch(() => {})
      await end(stream)
      await stream.reset()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  await until(() => pair.outbound.streams.length + pair.inbound.streams.length === 0)
  await until(() => closes === made)
  t.true(made >= STREAMS)
  t.false(pair.outbound.isClosed)
  t.false(pair.inbound.isClosed)
  // The connection still carries streams.
  const { near, far } = await pair.openStreams()
  await near.write(pattern(10))
  t.deepEqual(await far.read(10), pattern(10))
})
