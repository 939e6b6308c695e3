/** Duplex and Web adapters end as Node's own streams do: an 'error' exactly when bytes were lost. */
import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, Readable, Transform } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import type { ExecutionContext } from 'ava'
import { StreamErrorCode, StreamState } from '../../ts/constants.ts'
import { InvalidParametersError, StreamResetError } from '../../ts/errors.ts'
import type { Stream } from '../../ts/stream.ts'
import { type Pair, pattern, STALLING_BYTES, until } from '../support/pair.ts'
import { overPairs } from '../support/stacks.ts'

const SENT = pattern(200_000)

/** Events of `duplex` from here on. Without `catchErrors` an 'error' ends the process, as it would a user's. */
function events(duplex: Duplex, { catchErrors = false } = {}): string[] {
  const emitted: string[] = []
  for (const name of ['end', 'finish', 'close']) duplex.on(name, () => emitted.push(name))
  if (catchErrors) duplex.on('error', (err) => emitted.push(err.name))
  return emitted
}

async function closed(duplex: Duplex): Promise<void> {
  if (!duplex.closed) await new Promise((resolve) => duplex.once('close', resolve))
}

/** A Duplex that has sent everything, and its stream's other end, which has read it all. */
async function sent(pair: Pair): Promise<{ duplex: Duplex; near: Stream; far: Stream }> {
  const { near, far } = await pair.openStreams()
  const duplex = near.toDuplex()
  await Promise.all([pipeline(Readable.from([SENT]), duplex), far.read()])
  return { duplex, near, far }
}

function endOf(pair: Pair, side: 'ours' | 'theirs'): Promise<void> {
  return (side === 'ours' ? pair.outbound : pair.inbound).close()
}

for (const side of ['ours', 'theirs'] as const) {
  overPairs(
    `a finished transfer whose connection is closed (${side}) crashes neither side`,
    async (t, pair) => {
      const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
      t.teardown(() => rm(folder, { recursive: true }))
      const { near, far } = await pair.openStreams()
      const sender = near.toDuplex()
      const receiver = far.toDuplex()
      const file = join(folder, 'out')
      await Promise.all([
        pipeline(Readable.from([SENT]), sender),
        pipeline(receiver, createWriteStream(file))
      ])
      await endOf(pair, side)
      await Promise.all([closed(sender), closed(receiver)])
      t.deepEqual(new Uint8Array(await readFile(file)), SENT)
      t.is(sender.errored, null)
      t.is(receiver.errored, null)
    }
  )
}

overPairs('a finished unread Duplex ends with the remote’s end', async (t, pair) => {
  const { duplex, near, far } = await sent(pair)
  const emitted = events(duplex)
  await far.closeWrite()
  await closed(duplex)
  t.deepEqual(emitted, ['end', 'close'])
  t.is(near.state, StreamState.CLOSE_BOTH)
  await until(() => pair.outbound.streams.length === 0)
})

overPairs('a Duplex keeps received bytes until they are read', async (t, pair) => {
  const { duplex, far } = await sent(pair)
  await far.write(pattern(10))
  await far.closeWrite()
  await until(() => duplex.readableLength > 0)
  t.deepEqual(new Uint8Array(Buffer.concat(await duplex.toArray())), pattern(10))
})

overPairs(
  'a Duplex without half-open ends its writing half with the reading one',
  async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const receiver = far.toDuplex({ allowHalfOpen: false })
    const emitted = events(receiver)
    receiver.resume()
    await near.write(SENT)
    await near.closeWrite()
    await t.throwsAsync(near.read(1), { code: 'ERR_STREAM_EOF' })
    await closed(receiver)
    t.deepEqual(emitted, ['end', 'finish', 'close'])
    t.throws(() => near.toDuplex({ allowHalfOpen: 1 as never }), {
      instanceOf: InvalidParametersError
    })
  }
)

overPairs('a Duplex that is read when the remote closes the connection fails', async (t, pair) => {
  // `far` is held, as an unreferenced stream is reset when it is collected.
  const { duplex, far } = await sent(pair)
  const emitted = events(duplex, { catchErrors: true })
  duplex.resume()
  await pair.inbound.close()
  await closed(duplex)
  t.deepEqual(emitted, ['StreamResetError', 'close'])
  t.is(far.state, StreamState.RESET)
})

overPairs('a Duplex that is read when we close the connection ends', async (t, pair) => {
  const { duplex } = await sent(pair)
  const emitted = events(duplex, { catchErrors: true })
  duplex.resume()
  await pair.outbound.close()
  await closed(duplex)
  t.deepEqual(emitted, ['end', 'close'])
})

overPairs('a finished Duplex ends without an error when its swarm is closed', async (t, pair) => {
  const { duplex } = await sent(pair)
  const emitted = events(duplex, { catchErrors: true })
  duplex.resume()
  await pair.dialer.close({ drainTimeout: 0 })
  await closed(duplex)
  t.deepEqual(emitted, ['end', 'close'])
})

overPairs(
  'a finished unread Duplex ends without an error when the remote shuts down',
  async (t, pair) => {
    const { duplex, far } = await sent(pair)
    const emitted = events(duplex, { catchErrors: true })
    await far.reset(StreamErrorCode.Shutdown)
    await closed(duplex)
    t.deepEqual(emitted, ['close'])
  },
  { needs: ['reset codes'] }
)

overPairs('bytes lost by a stream that shuts down are reported', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const duplex = near.toDuplex()
  const emitted = events(duplex, { catchErrors: true })
  duplex.write(new Uint8Array(4_000_000))
  await until(() => near.counters()?.bytesUnsent !== 0)
  await near.reset(StreamErrorCode.Shutdown)
  await closed(duplex)
  t.deepEqual(emitted, ['StreamResetError', 'close'])
  const other = await pair.openStreams()
  await other.far.write(pattern(9))
  await until(() => other.near.counters()?.bytesUnread !== 0)
  const chunks = other.near[Symbol.asyncIterator]()
  await other.near.reset(StreamErrorCode.Shutdown)
  await t.throwsAsync(chunks.next(), { instanceOf: StreamResetError })
  void far.reset()
})

overPairs('a Duplex with unsent bytes fails when the connection ends', async (t, pair) => {
  const { near } = await pair.openStreams()
  const duplex = near.toDuplex()
  const emitted = events(duplex, { catchErrors: true })
  duplex.write(new Uint8Array(4_000_000))
  await until(() => near.counters()?.bytesUnsent !== 0)
  await pair.outbound.close()
  await closed(duplex)
  t.deepEqual(emitted, ['StreamResetError', 'close'])
})

overPairs('a local reset of a Duplex without an error listener does not crash', async (t, pair) => {
  for (const end of [
    (near: Stream) => near.reset(),
    (near: Stream) => near.abort(new Error('mine'))
  ]) {
    const { near } = await pair.openStreams()
    const duplex = near.toDuplex()
    const emitted = events(duplex)
    end(near)
    await closed(duplex)
    t.deepEqual(emitted, ['close'])
    const observed = (await pair.openStreams()).near
    const listened = observed.toDuplex()
    const waiting = finished(listened)
    end(observed)
    await t.throwsAsync(waiting, { instanceOf: StreamResetError })
  }
})

overPairs('closing a stream ends its Duplex', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const duplex = near.toDuplex()
  duplex.write(pattern(3))
  t.deepEqual(await far.read(3), pattern(3))
  await near.close()
  await closed(duplex)
  t.is(duplex.errored, null)
  t.true(duplex.readableEnded && duplex.writableFinished)
})

/** Stages at which a Duplex is destroyed, and the outcome at the other end: bytes up to a clean end, or a reset. */
const STAGES: Readonly<
  Record<string, [(duplex: Duplex, far: Stream) => Promise<void>, number | 'reset']>
> = {
  'before anything': [async () => {}, 'reset'],
  'with bytes written': [
    async (duplex) => {
      duplex.write(pattern(7))
    },
    'reset'
  ],
  'with its end written': [(duplex) => finished(duplex.end(pattern(7)), { readable: false }), 7],
  'with nothing written, after the remote’s end': [
    async (duplex, far) => {
      duplex.resume()
      await far.closeWrite()
      await finished(duplex, { writable: false })
    },
    0
  ],
  'with bytes written, after the remote’s end': [
    async (duplex, far) => {
      duplex.resume()
      duplex.write(pattern(7))
      await far.closeWrite()
      await finished(duplex, { writable: false })
    },
    'reset'
  ]
}

for (const [stage, [arrive, outcome]] of Object.entries(STAGES)) {
  overPairs(`a Duplex destroyed ${stage} never looks more complete than it is`, async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const duplex = near.toDuplex()
    await arrive(duplex, far)
    duplex.destroy()
    await closed(duplex)
    t.is(duplex.errored, null)
    if (outcome === 'reset') await t.throwsAsync(readAll(far), { instanceOf: StreamResetError })
    else t.is(await readAll(far), outcome)
  })
}

async function readAll(far: Stream): Promise<number> {
  let count = 0
  for await (const chunk of far) count += chunk.length
  return count
}

overPairs('a Duplex is composed and piped through like any other', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const twice = new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, Buffer.concat([chunk, chunk]))
  })
  const echo = far.toDuplex()
  void pipeline(echo, twice, echo)
  const client = near.toDuplex().compose(async function* (source: AsyncIterable<Buffer>) {
    for await (const chunk of source) yield chunk.subarray(0, 1)
  }) as Duplex
  client.end('ab')
  t.is(Buffer.concat(await client.toArray()).toString(), 'a')
  await gone(t, pair)
})

async function gone(t: ExecutionContext, { outbound }: Pair): Promise<void> {
  await until(() => outbound.streams.length === 0)
  t.pass()
}

const READERS: Readonly<Record<string, (near: Stream) => AsyncIterable<Uint8Array>>> = {
  'a for await': (near) => near,
  messages: (near) => near.messages({ framing: 'varint' }),
  'the readable side': (near) =>
    near.readable as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>
}

for (const [what, chunks] of Object.entries(READERS)) {
  overPairs(`${what} ends without an error when we close the connection`, async (t, pair) => {
    const { near, far } = await pair.openStreams()
    const read: number[] = []
    const reading = (async () => {
      for await (const chunk of chunks(near)) read.push(chunk.length)
    })()
    await far.write(Uint8Array.of(1, 9))
    await until(() => read.length > 0)
    await pair.outbound.close()
    await reading
    t.is(read.length, 1)
  })

  overPairs(
    `${what} fails when the remote closes the connection before its end`,
    async (t, pair) => {
      const { near, far } = await pair.openStreams()
      const reading = (async () => {
        for await (const _ of chunks(near));
      })()
      await far.write(Uint8Array.of(1, 9))
      await pair.inbound.close()
      await t.throwsAsync(reading, { instanceOf: StreamResetError })
    }
  )
}

overPairs('messages fail when we close the connection inside one of them', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  let whole = 0
  const reading = (async () => {
    for await (const _ of near.messages({ framing: 'varint' })) whole += 1
  })()
  await far.write(Uint8Array.of(1, 9, 5, 1))
  await until(() => whole === 1)
  await pair.outbound.close()
  await t.throwsAsync(reading, { instanceOf: StreamResetError })
})

overPairs('the writable side is aborted while a write waits for the peer', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  const writer = near.writable.getWriter()
  const writing = t.throwsAsync(writer.write(new Uint8Array(STALLING_BYTES)))
  await until(() => near.counters()?.bytesUnsent !== 0)
  const reason = new Error('mine')
  await writer.abort(reason)
  await writing
  t.is(near.error?.cause, reason)
  await t.throwsAsync(readAll(far), { instanceOf: StreamResetError })
  const other = (await pair.openStreams()).near
  const stuck = other.writable.getWriter()
  const failing = t.throwsAsync(stuck.write(new Uint8Array(STALLING_BYTES)))
  stuck.releaseLock()
  await other.writable.abort(reason)
  await failing
  t.is(other.state, StreamState.RESET)
})

overPairs(
  'a pipeTo whose write waits for the peer ends with an abort of the stream',
  async (t, pair) => {
    const { near } = await pair.openStreams()
    const source = new ReadableStream<Uint8Array>({
      pull: (c) => c.enqueue(new Uint8Array(1_000_000))
    })
    const piping = t.throwsAsync(source.pipeTo(near.writable), { instanceOf: StreamResetError })
    await until(() => near.counters()?.bytesUnsent !== 0)
    near.abort(new Error('mine'))
    await piping
  }
)
