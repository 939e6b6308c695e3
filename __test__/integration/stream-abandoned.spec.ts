// Streams abandoned by the application, with garbage collection on demand and a fake clock.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { StreamErrorCode } from '../../ts/constants.ts'
import { ABANDONED_AFTER_MS } from '../../ts/stream/abandoned.ts'
import type { Stream } from '../../ts/stream.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { createPair, pattern, turns, until } from '../support/pair.ts'
import { overStacks, type Stack } from '../support/stacks.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

async function collect(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) {
    gc()
    await turns()
  }
}

/** The remote end of a stream, and the result of `use`; all else of the stream is dropped. */
async function dropped<T>(
  t: ExecutionContext,
  use: (near: Stream, far: Stream) => T,
  stack?: Pick<Stack, 'options' | 'listen'>
) {
  const clock = new FakeClock()
  const logged: string[] = []
  const pair = await createPair(t, {
    ...(stack && { both: stack.options, listen: stack.listen }),
    dialer: { clock, logger: { debug: (message) => logged.push(message) } }
  })
  // That of the peerstore.
  const idle = clock.timers
  const { far, kept } = await pair.openStreams().then((both) => ({
    far: both.far,
    kept: use(both.near, both.far)
  }))
  clock.advance(2 * ABANDONED_AFTER_MS)
  await collect()
  return { clock, idle, logged, far, kept, connection: pair.outbound as Connection }
}

overStacks(
  'a stream dropped by the application is reset, and its remote gets the reason (A102)',
  async (t, stack) => {
    const { clock, idle, logged, far, connection } = await dropped(t, () => undefined, stack)
    await until(() => far.error !== undefined)
    t.like(far.error, { name: 'StreamResetError', errorCode: StreamErrorCode.GarbageCollected })
    t.is(logged.filter((message) => message.includes('garbage-collected')).length, 1)
    await until(() => connection.streams.length === 0)
    t.is(clock.timers, idle)
  },
  { needs: ['reset codes'] }
)

overStacks(
  'one whose writing half was closed is closed, and its bytes arrive whole (A102)',
  async (t, stack) => {
    // More than the window: the rest waits here for its reader.
    const sent = pattern(400_000)
    const { clock, far, kept, logged, connection } = await dropped(
      t,
      (near) => ({
        written: near.write(sent).then(() => near.closeWrite())
      }),
      stack
    )
    await kept.written
    clock.advance(2 * ABANDONED_AFTER_MS)
    await collect()
    await until(() => logged.some((message) => message.includes('garbage-collected')))
    t.deepEqual(await far.read(), sent)
    await until(() => connection.streams.length === 0)
  }
)

test('one that read to the end and wrote nothing is closed, as nothing is truncated (A102)', async (t) => {
  const { clock, far, kept, logged, connection } = await dropped(t, (near, remote) => ({
    read: remote.closeWrite().then(() => near.read())
  }))
  await kept.read
  clock.advance(2 * ABANDONED_AFTER_MS)
  await collect()
  await until(() => logged.some((message) => message.includes('garbage-collected')))
  await until(() => connection.streams.length === 0)
  t.is((await far.read()).length, 0)
  t.is(far.error, undefined)
})

test('one with a pending read stays until the read completes (A102)', async (t) => {
  const { clock, far, kept } = await dropped(t, (near) => ({ reading: near.read(3) }))
  t.is(far.error, undefined)
  await far.write(pattern(3))
  t.deepEqual(new Uint8Array(await kept.reading), pattern(3))
  clock.advance(2 * ABANDONED_AFTER_MS)
  await until(() => far.error !== undefined)
  t.like(far.error, { errorCode: StreamErrorCode.GarbageCollected })
})

test('one with a listener stays and reports its end (A102)', async (t) => {
  let ended = 0
  const { far } = await dropped(t, (near) => {
    near.addEventListener('close', () => {
      ended += 1
    })
  })
  t.is(far.error, undefined)
  await far.reset()
  await until(() => ended === 1)
  t.is(ended, 1)
})

const HELD: Readonly<Record<string, (near: Stream) => () => Promise<unknown>>> = {
  'its web stream': (near) => {
    const reader = near.readable.getReader()
    return async () => (await reader.read()).value
  },
  'its iterator': (near) => {
    const iterator = near[Symbol.asyncIterator]()
    return async () => (await iterator.next()).value
  },
  'its Duplex': (near) => {
    const duplex = near.toDuplex().on('error', () => {})
    return () => new Promise((resolve) => duplex.once('data', resolve))
  },
  'its messages': (near) => {
    const messages = near.messages({ framing: 'varint' })
    return () => messages.readMsg()
  }
}

for (const [what, hold] of Object.entries(HELD)) {
  test(`one that is held by ${what} stays and works (A102)`, async (t) => {
    const { far, kept } = await dropped(t, hold)
    t.is(far.error, undefined)
    const bytes = what === 'its messages' ? Uint8Array.of(2, 7, 9) : Uint8Array.of(7, 9)
    await far.write(bytes)
    t.deepEqual(new Uint8Array((await kept()) as Uint8Array), Uint8Array.of(7, 9))
  })
}

test('connection.streams lists one that is unreferenced and open, and it works (A102)', async (t) => {
  // Its read is pending, so it is not reset.
  const { far, kept, connection } = await dropped(t, (near) => ({ reading: near.read(1) }))
  const [again] = connection.streams
  t.truthy(again)
  await again?.write(pattern(10))
  t.deepEqual(new Uint8Array(await far.read(10)), pattern(10))
  t.is(connection.streams[0], again)
  await far.write(pattern(1))
  t.is((await kept.reading).length, 1)
})
