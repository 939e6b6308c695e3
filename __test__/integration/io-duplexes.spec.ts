import { Duplex, PassThrough } from 'node:stream'
import { mock } from 'node:test'
import test from 'ava'
import { AbortError, ConnectionClosedError } from '../../ts/errors.ts'
import { CLOSE_MS } from '../../ts/io/closing.ts'
import {
  fromDuplex,
  fromWebStreams,
  type ReadWriteCloser,
  readExactly,
  VarintMsgReadWriter
} from '../../ts/io/index.ts'
import { turn } from '../support/fake-connection.ts'
import { pattern } from '../support/pair.ts'
import { bytesOf, textOf } from '../support/readers.ts'

// Serial: the mocked timers apply to the whole file, so any other close would wait for them.
test.serial(
  'a close waits for its flush for a minute, and then briefly for the peer',
  async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const taken: (() => void)[] = []
    const duplex = new Duplex({
      read: () => {},
      write: (_bytes, _encoding, done) => taken.push(done)
    })
    const carrier = fromDuplex(duplex)
    const write = carrier.write(bytesOf('slow'))
    await turn()
    const close = carrier.close()
    mock.timers.tick(CLOSE_MS - 1)
    await turn()
    t.false(duplex.destroyed)
    taken[0]?.()
    await write
    await close
    mock.timers.tick(1_999)
    t.false(duplex.destroyed)
    mock.timers.tick(1)
    t.true(duplex.destroyed)
  }
)

/** Two carriers, each reading what the other writes. */
function carriers(): Record<string, [ReadWriteCloser, ReadWriteCloser]> {
  const [a, b] = [new PassThrough(), new PassThrough()]
  const [c, d] = [new TransformStream(), new TransformStream()]
  const [e, f] = [new PassThrough(), new PassThrough()]
  return {
    'a node duplex': [
      fromDuplex(Duplex.from({ readable: a, writable: b })),
      fromDuplex(Duplex.from({ readable: b, writable: a }))
    ],
    'web streams': [
      fromWebStreams({ readable: c.readable, writable: d.writable }),
      fromWebStreams({ readable: d.readable, writable: c.writable })
    ],
    'a duplex of objects': [
      fromDuplex(
        Duplex.from({
          readable: e.compose(async function* (source: AsyncIterable<Buffer>) {
            yield* source
          }),
          writable: f
        })
      ),
      fromDuplex(Duplex.from({ readable: f, writable: e }))
    ]
  }
}

for (const name of Object.keys(carriers())) {
  test(`messages go both ways over ${name}`, async (t) => {
    const [near, far] = carriers()[name] as [ReadWriteCloser, ReadWriteCloser]
    t.is(near.remoteAddress, undefined)
    const [out, back] = [new VarintMsgReadWriter(near), new VarintMsgReadWriter(far)]
    const sent = [bytesOf('one'), new Uint8Array(0), pattern(300_000)]
    const received: Uint8Array[] = []
    const echo = (async () => {
      for await (const message of back) await back.writeMsg(message)
      await back.close()
    })()
    const read = (async () => {
      while (received.length < 3) received.push(await out.readMsg())
    })()
    for (const message of sent) await out.writeMsg(message)
    await read
    t.deepEqual(
      received.map((bytes) => Buffer.from(bytes)),
      sent.map((bytes) => Buffer.from(bytes))
    )
    const waiting = near.read(1)
    await out.close()
    t.is((await waiting).length, 0)
    t.is((await near.read(1)).length, 0)
    await t.throwsAsync(near.write(bytesOf('a')), { instanceOf: ConnectionClosedError })
    await echo
  })

  // A115
  test(`a read aborted over ${name} loses nothing`, async (t) => {
    const [near, far] = carriers()[name] as [ReadWriteCloser, ReadWriteCloser]
    const abort = new AbortController()
    const read = near.read(4, { signal: abort.signal })
    await turn()
    abort.abort()
    await t.throwsAsync(read, { instanceOf: AbortError })
    const written = far.write(bytesOf('abcd'))
    t.is(textOf(await readExactly(near, 4)), 'abcd')
    await written
  })
}

test('a web stream that fails rejects with its own error', async (t) => {
  const broken = new Error('broken below')
  const readable = new ReadableStream({ pull: (controller) => controller.error(broken) })
  const writable = new WritableStream({ write: () => Promise.reject(broken) })
  const carrier = fromWebStreams({ readable, writable }, { remoteAddress: { host: 'h', port: 1 } })
  t.deepEqual(carrier.remoteAddress, { host: 'h', port: 1 })
  t.is(await t.throwsAsync(carrier.read(1)), broken)
  t.is(await t.throwsAsync(carrier.write(bytesOf('a'))), broken)
  await carrier.close()
})

test('a close ends a write that waits for a stalled web stream', async (t) => {
  const writable = new WritableStream({ write: () => new Promise(() => {}) })
  const carrier = fromWebStreams({ readable: new ReadableStream(), writable })
  const abort = new AbortController()
  const stuck = carrier.write(bytesOf('b'), { signal: abort.signal })
  await turn()
  abort.abort()
  await t.throwsAsync(stuck, { instanceOf: AbortError })
  const waiting = carrier.write(bytesOf('c'))
  await turn()
  void carrier.close()
  await t.throwsAsync(waiting, { instanceOf: ConnectionClosedError })
})
