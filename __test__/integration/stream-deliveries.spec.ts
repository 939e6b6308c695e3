/** What a stream has accepted arrives, however it and its connection are closed, and what is cut never looks whole. */
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { delayProxy } from '../support/delay-proxy.ts'
import { createNode, pattern, until } from '../support/pair.ts'
import { seeded } from '../support/random.ts'
import { overStacks as over, type Stack } from '../support/stacks.ts'

// One after the other: the delays are kept by this thread.
const overStacks = (
  title: string,
  body: (t: ExecutionContext, stack: Stack) => Promise<void>
): void => over(title, body, { serial: true })

const UPLOAD = '/upload/1'

/** What a reader got: how much, and whether an orderly end came behind it. */
interface Got {
  readonly bytes: number
  readonly whole: boolean
}

interface Way {
  readonly dialer: Swarm
  readonly listener: Swarm
  readonly connection: Connection
  /** What the next reader gets. */
  got(): Promise<Got>
  /** What all readers have got so far. */
  bytesRead(): number
}

interface WayOptions {
  readonly delayMs?: number
  /** What a reader does behind each chunk. */
  readonly pause?: () => Promise<void>
}

async function way(
  t: ExecutionContext,
  stack: Stack,
  { delayMs, pause }: WayOptions = {}
): Promise<Way> {
  const [dialer, listener] = [
    await createNode(t, stack.options),
    await createNode(t, stack.options)
  ]
  let bytesRead = 0
  const results: Promise<Got>[] = []
  const waiting: ((got: Promise<Got>) => void)[] = []
  listener.handle(UPLOAD, (stream) => {
    const got = readOut(stream, async (length) => {
      bytesRead += length
      await pause?.()
    })
    const next = waiting.shift()
    if (next === undefined) results.push(got)
    else next(got)
    return got.then(() => stream.close())
  })
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  let address = String(listener.getListenAddrs()[0])
  if (delayMs !== undefined) {
    const port = Number(address.split('/').at(-1))
    address = `/ip4/127.0.0.1/tcp/${await delayProxy(t, port, delayMs)}`
  }
  const connection = await dialer.dialAddr(address, listener.peerId)
  const got = (): Promise<Got> =>
    results.shift() ?? new Promise<Got>((resolve) => waiting.push((next) => resolve(next)))
  return { dialer, listener, connection, got, bytesRead: () => bytesRead }
}

async function readOut(stream: Stream, onBytes: (length: number) => Promise<void>): Promise<Got> {
  let bytes = 0
  try {
    for await (const chunk of stream) {
      bytes += chunk.length
      await onBytes(chunk.length)
    }
    return { bytes, whole: true }
  } catch {
    return { bytes, whole: false }
  }
}

/** Ways of ending the writing half in good order. */
const ENDS: Record<string, (stream: Stream) => Promise<void>> = {
  closeWrite: (stream) => stream.closeWrite(),
  close: (stream) => stream.close(),
  'writable.close': (stream) => stream.writable.close(),
  'Duplex end': (stream) =>
    new Promise((resolve) => {
      const duplex = stream.toDuplex()
      // Its reading half goes with the connection.
      duplex.on('error', () => {})
      duplex.end(() => resolve())
    }),
  asyncDispose: (stream) => stream[Symbol.asyncDispose]()
}

/** Ways of ending what carries the stream. */
const CLOSES: Record<string, (way: Way) => Promise<void>> = {
  'connection.close': ({ connection }) => connection.close(),
  closePeer: ({ dialer, listener }) => dialer.closePeer(listener.peerId),
  'swarm.close': ({ dialer }) => dialer.close(),
  'connection asyncDispose': ({ connection }) => connection[Symbol.asyncDispose]()
}

for (const [ending, end] of Object.entries(ENDS)) {
  overStacks(
    `what was written before ${ending} arrives, whichever way its connection is closed behind it`,
    async (t, stack) => {
      for (const [closing, close] of Object.entries(CLOSES)) {
        const there = await way(t, stack, { delayMs: 20 })
        const stream = await there.connection.newStream(UPLOAD)
        await stream.write(pattern(400_000))
        await end(stream)
        await close(there)
        t.deepEqual(await there.got(), { bytes: 400_000, whole: true }, closing)
      }
    }
  )
}

overStacks('a slow reader gets all of what was accepted before the close', async (t, stack) => {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))
  const there = await way(t, stack, { pause })
  const stream = await there.connection.newStream(UPLOAD)
  stream.send(pattern(3_000_000))
  await stream.close()
  await there.connection.close()
  t.deepEqual(await there.got(), { bytes: 3_000_000, whole: true })
  t.is(there.connection.closeReason?.error, undefined)
})

overStacks(
  'a write that nobody waited for is whole when the stream is closed behind it',
  async (t, stack) => {
    const there = await way(t, stack)
    const stream = await there.connection.newStream(UPLOAD)
    const writing = stream.write(pattern(300_000))
    await stream.close()
    await writing
    t.deepEqual(await there.got(), { bytes: 300_000, whole: true })
  }
)

overStacks(
  'a write that nobody waited for is whole when the stream is removed behind it',
  async (t, stack) => {
    const there = await way(t, stack)
    const stream = await there.connection.newStream(UPLOAD)
    const writing = stream.write(pattern(300_000)).catch(() => {})
    stream.remove()
    await writing
    await until(() => there.bytesRead() === 300_000)
    await there.connection.close()
    t.deepEqual(await there.got(), { bytes: 300_000, whole: false })
  }
)

overStacks(
  'a stream that is removed in the tick of its opening delivers what was written',
  async (t, stack) => {
    const there = await way(t, stack)
    const stream = await there.connection.newStream(UPLOAD)
    void stream.write(pattern(1_000))
    stream.remove()
    await until(() => there.bytesRead() === 1_000)
    await there.connection.close()
    t.deepEqual(await there.got(), { bytes: 1_000, whole: false })
  }
)

overStacks('an open stream is reset at once while another one delivers', async (t, stack) => {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))
  const there = await way(t, stack, { pause })
  const open = await there.connection.newStream(UPLOAD)
  await open.write(pattern(10))
  await until(() => there.bytesRead() === 10)
  const stream = await there.connection.newStream(UPLOAD)
  stream.send(pattern(2_000_000))
  void stream.closeWrite()
  const closed = there.connection.close()
  await t.throwsAsync(open.read(1), { name: 'StreamResetError' })
  t.is(there.connection.closeReason, undefined, 'it delivers still')
  await closed
  const got = [await there.got(), await there.got()]
  t.deepEqual(got.map(({ whole }) => whole).sort(), [false, true])
  t.is(got.find(({ whole }) => whole)?.bytes, 2_000_000)
})

overStacks('closeWithError ends a connection that delivers', async (t, stack) => {
  let go = (): void => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const there = await way(t, stack, { pause: () => gate })
  const stream = await there.connection.newStream(UPLOAD)
  stream.send(pattern(3_000_000))
  await until(() => there.bytesRead() > 0)
  await stream.close()
  const closed = there.connection.close()
  await there.connection.closeWithError(7)
  await closed
  go()
  const got = await there.got()
  t.false(got.whole)
  t.true(got.bytes < 3_000_000)
})

overStacks(
  'a peer that takes nothing ends the delivery, and the stream and its connection tell so',
  async (t, stack) => {
    const impatient = {
      ...stack,
      options: { ...stack.options, limits: { writeStallTimeoutMs: 300 } }
    }
    const there = await way(t, impatient, { pause: () => new Promise(() => {}) })
    const stream = await there.connection.newStream(UPLOAD)
    stream.send(pattern(3_000_000))
    await stream.close()
    await there.connection.close()
    t.is(there.connection.closeReason?.error?.name, 'TimeoutError')
    t.is(stream.error?.name, 'StreamResetError')
  }
)

// Random endings of a stream and of its connection: bytes accepted against bytes read.
overStacks(
  'whatever is closed when, an orderly end follows every accepted byte',
  async (t, stack) => {
    const random = seeded(4_711)
    const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T
    for (let round = 0; round < 30; round += 1) {
      const slow = random(3) === 0
      const pause = (): Promise<void> =>
        slow ? new Promise((resolve) => setTimeout(resolve, 1)) : Promise.resolve()
      const there = await way(t, stack, {
        ...(random(2) === 0 ? { delayMs: random(15) } : {}),
        pause
      })
      const stream = await there.connection.newStream(UPLOAD)
      let accepted = 0
      let isCut = false
      const writes: Promise<void>[] = []
      for (let count = 1 + random(4); count > 0; count -= 1) {
        const bytes = pattern(1 + random(2) * 250_000 + random(60_000))
        if (random(2) === 0) {
          stream.send(bytes)
          accepted += bytes.length
          continue
        }
        const writing = stream.write(bytes).then(
          () => {
            accepted += bytes.length
          },
          (err: { bytesAccepted?: number }) => {
            accepted += err.bytesAccepted ?? 0
            isCut ||= (err.bytesAccepted ?? 0) > 0
          }
        )
        if (random(2) === 0) await writing
        else writes.push(writing)
      }
      const ending = pick(Object.keys(ENDS))
      const closing = pick(Object.keys(CLOSES))
      const ended = ENDS[ending]?.(stream).catch(() => {})
      // These two get to the stream some time after their call.
      if (random(2) === 0 || ending === 'Duplex end' || ending === 'writable.close') await ended
      await CLOSES[closing]?.(there)
      await ended
      await Promise.all(writes)
      const got = await there.got()
      const story = `round ${round}: ${ending}, ${closing}, ${accepted} accepted, ${got.bytes} read`
      t.false(isCut && got.whole, story)
      t.true(got.whole, story)
      t.is(got.bytes, accepted, story)
    }
  }
)
