// Protocols that the peer refuses: a writer that reads nothing has to be notified too.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import test, { type ExecutionContext } from 'ava'
import type { Stream } from '../../ts/stream.ts'
import { createPair, PAIR_PROTOCOL, turns } from '../support/pair.ts'
import { createRawPair } from '../support/raw-pair.ts'

const REFUSED = '/ferroswarm/test/nobody-speaks-this/1.0.0'
const BYTES = new Uint8Array(1_000)

async function refused(t: ExecutionContext): Promise<Stream> {
  const { outbound } = await createPair(t)
  return outbound.newStream(REFUSED)
}

/** Asserts that a call rejects because of an `UnsupportedProtocolError`. */
async function unsupported(t: ExecutionContext, call: () => Promise<unknown>): Promise<void> {
  const err = await t.throwsAsync(call)
  t.like(err, { cause: { code: 'ERR_UNSUPPORTED_PROTOCOL' } })
}

const ENDS: Record<string, (stream: Stream) => Promise<unknown>> = {
  closeWrite: (stream) => stream.closeWrite(),
  close: (stream) => stream.close(),
  'closeWrite, then close': async (stream) => {
    void stream.closeWrite()
    await stream.close()
  },
  'close, called twice': async (stream) => {
    void stream.close()
    await stream.close()
  },
  'await using': async (stream) => {
    await using _closed = stream
  },
  'writable.close': (stream) => stream.writable.getWriter().close()
}

for (const [name, end] of Object.entries(ENDS)) {
  test(`${name} by a writer that reads nothing rejects if the protocol is refused`, async (t) => {
    const stream = await refused(t)
    await stream.write(BYTES)
    await unsupported(t, () => end(stream))
    t.like(stream.error, { code: 'ERR_UNSUPPORTED_PROTOCOL' })
    // The refusal was reported, so a later close resolves.
    await stream.close()
  })
}

for (const name of ['close', 'close, called twice', 'await using']) {
  test(`${name} still rejects if the refusal arrived before it`, async (t) => {
    const stream = await refused(t)
    const closed = new Promise((resolve) => stream.addEventListener('close', resolve))
    await stream.write(BYTES)
    await closed
    await unsupported(t, () => (ENDS[name] as (typeof ENDS)[string])(stream))
    await stream.close()
  })
}

test('a refusal reported by a read is not reported again by close', async (t) => {
  const stream = await refused(t)
  await stream.write(BYTES)
  await unsupported(t, () => stream.read())
  await stream.close()
  t.like(stream.error, { code: 'ERR_UNSUPPORTED_PROTOCOL' })
})

test('a pipeline into a stream of a refused protocol fails', async (t) => {
  const stream = await refused(t)
  const err = await t.throwsAsync(() => pipeline(Readable.from([BYTES]), stream.toDuplex()))
  t.like(err, { code: 'ERR_UNSUPPORTED_PROTOCOL' })
})

test('an unawaited refusal is in the error of the stream, and causes no unhandled rejection', async (t) => {
  const unhandled: unknown[] = []
  const record = (err: unknown): void => void unhandled.push(err)
  process.on('unhandledRejection', record)
  t.teardown(() => process.off('unhandledRejection', record))
  const stream = await refused(t)
  const closed = new Promise<Error | undefined>((resolve) => {
    stream.addEventListener('close', ({ detail }) => resolve(detail.error))
  })
  stream.send(BYTES)
  void stream.close()
  t.like(await closed, { code: 'ERR_UNSUPPORTED_PROTOCOL' })
  await turns()
  t.deepEqual(unhandled, [])
})

test('ends of a stream that the peer serves resolve once it has answered, whether read or not', async (t) => {
  const { outbound, listener } = await createPair(t)
  listener.handle(PAIR_PROTOCOL, () => {})
  for (const end of ['closeWrite', 'close'] as const) {
    const stream = await outbound.newStream(PAIR_PROTOCOL)
    await stream.write(BYTES)
    await stream[end]()
    t.is(stream.error, undefined, end)
  }
})

test('an end without any bytes written does not wait for an answer', async (t) => {
  const { connection } = await createRawPair(t)
  const stream = await connection.newStream(REFUSED)
  await stream.closeWrite()
  await stream.close()
  t.is(stream.error, undefined)
})

test('a signal ends the wait for an answer, and not the stream', async (t) => {
  const { connection } = await createRawPair(t)
  const stream = await connection.newStream(REFUSED)
  await stream.write(BYTES)
  const aborting = new AbortController()
  const waiting = stream.close({ signal: aborting.signal })
  aborting.abort()
  await t.throwsAsync(waiting, { name: 'AbortError' })
  t.is(stream.error, undefined)
})

test('the wait for an answer has a timeout', async (t) => {
  const { connection } = await createRawPair(t, {
    connections: { streamNegotiationTimeout: 100 }
  })
  const stream = await connection.newStream(REFUSED)
  await stream.write(BYTES)
  const err = await t.throwsAsync(() => stream.closeWrite())
  t.like(err, { cause: { name: 'TimeoutError' } })
})
