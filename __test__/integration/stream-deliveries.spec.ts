/** Accepted bytes arrive, however a stream and its connection are closed; truncated data never looks complete. */
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { delayProxy } from '../support/delay-proxy.ts'
import { createNode, pattern, STALLING_BYTES, until } from '../support/pair.ts'
import { seeded } from '../support/random.ts'
import { overStacks as over, type Stack } from '../support/stacks.ts'

// Serial: the delays run on this thread.
const overStacks = (
  title: string,
  body: (t: ExecutionContext, stack: Stack) => Promise<void>
): void => over(title, body, { serial: true })

const UPLOAD = '/upload/1'

/** The bytes a reader got, and whether an orderly end followed. */
interface Got {
  readonly bytes: number
  readonly whole: boolean
}

interface Link {
  readonly dialer: Swarm
  readonly listener: Swarm
  readonly connection: Connection
  /** The result of the next reader. */
  got(): Promise<Got>
  /** Bytes read by all readers so far. */
  bytesRead(): number
}

interface LinkOptions {
  readonly delayMs?: number
  /** Called by a reader after each chunk. */
  readonly pause?: () => Promise<void>
}

async function openLink(
  t: ExecutionContext,
  stack: Stack,
  { delayMs, pause }: LinkOptions = {}
): Promise<Link> {
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
  await listener.listen(stack.listen)
  let address = String(listener.getListenAddrs()[0])
  // Without a network there is no latency.
  if (delayMs !== undefined && address.startsWith('/ip4/'))
    address = await delayProxy(t, address, delayMs)
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

/** Clean ends of the writing half. */
const ENDS: Record<string, (stream: Stream) => Promise<void>> = {
  closeWrite: (stream) => stream.closeWrite(),
  close: (stream) => stream.close(),
  'writable.close': (stream) => stream.writable.close(),
  'Duplex end': (stream) =>
    new Promise((resolve) => {
      const duplex = stream.toDuplex()
      // Its reading half fails with the connection.
      duplex.on('error', () => {})
      duplex.end(() => resolve())
    }),
  asyncDispose: (stream) => stream[Symbol.asyncDispose]()
}

/** Closes of the stream's connection. */
const CLOSES: Record<string, (link: Link) => Promise<void>> = {
  'connection.close': ({ connection }) => connection.close(),
  closePeer: ({ dialer, listener }) => dialer.closePeer(listener.peerId),
  'swarm.close': ({ dialer }) => dialer.close(),
  'connection asyncDispose': ({ connection }) => connection[Symbol.asyncDispose]()
}

for (const [ending, end] of Object.entries(ENDS)) {
  overStacks(
    `bytes written before ${ending} arrive, however the connection is closed after it`,
    async (t, stack) => {
      for (const [closing, close] of Object.entries(CLOSES)) {
        const link = await openLink(t, stack, { delayMs: 20 })
        const stream = await link.connection.newStream(UPLOAD)
        await stream.write(pattern(400_000))
        await end(stream)
        await close(link)
        t.deepEqual(await link.got(), { bytes: 400_000, whole: true }, closing)
      }
    }
  )
}

overStacks('a slow reader gets all bytes accepted before the close', async (t, stack) => {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))
  const link = await openLink(t, stack, { pause })
  const stream = await link.connection.newStream(UPLOAD)
  stream.send(pattern(3_000_000))
  await stream.close()
  await link.connection.close()
  t.deepEqual(await link.got(), { bytes: 3_000_000, whole: true })
  t.is(link.connection.closeReason?.error, undefined)
})

overStacks(
  'an unawaited write is sent whole when the stream is closed after it',
  async (t, stack) => {
    const link = await openLink(t, stack)
    const stream = await link.connection.newStream(UPLOAD)
    const writing = stream.write(pattern(300_000))
    await stream.close()
    await writing
    t.deepEqual(await link.got(), { bytes: 300_000, whole: true })
  }
)

overStacks(
  'an unawaited write is sent whole when the stream is removed after it',
  async (t, stack) => {
    const link = await openLink(t, stack)
    const stream = await link.connection.newStream(UPLOAD)
    const writing = stream.write(pattern(300_000)).catch(() => {})
    stream.remove()
    await writing
    await until(() => link.bytesRead() === 300_000)
    await link.connection.close()
    t.deepEqual(await link.got(), { bytes: 300_000, whole: false })
  }
)

overStacks(
  'a stream removed in the tick of its opening delivers the bytes written',
  async (t, stack) => {
    const link = await openLink(t, stack)
    const stream = await link.connection.newStream(UPLOAD)
    void stream.write(pattern(1_000))
    stream.remove()
    await until(() => link.bytesRead() === 1_000)
    await link.connection.close()
    t.deepEqual(await link.got(), { bytes: 1_000, whole: false })
  }
)

overStacks('an open stream is reset at once while another one delivers', async (t, stack) => {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1))
  const link = await openLink(t, stack, { pause })
  const open = await link.connection.newStream(UPLOAD)
  await open.write(pattern(10))
  await until(() => link.bytesRead() === 10)
  const stream = await link.connection.newStream(UPLOAD)
  stream.send(pattern(STALLING_BYTES))
  void stream.closeWrite()
  const closed = link.connection.close()
  await t.throwsAsync(open.read(1), { name: 'StreamResetError' })
  t.is(link.connection.closeReason, undefined, 'it is still delivering')
  await closed
  const got = [await link.got(), await link.got()]
  t.deepEqual(got.map(({ whole }) => whole).sort(), [false, true])
  t.is(got.find(({ whole }) => whole)?.bytes, STALLING_BYTES)
})

overStacks('closeWithError ends a connection that delivers', async (t, stack) => {
  let go = (): void => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const link = await openLink(t, stack, { pause: () => gate })
  const stream = await link.connection.newStream(UPLOAD)
  stream.send(pattern(3_000_000))
  await until(() => link.bytesRead() > 0)
  await stream.close()
  const closed = link.connection.close()
  await link.connection.closeWithError(7)
  await closed
  go()
  const got = await link.got()
  t.false(got.whole)
  t.true(got.bytes < 3_000_000)
})

overStacks(
  'a stalled peer ends the delivery, and the stream and its connection report it',
  async (t, stack) => {
    const impatient = {
      ...stack,
      options: { ...stack.options, limits: { writeStallTimeoutMs: 300 } }
    }
    const link = await openLink(t, impatient, { pause: () => new Promise(() => {}) })
    const stream = await link.connection.newStream(UPLOAD)
    stream.send(pattern(STALLING_BYTES))
    await stream.close()
    await link.connection.close()
    t.is(link.connection.closeReason?.error?.name, 'TimeoutError')
    t.is(stream.error?.name, 'StreamResetError')
  }
)

// Random endings of a stream and of its connection: bytes accepted against bytes read.
overStacks(
  'in any order of closes, an orderly end follows every accepted byte',
  async (t, stack) => {
    const random = seeded(4_711)
    const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T
    for (let round = 0; round < 30; round += 1) {
      const slow = random(3) === 0
      const pause = (): Promise<void> =>
        slow ? new Promise((resolve) => setTimeout(resolve, 1)) : Promise.resolve()
      const link = await openLink(t, stack, {
        ...(random(2) === 0 ? { delayMs: random(15) } : {}),
        pause
      })
      const stream = await link.connection.newStream(UPLOAD)
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
      // These two reach the stream some time after their call.
      if (random(2) === 0 || ending === 'Duplex end' || ending === 'writable.close') await ended
      await CLOSES[closing]?.(link)
      await ended
      await Promise.all(writes)
      const got = await link.got()
      const story = `round ${round}: ${ending}, ${closing}, ${accepted} accepted, ${got.bytes} read`
      t.false(isCut && got.whole, story)
      t.true(got.whole, story)
      t.is(got.bytes, accepted, story)
    }
  }
)
